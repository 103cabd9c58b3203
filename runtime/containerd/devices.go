//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

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
