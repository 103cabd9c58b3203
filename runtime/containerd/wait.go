//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"github.com/fardel-io/fardel/internal/cgroup"
	"github.com/fardel-io/fardel/runtime"
)

// Wait implements [runtime.Driver].
func (d *Driver) Wait(ctx context.Context, id string) (runtime.Exit, error) {
	c, err := d.container(id)
	if err != nil {
		return runtime.Exit{}, err
	}
	select {
	case <-c.done:
		return *c.exit, nil
	default:
	}
	select {
	case <-c.done:
		return *c.exit, nil
	case <-ctx.Done():
		return runtime.Exit{}, fmt.Errorf("wait for container %s: %w", id, ctx.Err())
	case <-d.life.stopped:
		return runtime.Exit{}, fmt.Errorf("wait for container %s: %w", id, runtime.ErrClosed)
	}
}

// watch follows one container from its creation, or adoption, to its end. There is one for each container that has not
// ended; it alone notes how it ended.
func (d *Driver) watch(ctx context.Context, c *container) {
	var end ended
	err := d.whenBack(ctx, func() (err error) {
		end, err = d.tasks.wait(ctx, c.target())
		return err
	})
	if ctx.Err() != nil {
		return
	}
	close(c.seen)
	c.starting.Lock()
	defer c.starting.Unlock()
	if err != nil {
		d.logger.Warn("nobody saw the container end", "container", c.id, "error", err)
	}
	exit, err := d.conclude(ctx, c, end, err)
	if ctx.Err() != nil { // the next driver concludes
		return
	}
	if err != nil {
		d.logger.Error("clean up after a container", "container", c.id, "error", err)
	}
	c.finish(exit)
}

// whenBack calls a function until a daemon that is away is back, or ctx ends.
func (d *Driver) whenBack(ctx context.Context, call func() error) error {
	err := call()
	for errdefs.IsUnavailable(err) && d.tasks.mayReturn() {
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
		err = call()
	}
	return err
}

// conclude notes how a container ended and forgets its task, which flushes its output. It may be repeated after a crash:
// what was noted first stands.
func (d *Driver) conclude(ctx context.Context, c *container, end ended, waitErr error) (runtime.Exit, error) {
	known := waitErr == nil
	var errs []error
	exit, noted, err := d.notedExit(c)
	errs = append(errs, err)
	if !noted && known {
		// The OCI runtime removes the cgroup with its counter when the task is deleted.
		exit = runtime.Exit{Code: end.code, At: end.at, OOMKilled: d.oomKilled(c)}
		errs = append(errs, d.noteExit(c, exit))
		noted = true
	}
	if known {
		err := d.whenBack(ctx, func() error {
			return d.call(ctx, call{target: c.target(), ends: true, soon: c.hurried}, func(ctx context.Context) error {
				return d.tasks.delete(ctx, c.target())
			})
		})
		if err == nil || errdefs.IsNotFound(err) {
			return exit, errors.Join(errs...)
		} else if ctx.Err() != nil {
			return exit, err
		}
	}
	oom := d.oomKilled(c)
	end, known, err = d.reclaim(ctx, c)
	errs = append(errs, err)
	if ctx.Err() != nil || noted {
		return exit, errors.Join(errs...)
	}
	exit = runtime.Exit{Code: end.code, At: end.at, OOMKilled: oom}
	if !known {
		// Nobody saw it end: its shim was killed, or the machine restarted. Whatever was left of it has been killed now.
		exit.Code, exit.At = 128+int(syscall.SIGKILL), time.Now()
	}
	errs = append(errs, d.noteExit(c, exit))
	return exit, errors.Join(errs...)
}

// notedExit is how the present run of a container ended, if that was noted.
func (d *Driver) notedExit(c *container) (runtime.Exit, bool, error) {
	var rec exitRecord
	noted, err := readJSON(filepath.Join(d.containerDir(c.id), exitFile), &rec)
	if !noted || err != nil || rec.Restarts != c.restarts {
		return runtime.Exit{}, false, err
	}
	return rec.Exit, true, nil
}

func (d *Driver) noteExit(c *container, exit runtime.Exit) error {
	return writeJSON(filepath.Join(d.containerDir(c.id), exitFile), exitRecord{Exit: exit, Restarts: c.restarts})
}

// oomKilled asks the kernel whether it killed a process of the container. Its counter is per cgroup of the victim,
// whichever cgroup above had the limit that was hit.
func (d *Driver) oomKilled(c *container) bool {
	kills, err := d.cgroups.OOMKills(filepath.Join(c.record.Spec.SandboxID, c.id))
	if err != nil && !errors.Is(err, cgroup.ErrNoGroup) {
		d.logger.Error("read the count of out-of-memory kills", "container", c.id, "error", err)
	}
	return kills > 0
}

// finish makes an exit known to those who wait.
func (c *container) finish(exit runtime.Exit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.pid, c.exit = runtime.StateStopped, 0, &exit
	close(c.done)
}
