package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// endedRun is what a restart policy looks at when a container has ended.
type endedRun struct {
	stopping  bool      // the container is wanted to be STOPPED
	exitCode  *int      // nil if nobody knows it
	startedAt time.Time // of this run, not of the first
	now       time.Time
}

// shouldRestart says whether a container is to run again, and why not. It is pure. The conditions and their order are the
// ECS agent's (agent/engine/…/restart_tracker.go); an exit code of 0 is like any other.
func shouldRestart(p *task.RestartPolicy, run endedRun) (restart bool, why string) {
	switch {
	case p == nil || !p.Enabled:
		return false, "restart policy is not enabled"
	case run.stopping:
		return false, "container's desired status is stopped"
	case run.exitCode == nil:
		return false, "exit code is nil"
	case slices.Contains(p.IgnoredExitCodes, *run.exitCode):
		return false, fmt.Sprintf("exit code %d should be ignored", *run.exitCode)
	case run.now.Sub(run.startedAt) < p.Period():
		return false, "attempt reset period has not elapsed"
	}
	return true, ""
}

// restarts has a container that ended run again if its policy says so, and reports whether it does, or will when the next
// process takes the task over.
func (w *worker) restarts(ctx context.Context, ev exited) bool {
	c, rec := ev.c, w.rec.Container(ev.c.def.Name)
	if c.def.RestartPolicy == nil || !c.def.RestartPolicy.Enabled || ev.err != nil {
		return false
	}
	restart, why := shouldRestart(c.def.RestartPolicy, endedRun{
		stopping: w.rec.DesiredStatus >= task.Stopped || w.stopWanted(), exitCode: &ev.exit.Code, startedAt: c.startedAt, now: time.Now(),
	})
	if !restart {
		w.log.Info("container is not restarted", "containerName", rec.Name, "exitCode", ev.exit.Code, "reason", why)
		return false
	}
	before := *rec
	rec.RestartCount++
	rec.StartedAt, rec.FinishedAt = time.Now().UTC(), ev.exit.At.UTC()
	if c.def.HealthCheck != nil {
		c.health = health{status: task.HealthUnknown}
		rec.HealthStatus = task.HealthUnknown
		w.rec.HealthStatus = task.AggregateHealth(w.def, w.rec.Containers)
	}
	// Written down first: whoever takes the task over does what is missing of this restart.
	if w.save(ctx) != nil {
		return true // ctx has ended
	}
	if w.rec.DesiredStatus >= task.Stopped { // somebody else wanted that meanwhile
		*w.rec.Container(before.Name) = before
		return false
	}
	making, done := w.interruptible(ctx) // a stop does not wait for it
	err := w.runAgain(making, c)
	done()
	if err != nil {
		if ctx.Err() != nil || closed(err) {
			return true
		}
		if w.stopWanted() {
			*w.rec.Container(before.Name) = before
			return false
		}
		w.log.Error("container cannot be restarted", "containerName", before.Name, "error", err)
		*w.rec.Container(before.Name) = before
		w.rec.Container(before.Name).Reason = task.FailureReason(task.ErrorCannotStartContainer, "restart: "+err.Error())
		return false
	}
	w.log.Info("container restarted", "containerName", before.Name, "exitCode", ev.exit.Code, "restartCount", before.RestartCount+1)
	return true
}

// runAgain brings a container to the run that the record says, and follows it. It may be repeated.
func (w *worker) runAgain(ctx context.Context, c *container) error {
	r, ok := w.e.cfg.Driver.(runtime.Restarter)
	if !ok {
		return &runtime.UnsupportedError{Feature: "restartPolicy", Needs: "a driver that implements runtime.Restarter"}
	}
	rec := w.rec.Container(c.def.Name)
	secret := func(ctx context.Context) (runtime.Secrets, error) { return w.unseal(ctx, c) }
	if err := r.Restart(ctx, c.id, rec.RestartCount, secret); err != nil {
		return err
	}
	if err := w.e.cfg.Driver.Start(ctx, c.id); err != nil {
		return err
	}
	c.startedAt, c.ended = startedAt(rec), make(chan struct{})
	w.watch(ctx, c)
	return nil
}
