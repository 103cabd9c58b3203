//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
)

// startPause starts the process that holds a sandbox's PID namespace, in a cgroup of its own below the sandbox's. The
// first container cannot hold it: it may end before the others, and the kernel would kill them.
func (d *Driver) startPause(s *sandbox) error {
	cmd := &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{pauseName, d.namespace, s.spec.ID, d.cfg.Dir},
		Dir:         "/",
		Env:         []string{"GOMAXPROCS=1"},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID},
	}
	if !reexecs.Load() {
		return errors.New("a shared PID namespace needs `if containerd.Reexec() { return }` at the top of main")
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the first process of the PID namespace: %w", err)
	}
	p, err := identify(cmd.Process.Pid)
	if err == nil {
		err = writeJSON(filepath.Join(d.sandboxDir(s.spec.ID), pauseFile), p)
	}
	if err == nil {
		err = d.cgroups.AddProcess(s.spec.ID, "pause", p.PID)
	}
	if err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	s.pause = p
	return cmd.Process.Release()
}
