package oci

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// defaultSharedMemory is Docker's size of /dev/shm.
const defaultSharedMemory = task.MiB(64)

// terminals are how many pseudo-terminals a container has at most. The kernel's limit is one for the whole machine, 4096
// unless it is changed, and somebody's Exec would have to do without.
const terminals = "256"

func defaultMounts(c runtime.ContainerSpec) []specs.Mount {
	shm := c.SharedMemory
	if shm == 0 {
		shm = defaultSharedMemory
	}
	access := "ro"
	if c.Privileged {
		access = "rw"
	}
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{
			Destination: "/dev/pts", Type: "devpts", Source: "devpts",
			Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "max=" + terminals},
		},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", access}},
		{
			Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
			Options: []string{"nosuid", "noexec", "nodev", access},
		},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{
			Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
			Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + kibibytes(shm)},
		},
	}
}

// mounts are the defaults, but for those that the spec has its own at, then those of the spec with parents before what
// lies in them.
func mounts(c runtime.ContainerSpec, o Options) ([]specs.Mount, error) {
	own, err := ownMounts(c)
	if err != nil {
		return nil, err
	}
	if c.Init {
		own = append(own, specs.Mount{
			Destination: initPath, Type: "bind", Source: o.InitPath, Options: []string{"bind", "ro"},
		})
	}
	slices.SortStableFunc(own, byDepth)
	for i := 1; i < len(own); i++ {
		if own[i].Destination == own[i-1].Destination {
			return nil, invalid(c, "two mounts at %s", own[i].Destination)
		}
	}
	all := slices.DeleteFunc(defaultMounts(c), func(m specs.Mount) bool {
		return slices.ContainsFunc(own, func(n specs.Mount) bool { return n.Destination == m.Destination })
	})
	return append(all, own...), nil
}

// byDepth orders mounts as Docker does: one that lies in another comes after it, also when a symbolic link of the image
// gives the outer one another name.
func byDepth(a, b specs.Mount) int {
	return cmp.Or(
		cmp.Compare(strings.Count(a.Destination, "/"), strings.Count(b.Destination, "/")),
		strings.Compare(a.Destination, b.Destination),
	)
}

func ownMounts(c runtime.ContainerSpec) ([]specs.Mount, error) {
	if err := c.CheckMounts(); err != nil {
		return nil, err
	}
	own := make([]specs.Mount, 0, len(c.Mounts)+len(c.Tmpfs)+1)
	for _, m := range c.Mounts {
		target, err := destination(c, m.Destination, runtime.MayMountHostPath)
		if err != nil {
			return nil, err
		}
		if m.Volume != "" || m.Root != "" {
			return nil, invalid(c, "mount at %s: volumes and roots are the backend's to resolve", target)
		}
		access := "rw"
		if m.ReadOnly {
			access = "ro"
		}
		own = append(own, specs.Mount{
			Destination: target, Type: "bind", Source: m.Source, Options: []string{"rbind", access, "rprivate"},
		})
	}
	for _, t := range c.Tmpfs {
		target, err := destination(c, t.ContainerPath, runtime.MayMountTmpfs)
		if err != nil {
			return nil, err
		}
		options, err := tmpfsOptions(c, t)
		if err != nil {
			return nil, err
		}
		own = append(own, specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs", Options: options})
	}
	return own, nil
}

// destination checks and cleans a path to mount at. /proc and /sys hold what the masks protect, and /dev what OCI runtimes
// mask with: something mounted over them would take the protection away.
func destination(c runtime.ContainerSpec, p string, may func(string) bool) (string, error) {
	if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
		return "", invalid(c, "mount at %q: not an absolute path", p)
	}
	clean := path.Clean(p)
	if clean == "/" {
		return "", invalid(c, "mount at /: the image is there")
	}
	if !may(clean) {
		return "", invalid(c, "mount at %s: the kernel's file system is there", clean)
	}
	return clean, nil
}

func kibibytes(m task.MiB) string { return strconv.FormatInt(m.Bytes()>>10, 10) + "k" }
