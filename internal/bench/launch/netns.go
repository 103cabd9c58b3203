package main

import (
	"context"
	"fmt"
	goruntime "runtime"

	"golang.org/x/sys/unix"
)

// netns is a network namespace with nothing in it but its loopback interface.
type netns struct{ fd int }

func newNetns(ctx context.Context, busybox string) (*netns, error) {
	n := &netns{fd: -1}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if _, err := output(ctx, nil, busybox, "ip", "link", "set", "lo", "up"); err != nil {
			return err
		}
		n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	return n, err
}

// do calls f in the namespace; processes that f starts are in it, too.
func (n *netns) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

func (n *netns) close() { _ = unix.Close(n.fd) }

// onThread calls f on a thread that ends with the call, so that f may change the namespaces of the thread.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		goruntime.LockOSThread() // and never unlock
		done <- f()
	}()
	return <-done
}
