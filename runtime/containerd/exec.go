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
	"sync"
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

// Exec implements [runtime.Execer]. Should ExecSpec.Stdin never end, the read from it goes on after Exec has returned.
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
	ctx = d.context(ctx)
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
	code, err := d.runExec(ctx, t, process, streams, spec)
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
		Limits: d.limits, Devices: hostDevices,
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
			ctx, cancel := undoContext(ctx)
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

// runExec runs a process to its end, or kills it when ctx ends.
func (d *Driver) runExec(ctx context.Context, t target, p *specs.Process, streams cio.IO, spec runtime.ExecSpec) (int, error) {
	// Adding and starting are not cut off half-way, deleting must not be.
	whole := context.WithoutCancel(ctx)
	leave, err := d.enterProcesses(t)
	if err != nil {
		return 0, err
	}
	entered := sync.OnceFunc(leave)
	defer entered()
	if err := d.tasks.exec(whole, t, p, streams.Config()); err != nil {
		return 0, err
	}
	defer func() {
		undo, cancel := undoContext(ctx)
		defer cancel()
		if err := d.tasks.delete(undo, t); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsUnavailable(err) {
			d.logger.Error("clean up after exec", "container", t.container, "error", err)
		}
	}()
	if err := d.tasks.start(whole, t); err != nil {
		return 0, err
	}
	entered()
	end, err := d.waitExec(ctx, t, spec.Resize)
	if err != nil {
		undo, cancel := undoContext(ctx)
		defer cancel()
		if kerr := d.tasks.kill(undo, t, int(syscall.SIGKILL), false); kerr == nil {
			_, _ = d.tasks.wait(undo, t)
		}
		return 0, err
	}
	return end.code, drain(ctx, streams)
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
