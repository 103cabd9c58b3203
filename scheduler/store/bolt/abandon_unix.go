//go:build unix

package bolt

import (
	"errors"
	"os"
	"syscall"
)

// abandon frees the lock of a file that bbolt cannot close any more. Closing it would not: bbolt's mapping, which stays
// until the process ends, keeps the file open for the kernel.
func abandon(file *os.File) error {
	return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
}
