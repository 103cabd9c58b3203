package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// hostLockName is an abstract socket address. Such names belong to a network namespace, have no file, and go with the
// process that holds them: a lock among the fabrics of a host, whatever their directories, that no crash leaves behind.
const hostLockName = "@fardel-host"

// hostLockPause is the time between two attempts; what is done under the lock takes a few milliseconds.
const hostLockPause = 2 * time.Millisecond

// lock keeps other fabrics of this host from changing uplinks and ip_forward until the returned func is called.
func (h *host) lock(ctx context.Context) (unlock func(), err error) {
	var fd int
	err = inNamespace(h.file, func() (err error) {
		fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		return os.NewSyscallError("socket", err)
	})
	if err != nil {
		return nil, fmt.Errorf("lock the host: %w", err)
	}
	for {
		err := unix.Bind(fd, &unix.SockaddrUnix{Name: hostLockName})
		if err == nil {
			return func() { _ = unix.Close(fd) }, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("lock the host: %w", errors.Join(os.NewSyscallError("bind", err), unix.Close(fd)))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock the host, which another fabric is changing: %w", errors.Join(ctx.Err(), unix.Close(fd)))
		case <-time.After(hostLockPause):
		}
	}
}
