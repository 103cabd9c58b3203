//go:build linux

package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fardel-io/fardel/internal/cgroup"
)

// openCgroups chooses who manages the cgroups and opens them.
func (d *Driver) openCgroups(ctx context.Context) (*cgroup.Tree, error) {
	tree, err := cgroup.Open(d.cfg.CgroupParent)
	if err != nil {
		return nil, err
	}
	switch d.cfg.CgroupManager {
	case CgroupFS:
		return tree, nil
	case Systemd:
		if !systemdRuns() {
			return nil, errors.New("systemd is not the first process of this machine, and Config.CgroupManager wants it")
		}
		return d.openScope(ctx)
	}
	if d.cfg.parentIsSet || !tree.Unified() || !systemdRuns() {
		return tree, nil
	}
	if names, err := tree.List(); err != nil || len(names) > 0 { // sandboxes of an earlier driver that chose so
		return tree, err
	}
	scope, err := d.openScope(ctx)
	if err != nil && ctx.Err() == nil {
		d.logger.Warn("systemd gives no scope, cgroups are made beside its own", "error", err)
		return tree, nil
	}
	return scope, err
}

// systemdRuns reports whether systemd is the first process, as sd_booted(3) does.
func systemdRuns() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// scopeTimeout bounds the wait for systemd.
const scopeTimeout = 20 * time.Second

// openScope makes sure that there is a scope of our own, whose cgroup systemd leaves to us. A scope is there as long as
// processes are in it, and stays when the program ends that asked for it; containers and shims are started in it, so
// that stopping the service of the host program does not end them.
func (d *Driver) openScope(ctx context.Context) (*cgroup.Tree, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, scopeTimeout, errors.New("systemd does not answer"))
	defer cancel()
	for {
		tree, err := cgroup.OpenDelegated(scopeSlice + "/" + d.scopeName())
		if err != nil {
			return nil, err
		}
		if populated(tree.Directory()) {
			return tree, nil
		}
		err = d.startScope(ctx, tree)
		if err == nil {
			return tree, nil
		}
		// One whose last process has just ended is still there for a moment.
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		case <-time.After(50 * time.Millisecond):
		}
		if !strings.Contains(err.Error(), "already") {
			return nil, err
		}
	}
}

// scopeSlice is where our scopes are: what all of them use can be seen, and limited, together.
const scopeSlice = "fardel.slice"

func (d *Driver) scopeName() string { return "fardel-" + d.cfg.Owner + ".scope" }

// populated reports whether a process is in a cgroup or below it.
func populated(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	return err == nil && bytes.Contains(text, []byte("populated 1"))
}

// startScope starts a scope with a process that does nothing: without one there is no scope.
func (d *Driver) startScope(ctx context.Context, tree *cgroup.Tree) error {
	cmd := exec.Command("systemd-run", "--scope", "--quiet", "--collect", "--unit="+d.scopeName(), "--slice="+scopeSlice,
		"--description=fardel tasks of "+d.cfg.Dir, "--property=Delegate=yes", "--property=TasksMax=infinity",
		"--", "sleep", "infinity")
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives this process
	complaints, err := os.CreateTemp(filepath.Join(d.cfg.Dir, "tmp"), "scope-")
	if err != nil {
		return err
	}
	defer os.Remove(complaints.Name())
	defer complaints.Close()
	cmd.Stderr = complaints // a file, so that nobody need read it as long as the process lives
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("ask systemd for a scope: %w", err)
	}
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	for !inCgroup(p.PID, tree.Path()) {
		if !p.alive() {
			err := cmd.Wait()
			text, rerr := os.ReadFile(complaints.Name())
			return errors.Join(fmt.Errorf("systemd-run --scope: %w: %s", err, lastLine(string(text))), rerr)
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), cmd.Process.Kill(), cmd.Wait())
		case <-time.After(time.Millisecond):
		}
	}
	return cmd.Process.Release()
}

// inCgroup reports whether a process is in a cgroup of v2.
func inCgroup(pid int, path string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && strings.TrimSpace(string(text)) == "0::"+path
}

// endHelpers ends what keeps a scope in being, unless there are sandboxes in it.
func endHelpers(tree *cgroup.Tree) error {
	names, err := tree.List()
	if err != nil || len(names) > 0 {
		return err
	}
	pids, err := tree.HelperProcesses()
	errs := []error{err}
	for _, pid := range pids {
		p, err := identify(pid)
		if err == nil {
			err = p.kill()
		}
		if !errors.Is(err, fs.ErrNotExist) { // ended by itself
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
