//go:build linux

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/runtime"
)

// settle has the OCI runtime look up no path that anybody else could change: it replaces the mounts of a creation's spec, see
// settleMounts. release is called when the OCI runtime has bound what there is.
func (d *Driver) settle(ctx context.Context, in *sandbox, c creation, img unpacked, again bool) (release func() error, err error) {
	var s settled
	switch { // a container that was run before has had its way with its files
	case again && in.ids != nil:
		s, err = settleIn(c.spec.Root.Path, c.spec)
	case again:
		err = d.insideRootfs(c.rootfs, func(root string) error {
			s, err = settleIn(root, c.spec)
			return err
		})
	default:
		s, err = d.settleInImage(ctx, img, c.spec)
	}
	if err != nil {
		return nil, err
	}
	var ns *os.File // the user namespace, if the sandbox has one
	if in.ids != nil && len(s.nested) > 0 {
		if ns, err = d.openUserNS(in.spec.ID); err != nil {
			return nil, err
		}
		defer ns.Close()
	}
	var undo []func() error
	release = func() error {
		var errs []error
		for _, f := range undo {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	trees := map[int]string{}
	for _, n := range s.nested {
		outer := s.mounts[n.in]
		if trees[n.in] == "" {
			at, unmount, err := d.bindTree(outer.Source)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("mount at %s: %w", outer.Destination, err), release())
			}
			undo, trees[n.in] = append(undo, unmount), at
		}
		n.mount.Options = in.ids.tmpfsOptions(n.mount)
		if err := d.mountNested(ns, trees[n.in], n, slices.Contains(outer.Options, "ro")); err != nil {
			return nil, errors.Join(fmt.Errorf("mount at %s, in the one at %s: %w", n.mount.Destination, outer.Destination, err), release())
		}
	}
	for i, at := range trees {
		s.mounts[i].Source = at
		// What was mounted in it shows owners in its own way.
		s.mounts[i].Options = replaced(s.mounts[i].Options, "ridmap", "idmap")
	}
	c.spec.Mounts = s.mounts
	return release, nil
}

// settleInImage remembers where the links of an image lead: what is asked for of one image is mostly the same.
func (d *Driver) settleInImage(ctx context.Context, img unpacked, spec *specs.Spec) (settled, error) {
	d.linksMu.Lock()
	defer d.linksMu.Unlock()
	known := d.links[img.chainID]
	missing := false
	s, err := settleMounts(spec, func(name string) (string, bool) {
		target, ok := known[name]
		missing = missing || !ok
		return target, target != ""
	})
	if !missing {
		return s, err
	}
	if len(known) == 0 || len(known) > maxKnownLinks {
		known = map[string]string{}
	}
	err = d.insideImage(ctx, img, func(dir string) error {
		read, done, err := readLinks(dir)
		if err != nil {
			return err
		}
		defer done()
		s, err = settleMounts(spec, func(name string) (string, bool) {
			target, ok := read(name)
			known[name] = target
			return target, ok
		})
		return err
	})
	if len(d.links) >= maxKnownAccounts {
		clear(d.links)
	}
	d.links[img.chainID] = known
	return s, err
}

// maxKnownLinks bounds what is remembered of an image.
const maxKnownLinks = 1000

func settleIn(dir string, spec *specs.Spec) (settled, error) {
	read, done, err := readLinks(dir)
	if err != nil {
		return settled{}, err
	}
	defer done()
	return settleMounts(spec, read)
}

// readLinks reads the links of a root file system in which nothing runs.
func readLinks(dir string) (l links, done func(), err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	return func(name string) (string, bool) {
		target, err := root.Readlink(strings.TrimPrefix(name, "/"))
		return target, err == nil && target != ""
	}, func() { root.Close() }, nil
}

// insideRootfs calls f with a directory in which the root file system of a container that does not run can be read.
func (d *Driver) insideRootfs(mounts []mount.Mount, f func(root string) error) (err error) {
	dir, err := os.MkdirTemp(d.tempDir(), "rootfs-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	var view []mount.Mount
	for _, m := range mounts {
		m.Options = append(slices.Clone(m.Options), "ro")
		view = append(view, m)
	}
	if err := mount.All(view, dir); err != nil {
		return fmt.Errorf("mount the root file system: %w", err)
	}
	defer func() { err = errors.Join(err, mount.UnmountAll(dir, 0)) }()
	return f(dir)
}

// bindTree binds a directory to a place of ours, where what is mounted in it is seen nowhere else.
func (d *Driver) bindTree(source string) (at string, unmount func() error, err error) {
	at, unmount, err = d.bindInside("/", source)
	if err != nil {
		return "", nil, err
	}
	if err := unix.Mount("", at, "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return "", nil, errors.Join(fmt.Errorf("make the mount of %s private: %w", source, err), unmount())
	}
	return at, unmount, nil
}

// mountNested makes a mount in a tree that containers may change at the same time: aside first, then at a place that is
// opened without following a link, and made if it is not there.
func (d *Driver) mountNested(ns *os.File, tree string, n nested, fixed bool) (err error) {
	isDir := true
	if n.mount.Type == "bind" {
		info, err := os.Stat(n.mount.Source)
		if err != nil {
			return err
		}
		isDir = info.IsDir()
	}
	aside, err := d.emptyPlace(isDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(aside)) }()
	if err := mountAside(ns, aside, n.mount); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unmount(aside, unix.MNT_DETACH)) }()
	fd, err := openPlace(tree, n.at, isDir, !fixed)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR) {
		return fmt.Errorf("there is a link, or a file of another kind, at %s: %w: %w", n.at, err, runtime.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", n.at, err)
	}
	defer unix.Close(fd)
	return unix.Mount(aside, fmt.Sprintf("/proc/self/fd/%d", fd), "", unix.MS_BIND|unix.MS_REC, "")
}

// mountAside mounts at a place of ours what a container gets, with the owners that are asked for in its user namespace.
func mountAside(ns *os.File, aside string, m specs.Mount) error {
	recursive, single := slices.Contains(m.Options, "ridmap"), slices.Contains(m.Options, "idmap")
	if !recursive && !single {
		plain := mount.Mount{Type: m.Type, Source: m.Source, Options: slices.DeleteFunc(slices.Clone(m.Options), isPropagation)}
		return plain.Mount(aside)
	}
	var flags uint
	if recursive {
		flags = unix.AT_RECURSIVE
	}
	tree, err := idmapped(ns, m.Source, flags)
	if err != nil {
		return needsIDMap(m.Source, err)
	}
	defer unix.Close(tree)
	if slices.Contains(m.Options, "ro") {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|flags, &attr); err != nil {
			return &os.PathError{Op: "mount_setattr", Path: m.Source, Err: err}
		}
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, aside, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move_mount", Path: m.Source, Err: err}
	}
	return nil
}

// replaced is a list with one option in place of another.
func replaced(options []string, old, other string) []string {
	all := slices.Clone(options)
	for i, o := range all {
		if o == old {
			all[i] = other
		}
	}
	return all
}

// emptyPlace makes an empty directory or file that something can be mounted at for a while.
func (d *Driver) emptyPlace(isDir bool) (string, error) {
	at := filepath.Join(d.tempDir(), "mount-"+rand.Text())
	if isDir {
		return at, os.Mkdir(at, 0o700)
	}
	return at, os.WriteFile(at, nil, 0o600)
}

// isPropagation reports whether a mount option says who sees what is mounted there later, which nobody does.
func isPropagation(option string) bool {
	return slices.Contains([]string{
		"private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable",
	}, option)
}

// openPlace opens a path in a directory without following any link, and makes what is missing if it may.
func openPlace(dir, name string, isDir, create bool) (fd int, err error) {
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		next, err := openPart(at, part, isDir || !last, create)
		unix.Close(at)
		if err != nil {
			return -1, err
		}
		at = next
	}
	return at, nil
}

func openPart(dir int, name string, isDir, create bool) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	if isDir {
		how.Flags |= unix.O_DIRECTORY
	}
	for made := false; ; made = true {
		fd, err := openat2(dir, name, &how)
		if !create || made || !errors.Is(err, unix.ENOENT) {
			if err != nil {
				return -1, err
			}
			return fd, checkKind(fd, isDir)
		}
		if isDir {
			err = unix.Mkdirat(dir, name, 0o755)
		} else {
			err = unix.Mknodat(dir, name, unix.S_IFREG|0o644, 0)
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, err
		}
	}
}

// checkKind closes a descriptor of something that nothing can be mounted at.
func checkKind(fd int, isDir bool) error {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	switch kind := st.Mode & unix.S_IFMT; {
	case err != nil:
	case kind == unix.S_IFLNK:
		err = unix.ELOOP
	case kind == unix.S_IFDIR && !isDir:
		err = unix.EISDIR
	}
	if err != nil {
		unix.Close(fd)
	}
	return err
}

// openat2 goes on when a rename elsewhere kept the kernel from being sure.
func openat2(dir int, name string, how *unix.OpenHow) (int, error) {
	for {
		fd, err := unix.Openat2(dir, name, how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
