//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/userns"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
)

// Files of the directory of a sandbox with a user namespace.
const (
	idsFile  = "userns.json"
	userFile = "userns" // the namespace, mounted: it lives as long, and has a path for the OCI runtime
)

// sandboxIDs are those that a sandbox with a user namespace has on the machine: userns.Size from the first one, which is
// its root.
type sandboxIDs struct{ First uint32 }

func (d *Driver) userPath(sandbox string) string {
	return filepath.Join(d.sandboxDir(sandbox), userFile)
}

// enterUserNS gives a new sandbox its user namespace, before it is on record: what is on record without one has none, as
// it was made when Config.UserNamespaces was nil. It may be repeated. s is locked.
func (d *Driver) enterUserNS(s *sandbox) error {
	dir := d.sandboxDir(s.spec.ID)
	_, err := os.Stat(filepath.Join(dir, sandboxFile))
	if err == nil {
		return d.knownUserNS(s)
	}
	if !errors.Is(err, fs.ErrNotExist) || d.cfg.UserNamespaces == nil {
		return ignoreAbsent(err)
	}
	ns, err := d.findUserNS(s)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := writeJSON(filepath.Join(dir, idsFile), s.ids); err != nil {
		return err
	}
	return pin(ns, d.userPath(s.spec.ID))
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// knownUserNS reads which IDs a sandbox on record has. After the machine was restarted it has lost its namespace, as it has
// its containers, and perhaps what the file says: no container is made in it then, least of all without a namespace.
func (d *Driver) knownUserNS(s *sandbox) error {
	path := filepath.Join(d.sandboxDir(s.spec.ID), idsFile)
	if _, err := os.Stat(path); err != nil {
		return ignoreAbsent(err)
	}
	var ids sandboxIDs
	if _, err := readJSON(path, &ids); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.ids = &ids
	return nil
}

// findUserNS opens the user namespace that the sandbox's network namespace belongs to, or makes one for a sandbox without.
func (d *Driver) findUserNS(s *sandbox) (*os.File, error) {
	if s.spec.NetNS == "" {
		ids, err := d.takeIDs(s)
		if err != nil {
			return nil, err
		}
		return userns.New(ids.First)
	}
	netns, err := os.Open(s.spec.NetNS)
	if err != nil {
		return nil, err
	}
	defer netns.Close()
	ns, err := userns.Owner(netns)
	if err != nil {
		return nil, err
	}
	if ns == nil {
		return nil, &runtime.UnsupportedError{
			Feature: usernsFeature,
			Needs:   "a network namespace that belongs to one, as linux.Config.UserNamespaces makes them; " + s.spec.NetNS + " is the machine's",
		}
	}
	first, err := firstID(ns, d.sandboxDir(s.spec.ID))
	if err == nil {
		err = d.adoptIDs(s, first)
	}
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

// takeIDs chooses IDs that no sandbox has.
func (d *Driver) takeIDs(s *sandbox) (*sandboxIDs, error) {
	_, own := userns.Range(*d.cfg.UserNamespaces).Halves()
	d.mu.Lock()
	defer d.mu.Unlock()
	first, ok := own.Pick(s.spec.ID, func(first uint32) bool { return d.whoseIDs(first, s) != "" })
	if !ok {
		return nil, errors.New("all IDs for user namespaces are taken: enlarge Config.UserNamespaces")
	}
	s.ids = &sandboxIDs{First: first}
	return s.ids, nil
}

// adoptIDs notes those that a sandbox has with its network.
func (d *Driver) adoptIDs(s *sandbox, first uint32) error {
	if first < userns.Size { // such as the machine's own root
		return fmt.Errorf("root in the user namespace of %s is user %d of the machine: %w", s.spec.NetNS, first, runtime.ErrInvalid)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if other := d.whoseIDs(first, s); other != "" {
		return fmt.Errorf("the IDs from %d, of the user namespace of %s, are those of sandbox %s: %w", first, s.spec.NetNS, other, runtime.ErrInvalid)
	}
	s.ids = &sandboxIDs{First: first}
	return nil
}

// whoseIDs names the sandbox that has the IDs from first on, other than one. d.mu is held.
func (d *Driver) whoseIDs(first uint32, but *sandbox) string {
	for id, s := range d.sandboxes {
		if s != but && s.ids != nil && s.ids.First == first {
			return id
		}
	}
	return ""
}

// firstID asks the kernel who root of a user namespace is outside of it, by a file of root's that is looked at through an
// idmapped mount.
func firstID(ns *os.File, dir string) (uint32, error) {
	tree, err := idmapped(ns, dir, 0)
	if err != nil {
		return 0, needsIDMap(dir, err)
	}
	defer unix.Close(tree)
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return 0, err
	}
	return st.Uid, nil
}

// idmapped clones the mount that a path is on, from that path on, with owners as they are for a user namespace. It is
// mounted nowhere and goes with its descriptor.
func idmapped(ns *os.File, path string, flags uint) (tree int, err error) {
	tree, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return -1, &fs.PathError{Op: "open_tree", Path: path, Err: err}
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Propagation: unix.MS_PRIVATE, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|flags, &attr); err != nil {
		return -1, errors.Join(&fs.PathError{Op: "mount_setattr", Path: path, Err: err}, unix.Close(tree))
	}
	return tree, nil
}

// pin mounts a namespace at a path.
func pin(ns *os.File, path string) error {
	if err := unpin(path); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", ns.Fd()), path, "", unix.MS_BIND, ""); err != nil {
		return &fs.PathError{Op: "mount", Path: path, Err: err}
	}
	return nil
}

// unpin unmounts what is at a path and removes the file. No error if there is none.
func unpin(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return ignoreAbsent(os.Remove(path))
		}
		if err != nil {
			return &fs.PathError{Op: "unmount", Path: path, Err: err}
		}
	}
}

// openUserNS opens the user namespace of a sandbox that has one.
func (d *Driver) openUserNS(sandbox string) (*os.File, error) {
	path := d.userPath(sandbox)
	mounted, err := mountinfo.Mounted(path)
	if err == nil && !mounted {
		err = fmt.Errorf("the user namespace of sandbox %s is gone: %w", sandbox, runtime.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// leaveUserNS lets a sandbox's user namespace go, and where its root file systems were.
func (d *Driver) leaveUserNS(s *sandbox) error {
	if err := unpin(d.userPath(s.spec.ID)); err != nil {
		return err
	}
	if s.ids == nil {
		return nil
	}
	if err := ignoreAbsent(os.Remove(d.rootsDir(s.spec.ID))); err != nil {
		return err
	}
	_ = os.Remove(d.rootsDir("")) // unless others have theirs there
	return nil
}

// checkIDs refuses who is nobody in a user namespace.
func (ids *sandboxIDs) check(uid, gid uint32, groups []uint32) error {
	if ids == nil {
		return nil
	}
	for _, id := range append([]uint32{uid, gid}, groups...) {
		if id >= userns.Size {
			return fmt.Errorf("user or group %d: a user namespace has those below %d: %w", id, userns.Size, runtime.ErrInvalid)
		}
	}
	return nil
}

// own gives a directory that was just made for a sandbox to its root. It leaves alone what the sandbox has given away.
func (ids *sandboxIDs) own(dir string) error {
	if ids == nil {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil || st.Uid != 0 {
		return err
	}
	return os.Lchown(dir, int(ids.First), int(ids.First))
}

// nobodyInside is who owns what belongs to none of a namespace's IDs.
const nobodyInside = 65534

// host is whom the machine knows as a user or group of an image.
func (ids *sandboxIDs) host(id uint32) int {
	if id >= userns.Size { // never one of another sandbox's
		id = nobodyInside
	}
	return int(ids.First + id)
}

// tmpfsOptions are those of a new file system that is mounted for a sandbox from outside of its user namespace, where users
// and groups have other numbers: it is the sandbox's root's, or of whom the options name.
func (ids *sandboxIDs) tmpfsOptions(m specs.Mount) []string {
	if ids == nil || m.Type != "tmpfs" {
		return m.Options
	}
	owner := map[string]uint32{"uid": 0, "gid": 0}
	options := slices.DeleteFunc(slices.Clone(m.Options), func(option string) bool {
		key, value, _ := strings.Cut(option, "=")
		if _, isOwner := owner[key]; !isOwner {
			return false
		}
		id, err := strconv.ParseUint(value, 10, 32)
		if err != nil { // whom nobody can be
			id = nobodyInside
		}
		owner[key] = uint32(id)
		return true
	})
	return append(options, fmt.Sprintf("uid=%d", ids.host(owner["uid"])), fmt.Sprintf("gid=%d", ids.host(owner["gid"])))
}

// idsOf is what IDs a sandbox has, nil if it has no user namespace.
func (d *Driver) idsOf(sandbox string) *sandboxIDs {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.sandboxes[sandbox]; s != nil {
		return s.ids
	}
	return nil
}

// inUserNS moves the configuration of a container to the user namespace of its sandbox.
func (d *Driver) inUserNS(s *sandbox, c runtime.ContainerSpec, spec *specs.Spec) error {
	switch {
	case c.Privileged:
		return fmt.Errorf("container %s: %w", c.ID, &runtime.UnsupportedError{Feature: "privileged", Needs: "a driver without Config.UserNamespaces"})
	case s.spec.NetNS == "" && !c.NoNetwork:
		return fmt.Errorf("container %s: %w", c.ID, &runtime.UnsupportedError{Feature: "the machine's network", Needs: "a driver without Config.UserNamespaces"})
	}
	if err := s.ids.check(spec.Process.User.UID, spec.Process.User.GID, spec.Process.User.AdditionalGids); err != nil {
		return fmt.Errorf("container %s: %w", c.ID, err)
	}
	ns, err := d.openUserNS(s.spec.ID)
	if err != nil {
		return fmt.Errorf("container %s: %w", c.ID, err)
	}
	defer ns.Close()
	if err := d.makeDevices(s.ids, c.ID, spec); err != nil {
		return fmt.Errorf("container %s: %w", c.ID, err)
	}
	spec.Root.Path = d.rootfsDir(s, c.ID)
	if err := oci.InUserNamespace(spec, d.userPath(s.spec.ID), d.mapMount(s, ns)); err != nil {
		return fmt.Errorf("container %s: %w", c.ID, err)
	}
	return nil
}
