//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fardel-io/fardel/internal/cgroup"
	"github.com/fardel-io/fardel/internal/rmtree"
	"github.com/fardel-io/fardel/runtime"
)

// sandbox is a sandbox that exists.
type sandbox struct {
	spec runtime.SandboxSpec

	// mu is held for reading while a container is made in it and for writing while it is made or removed.
	mu       sync.RWMutex
	made     bool // by CreateSandbox, or a driver before this one
	removed  bool
	removing atomic.Int32 // calls that remove it: no container is made in it meanwhile
	pause    process      // first process of the PID namespace that its containers share

	ids   *sandboxIDs  // of its user namespace, nil if it has none; set before it is on record, under Driver.mu
	entry sync.RWMutex // see enterProcesses and startTracer
}

// CreateSandbox implements [runtime.Driver].
func (d *Driver) CreateSandbox(ctx context.Context, spec runtime.SandboxSpec) error {
	if err := d.checkSandbox(spec); err != nil {
		return err
	}
	_, err := carry(d.context(ctx), d, func(ctx, _ context.Context) (struct{}, error) {
		return struct{}{}, d.createSandbox(ctx, spec)
	}, func() {})
	return err
}

func (d *Driver) createSandbox(ctx context.Context, spec runtime.SandboxSpec) error {
	s, err := d.enterSandbox(spec)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if !sameSpec(s.spec, spec) {
		return fmt.Errorf("sandbox %s: %w", spec.ID, runtime.ErrExists)
	}
	if err = d.makeSandbox(ctx, s); err == nil {
		err = d.sharePID(ctx, s)
	}
	switch {
	case err == nil:
		s.made = true
	case s.made:
		return fmt.Errorf("create sandbox %s once more: %w", spec.ID, err)
	default:
		// What is half made goes when it is created again, removed, or at the next start.
		cleanup, cancel := d.undoContext(ctx)
		defer cancel()
		return errors.Join(fmt.Errorf("create sandbox %s: %w", spec.ID, err), d.destroySandbox(cleanup, s))
	}
	return nil
}

func (d *Driver) checkSandbox(spec runtime.SandboxSpec) error {
	if err := d.open(); err != nil {
		return err
	}
	if err := checkID("sandbox", spec.ID); err != nil {
		return err
	}
	if err := d.checkRuntime(spec); err != nil {
		return fmt.Errorf("sandbox %s: %w", spec.ID, err)
	}
	if spec.ID == cgroup.Helpers {
		return fmt.Errorf("sandbox %s: the ID is taken: %w", spec.ID, runtime.ErrInvalid)
	}
	if spec.Size.CPU < 0 || spec.Size.Memory < 0 || spec.PIDs < 0 || spec.Storage < 0 {
		return fmt.Errorf("sandbox %s: negative size: %w", spec.ID, runtime.ErrInvalid)
	}
	if spec.Scratch != "" && !filepath.IsAbs(spec.Scratch) {
		return fmt.Errorf("sandbox %s: scratch %q is not an absolute path: %w", spec.ID, spec.Scratch, runtime.ErrInvalid)
	}
	if spec.NetNS != "" {
		if _, err := os.Stat(spec.NetNS); err != nil {
			return fmt.Errorf("sandbox %s: network namespace: %w: %w", spec.ID, err, runtime.ErrInvalid)
		}
	}
	return nil
}

// enterSandbox returns the sandbox with the spec's ID, locked, and adds it if there is none.
func (d *Driver) enterSandbox(spec runtime.SandboxSpec) (*sandbox, error) {
	for {
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return nil, d.open()
		}
		s := d.sandboxes[spec.ID]
		if s == nil {
			s = &sandbox{spec: spec}
			d.sandboxes[spec.ID] = s
		}
		d.mu.Unlock()
		s.mu.Lock()
		if !s.removed {
			return s, nil
		}
		s.mu.Unlock()
	}
}

// enter has the sandbox stay until leave, unless it is or was removed. Removal waits for those that are inside.
func (s *sandbox) enter(ctx context.Context) error {
	for s.removing.Load() == 0 {
		if s.mu.TryRLock() { // a mutex takes no context
			if !s.removed {
				return nil
			}
			s.mu.RUnlock()
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("sandbox %q: %w", s.spec.ID, runtime.ErrNotFound)
}

func (s *sandbox) leave() { s.mu.RUnlock() }

// makeSandbox may be repeated.
func (d *Driver) makeSandbox(ctx context.Context, s *sandbox) error {
	dir := d.sandboxDir(s.spec.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := d.enterUserNS(s); err != nil {
		return err
	}
	// The record is first, so that a cgroup or a process always belongs to one.
	if err := writeJSON(filepath.Join(dir, sandboxFile), s.spec); err != nil {
		return err
	}
	var opened, made error
	split(
		func() { opened = d.tasks.openSandbox(ctx, s.spec.ID) },
		func() {
			made = errors.Join(d.cgroups.Create(s.spec.ID, sandboxLimits(s.spec)), d.makeDisk(ctx, s), makeScratch(s.spec))
		},
	)
	return errors.Join(opened, made)
}

// sharePID makes the PID namespace of a sandbox whose containers share one. It may be repeated.
func (d *Driver) sharePID(ctx context.Context, s *sandbox) error {
	if s.spec.SharePID && !s.pause.alive() {
		return d.startPause(ctx, s)
	}
	return ctx.Err()
}

// sandboxLimits converts a task size. One vCPU is a full period.
func sandboxLimits(spec runtime.SandboxSpec) cgroup.Limits {
	return cgroup.Limits{
		CPU:    time.Duration(spec.Size.CPU) * cgroup.Period / 1024,
		Shares: spec.CPUShares,
		Memory: spec.Size.Memory.Bytes(),
		PIDs:   spec.PIDs,
	}
}

// RemoveSandbox implements [runtime.Driver].
func (d *Driver) RemoveSandbox(ctx context.Context, id string) error {
	if err := d.open(); err != nil {
		return err
	}
	d.mu.Lock()
	s := d.sandboxes[id]
	d.mu.Unlock()
	if s == nil {
		return nil
	}
	_, err := carry(d.context(ctx), d, func(ctx, _ context.Context) (struct{}, error) {
		return struct{}{}, d.removeSandbox(ctx, s)
	}, func() {})
	if err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	return nil
}

func (d *Driver) removeSandbox(ctx context.Context, s *sandbox) error {
	s.removing.Add(1)
	defer s.removing.Add(-1)
	if err := d.removeContainersOf(ctx, s.spec.ID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed {
		return nil
	}
	// One may have been added before the lock was ours.
	if err := d.removeContainersOf(ctx, s.spec.ID); err != nil {
		return err
	}
	return d.destroySandbox(ctx, s)
}

func (d *Driver) removeContainersOf(ctx context.Context, id string) error {
	return each(8, d.containersOf(id), func(c string) error { return d.RemoveContainer(ctx, c) })
}

// destroySandbox removes what makeSandbox made, the record last. s is locked.
func (d *Driver) destroySandbox(ctx context.Context, s *sandbox) error {
	id := s.spec.ID
	if err := d.tasks.closeSandbox(ctx, id); err != nil {
		return err
	}
	if err := d.cgroups.Remove(ctx, id); err != nil {
		return err
	}
	if s.pause.PID != 0 {
		if err := s.pause.kill(); err != nil {
			return err
		}
	}
	if err := d.removeDisk(id); err != nil {
		return err
	}
	if err := d.leaveUserNS(s); err != nil {
		return err
	}
	if err := removeScratch(s.spec); err != nil {
		return err
	}
	if err := rmtree.Remove(d.sandboxDir(id)); err != nil {
		return err
	}
	s.removed = true
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sandboxes, id)
	return nil
}

// undoTimeout bounds the undoing of something half made, which goes on when the caller has given up.
const undoTimeout = 30 * time.Second

func undoContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
}
