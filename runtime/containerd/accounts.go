//go:build linux

package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
)

// accounts are the files of an image that say who its users are.
type accounts struct{ passwd, group []byte }

// user finds who a user of an image is. The image's files are read once per image, through a mount of its own; OCI runtimes
// are given numbers and a home directory and need not look into the container for them.
func (d *Driver) user(ctx context.Context, img unpacked, name string) (oci.User, error) {
	d.accountsMu.Lock()
	defer d.accountsMu.Unlock()
	a, known := d.accounts[img.chainID]
	if !known {
		var err error
		if a, err = d.readAccounts(ctx, img); err != nil {
			return oci.User{}, err
		}
		if len(d.accounts) >= maxKnownAccounts {
			clear(d.accounts)
		}
		d.accounts[img.chainID] = a
	}
	return oci.ResolveUser(name, bytes.NewReader(a.passwd), bytes.NewReader(a.group))
}

func (d *Driver) readAccounts(ctx context.Context, img unpacked) (a accounts, err error) {
	err = d.insideImage(ctx, img, func(root string) error {
		if a.passwd, err = readAccount(root, "etc/passwd"); err != nil {
			return fmt.Errorf("image %s: %w", img.Name, err)
		}
		if a.group, err = readAccount(root, "etc/group"); err != nil {
			return fmt.Errorf("image %s: %w", img.Name, err)
		}
		return nil
	})
	return a, err
}

// maxAccounts bounds each of these files, which are kept in memory: a mebibyte is more than ten thousand users.
const maxAccounts = 1 << 20

// maxKnownAccounts bounds how many images' are kept.
const maxKnownAccounts = 64

// readAccount reads a file of an image as a process in it would find it, and returns nil if there is none. An OCI runtime
// may read that file, too, and waits for good where it is a FIFO or a device, so that only a regular file of reasonable
// size is taken: the error matches [runtime.ErrInvalid] for anything else, and for links to what the image does not have,
// which may lead to anything once /proc and /dev are there.
func readAccount(root, name string) ([]byte, error) {
	fd, err := openInside(root, name)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil, danglingLink(root, name)
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("/%s is a link that leads nowhere: %w", name, runtime.ErrInvalid)
	case err != nil:
		return nil, fmt.Errorf("look for /%s: %w", name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("/%s is not a regular file: %w", name, runtime.ErrInvalid)
	}
	if st.Size > maxAccounts {
		return nil, fmt.Errorf("/%s has %d bytes, more than %d: %w", name, st.Size, maxAccounts, runtime.ErrInvalid)
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)) // the same file, now with permission to read
	if err != nil {
		return nil, fmt.Errorf("open /%s: %w", name, err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxAccounts))
}

// danglingLink is an error if a path that was not found is a symbolic link, or its directory is one.
func danglingLink(root, name string) error {
	for p := name; p != "."; p = path.Dir(p) {
		if fd, err := openInside(root, path.Dir(p)); err == nil {
			var st unix.Stat_t
			err := unix.Fstatat(fd, path.Base(p), &st, unix.AT_SYMLINK_NOFOLLOW)
			unix.Close(fd)
			if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
				return fmt.Errorf("/%s is a link to something that the image does not have: %w", p, runtime.ErrInvalid)
			}
			return nil
		}
	}
	return nil
}
