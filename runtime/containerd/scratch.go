//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/runtime"
)

// scratchOptions bound what the containers of a sandbox can grow together. What they write is charged to them.
const scratchOptions = "mode=755,size=1m,nr_inodes=256"

// makeScratch may be repeated, also after the machine was restarted.
func makeScratch(spec runtime.SandboxSpec) error {
	if spec.Scratch == "" {
		return nil
	}
	if err := os.MkdirAll(spec.Scratch, 0o755); err != nil {
		return err
	}
	if mounted, err := mountinfo.Mounted(spec.Scratch); err != nil || mounted {
		return err
	}
	if err := unix.Mount("fardel", spec.Scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, scratchOptions); err != nil {
		return fmt.Errorf("mount a file system in memory at %s: %w", spec.Scratch, err)
	}
	return nil
}

// removeScratch leaves the directory to the caller. Who has something open there keeps nobody: the containers have ended.
func removeScratch(spec runtime.SandboxSpec) error {
	if spec.Scratch == "" {
		return nil
	}
	mounted, err := mountinfo.Mounted(spec.Scratch)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !mounted {
		return nil
	}
	if err != nil {
		return err
	}
	if err := mount.UnmountAll(spec.Scratch, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount %s: %w", spec.Scratch, err)
	}
	return nil
}
