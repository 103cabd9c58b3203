//go:build linux

package cni

import (
	goruntime "runtime"

	"golang.org/x/sys/unix"
)

// inThread runs fn on an operating system thread of its own, which ends with it, and waits for it: fn may change what
// belongs to a thread, such as its network namespace.
func inThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread does not end, and /proc/self shows its namespaces. Holding it makes fn get another one.
			err := inThread(fn)
			goruntime.UnlockOSThread()
			done <- err
			return
		}
		done <- fn()
	}()
	return <-done
}
