//go:build linux

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
)

// drainTimeout is how long output is awaited after a process has ended: a grandchild may hold the streams for ever.
const drainTimeout = 10 * time.Second

// Exec implements [runtime.Execer]. Should ExecSpec.Stdin never end, the read from it goes on after Exec has returned, and so
// does a write to its output that blocks. Cancelling ctx also ends what the process has started, but for what has left both
// its session and the tree below it.
func (d *Driver) Exec(ctx context.Context, id string, spec runtime.ExecSpec) (int, error) {
	c, err := d.container(id)
	if err != nil {
		return 0, err
	}
	if c.current() != runtime.StateRunning {
		return 0, fmt.Errorf("exec in container %s: %w", id, runtime.ErrNotRunning)
	}
	if len(spec.Args) == 0 || spec.Args[0] == "" {
		return 0, fmt.Errorf("exec in container %s: no command: %w", id, runtime.ErrInvalid)
	}
	out := &outputs{}
	defer out.shut()
	spec.Stdout, spec.Stderr = out.writer(spec.Stdout), out.writer(spec.Stderr)
	code, err := carry(d.context(ctx), d, func(ctx, _ context.Context) (int, error) { return d.execIn(ctx, c, spec) }, func() {})
	if err != nil && ctx.Err() != nil {
		return 0, fmt.Errorf("exec in container %s: %w", id, ctx.Err())
	}
	return code, err
}

// execIn is Exec with a container that runs. It returns when what it started has ended or was ended.
func (d *Driver) execIn(ctx context.Context, c *container, spec runtime.ExecSpec) (int, error) {
	id := c.id
	process, err := d.execProcess(ctx, c, spec)
	if err != nil {
		return 0, fmt.Errorf("exec in container %s: %w", id, err)
	}
	t := c.target()
	t.exec = rand.Text()
	dir := filepath.Join(d.containerDir(id), execPrefix+t.exec)
	defer os.RemoveAll(dir)
	streams, err := d.execStreams(ctx, t, dir, spec)
	if err != nil {
		return 0, err
	}
	defer streams.Close()
	code, err := d.runExec(ctx, c, t, process, streams, spec)
	if err != nil {
		streams.Cancel()
		return 0, d.execError(ctx, c, spec, process, err)
	}
	return code, nil
}

// execProcess is the container's process with what the spec changes.
func (d *Driver) execProcess(ctx context.Context, c *container, spec runtime.ExecSpec) (*specs.Process, error) {
	img, err := d.unpackedImage(ctx, c.record.Spec.Image)
	if err != nil {
		return nil, err
	}
	user := spec.User
	if user == "" {
		user = c.record.Spec.User
	}
	if user == "" {
		user = img.User
	}
	who, err := d.user(ctx, img, user)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	s := d.sandboxes[c.record.Spec.SandboxID]
	d.mu.Unlock()
	if s == nil {
		return nil, runtime.ErrNotRunning
	}
	if err := s.ids.check(who.UID, who.GID, who.AdditionalGIDs); err != nil {
		return nil, err
	}
	// The container's own OCI configuration, as it was computed, but for the command and what was asked for.
	own := c.record.Spec
	own.Entrypoint, own.Command, own.Init = []string{}, spec.Args, false
	own.Env = append(own.Env[:len(own.Env):len(own.Env)], spec.Env...)
	own.Terminal, own.Mounts, own.Devices = spec.Terminal, nil, nil
	if spec.WorkingDir != "" {
		own.WorkingDir = spec.WorkingDir
	}
	config, err := oci.Spec(own, s.spec, img.Image, oci.Options{
		RootfsPath: "rootfs", CgroupsPath: d.cgroups.Path(own.SandboxID, own.ID), User: who, CgroupV2: d.cgroups.Unified(),
		Limits: d.limits, Devices: hostDevices, AppArmorProfile: d.appArmor,
	})
	if err != nil {
		return nil, err
	}
	return config.Process, nil
}

// execStreams makes FIFOs and copies between them and the caller's streams.
func (d *Driver) execStreams(ctx context.Context, t target, dir string, spec runtime.ExecSpec) (cio.IO, error) {
	stdout, stderr := spec.Stdout, spec.Stderr
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	var stdin io.Reader
	if spec.Stdin != nil {
		// The process sees the end of its input when the shim, too, has closed it.
		stdin = &notifyEnd{Reader: spec.Stdin, f: func() {
			ctx, cancel := d.undoContext(ctx)
			defer cancel()
			_ = d.tasks.closeStdin(ctx, t) // it may have ended already
		}}
	}
	opts := []cio.Opt{cio.WithStreams(stdin, stdout, stderr), cio.WithFIFODir(dir)}
	if spec.Terminal {
		opts = append(opts, cio.WithTerminal)
	}
	return cio.NewCreator(opts...)("exec")
}

// notifyEnd calls f once when its reader has ended.
type notifyEnd struct {
	io.Reader
	once sync.Once
	f    func()
}

// Read implements io.Reader.
func (r *notifyEnd) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		r.once.Do(r.f)
	}
	return n, err
}

// outputs is between the output of a process and the writers of Exec's caller, who may close or read them when Exec has returned.
// They do not wait for each other: what reads them may.
type outputs []*gated

func (o *outputs) writer(w io.Writer) io.Writer {
	if w == nil {
		return nil
	}
	g := &gated{w: w}
	*o = append(*o, g)
	return g
}

// shut has every later write fail. One that is under way gets a moment: a writer that blocks keeps nobody.
func (o *outputs) shut() {
	for _, g := range *o {
		g.closed.Store(true)
	}
	left := slices.Clone(*o)
	for range 50 {
		left = slices.DeleteFunc(left, (*gated).quiet)
		if len(left) == 0 {
			return
		}
		<-time.After(time.Millisecond)
	}
}

type gated struct {
	w      io.Writer
	mu     sync.Mutex // held while something is written
	closed atomic.Bool
}

// Write implements io.Writer.
func (g *gated) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed.Load() {
		return 0, io.ErrClosedPipe
	}
	return g.w.Write(p)
}

// quiet reports whether nothing is being written.
func (g *gated) quiet() bool {
	if !g.mu.TryLock() {
		return false
	}
	g.mu.Unlock()
	return true
}

// runExec runs a process to its end, or ends it when ctx ends.
func (d *Driver) runExec(ctx context.Context, c *container, t target, p *specs.Process, streams cio.IO, spec runtime.ExecSpec) (int, error) {
	leave, err := d.enterProcesses(t)
	if err != nil {
		return 0, err
	}
	entered := sync.OnceFunc(leave)
	defer entered()
	ask := call{target: t, soon: c.hurried}
	err = d.call(ctx, ask, func(ctx context.Context) error { return d.tasks.exec(ctx, t, p, streams.Config()) })
	if err != nil {
		return 0, err
	}
	defer func() {
		undo, cancel := d.undoContext(ctx)
		defer cancel()
		err := d.call(undo, ask, func(ctx context.Context) error { return d.tasks.delete(ctx, t) })
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsUnavailable(err) && !errors.Is(err, runtime.ErrClosed) {
			d.logger.Error("clean up after exec", "container", t.container, "error", err)
		}
	}()
	var end ended
	if err = d.call(ctx, ask, func(ctx context.Context) error { return d.tasks.start(ctx, t) }); err == nil {
		entered()
		if end, err = d.waitExec(ctx, t, spec.Resize); err == nil {
			return end.code, drain(ctx, streams)
		}
	}
	if ctx.Err() != nil { // it may have been started all the same
		streams.Cancel()
		d.endStarted(ctx, c, t)
	}
	return 0, err
}

// endStarted ends a process that was added to a container, and what it has started, for a caller who has gone.
func (d *Driver) endStarted(ctx context.Context, c *container, t target) {
	undo, cancel := d.undoContext(ctx)
	defer cancel()
	short, done := context.WithTimeout(undo, endPatience)
	defer done()
	now, err := d.tasks.state(short, t)
	if err != nil || now.pid == 0 {
		return
	}
	if !d.isGVisor() && d.cgroups.Has(group(t), now.pid) {
		if err := endAdded(now.pid); err != nil {
			d.logger.Error("end a process", "container", t.container, "error", err)
		}
	}
	err = d.call(undo, call{target: t, timeout: d.cfg.callPatience, soon: c.hurried}, func(ctx context.Context) error {
		return d.tasks.kill(ctx, t, int(syscall.SIGKILL), false)
	})
	if err == nil {
		_, _ = d.tasks.wait(undo, t)
	}
}

// execError makes an error of Exec readable.
func (d *Driver) execError(ctx context.Context, c *container, spec runtime.ExecSpec, p *specs.Process, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("exec in container %s: %w", c.id, ctx.Err())
	case errdefs.IsNotFound(err), errdefs.IsFailedPrecondition(err), c.current() == runtime.StateStopped:
		return fmt.Errorf("exec in container %s: it has ended: %w", c.id, runtime.ErrNotRunning)
	case errors.Is(err, runtime.ErrClosed):
		return err
	case errors.Is(err, runtime.ErrUnsupported):
		return fmt.Errorf("exec in container %s: %w", c.id, err)
	}
	return containerError("exec in", c.record.Spec, p, err)
}
