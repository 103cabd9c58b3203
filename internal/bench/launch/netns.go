package main

import (
	"context"
	goruntime "runtime"
	"syscall"
)

// netns is a network namespace with nothing in it but its loopback interface.
type netns struct{ fd int }

func newNetns(ctx context.Context, busybox string) (*netns, error) {
	n := &netns{fd: -1}
	err := onThread(func() (err error) {
		if n.fd, err = newNet(); err != nil {
			return err
		}
		_, err = output(ctx, nil, busybox, "ip", "link", "set", "lo", "up")
		return err
	})
	return n, err
}

// do calls f in the namespace; processes that f starts are in it, too.
func (n *netns) do(f func() error) error {
	return onThread(func() error {
		if err := enterNet(n.fd); err != nil {
			return err
		}
		return f()
	})
}

func (n *netns) close() { _ = syscall.Close(n.fd) }

// onThread calls f on a thread that ends with the call, so that f may change the namespaces of the thread.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		goruntime.LockOSThread() // and never unlock
		done <- f()
	}()
	return <-done
}
