//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"

	"github.com/fardel-io/fardel/runtime"
)

// shimExitFile is where a shim notes how a container ended, in the container's directory.
const shimExitFile = "exit.json"

// Restart implements [runtime.Restarter]. The new run is another container with the ID and the file system of the one that
// ended. What is on disk says that there is a new run when its createdFile is written; a crash before that leaves the old
// run, and a task that recovery reclaims.
func (d *Driver) Restart(ctx context.Context, id string, n int, secret func(context.Context) (runtime.Secrets, error)) error {
	ctx = d.context(ctx)
	old, err := d.enter(ctx, id, false)
	if err != nil {
		return err
	}
	err = d.operate(ctx, old, false, func(ctx context.Context) error { return d.restartEntered(ctx, old, n, secret) })
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("restart container %s: %w", id, ctx.Err())
	}
	return err
}

// restartEntered readies a container, whose op is held, for its next run.
func (d *Driver) restartEntered(ctx context.Context, old *container, n int, secret func(context.Context) (runtime.Secrets, error)) error {
	id := old.id
	switch state := old.current(); {
	case state == "":
		return fmt.Errorf("container %s: %w", id, runtime.ErrNotFound)
	case old.restarts >= n:
		return nil
	case state != runtime.StateStopped:
		return fmt.Errorf("restart container %s, which is %s: %w", id, state, runtime.ErrInvalid)
	case n != old.restarts+1:
		return fmt.Errorf("restart container %s for the %d. time, after %d: %w", id, n, old.restarts, runtime.ErrInvalid)
	}
	var env runtime.Secrets
	if secret != nil {
		var err error
		if env, err = secret(ctx); err != nil {
			return fmt.Errorf("restart container %s: %w", id, err)
		}
	}
	leave, err := d.enterProcesses(old.target())
	if err != nil {
		return fmt.Errorf("restart container %s: %w", id, err)
	}
	defer leave() // when it is known to be there
	c := newContainer(id)
	c.record, c.restarts = old.record, n
	if err := d.recreate(ctx, c, env); err != nil {
		return fmt.Errorf("restart container %s: %w", id, err)
	}
	old.removed = true // those who wait for its op find the new one
	d.mu.Lock()
	d.containers[id] = c
	d.mu.Unlock()
	d.life.spawn(func(ctx context.Context) { d.watch(d.context(ctx), c) })
	return nil
}

// recreate makes a container's task once more, on the file system that it had.
func (d *Driver) recreate(ctx context.Context, c *container, secret runtime.Secrets) error {
	spec := c.record.Spec
	spec.SecretEnv = secret
	d.mu.Lock()
	s := d.sandboxes[spec.SandboxID]
	d.mu.Unlock()
	if s == nil {
		return fmt.Errorf("sandbox %q: %w", spec.SandboxID, runtime.ErrNotFound)
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	img, err := d.unpackedImage(ctx, spec.Image)
	if err != nil {
		return err
	}
	// It is about the run before. Where it is gone an earlier driver has begun this restart, and what it asked for may have
	// come to the shim since.
	err = os.Remove(filepath.Join(d.containerDir(c.id), shimExitFile))
	if errors.Is(err, os.ErrNotExist) {
		_, _, err = d.reclaim(ctx, c)
	}
	if err != nil {
		return err
	}
	resolved, release, err := d.resolveMounts(ctx, s.spec, spec, img)
	if err != nil {
		return err
	}
	pid, err := d.createTask(ctx, s, c, resolved, img, true)
	if err = errors.Join(err, release()); err == nil {
		err = ctx.Err()
	}
	if err == nil {
		created := createdRecord{At: time.Now(), PID: pid, Restarts: c.restarts}
		if err = writeJSON(filepath.Join(d.containerDir(c.id), createdFile), created); err == nil {
			c.state, c.pid = runtime.StateCreated, pid
			return nil
		}
	}
	if errors.Is(context.Cause(ctx), runtime.ErrClosed) { // the next driver undoes it
		return err
	}
	undo, cancel := d.undoContext(ctx)
	defer cancel()
	_, _, rerr := d.reclaim(undo, c)
	return errors.Join(err, rerr)
}

// sameRootfs returns how to mount a file system that is there.
func (d *Driver) sameRootfs(ctx context.Context, key string, img unpacked) ([]mount.Mount, error) {
	mounts, err := d.client.SnapshotService(d.snapshotter).Mounts(ctx, key)
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("root file system %s of image %s is gone: %w", key, img.Ref, runtime.ErrNotFound)
	}
	return mounts, err
}
