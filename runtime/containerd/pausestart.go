//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/runtime"
)

// pauseGroup is the cgroup below a sandbox's of the process that holds its PID namespace. No container has such an ID.
const pauseGroup = ".pause"

// pauseTimeout is how long that process may take to be ready, which is a millisecond on a quiet machine.
const pauseTimeout = 30 * time.Second

// startPause starts the process that holds a sandbox's PID namespace, in a cgroup of its own below the sandbox's. The
// first container cannot hold it: it may end before the others, and the kernel would kill them.
//
// Its cgroup is what it is found by: in its command line, which containers read, nothing tells of the host.
func (d *Driver) startPause(ctx context.Context, s *sandbox) error {
	// One that was started and not noted.
	if err := d.cgroups.Remove(ctx, filepath.Join(s.spec.ID, pauseGroup)); err != nil {
		return err
	}
	p, err := d.launchPause(ctx, s.spec)
	if err != nil {
		return fmt.Errorf("start the first process of the PID namespace: %w", err)
	}
	if err := writeJSON(filepath.Join(d.sandboxDir(s.spec.ID), pauseFile), p); err != nil {
		return errors.Join(err, p.kill())
	}
	s.pause = p
	return nil
}

func (d *Driver) launchPause(ctx context.Context, spec runtime.SandboxSpec) (_ process, err error) {
	report, end, err := os.Pipe()
	if err != nil {
		return process{}, err
	}
	defer report.Close()
	give := []*os.File{end} // reportFD and those after it
	defer func() {
		for _, f := range give {
			f.Close()
		}
	}()
	plan := pausePlan{closeRange: unix.CloseRange(1, 0, 0) != unix.ENOSYS} //nolint:errorlint // it is an Errno
	groups, err := d.cgroups.OpenProcesses(spec.ID, pauseGroup)
	for _, f := range groups {
		plan.groups = append(plan.groups, reportFD+len(give))
		give = append(give, f)
	}
	if err != nil {
		return process{}, err
	}
	attributes := &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	ids := d.idsOf(spec.ID)
	if ids != nil {
		f, err := d.openUserNS(spec.ID)
		if err != nil {
			return process{}, err
		}
		plan.userNS = reportFD + len(give)
		give = append(give, f)
	}
	if spec.NetNS == "" {
		attributes.Cloneflags |= syscall.CLONE_NEWNET // never the host's
	} else {
		f, err := os.Open(spec.NetNS)
		if err != nil {
			return process{}, err
		}
		plan.netNS = reportFD + len(give)
		give = append(give, f)
	}
	if ids != nil {
		plan.namespaces, attributes.Cloneflags = uint64(attributes.Cloneflags), 0
	}
	program, file, err := plan.compile()
	if err != nil {
		return process{}, err
	}
	defer file.Close()
	give = append(give, file) // the last, as the program does not know of it
	cmd := &exec.Cmd{
		Path:        fmt.Sprintf("/proc/self/fd/%d", reportFD+len(give)-1),
		Args:        []string{"fardel-pause"},
		Dir:         "/",
		Env:         []string{},
		ExtraFiles:  give,
		SysProcAttr: attributes,
	}
	if err := cmd.Start(); err != nil {
		return process{}, err
	}
	p, err := awaitPause(ctx, cmd, program, report, end)
	if ids == nil && err == nil {
		// Whoever holds it then waits for it by number: it may be another process, or outlive this one.
		err = cmd.Process.Release()
	}
	if ids == nil {
		return p, err
	}
	return d.firstOf(spec.ID, cmd, err)
}

// firstOf finds the first process in a user namespace, which the one that was started has made before it ended. It is our
// child, too, and alone in its cgroup. err is what became of starting it.
func (d *Driver) firstOf(sandbox string, cmd *exec.Cmd, err error) (process, error) {
	if err == nil {
		err = cmd.Wait()
	}
	pids, perr := d.cgroups.Processes(sandbox, pauseGroup)
	var found []process
	for _, pid := range pids {
		if p, ierr := identify(pid); ierr == nil && p.alive() {
			found = append(found, p)
		}
	}
	if err = errors.Join(err, perr); err == nil && len(found) == 1 {
		if err = firstToDie(found[0].PID); err == nil {
			return found[0], nil
		}
	}
	if err == nil {
		err = fmt.Errorf("there are %d processes in its cgroup", len(found))
	}
	for _, p := range found {
		err = errors.Join(err, p.kill())
	}
	return process{}, err
}

// awaitPause returns when the process lives as it should.
func awaitPause(ctx context.Context, cmd *exec.Cmd, program *program, report, end *os.File) (process, error) {
	p, err := identify(cmd.Process.Pid)
	if err == nil {
		err = firstToDie(cmd.Process.Pid)
	}
	if err == nil {
		err = end.Close()
	}
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = report.SetReadDeadline(time.Now()) })
		defer stop()
		err = report.SetReadDeadline(time.Now().Add(pauseTimeout))
	}
	var said [4]byte
	if err == nil {
		_, err = io.ReadFull(report, said[:])
	}
	if err == nil {
		err = program.failure(said)
	}
	if err == nil { // the end comes when it has closed its descriptors, which nobody in the namespace may find
		if _, err = report.Read(said[:]); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return process{}, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return p, nil
}

// firstToDie takes away what the host program has for itself against being killed when memory is short: containers see it.
func firstToDie(pid int) error {
	err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0)
	if errors.Is(err, unix.EACCES) { // less than what this process has takes CAP_SYS_RESOURCE
		return nil
	}
	return err
}

// compile makes the program and puts it in a file that nobody can write to, in memory: who may trace a process can open
// its executable, which must not be the host program's.
func (p pausePlan) compile() (*program, *os.File, error) {
	m, ok := machines[goruntime.GOARCH]
	if !ok {
		return nil, nil, &runtime.UnsupportedError{Feature: "pidMode task", Needs: "a processor of amd64 or arm64"}
	}
	var err error
	if p.lastCapability, err = lastCapability(); err != nil {
		return nil, nil, err
	}
	p.audit = m.audit
	program := p.program()
	file, err := sealed("fardel-pause", program.encode(m))
	return program, file, err
}

// lastCapability is the last that the kernel knows.
func lastCapability() (int, error) {
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// sealed returns an executable file in memory that cannot change any more.
func sealed(name string, content []byte) (*os.File, error) {
	// A program cannot be started while a descriptor for writing to it is open, which a process forked now would have.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 all of them are executable
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return nil, err
	}
	if err := f.Chmod(0o555); err != nil {
		return nil, err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal a file in memory: %w", err)
	}
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
}
