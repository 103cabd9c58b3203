package main

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// runAttr starts a process in PID, mount and network namespaces of its own.
func runAttr() *syscall.SysProcAttr {
	attr := daemonAttr()
	attr.Cloneflags = unix.CLONE_NEWPID
	attr.Setsid = true // Ctrl-C is for this process, and not at the same time for every daemon
	return attr
}

// daemonAttr starts a process in mount and network namespaces of its own.
func daemonAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
}

// newNet gives the thread a network namespace of its own and returns a descriptor of it.
func newNet() (int, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return -1, fmt.Errorf("make a network namespace: %w", err)
	}
	return unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// enterNet moves the thread into a network namespace.
func enterNet(fd int) error {
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	return nil
}

// kernel is the kernel's release.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(u.Release[:])
}
