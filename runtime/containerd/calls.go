//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/runtime"
)

// call is something that the OCI runtime is asked to do, by way of what runs the tasks.
type call struct {
	target
	ends    bool            // without it the container is nothing: when it is broken off, the container's processes are killed
	timeout time.Duration   // 0 is Config.callTimeout
	soon    <-chan struct{} // closed when nobody wants it any more
}

// call has f ask the OCI runtime for something and returns when f has. The OCI runtime is not stopped half-way without need,
// as nobody would know what it left. But it works in what a hostile image or container has made, and may wait there for
// good: so when the call's time is over, or ctx ends, its processes are killed, f returns by the ordinary path, and the
// caller undoes what there is. Should f not even return then, what runs the task is ended, too.
//
// A driver that is closed leaves the call to its end, and the rest to the next one; but nobody would read what a process
// writes that was added to a container.
func (d *Driver) call(ctx context.Context, c call, f func(context.Context) error) error {
	whole, cancel := d.life.limit(context.WithoutCancel(ctx))
	defer cancel()
	a := ask(func() error { return f(whole) })
	why := d.unwanted(ctx, c, a)
	switch {
	case why == nil:
		return a.err
	case c.exec == "" && errors.Is(why, runtime.ErrClosed):
		cancel()
		<-a.done
		return why
	}
	d.breakOff(whole, cancel, c, a)
	if a.err == nil {
		return nil
	}
	d.logger.Debug("the OCI runtime was broken off", "container", c.container, "why", why, "error", a.err)
	return why
}

// unwanted waits for the answer, nil, or for a reason not to.
func (d *Driver) unwanted(ctx context.Context, c call, a *reply) error {
	limit := c.timeout
	if limit == 0 {
		limit = d.cfg.callTimeout
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	soon := c.soon
	for {
		select {
		case <-a.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-soon:
			soon = nil
			limit = min(limit, d.cfg.callPatience)
			timer.Reset(limit)
		case <-timer.C:
			return fmt.Errorf("the OCI runtime has not answered for %v and was ended", limit)
		}
	}
}

// breakOff ends what the OCI runtime does for a call, again and again until it has returned: what runs the task may be about
// to start the next program for it.
func (d *Driver) breakOff(ctx context.Context, cancel func(), c call, a *reply) {
	patience := time.After(d.cfg.callPatience)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		if err := d.endCalls(ctx, c.target, c.ends); err != nil {
			d.logger.Error("end the OCI runtime", "container", c.container, "error", err)
		}
		select {
		case <-a.done:
			return
		case <-d.life.gone:
			cancel()
			<-a.done
			return
		case <-patience:
			// The other containers of a task do not pay for one process that was added to one of them.
			if c.exec == "" {
				d.logger.Warn("what runs a container does not answer and is ended", "container", c.container)
				if err := d.tasks.abandon(c.target); err != nil {
					d.logger.Error("end what runs a container", "container", c.container, "error", err)
				}
			}
			cancel()
			<-a.done
			return
		case <-time.After(wait):
		}
	}
}

// endCalls ends the OCI runtime's processes that are at work on a container or a process that was added to it, and the
// container's own if all is set.
func (d *Driver) endCalls(ctx context.Context, t target, all bool) error {
	var killed error
	if all {
		killed = d.cgroups.Kill(ctx, group(t))
	}
	_, err := endRuntime(d.runtimeRoot(), d.tasks.runtimeID(t.container), t.exec)
	return errors.Join(killed, err)
}

// group is a container's cgroup, below the parent.
func group(t target) string { return filepath.Join(t.sandbox, t.container) }

// runtimeRoot is where the OCI runtime keeps its state. Shims add the namespace.
func (d *Driver) runtimeRoot() string { return filepath.Join(d.cfg.Dir, "runc", d.namespace) }

// operate is carry for what holds c's op, which another may cut short: see cut. What need not be undone goes on without its
// caller.
func (d *Driver) operate(ctx context.Context, c *container, goesOn bool, f func(context.Context) error) error {
	_, err := carry(ctx, d, func(work, life context.Context) (struct{}, error) {
		if goesOn {
			work = context.WithoutCancel(work)
		}
		work, cancel := context.WithCancelCause(work)
		defer cancel(nil)
		if goesOn {
			defer context.AfterFunc(life, func() { cancel(runtime.ErrClosed) })()
		}
		c.onCut(cancel)
		defer c.onCut(nil)
		err := f(work)
		if cause := context.Cause(work); err != nil && errors.Is(cause, errCut) {
			err = fmt.Errorf("container %s: %w", c.id, cause)
		}
		return struct{}{}, err
	}, c.leave)
	return err
}

// errCut ends what is done to a container that is to be removed.
var errCut = fmt.Errorf("it is removed: %w", runtime.ErrNotFound)

func (c *container) onCut(cancel context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutShort = cancel
}

// cut ends the creation, start or restart of a container that is under way.
func (c *container) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cutShort != nil {
		c.cutShort(errCut)
	}
}

// hurry is for a container that was or is about to be sent SIGKILL: nothing that it has to do with may take long now.
func (d *Driver) hurry(c *container) {
	if c.hasten() {
		d.life.spawn(func(ctx context.Context) { d.seeToEnd(d.context(ctx), c) })
	}
}

// hasten has calls of the OCI runtime for the container end soon, and reports whether it is the first to say so.
func (c *container) hasten() (first bool) {
	c.hurryOnce.Do(func() { close(c.hurried); first = true })
	return first
}

// seeToEnd returns when a container that was sent SIGKILL is known to have ended. What keeps that from showing is ended, too.
func (d *Driver) seeToEnd(ctx context.Context, c *container) {
	for again := false; ; again = true {
		select {
		case <-c.seen:
			return
		case <-ctx.Done():
			return
		case <-time.After(d.cfg.callPatience):
		}
		if err := d.endCalls(ctx, c.target(), true); err != nil {
			d.logger.Error("end a container", "container", c.id, "error", err)
		}
		// Processes in uninterruptible I/O die late, which nothing of ours is to blame for.
		if again && !d.firstRuns(c) {
			d.logger.Warn("what runs a container does not see that it has ended, and is ended", "container", c.id)
			if err := d.tasks.abandon(c.target()); err != nil {
				d.logger.Error("end what runs a container", "container", c.id, "error", err)
			}
		}
	}
}

// firstRuns reports whether a container's first process has not ended.
func (d *Driver) firstRuns(c *container) bool {
	pid := c.first()
	return pid != 0 && !zombie(pid) && d.cgroups.Has(group(c.target()), pid)
}

func (c *container) first() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// signalFirst sends a signal to a container's first process without the help of the OCI runtime, which takes its time where
// processes fill the machine. It reports false if it cannot say which process that is.
func (d *Driver) signalFirst(c *container, signal int) (sent bool, err error) {
	pid := c.first()
	if pid == 0 {
		return false, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return true, nil // ended, and about to be found to have
	}
	if err != nil {
		return false, nil
	}
	defer unix.Close(fd)
	if !d.cgroups.Has(group(c.target()), pid) { // another process has the number now, or cgroups have other names here
		return false, nil
	}
	if err := unix.PidfdSendSignal(fd, syscall.Signal(signal), nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return false, err
	}
	return true, nil
}

// reclaim removes a container's task whatever its state and whatever became of what ran it, and says how it ended if that is
// known. What the OCI runtime does not remove in time is removed without it.
func (d *Driver) reclaim(ctx context.Context, c *container) (end ended, known bool, err error) {
	t := c.target()
	if !d.isGVisor() {
		if err := d.cgroups.Kill(ctx, group(t)); err != nil {
			return ended{}, false, err
		}
	}
	ask := call{target: t, ends: true, timeout: reclaimPatience * d.cfg.callPatience, soon: c.hurried}
	err = d.call(ctx, ask, func(ctx context.Context) (err error) {
		end, known, err = d.tasks.reclaim(ctx, t)
		return err
	})
	if err == nil || ctx.Err() != nil {
		return end, known, err
	}
	d.logger.Warn("what is left of a container is removed without the OCI runtime", "container", c.id, "error", err)
	return ended{}, false, errors.Join(d.tasks.discard(ctx, t), d.removeGroup(ctx, t))
}

// reclaimPatience is how many times Config.callPatience the removal of a container may take whose end nobody waits for.
const reclaimPatience = 3

// removeGroup removes a container's cgroup with all that is in it.
func (d *Driver) removeGroup(ctx context.Context, t target) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.callPatience)
	defer cancel()
	return d.cgroups.Remove(ctx, group(t))
}

// undoContext is for the undoing of something half made, which goes on when the caller has given up, and for a while after
// Close.
func (d *Driver) undoContext(ctx context.Context) (context.Context, context.CancelFunc) {
	undo, cancel := undoContext(ctx)
	undo, end := d.life.limit(undo)
	return undo, func() { end(); cancel() }
}
