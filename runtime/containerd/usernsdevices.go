//go:build linux

package containerd

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// makeDevices makes the nodes that a container of a sandbox with a user namespace was given, and has them mounted: nobody can
// make nodes in a user namespace, and an OCI runtime mounts those of the machine then, by their own names only and with
// owners that are nobody there.
func (d *Driver) makeDevices(ids *sandboxIDs, container string, spec *specs.Spec) error {
	dir := filepath.Join(d.containerDir(container), "devices")
	if err := os.RemoveAll(dir); err != nil { // of the run before
		return err
	}
	if len(spec.Linux.Devices) == 0 {
		return nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for i, node := range spec.Linux.Devices {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := makeDevice(ids, path, node); err != nil {
			return fmt.Errorf("device %s: %w", node.Path, err)
		}
		spec.Mounts = append(spec.Mounts, specs.Mount{
			Destination: node.Path, Type: "bind", Source: path, Options: []string{"bind", "rw", "rprivate", "nosuid", "noexec"},
		})
	}
	spec.Linux.Devices = nil // their use stays allowed
	return nil
}

func makeDevice(ids *sandboxIDs, path string, node specs.LinuxDevice) error {
	kind := uint32(unix.S_IFCHR)
	if node.Type == "b" {
		kind = unix.S_IFBLK
	}
	if err := unix.Mknod(path, kind, int(unix.Mkdev(uint32(node.Major), uint32(node.Minor)))); err != nil {
		return err
	}
	var uid, gid uint32
	if node.UID != nil && node.GID != nil {
		uid, gid = *node.UID, *node.GID
	}
	if err := os.Lchown(path, ids.host(uid), ids.host(gid)); err != nil {
		return err
	}
	if node.FileMode == nil {
		return nil
	}
	return os.Chmod(path, node.FileMode.Perm())
}
