package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// health is what the checks of one container add up to.
type health struct {
	status   task.HealthStatus
	failures int       // in a row, those that count
	since    time.Time // of status

	exitCode int    // of the last check; -1 for one that took too long or could not be run
	output   string // of the last check, at most maxCheckOutput bytes
}

// maxCheckOutput is how much of a check's output is kept, as in Docker.
const maxCheckOutput = 4096

// after is the health when a check has ended. The rules are Docker's, which ECS documents: failures in the start period
// do not count, a success makes the container healthy and ends that period, and as many failures in a row as there are
// retries make it unhealthy.
func (h health) after(t task.HealthTiming, startedAt, now time.Time, passed bool) health {
	switch {
	case passed:
		return h.become(task.HealthHealthy, 0, now)
	case h.status != task.HealthHealthy && h.status != task.HealthUnhealthy && now.Sub(startedAt) < t.StartPeriod:
		return h
	case h.failures+1 >= t.Retries:
		return h.become(task.HealthUnhealthy, h.failures+1, now)
	}
	h.failures++
	return h
}

func (h health) become(s task.HealthStatus, failures int, now time.Time) health {
	if h.status != s {
		h.status, h.since = s, now
	}
	h.failures = failures
	return h
}

// checked is the outcome of one health check.
type checked struct {
	c        *container
	run      <-chan struct{} // the container's ended, which tells its runs apart
	passed   bool
	at       time.Time
	exitCode int
	output   string
}

// ran is what became of a check's process.
type ran struct {
	code int
	err  error
	out  string
}

// check runs a container's health check once. A check that takes too long, cannot be run or exits with anything but 0
// has failed, and one that takes too long when its time is over, whatever the driver does with it: before has the last one
// that was begun, and there is no other until that has returned.
func (w *worker) check(ctx context.Context, c *container, before *<-chan ran) checked {
	limit := c.def.HealthCheck.Timing().Timeout
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var done ran
	returned := false
	if *before != nil {
		select {
		case <-*before: // of a check that has failed
			*before = nil
		case <-ctx.Done():
		}
	}
	if *before == nil && ctx.Err() == nil {
		*before = w.begin(ctx, c)
		select {
		case done = <-*before:
			*before, returned = nil, true
		case <-ctx.Done():
			select {
			case done = <-*before: // a driver returns when ctx ends
				*before, returned = nil, true
			case <-time.After(execGrace):
			}
		}
	}
	result := checked{c: c, passed: returned && done.err == nil && done.code == 0, at: time.Now(), exitCode: done.code, output: done.out}
	switch {
	case !returned || errors.Is(ctx.Err(), context.DeadlineExceeded):
		result.passed, result.exitCode, result.output = false, -1, fmt.Sprintf("Health check exceeded timeout (%v)", limit)
	case done.err != nil:
		result.exitCode, result.output = -1, done.err.Error()
	}
	return result
}

// execGrace is how long a driver may take to return from an Exec whose context has ended: ten times what it should.
const execGrace = time.Second

// runCheck runs the command of a health check.
func (w *worker) runCheck(ctx context.Context, c *container) ran {
	var out head
	code, err := w.e.Exec(ctx, w.id, c.def.Name, runtime.ExecSpec{
		Args: checkCommand(c.def.HealthCheck.Command), Stdout: &out, Stderr: &out,
	})
	return ran{code, err, out.String()}
}

// head keeps the first bytes of what is written to it, at most maxCheckOutput.
type head struct {
	mu   sync.Mutex // guards text
	text []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, p[:min(len(p), maxCheckOutput-len(h.text))]...)
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.text)
}

// checkCommand is what a healthCheck's command runs: its second element in a shell, or the rest of it as it is.
func checkCommand(command []string) []string {
	if command[0] == "CMD-SHELL" {
		return []string{"/bin/sh", "-c", strings.Join(command[1:], " ")}
	}
	return command[1:]
}

// checked notes the outcome of a health check in the record, and reports whether that changes anything.
func (w *worker) checked(ev checked) bool {
	c := ev.c
	if ev.run != c.ended {
		return false // of a run that is over
	}
	before := c.health.status
	c.health = c.health.after(c.def.HealthCheck.Timing(), c.startedAt, ev.at, ev.passed)
	c.health.exitCode, c.health.output = ev.exitCode, ev.output
	if c.health.status == before {
		w.show()
		return false
	}
	w.rec.Container(c.def.Name).HealthStatus = c.health.status
	w.rec.HealthStatus = task.AggregateHealth(w.def, w.rec.Containers)
	w.log.Info("container health", "containerName", c.def.Name, "healthStatus", string(c.health.status))
	return true
}
