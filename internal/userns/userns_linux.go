package userns

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// New makes a user namespace whose IDs from 0 are those of the machine from first.
func New(first uint32) (*os.File, error) { return start(first, 0, "user") }

// NewNet makes a network namespace that belongs to a user namespace of its own, which [Owner] finds and which lives as long.
func NewNet(first uint32) (*os.File, error) { return start(first, unix.CLONE_NEWNET, "net") }

// start starts this program once more and stops it before its first instruction: the kernel lets no program of several
// threads into a user namespace, and one that is open stays without a process in it.
func start(first uint32, flags uintptr, name string) (*os.File, error) {
	ids := []syscall.SysProcIDMap{{HostID: int(first), Size: Size}}
	// The thread that starts it must live until it was seen: with it goes the program.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	p, err := os.StartProcess("/proc/self/exe", []string{"fardel-userns"}, &os.ProcAttr{Env: []string{}, Sys: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | flags, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Ptrace: true, Pdeathsig: syscall.SIGKILL,
	}})
	if err != nil {
		return nil, fmt.Errorf("make user namespace: %w", err)
	}
	defer func() {
		_ = p.Kill()
		_, _ = p.Wait()
	}()
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", p.Pid, name))
	if err != nil {
		return nil, fmt.Errorf("open user namespace: %w", err)
	}
	return f, nil
}

// Owner opens the user namespace that a network namespace belongs to, nil if that is the machine's: the one of this process.
func Owner(netns *os.File) (*os.File, error) {
	fd, err := unix.IoctlRetInt(int(netns.Fd()), unix.NS_GET_USERNS)
	if errors.Is(err, unix.EPERM) { // it is not below this process's own
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find who owns the network namespace %s: %w", netns.Name(), err)
	}
	owner := os.NewFile(uintptr(fd), "user namespace")
	own, err := os.Stat("/proc/self/ns/user")
	if err != nil {
		return nil, errors.Join(err, owner.Close())
	}
	info, err := owner.Stat()
	if err != nil || os.SameFile(own, info) {
		return nil, errors.Join(err, owner.Close())
	}
	return owner, nil
}
