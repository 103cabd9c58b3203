//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/cgroup"
	"github.com/fardel-io/fardel/runtime"
)

// hostDevices returns the device nodes at or below a path of the host.
func hostDevices(path string) ([]specs.LinuxDevice, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no device %s on this machine: %w", path, runtime.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	var devices []specs.LinuxDevice
	err = filepath.WalkDir(resolved, func(p string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil // unplugged meanwhile, or another user's FUSE mount
		}
		if err != nil {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil || info.Mode()&fs.ModeDevice == 0 {
			return nil
		}
		rel, err := filepath.Rel(resolved, p)
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			devices = append(devices, device(filepath.Join(path, rel), info.Mode(), st))
		}
		return nil
	})
	if err == nil && len(devices) == 0 {
		err = fmt.Errorf("%s is not a device: %w", path, runtime.ErrInvalid)
	}
	return devices, err
}

func device(path string, mode fs.FileMode, st *syscall.Stat_t) specs.LinuxDevice {
	kind := "b"
	if mode&fs.ModeCharDevice != 0 {
		kind = "c"
	}
	return specs.LinuxDevice{
		Path: path, Type: kind,
		Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
		FileMode: new(mode.Perm()), UID: new(st.Uid), GID: new(st.Gid),
	}
}

// systemConsole is the terminal of the machine, whatever it is called in a container.
var systemConsole = cgroup.Device{Major: 5, Minor: 1}

// denyDevices takes from a container that was created what an OCI runtime allows each container by itself, beside the rules of
// its configuration: crun has Docker's devices, the machine's console among them.
func (d *Driver) denyDevices(t target, spec *specs.Spec) error {
	if d.isGVisor() || usesConsole(spec) { // the nodes of gVisor are of its kernel
		return nil
	}
	if err := d.cgroups.DenyDevice(group(t), systemConsole); err != nil {
		return fmt.Errorf("container %s: %w", t.container, err)
	}
	return nil
}

// usesConsole reports whether a configuration allows the machine's console, as that of a privileged container does.
func usesConsole(spec *specs.Spec) bool {
	is := func(n *int64, want uint32) bool { return n == nil || *n < 0 || *n == int64(want) }
	allowed := false
	for _, r := range spec.Linux.Resources.Devices { // the last one that is about it counts
		if r.Type != "b" && is(r.Major, systemConsole.Major) && is(r.Minor, systemConsole.Minor) && strings.ContainsAny(r.Access, "rw") {
			allowed = r.Allow
		}
	}
	return allowed
}
