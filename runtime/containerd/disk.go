//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/sys/mountinfo"

	"github.com/fardel-io/fardel/internal/rmtree"
	"github.com/fardel-io/fardel/runtime"
)

// A sandbox with Storage has a disk: an ext4 file system of that size in a sparse file of its directory, mounted beside it.
// Everything that its containers write and its volumes are there, so that the kernel refuses what is too much. Made by
// mkfs.ext4, it takes a few hundred milliseconds and only the space that is written.
const (
	diskFile  = "disk.img"
	diskMount = "disk"
)

// noZeroing keeps the kernel from writing zeros to all inode tables in the background, 320 MiB for 20 GiB: the holes of a
// sparse file are zeros.
const noZeroing = "noinit_itable"

func (d *Driver) diskDir(sandbox string) string {
	return filepath.Join(d.sandboxDir(sandbox), diskMount)
}

// makeDisk may be repeated, also after the machine was restarted, which leaves the file and no mount.
func (d *Driver) makeDisk(ctx context.Context, s *sandbox) error {
	if s.spec.Storage == 0 {
		return nil
	}
	dir, file := d.diskDir(s.spec.ID), filepath.Join(d.sandboxDir(s.spec.ID), diskFile)
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if mounted, err := mountinfo.Mounted(dir); err != nil || mounted {
		return err
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := d.formatDisk(ctx, s.spec, file); err != nil {
			return err
		}
	}
	loop := []mount.Mount{{Type: "ext4", Source: file, Options: []string{"loop", noZeroing}}}
	if err := mount.All(loop, dir); err != nil {
		return &runtime.UnsupportedError{
			Feature: "ephemeralStorage",
			Needs:   "loop devices and ext4 in the kernel, and /dev/loop-control: " + err.Error(),
		}
	}
	return nil
}

// formatDisk makes the file. It has its name when it is complete.
func (d *Driver) formatDisk(ctx context.Context, spec runtime.SandboxSpec, file string) error {
	part := file + ".part"
	if err := os.WriteFile(part, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(part, spec.Storage.Bytes()); err != nil {
		return err
	}
	tool := ""
	for _, name := range []string{"mkfs.ext4", "/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"} {
		if path, err := exec.LookPath(name); err == nil {
			tool = path
			break
		}
	}
	if tool == "" {
		return &runtime.UnsupportedError{Feature: "ephemeralStorage", Needs: "mkfs.ext4: apt-get install e2fsprogs"}
	}
	// No journal: what a sandbox has does not outlive a crash of the machine. No reserve: there is no other root there.
	// Nor copies of its metadata, nor room to grow: an empty disk of 20 GiB takes 160 KiB instead of 4 MiB.
	args := []string{"-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode,sparse_super2",
		"-E", "packed_meta_blocks=1,nodiscard,lazy_itable_init=1", part}
	if out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("make a file system of %d MiB: %w: %s", spec.Storage, err, lastLine(string(out)))
	}
	return os.Rename(part, file)
}

// removeDisk unmounts the disk, whose file goes with the sandbox's directory. Its loop device goes with the mount.
func (d *Driver) removeDisk(sandbox string) error {
	dir := d.diskDir(sandbox)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if mounted, err := mountinfo.Mounted(dir); err != nil || !mounted {
		return err
	}
	if err := mount.UnmountAll(dir, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// onDisk returns how to mount a root file system whose writable layer is on the sandbox's disk, empty unless the container
// had it before.
func (d *Driver) onDisk(sandbox, container string, mounts []mount.Mount, again bool) ([]mount.Mount, error) {
	if len(mounts) != 1 || mounts[0].Type != "overlay" {
		return nil, &runtime.UnsupportedError{Feature: "ephemeralStorage", Needs: "the snapshotter overlayfs"}
	}
	m := mounts[0]
	m.Options = append([]string(nil), m.Options...)
	for i, option := range m.Options {
		name, original, _ := strings.Cut(option, "=")
		if name != "upperdir" && name != "workdir" {
			continue
		}
		dir := filepath.Join(d.diskDir(sandbox), "containers", container, name)
		if !again {
			if err := d.likeDir(original, dir); err != nil {
				return nil, err
			}
		}
		m.Options[i] = name + "=" + dir
	}
	return []mount.Mount{m}, nil
}

// likeDir makes an empty directory with the owner and mode of another one: those of a writable layer are the root
// directory's in the container.
func (d *Driver) likeDir(original, dir string) error {
	info, err := os.Stat(original)
	if err != nil {
		return err
	}
	if err := rmtree.Remove(dir); err != nil { // of a creation that was cut off
		return err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(dir, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	return os.Chmod(dir, info.Mode().Perm())
}
