package spool

import (
	"os"
	"syscall"
)

// allocate has the file system keep room for a file, which stays empty.
func allocate(f *os.File, size int64) error {
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	for {
		err := syscall.Fallocate(int(f.Fd()), keepSize, 0, size)
		if err != syscall.EINTR {
			return os.NewSyscallError("fallocate", err)
		}
	}
}
