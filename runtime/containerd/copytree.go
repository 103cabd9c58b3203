//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// treeCopy copies a tree with owners, modes, times, hard links and the extended attributes that programs see. Neither
// side is left, whatever symbolic links are in it and whoever changes it meanwhile. What exists already stays.
type treeCopy struct {
	ctx      context.Context
	from, to *os.Root
	links    map[uint64]string // by inode: files with several names
}

// partFile is the name of a file that is being copied. An image's file of that name is not.
const partFile = ".fardel-copy"

func copyTree(ctx context.Context, from, to *os.Root) error {
	c := &treeCopy{ctx: ctx, from: from, to: to, links: map[uint64]string{}}
	if err := c.dir("."); err != nil {
		return err
	}
	return c.attributes(".")
}

func (c *treeCopy) dir(name string) error {
	entries, err := fs.ReadDir(c.from.FS(), name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.entry(path.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (c *treeCopy) entry(name string) error {
	info, err := c.from.Lstat(name)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no owner", name)
	}
	switch info.Mode().Type() {
	case 0:
		return c.file(name, st)
	case fs.ModeDir:
		if err := c.to.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := c.dir(name); err != nil {
			return err
		}
		return c.attributes(name)
	case fs.ModeSymlink:
		target, err := c.from.Readlink(name)
		if err != nil {
			return err
		}
		if err := c.to.Symlink(target, name); err != nil {
			return ignoreExist(err)
		}
		return c.to.Lchown(name, int(st.Uid), int(st.Gid))
	case fs.ModeSocket: // nobody listens
		return nil
	}
	return c.node(name, st)
}

func ignoreExist(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// file copies a regular file under another name first: what has the right name is complete.
func (c *treeCopy) file(name string, st *syscall.Stat_t) error {
	if first, ok := c.links[st.Ino]; ok && st.Nlink > 1 {
		return ignoreExist(c.to.Link(first, name))
	}
	if _, err := c.to.Lstat(name); err == nil {
		return nil
	}
	if err := c.to.Remove(partFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := c.content(name); err != nil {
		return err
	}
	if err := ignoreExist(c.to.Link(partFile, name)); err != nil {
		return err
	}
	if st.Nlink > 1 {
		c.links[st.Ino] = name
	}
	return c.to.Remove(partFile)
}

func (c *treeCopy) content(name string) error {
	in, err := c.from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := c.to.OpenFile(partFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, &patient{c.ctx, in}); err != nil {
		return err
	}
	if err := copyAttributes(in, out); err != nil {
		return err
	}
	return out.Close()
}

// patient reads until its context ends.
type patient struct {
	ctx context.Context
	in  io.Reader
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.in.Read(b)
}

// openDir opens a directory of the copy. Whoever changes it meanwhile may have put a FIFO there, on which opening would wait.
func (c *treeCopy) openDir(name string) (*os.File, error) {
	return c.to.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
}

// attributes gives a directory what its original has.
func (c *treeCopy) attributes(name string) error {
	in, err := c.from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := c.openDir(name)
	if err != nil {
		return err
	}
	defer out.Close()
	return copyAttributes(in, out)
}

func copyAttributes(in, out *os.File) error {
	info, err := in.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no owner", in.Name())
	}
	if err := out.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := out.Chmod(info.Mode()); err != nil { // after chown, which takes setuid away
		return err
	}
	if err := copyXattrs(int(in.Fd()), int(out.Fd())); err != nil {
		return fmt.Errorf("extended attributes of %s: %w", in.Name(), err)
	}
	times := []unix.Timeval{unix.NsecToTimeval(st.Atim.Nano()), unix.NsecToTimeval(st.Mtim.Nano())}
	return unix.Futimes(int(out.Fd()), times)
}

// copyXattrs copies file capabilities and what programs have set. The rest is the file system's own.
func copyXattrs(in, out int) error {
	size, err := unix.Flistxattr(in, nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	names := make([]byte, size)
	if size, err = unix.Flistxattr(in, names); err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:size]), "\x00"), "\x00") {
		if name != "security.capability" && !strings.HasPrefix(name, "user.") {
			continue
		}
		n, err := unix.Fgetxattr(in, name, nil)
		if err != nil {
			return err
		}
		value := make([]byte, n)
		if n, err = unix.Fgetxattr(in, name, value); err != nil {
			return err
		}
		if err := unix.Fsetxattr(out, name, value[:n], 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return err
		}
	}
	return nil
}

// node makes a FIFO or a device, which the container cannot use unless its cgroup allows it.
func (c *treeCopy) node(name string, st *syscall.Stat_t) error {
	parent, err := c.openDir(path.Dir(name))
	if err != nil {
		return err
	}
	defer parent.Close()
	fd, base := int(parent.Fd()), path.Base(name)
	if err := unix.Mknodat(fd, base, st.Mode, int(st.Rdev)); err != nil {
		return ignoreExist(err)
	}
	if err := unix.Fchownat(fd, base, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return c.to.Chmod(name, fs.FileMode(st.Mode&0o777))
}
