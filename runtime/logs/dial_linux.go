package logs

import (
	"context"
	"fmt"
	"net"
	"syscall"
)

// oPath opens a file's name and not the file: O_PATH of open(2), which package syscall lacks.
const oPath = 0x200000

// dialSocket connects to a socket in a directory that a container can write to. What is opened is the socket itself: a
// symbolic link in its place would lead the host program to any socket of the host. That also makes the name short,
// whatever the path: the kernel takes 107 bytes.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	fd, err := syscall.Open(path, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return nil, fmt.Errorf("%s is not a socket", path)
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", fd))
}
