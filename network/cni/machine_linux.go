package cni

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/network"
)

// checkMachine reports what this process lacks.
func (f *Fabric) checkMachine() error {
	if os.Geteuid() != 0 {
		return &network.UnsupportedError{Feature: "CNI plugins", Needs: "root"}
	}
	return nil
}

// makeNamespace makes a network namespace whose loopback interface is up, and mounts it at path.
func makeNamespace(path string) error {
	if err := clearMountPoint(path); err != nil {
		return err
	}
	point, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	_ = point.Close()
	err = inThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := setUpLoopback(); err != nil {
			return err
		}
		return os.NewSyscallError("mount", unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""))
	})
	if err != nil {
		return fmt.Errorf("make network namespace: %w", errors.Join(err, clearMountPoint(path)))
	}
	return nil
}

// setUpLoopback sets up the loopback interface of the calling thread's namespace.
func setUpLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r))
}

// isMounted reports a path that no namespace is mounted at.
func isMounted(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	if st.Type != unix.NSFS_MAGIC {
		return fmt.Errorf("no namespace is mounted at %s", path)
	}
	return nil
}

// clearMountPoint removes what is at the path of a namespace: every mount on it, then the file.
func clearMountPoint(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err == nil {
			continue
		}
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return &fs.PathError{Op: "unmount", Path: path, Err: err}
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
}

// lockPlugins takes the lock that plugins called for an ENI hold, those of a host program that was killed too. The lock
// goes with the last descriptor of the file.
func (f *Fabric) lockPlugins(ctx context.Context, eni string) (*os.File, error) {
	file, err := os.OpenFile(f.cfg.lockPath(eni), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = file.Close()
			return nil, &fs.PathError{Op: "lock", Path: file.Name(), Err: err}
		}
		wait := time.NewTimer(20 * time.Millisecond)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			_ = file.Close()
			return nil, fmt.Errorf("wait for plugins that are at work on %s: %w", eni, ctx.Err())
		}
	}
}
