package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/fardel-io/fardel/task"
)

// killGrace is how long a container may take to end after SIGKILL before the stop is tried again. Processes in
// uninterruptible I/O die late.
const killGrace = 30 * time.Second

// stopContainers stops what runs: a container when those that depend on it have ended, independent ones side by side.
func (w *worker) stopContainers(ctx context.Context) error {
	by := dependents(w.def)
	var stops []func() error
	for i, c := range w.containers {
		if w.record(i).LastStatus != task.ContainerRunning {
			continue
		}
		after := w.running(by[c.def.Name])
		stops = append(stops, func() error {
			for _, d := range after {
				select {
				case <-d.ended:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if c.def.FirelensConfiguration != nil { // it is stopped last, when it has what the others wrote
				for _, sender := range w.senders() {
					sender.silence()
				}
				w.awaitDelivery(ctx, w.senders())
			}
			return w.stopOne(ctx, c)
		})
	}
	err := each(stops...)
	w.drain(ctx)
	return err
}

// running returns those of the named containers that have not ended.
func (w *worker) running(names []string) []*container {
	var cs []*container
	for _, name := range names {
		if w.rec.Container(name).LastStatus == task.ContainerRunning {
			cs = append(cs, w.container(name))
		}
	}
	return cs
}

// drain notes the ends that were reported.
func (w *worker) drain(ctx context.Context) {
	for {
		select {
		case ev := <-w.exits:
			w.exited(ctx, ev)
		default:
			return
		}
	}
}

// stopOne asks a container to end, waits for its stopTimeout, and kills it. It is killed then also if it could not be asked:
// what keeps a driver from that may be the container's doing.
func (w *worker) stopOne(ctx context.Context, c *container) error {
	limit := time.Now().Add(c.def.StopDuration())
	if err := w.askToEnd(ctx, c, limit); err != nil {
		return fmt.Errorf("stop container %s: %w", c.def.Name, err)
	}
	if w.ends(ctx, c, time.Until(limit)) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w.log.Info("container outlived its stopTimeout and is killed", "containerName", c.def.Name)
	if err := w.e.cfg.Driver.Kill(ctx, c.id, "SIGKILL"); err != nil {
		return fmt.Errorf("kill container %s: %w", c.def.Name, err)
	}
	if w.ends(ctx, c, killGrace) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("container %s has not ended %v after SIGKILL", c.def.Name, killGrace)
}

// askToEnd sends a container its stop signal. It tries until the limit, and returns no error then: what is to be done about a
// container that cannot be asked is what is done about one that does not listen.
func (w *worker) askToEnd(ctx context.Context, c *container, limit time.Time) error {
	asking, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		err := w.e.cfg.Driver.Kill(asking, c.id, "")
		if err == nil || closed(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.log.Error("container cannot be asked to end", "containerName", c.def.Name, "error", err)
		if asking.Err() != nil || w.ends(asking, c, wait) {
			return nil
		}
	}
}

// ends waits for a container to end and reports whether it did in time.
func (w *worker) ends(ctx context.Context, c *container, within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-c.ended:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// deprovision releases all that the task holds on this host but its logs. Every part may be missing already.
func (w *worker) deprovision(ctx context.Context) error {
	for _, c := range w.senders() { // to a log router that has ended
		c.abandon()
	}
	var removes []func() error
	for _, c := range w.containers {
		removes = append(removes, func() error { return w.e.cfg.Driver.RemoveContainer(ctx, c.id) })
	}
	began := time.Now()
	err := each(removes...)
	w.took("remove", began)
	if err != nil {
		return err
	}
	w.e.endpoints.leave(w)
	err = each(
		func() error {
			if err := w.e.cfg.Driver.RemoveSandbox(ctx, w.id); err != nil {
				return err
			}
			return w.e.removeFiles(w.id) // which the sandbox has mounted, see runtime.SandboxSpec.Scratch
		},
		func() error {
			if w.def.NetworkMode == task.NetworkModeNone {
				return nil
			}
			defer w.took("detach", time.Now())
			return w.e.cfg.Fabric.Detach(ctx, w.eni.ID)
		},
		func() error {
			for _, c := range w.containers {
				c.silence()
			}
			w.awaitDelivery(ctx, w.containers)
			return nil
		},
		func() error { return w.unmountVolumes(ctx) },
	)
	if err != nil {
		return err
	}
	w.drain(ctx)
	for i := range w.containers {
		w.record(i).LastStatus = task.ContainerStopped
	}
	for i := range w.rec.Attachments {
		w.rec.Attachments[i].Status = task.AttachmentDeleted
	}
	return nil
}
