//go:build linux

package containerd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/runtime"
)

// rootsDir is where root file systems of sandboxes with user namespaces are mounted: the OCI runtime gets there when it is
// already nobody on the machine, who cannot pass Config.Dir. Below it each sandbox has a directory that only those of its
// root's group can pass, and that only the machine's root can change.
func (d *Driver) rootsDir(sandbox string) string {
	return filepath.Join("/run", "fardel-"+d.cfg.Owner, sandbox)
}

func (d *Driver) rootfsDir(s *sandbox, container string) string {
	return filepath.Join(d.rootsDir(s.spec.ID), container)
}

// mountRootfs mounts the root file system of a container of a sandbox with a user namespace. Its image is in idmapped
// mounts, so that one copy serves all sandboxes; the writable layer belongs to the sandbox's IDs.
func (d *Driver) mountRootfs(s *sandbox, container string, mounts []mount.Mount, again bool) error {
	ns, err := d.openUserNS(s.spec.ID)
	if err != nil {
		return err
	}
	defer ns.Close()
	if !again {
		if err := ownLayer(s.ids, mounts); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(d.rootsDir(""), 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(d.rootsDir(s.spec.ID), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := errors.Join(os.Lchown(d.rootsDir(s.spec.ID), 0, int(s.ids.First)), os.Chmod(d.rootsDir(s.spec.ID), 0o710)); err != nil {
		return err
	}
	dir := d.rootfsDir(s, container)
	if err := d.unmountRootfs(s.spec.ID, container); err != nil { // of the run before
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	mapped, release, err := d.mapLayers(ns, mounts)
	if err != nil {
		return err
	}
	return errors.Join(mount.All(mapped, dir), release())
}

// ownLayer gives the root directory of a writable layer to a sandbox.
func ownLayer(ids *sandboxIDs, mounts []mount.Mount) error {
	if len(mounts) != 1 || mounts[0].Type != "overlay" {
		return needsOverlay()
	}
	for _, option := range mounts[0].Options {
		if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
			var st unix.Stat_t
			if err := unix.Lstat(dir, &st); err != nil {
				return err
			}
			return os.Lchown(dir, ids.host(st.Uid), ids.host(st.Gid))
		}
	}
	return needsOverlay()
}

// mapLayers returns mounts of an image that show its owners as they are for a user namespace, and what to call when they
// were made.
func (d *Driver) mapLayers(ns *os.File, mounts []mount.Mount) ([]mount.Mount, func() error, error) {
	if len(mounts) != 1 {
		return nil, nil, needsOverlay()
	}
	m := mounts[0]
	m.Options = slices.Clone(m.Options)
	layers := []string{m.Source}
	at := -1
	if m.Type == "overlay" {
		at = slices.IndexFunc(m.Options, func(o string) bool { return strings.HasPrefix(o, "lowerdir=") })
		if at < 0 {
			return nil, nil, needsOverlay()
		}
		layers = strings.Split(strings.TrimPrefix(m.Options[at], "lowerdir="), ":")
	}
	parent, names, err := commonParent(layers)
	if err != nil {
		return nil, nil, err
	}
	dir, release, err := d.mountMapped(ns, parent)
	if err != nil {
		return nil, nil, err
	}
	for i, name := range names {
		names[i] = filepath.Join(dir, name)
	}
	if m.Type == "overlay" {
		m.Options[at] = "lowerdir=" + strings.Join(names, ":")
	} else {
		m.Source = names[0]
	}
	return []mount.Mount{m}, release, nil
}

// commonParent splits the paths of layers, <snapshots>/<number>/fs, into the directory of all and what is below it.
func commonParent(layers []string) (parent string, names []string, err error) {
	for _, layer := range layers {
		above := filepath.Dir(filepath.Dir(layer))
		if !filepath.IsAbs(layer) || above == "/" || parent != "" && above != parent {
			return "", nil, needsOverlay()
		}
		parent = above
		names = append(names, filepath.Join(filepath.Base(filepath.Dir(layer)), filepath.Base(layer)))
	}
	return parent, names, nil
}

// mountMapped mounts a directory as it is for a user namespace, read-only, at a place of our own.
func (d *Driver) mountMapped(ns *os.File, path string) (dir string, release func() error, err error) {
	tree, err := idmapped(ns, path, 0)
	if err != nil {
		return "", nil, needsIDMap(path, err)
	}
	defer unix.Close(tree)
	dir = filepath.Join(d.tempDir(), "layers-"+rand.Text())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr)
	if err == nil {
		err = unix.MoveMount(tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("mount %s for a user namespace: %w", path, err), os.Remove(dir))
	}
	return dir, func() error {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
		return os.Remove(dir)
	}, nil
}

// unmountRootfs may be repeated, and does nothing for a container without user namespace.
func (d *Driver) unmountRootfs(sandbox, container string) error {
	if sandbox == "" || container == "" {
		return nil
	}
	return unmountDir(filepath.Join(d.rootsDir(sandbox), container))
}

func unmountDir(dir string) error {
	if _, err := os.Lstat(dir); err != nil {
		return ignoreAbsent(err)
	}
	if err := mount.UnmountAll(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return ignoreAbsent(os.Remove(dir))
}

// sweepRoots unmounts and removes the root file systems of containers that are not known.
func (d *Driver) sweepRoots() error {
	sandboxes, err := subdirs(d.rootsDir(""))
	if err != nil {
		return err
	}
	for _, sandbox := range sandboxes {
		dir := d.rootsDir(sandbox)
		names, err := subdirs(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if d.containers[name] != nil && d.sandboxes[sandbox] != nil {
				continue
			}
			if err := unmountDir(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		if d.sandboxes[sandbox] != nil {
			continue
		}
		if err := os.Remove(dir); err != nil {
			return err
		}
	}
	_ = os.Remove(d.rootsDir("")) // unless sandboxes have theirs there
	return nil
}

// mapMount is how a mount of a container of a sandbox with a user namespace shows owners: as they are on disk, where the
// sandbox's IDs would see nobody's. What is the sandbox's own, or read-only by nature, stays as it is.
func (d *Driver) mapMount(s *sandbox, ns *os.File) func(source string) (string, error) {
	return func(source string) (string, error) {
		if strings.HasPrefix(source, d.sandboxDir(s.spec.ID)+"/") || strings.HasPrefix(source, filepath.Join(d.cfg.Dir, "containers")+"/") || slices.Contains(initBinaries, source) {
			return "", nil
		}
		// With what is mounted below it if that can be, which is not so of the kernel's file systems.
		tree, err := idmapped(ns, source, unix.AT_RECURSIVE)
		if err == nil {
			return "ridmap", unix.Close(tree)
		}
		if tree, serr := idmapped(ns, source, 0); serr == nil {
			return "idmap", unix.Close(tree)
		}
		return "", needsIDMap(source, err)
	}
}

const usernsFeature = "a user namespace per task"

func needsOverlay() error {
	return &runtime.UnsupportedError{Feature: usernsFeature, Needs: "the snapshotter overlayfs"}
}

// needsIDMap says which file system cannot be mounted with other owners.
func needsIDMap(path string, err error) error {
	kind := "its file system"
	if m := kindOf(path); m != "" {
		kind = m
	}
	return &runtime.UnsupportedError{
		Feature: usernsFeature,
		Needs:   fmt.Sprintf("idmapped mounts of %s, on %s: Linux 5.19, and ext4, xfs, btrfs or, from 6.3 on, tmpfs: %v", path, kind, err),
	}
}

// kindOf is the type of the file system that a path is on, "" if that cannot be told.
func kindOf(path string) string {
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(path))
	if err != nil {
		return ""
	}
	best := ""
	kind := ""
	for _, m := range mounts {
		if len(m.Mountpoint) >= len(best) {
			best, kind = m.Mountpoint, m.FSType
		}
	}
	return kind
}

// mapImage is mapLayers for a sandbox, and changes nothing for one without user namespace.
func (d *Driver) mapImage(sandbox string, mounts []mount.Mount) ([]mount.Mount, func() error, error) {
	if d.idsOf(sandbox) == nil {
		return mounts, func() error { return nil }, nil
	}
	ns, err := d.openUserNS(sandbox)
	if err != nil {
		return nil, nil, err
	}
	defer ns.Close()
	return d.mapLayers(ns, mounts)
}
