//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// checkCreated looks at what an OCI runtime has mounted for a container, before the first instruction of it. A container
// that is refused is the caller's to remove.
//
// With gVisor the process is the sandbox, with mounts of its own; what the container sees is mounted by gVisor's kernel and
// its file servers, where nothing of the host's kernel is at /proc, /sys or /dev.
func (d *Driver) checkCreated(id string, pid int, spec *specs.Spec) error {
	if d.isGVisor() {
		return nil
	}
	c := mountCheck{spec: spec, host: func(name string) bool { _, err := os.Lstat(name); return err == nil }}
	var err error
	if c.table, err = mountTableOf(pid); err == nil {
		c.sources, err = locations(spec, c.table)
	}
	if err == nil {
		err = checkMounts(c)
	}
	if err != nil {
		return fmt.Errorf("container %s: its mounts: %w", id, err)
	}
	return nil
}

// mountTableOf is the mount table of a process.
func mountTableOf(pid int) ([]*mountinfo.Info, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// locations finds what the paths of the host are that a container may have something of, and of its nodes those that it has
// mounted something at.
func locations(spec *specs.Spec, mounted []*mountinfo.Info) (map[string]location, error) {
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	places := map[string]location{}
	for _, m := range spec.Mounts {
		if m.Type != "bind" {
			continue
		}
		if places[m.Source], err = locationAt(table, m.Source); err != nil {
			return nil, fmt.Errorf("what is mounted at %s: %w", m.Destination, err)
		}
	}
	nodes := map[string]bool{"/dev/null": true}
	for _, m := range mounted {
		if slices.Contains(standardNodes, m.Mountpoint) || slices.Contains(devicesOf(spec), m.Mountpoint) {
			nodes[m.Mountpoint] = true
		}
	}
	for name := range nodes {
		if p, err := locationAt(table, name); err == nil { // those that are not on this machine can be bound by nobody
			places[name] = p
		}
	}
	return places, nil
}

// locationAt finds the mount that a path leads to, and where in it. Its device is the one that mount tables have, which
// some file systems do not tell in stat.
func locationAt(table []*mountinfo.Info, name string) (location, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return location{}, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return location{}, err
	}
	mount, err := mountOf(fd)
	if err != nil {
		return location{}, fmt.Errorf("%s: %w", name, err)
	}
	for _, m := range table {
		if m.ID == mount {
			return location{m.Major, m.Minor, path.Join(m.Root, strings.TrimPrefix(at, strings.TrimSuffix(m.Mountpoint, "/")))}, nil
		}
	}
	return location{}, fmt.Errorf("%s is in no mount of this process", name)
}

// mountOf is the number of the mount that a descriptor is of.
func mountOf(fd int) (int, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err == nil && st.Mask&unix.STATX_MNT_ID != 0 {
		return int(st.Mnt_id), nil
	}
	// Before Linux 5.8.
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(info), "mnt_id:")
	if !found {
		return 0, errors.New("the kernel does not tell its mount")
	}
	var id int
	_, err = fmt.Sscan(rest, &id)
	return id, err
}
