//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
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
	if c.sources, err = origins(spec); err == nil {
		c.table, err = mountinfo.PidMountInfo(pid)
	}
	if err == nil {
		err = checkMounts(c)
	}
	if err != nil {
		return fmt.Errorf("container %s: its mounts: %w", id, err)
	}
	return nil
}

// origins finds what the paths of the host are that a container may have something of.
func origins(spec *specs.Spec) (map[string]origin, error) {
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	places := map[string]origin{}
	for _, m := range spec.Mounts {
		if m.Type != "bind" {
			continue
		}
		if places[m.Source], err = originAt(table, m.Source); err != nil {
			return nil, fmt.Errorf("what is mounted at %s: %w", m.Destination, err)
		}
	}
	nodes := slices.Clone(standardNodes)
	for _, node := range spec.Linux.Devices {
		nodes = append(nodes, node.Path)
	}
	for _, name := range nodes {
		if p, err := originAt(table, name); err == nil { // those that are not on this machine can be bound by nobody
			places[name] = p
		}
	}
	return places, nil
}

// originAt finds the mount that a path leads to, and where in it. Its device is the one that mount tables have, which
// some file systems do not tell in stat.
func originAt(table []*mountinfo.Info, name string) (origin, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return origin{}, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return origin{}, err
	}
	mount, err := mountOf(fd)
	if err != nil {
		return origin{}, fmt.Errorf("%s: %w", name, err)
	}
	for _, m := range table {
		if m.ID == mount {
			return origin{m.Major, m.Minor, path.Join(m.Root, strings.TrimPrefix(at, strings.TrimSuffix(m.Mountpoint, "/")))}, nil
		}
	}
	return origin{}, fmt.Errorf("%s is in no mount of this process", name)
}

// mountOf is the number of the mount that a descriptor is of.
func mountOf(fd int) (int, error) {
	info, err := os.ReadFile(filepath.Join("/proc/self/fdinfo", fmt.Sprint(fd)))
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
