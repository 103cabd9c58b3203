//go:build linux

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/runtime"
)

// volumeDir is a volume of a sandbox. Its parent is the driver's own.
func (d *Driver) volumeDir(s runtime.SandboxSpec, name string) string {
	dir := d.sandboxDir(s.ID)
	if s.Storage > 0 {
		dir = d.diskDir(s.ID)
	}
	return filepath.Join(dir, "volumes", name, "data")
}

// resolveMounts returns the spec with a path for every mount that the OCI runtime can bind, and what to call when it
// has. Volumes exist then, and those to populate are.
func (d *Driver) resolveMounts(ctx context.Context, s runtime.SandboxSpec, spec runtime.ContainerSpec, img unpacked) (runtime.ContainerSpec, func() error, error) {
	if err := spec.CheckMounts(); err != nil {
		return spec, nil, err
	}
	var undo []func() error
	release := func() error {
		var errs []error
		for _, f := range undo {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	var empty, own []copyInto
	ids := d.idsOf(s.ID)
	mounts := make([]runtime.Mount, len(spec.Mounts))
	for i, m := range spec.Mounts {
		resolved := runtime.Mount{Source: m.Source, Destination: m.Destination, ReadOnly: m.ReadOnly}
		switch {
		case m.Volume != "":
			resolved.Source = d.volumeDir(s, m.Volume)
			if err := errors.Join(makeVolume(resolved.Source), ids.own(resolved.Source)); err != nil {
				return spec, nil, errors.Join(fmt.Errorf("container %s: volume %s: %w", spec.ID, m.Volume, err), release())
			}
		case m.Root != "":
			at, unmount, err := d.bindInside(m.Root, m.Source)
			if err != nil {
				return spec, nil, errors.Join(fmt.Errorf("container %s: mount at %s: %w", spec.ID, m.Destination, err), release())
			}
			undo, resolved.Source = append(undo, unmount), at
		default: // not every OCI runtime names what is missing
			if _, err := os.Stat(m.Source); err != nil {
				return spec, nil, errors.Join(fmt.Errorf("container %s: mount at %s: %w: %w", spec.ID, m.Destination, err, runtime.ErrInvalid), release())
			}
		}
		if m.Populate && m.Volume != "" {
			own = append(own, copyInto{image: m.Destination, dir: resolved.Source})
		} else if m.Populate {
			empty = append(empty, copyInto{image: m.Destination, dir: resolved.Source})
		}
		mounts[i] = resolved
	}
	spec.Mounts = mounts
	if err := errors.Join(d.populate(ctx, img, "", empty), d.populate(ctx, img, s.ID, own)); err != nil {
		return spec, nil, errors.Join(fmt.Errorf("container %s: %w", spec.ID, err), release())
	}
	return spec, release, nil
}

// makeVolume makes a directory with the mode of Docker's volumes, whatever the process's umask.
func makeVolume(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(dir, 0o755)
}

// bindInside binds what source names below root to a place that nobody else can change, for as long as the OCI runtime
// takes to bind it once more. A path could mean something else by then: whoever writes below root can put a symbolic link
// in it.
func (d *Driver) bindInside(root, source string) (at string, unmount func() error, err error) {
	fd, err := openInside(root, source)
	if err != nil {
		return "", nil, fmt.Errorf("%s below %s: %w", source, root, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", nil, err
	}
	at = filepath.Join(d.tempDir(), "mount-"+rand.Text())
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = os.Mkdir(at, 0o700)
	} else {
		err = os.WriteFile(at, nil, 0o600)
	}
	if err != nil {
		return "", nil, err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", nil, errors.Join(fmt.Errorf("bind %s below %s: %w", source, root, err), os.Remove(at))
	}
	if err := makePrivate(at); err != nil { // left to the sweep: it cannot be unmounted
		return "", nil, err
	}
	return at, func() error {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
		return os.Remove(at)
	}, nil
}

// makePrivate has what is mounted and unmounted at a place of ours, and below it, be seen nowhere else. On a machine whose
// mounts are shared, which systemd's are, it would also be unmounted from the directory that was bound there.
func makePrivate(at string) error {
	if err := unix.Mount("", at, "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make the mount at %s private: %w", at, err)
	}
	return nil
}

// openInside opens a path without permissions to do anything with it, looked up as after chroot to root.
func openInside(root, path string) (int, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	for {
		fd, err := unix.Openat2(dir, path, &unix.OpenHow{
			Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) { // a rename went on meanwhile
			return fd, err
		}
	}
}

// copyInto is a directory that gets what an image has, if it is empty.
type copyInto struct{ image, dir string }

// copies makes copies into one directory wait for each other.
type copies struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// lock waits for the copies into some directories. It takes them in one order, whatever theirs is, and each once.
func (c *copies) lock(ctx context.Context, dirs []string) (unlock func(), err error) {
	dirs = slices.Clone(dirs)
	slices.Sort(dirs)
	var undo []func()
	unlock = func() {
		for _, f := range undo {
			f()
		}
	}
	for _, dir := range slices.Compact(dirs) {
		one, err := c.lockOne(ctx, dir)
		if err != nil {
			unlock()
			return nil, err
		}
		undo = append(undo, one)
	}
	return unlock, nil
}

func (c *copies) lockOne(ctx context.Context, dir string) (unlock func(), err error) {
	for {
		c.mu.Lock()
		held := c.held[dir]
		if held == nil {
			mine := make(chan struct{})
			if c.held == nil {
				c.held = map[string]chan struct{}{}
			}
			c.held[dir] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				delete(c.held, dir)
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a copy into %s: %w", dir, ctx.Err())
		}
	}
}

// populate copies from an image into the directories that are empty, or that an earlier copy did not complete, with owners
// as they are for a sandbox with a user namespace if one is named.
func (d *Driver) populate(ctx context.Context, img unpacked, sandbox string, into []copyInto) error {
	if len(into) == 0 {
		return nil
	}
	var dirs []string
	for _, c := range into {
		dirs = append(dirs, c.dir)
	}
	unlock, err := d.copies.lock(ctx, dirs)
	if err != nil {
		return err
	}
	defer unlock()
	var missing []copyInto
	for _, c := range into {
		needed, err := needsCopy(c.dir)
		if err != nil {
			return err
		}
		if needed {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return d.insideImageFor(ctx, img, sandbox, func(root string) error {
		for _, c := range missing {
			needed, err := needsCopy(c.dir) // one volume may be at two places
			if err != nil {
				return err
			}
			if !needed {
				continue
			}
			if err := copyFromImage(ctx, root, c); err != nil {
				return fmt.Errorf("copy %s of image %s: %w", c.image, img.Name, err)
			}
		}
		return nil
	})
}

// underWay is the file that says that a copy into dir was begun and not completed.
func underWay(dir string) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".populating")
}

func needsCopy(dir string) (bool, error) {
	if _, err := os.Lstat(underWay(dir)); !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// copyFromImage copies a directory of an image that is mounted at root. What an image has not, or has as a file, is not
// copied.
func copyFromImage(ctx context.Context, root string, c copyInto) error {
	fd, err := openInside(root, c.image)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	from, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", fd))
	if errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenRoot(c.dir)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := os.WriteFile(underWay(c.dir), nil, 0o600); err != nil {
		return err
	}
	if err := copyTree(ctx, from, to); err != nil {
		return err
	}
	return os.Remove(underWay(c.dir))
}
