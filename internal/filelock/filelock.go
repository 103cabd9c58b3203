// Package filelock is the lock on a file that one process at a time has.
package filelock

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// ErrLocked says that another process has the lock, or another open file of this one.
var ErrLocked = errors.New("locked by another process")

const (
	// patience is how long Lock waits. A program that is killed as it starts another leaves that one with the lock for as
	// long as it takes it to get from fork to exec.
	patience = 2 * time.Second
	pause    = 5 * time.Millisecond
)

// Lock takes the exclusive lock (flock) on an open file. It goes with the last descriptor of that opening, thus with the
// process. It fails with [ErrLocked] when another has it and keeps it for two seconds.
func Lock(f *os.File) error {
	var err error
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
		if !time.Now().Before(end) {
			return ErrLocked
		}
	}
}
