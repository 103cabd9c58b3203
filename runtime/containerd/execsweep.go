//go:build linux

package containerd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
)

// execPrefix begins the names of the directories, in that of a container, which have the FIFOs of a process that was added
// to it.
const execPrefix = "exec-"

// sweepExecs ends the processes that an earlier driver added to a container: nobody waits for them or reads what they
// write.
func (d *Driver) sweepExecs(ctx context.Context, c *container) {
	dir := d.containerDir(c.id)
	names, err := subdirs(dir)
	if err != nil {
		d.logger.Error("find what is left of processes", "container", c.id, "error", err)
	}
	for _, name := range names {
		id, ok := strings.CutPrefix(name, execPrefix)
		if !ok {
			continue
		}
		t := c.target()
		t.exec = id
		err := errors.Join(d.endExec(ctx, t, filepath.Join(dir, name)), removeFile(filepath.Join(dir, id+".pid")))
		if err != nil && ctx.Err() == nil {
			d.logger.Error("end a process that was left", "container", c.id, "error", err)
		}
	}
}

func (d *Driver) endExec(ctx context.Context, t target, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	// A shim that is just starting it waits for somebody to read its output.
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type() != fs.ModeNamedPipe {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = f.Close() })
		return nil
	})
	if err != nil {
		return err
	}
	// Where the OCI runtime is still at work on it, nobody wants that any more.
	ask := call{target: t, timeout: d.cfg.callPatience}
	if err := d.call(ctx, ask, func(ctx context.Context) error { return d.tasks.kill(ctx, t, int(syscall.SIGKILL), false) }); err == nil {
		if _, err := d.tasks.wait(ctx, t); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	err = d.call(ctx, ask, func(ctx context.Context) error { return d.tasks.delete(ctx, t) })
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsUnavailable(err) {
		return err
	}
	return os.RemoveAll(dir)
}

// removeFile removes a file that may be missing.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
