//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	taskv1 "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"

	"github.com/fardel-io/fardel/internal/rmtree"
	"github.com/fardel-io/fardel/runtime"
)

// container is a container that exists or is being made.
type container struct {
	id string

	// op is held, by having sent to it, while the container is made, started or removed.
	op      chan struct{}
	removed bool // guarded by op: another container may have the ID now

	// starting is held while the container is started: a task that ends at once must not be deleted under the starter.
	starting sync.Mutex

	record   containerRecord // set once, before state
	restarts int             // set once, before state: another run is another container with the same ID
	done     chan struct{}   // closed when it has ended and its output is in its log

	seen      chan struct{} // closed when it is known to have ended; what is left to do has limits of its own
	hurried   chan struct{} // closed when it was sent SIGKILL, see hurry
	hurryOnce sync.Once

	mu        sync.Mutex
	state     runtime.State           // "" while it is being made
	making    string                  // the sandbox that it is being made in
	cutShort  context.CancelCauseFunc // ends what op is held for, nil where that cannot be cut short
	pid       int
	startedAt time.Time
	exit      *runtime.Exit
}

func newContainer(id string) *container {
	return &container{id: id, op: make(chan struct{}, 1), done: make(chan struct{}), seen: make(chan struct{}), hurried: make(chan struct{})}
}

func (c *container) makeIn(sandbox string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.making = sandbox
}

func (c *container) target() target { return target{sandbox: c.record.Spec.SandboxID, container: c.id} }

// enter returns a container with its op held, and adds one without record if there is none and spec says so.
func (d *Driver) enter(ctx context.Context, id string, add bool) (*container, error) {
	return d.enterBy(id, add, func(c *container) error { return c.take(ctx) })
}

func (d *Driver) enterBy(id string, add bool, take func(*container) error) (*container, error) {
	for {
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return nil, d.open()
		}
		c := d.containers[id]
		if c == nil && !add {
			d.mu.Unlock()
			return nil, fmt.Errorf("container %s: %w", id, runtime.ErrNotFound)
		}
		if c == nil {
			c = newContainer(id)
			d.containers[id] = c
		}
		d.mu.Unlock()
		if err := take(c); err != nil {
			return nil, err
		}
		if !c.removed {
			return c, nil
		}
		c.leave()
	}
}

// take sends to op, or returns an error when ctx ends.
func (c *container) take(ctx context.Context) error {
	select {
	case c.op <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeToRemove is take for one who wants the container to be gone: whatever somebody else does to it is cut short.
func (c *container) takeToRemove(ctx context.Context) error {
	for {
		c.cut()
		select {
		case c.op <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond): // something may have begun meanwhile
		}
	}
}

func (c *container) leave() { <-c.op }

// container returns one that exists.
func (d *Driver) container(id string) (*container, error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	c := d.containers[id]
	d.mu.Unlock()
	if c == nil || c.current() == "" {
		return nil, fmt.Errorf("container %s: %w", id, runtime.ErrNotFound)
	}
	return c, nil
}

func (c *container) current() runtime.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// containersOf are the IDs of a sandbox's containers, with those that are being made.
func (d *Driver) containersOf(sandbox string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for id, c := range d.containers {
		if c.isOf(sandbox) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (c *container) isOf(sandbox string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == "" && c.making == sandbox || c.state != "" && c.record.Spec.SandboxID == sandbox
}

// Start implements [runtime.Driver].
func (d *Driver) Start(ctx context.Context, id string) error {
	ctx = d.context(ctx)
	c, err := d.enter(ctx, id, false)
	if err != nil {
		return err
	}
	// A start that is cut off half-way would leave the container in between, so it goes on when the caller has gone.
	err = d.operate(ctx, c, true, func(ctx context.Context) error { return d.startEntered(ctx, c) })
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("start container %s: %w", id, ctx.Err())
	}
	return err
}

// startEntered starts a container whose op is held.
func (d *Driver) startEntered(ctx context.Context, c *container) error {
	id := c.id
	switch c.current() {
	case runtime.StateRunning, runtime.StateStopped:
		return nil
	case "":
		return fmt.Errorf("container %s: %w", id, runtime.ErrNotFound)
	}
	started, err := d.startTracer(ctx, c)
	if err != nil {
		return err
	}
	defer started()
	at := time.Now()
	start := c.startedAt.IsZero() || waitsForStart(c.first(), d.cfg.Runtime) // else an earlier driver died when it had just done it
	if !start {
		at = c.startedAt
	}
	if err := writeJSON(filepath.Join(d.containerDir(id), startedFile), startedRecord{At: at, Restarts: c.restarts}); err != nil {
		return err
	}
	c.starting.Lock()
	defer c.starting.Unlock()
	if start {
		if err := d.start(ctx, c); err != nil {
			return containerError("start", c.record.Spec, nil, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == runtime.StateCreated {
		c.state = runtime.StateRunning
	}
	c.startedAt = at
	return nil
}

// start starts a container, or finds that another start of it was faster: a shim finishes what it was asked to do by a
// driver that has died since.
func (d *Driver) start(ctx context.Context, c *container) error {
	err := d.call(ctx, call{target: c.target(), ends: true, soon: c.hurried}, func(ctx context.Context) error {
		return d.tasks.start(ctx, c.target())
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	now, serr := d.state(ctx, c)
	if serr == nil && stateOf(now.status) != runtime.StateCreated {
		return nil
	}
	return err
}

// waitsForStart reports whether the first process of a created container is still the OCI runtime's, which becomes the
// program of the container when it is started. A daemon kills the runtime when its client dies, also one that has just
// let the program go, and starting that once more would never return.
func waitsForStart(pid int, ociRuntime string) bool {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return true
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err != nil || isRuntime(strings.TrimSpace(string(comm)), exe, filepath.Base(ociRuntime))
}

// Kill implements [runtime.Driver].
func (d *Driver) Kill(ctx context.Context, id, signal string) error {
	c, err := d.container(id)
	if err != nil {
		return err
	}
	number := c.record.StopSignal
	if signal != "" {
		if number, err = runtime.ParseSignal(signal); err != nil {
			return err
		}
	}
	_, err = carry(d.context(ctx), d, func(ctx, _ context.Context) (struct{}, error) {
		return struct{}{}, d.kill(ctx, c, number)
	}, func() {})
	if err != nil {
		return fmt.Errorf("kill container %s with signal %d: %w", id, number, err)
	}
	return nil
}

// state is where a task is in its life. What keeps that from being known is ended.
func (d *Driver) state(ctx context.Context, c *container) (now taskState, err error) {
	err = d.call(ctx, call{target: c.target(), timeout: d.cfg.callPatience}, func(ctx context.Context) (err error) {
		now, err = d.tasks.state(ctx, c.target())
		return err
	})
	return now, err
}

// kill is without effect on a container that has ended. The OCI runtime has no part in it where it need not: it takes long
// while forks fill the machine, and lists processes that others follow.
func (d *Driver) kill(ctx context.Context, c *container, signal int) error {
	if c.current() == runtime.StateStopped {
		return nil
	}
	all := signal == int(syscall.SIGKILL)
	ask := call{target: c.target(), soon: c.hurried}
	if all {
		d.hurry(c)
		ask.ends, ask.timeout = true, d.cfg.callPatience
	}
	if !d.isGVisor() { // whose processes are not the kernel's
		if all {
			return d.cgroups.Kill(ctx, group(c.target()))
		}
		if sent, err := d.signalFirst(c, signal); sent || err != nil {
			return err
		}
	}
	err := d.call(ctx, ask, func(ctx context.Context) error { return d.tasks.kill(ctx, c.target(), signal, all) })
	if errdefs.IsNotFound(err) || errdefs.IsUnavailable(err) { // ended, or about to be found to have
		return nil
	}
	if err == nil || !d.isGVisor() {
		return err
	}
	// It has words of its own for a container that has ended and is about to be found to have.
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	case <-time.After(endPatience):
	}
	return err
}

// endPatience is how long a container of gVisor's that cannot be killed may take until it is found to have ended.
const endPatience = 2 * time.Second

// RemoveContainer implements [runtime.Driver].
func (d *Driver) RemoveContainer(ctx context.Context, id string) error {
	ctx = d.context(ctx)
	c, err := d.enterBy(id, false, func(c *container) error { return c.takeToRemove(ctx) })
	if errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = carry(ctx, d, func(ctx, _ context.Context) (struct{}, error) {
		return struct{}{}, d.removeEntered(ctx, c)
	}, c.leave)
	if err != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	return nil
}

// removeEntered ends and removes a container whose op is held.
func (d *Driver) removeEntered(ctx context.Context, c *container) error {
	if c.current() == "" && c.record.Spec.ID != "" { // whoever made it could not undo that
		return d.destroyHalfMade(ctx, c, true)
	}
	if c.current() != "" {
		if err := d.kill(ctx, c, int(syscall.SIGKILL)); err != nil {
			return err
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := d.destroyContainer(ctx, c)
	if inTheWay(err) { // a restart that an earlier driver had asked for
		err = d.destroyHalfMade(ctx, c, true)
	}
	return err
}

// destroyContainer removes what is left of a container without task, the record last. op is held.
func (d *Driver) destroyContainer(ctx context.Context, c *container) error {
	if err := d.tasks.forget(ctx, c.target()); err != nil {
		return err
	}
	if err := d.unmountRootfs(c.record.Spec.SandboxID, c.id); err != nil {
		return err
	}
	if c.record.Snapshot != "" {
		if err := d.removeSnapshot(ctx, c.record.Snapshotter, c.record.Snapshot); err != nil {
			return err
		}
	}
	if sandbox := c.record.Spec.SandboxID; sandbox != "" {
		if err := rmtree.Remove(filepath.Join(d.diskDir(sandbox), "containers", c.id)); err != nil {
			return err
		}
	}
	if err := removeDir(d.containerDir(c.id), containerFile); err != nil {
		return err
	}
	c.removed = true
	d.use.release(containerHolder(c.id))
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.containers, c.id)
	return nil
}

// removeDir removes a directory, and the file that says whose it is after all others.
func removeDir(dir, last string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() == last {
			continue
		}
		if e.Name() == "rootfs" { // never what might be mounted in it
			err = os.Remove(filepath.Join(dir, e.Name()))
		} else {
			err = rmtree.Remove(filepath.Join(dir, e.Name()))
		}
		if err != nil {
			return err
		}
	}
	return rmtree.Remove(dir)
}

// stateOf converts a task's state.
func stateOf(s taskv1.Status) runtime.State {
	switch s {
	case taskv1.Status_CREATED:
		return runtime.StateCreated
	case taskv1.Status_STOPPED:
		return runtime.StateStopped
	}
	return runtime.StateRunning
}
