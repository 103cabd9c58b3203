//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/cgroup"
	"github.com/fardel-io/fardel/internal/filelock"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
)

// claim makes sure that the machine can run containers and that nobody else uses our directory and our cgroups. It
// returns the path of the OCI runtime.
func (d *Driver) claim(ctx context.Context) (string, error) {
	if os.Geteuid() != 0 {
		return "", &runtime.UnsupportedError{Feature: "running containers", Needs: "root: run the program as root, for example with sudo"}
	}
	binary, err := d.findRuntime(ctx)
	if err != nil {
		return "", err
	}
	if err := d.lockDir(); err != nil {
		return "", err
	}
	if err := d.lockCgroups(ctx); err != nil {
		return "", err
	}
	if d.limits, err = oci.ProcessLimits(os.DirFS("/proc"), "self"); err != nil {
		return "", err
	}
	if d.throttling, err = oci.ThrottlingCounters(os.DirFS("/sys")); err != nil {
		return "", err
	}
	if err := d.openAppArmor(ctx); err != nil {
		return "", err
	}
	return d.wrapRuntime(binary)
}

// wrapper runs the OCI runtime with one pipe for both streams of a container, so that their order is kept in its log,
// unless the container's directory has a file apartFile. containerd makes two pipes and copies from each as it comes. Of a
// further process they stay apart, for the caller of Exec gets them apart. The ID is the last argument.
const wrapper = `#!/bin/sh
for id; do :; done
for arg; do
	case $arg in
	create) [ -e %[2]s/"$id"/` + apartFile + ` ] || exec 2>&1; break ;;
	start | exec | kill | delete | state | ps | pause | resume | update | events) break ;;
	esac
done
exec %[1]s%[3]s "$@"
`

// wrapRuntime returns the path of the wrapper, or of the OCI runtime itself where there is no shell, or no executable
// can be in Config.Dir; then the order of what is written to stdout and to stderr at the same time is not kept.
func (d *Driver) wrapRuntime(binary string) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.cfg.Dir, &fs); err != nil {
		return "", err
	}
	if _, err := exec.LookPath("/bin/sh"); err != nil || fs.Flags&unix.ST_NOEXEC != 0 {
		if d.isGVisor() {
			return "", &runtime.UnsupportedError{Feature: gVisor, Needs: "/bin/sh, and a Config.Dir that is not mounted with noexec"}
		}
		return binary, nil
	}
	path := filepath.Join(d.cfg.Dir, "oci-runtime")
	tmp := path + ".new" // running shims may be about to start the old one
	if err := os.WriteFile(tmp, fmt.Appendf(nil, wrapper, shellQuote(binary), shellQuote(filepath.Join(d.cfg.Dir, "containers")), d.runtimeFlags()), 0o700); err != nil {
		return "", err
	}
	return path, os.Rename(tmp, path)
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// lockDir keeps a second process out of Config.Dir. The lock ends with this process, however that ends.
func (d *Driver) lockDir() error {
	for _, sub := range []string{"", "sandboxes", "containers", "tmp"} {
		if err := os.MkdirAll(filepath.Join(d.cfg.Dir, sub), 0o711); err != nil {
			return err
		}
	}
	path := filepath.Join(d.cfg.Dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = filelock.Lock(f)
	if errors.Is(err, filelock.ErrLocked) {
		err = fmt.Errorf("%s is locked: another process uses this directory; give each its own Config.Dir", path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	d.onClose(f.Close)
	return nil
}

func (d *Driver) lockCgroups(ctx context.Context) error {
	tree, err := d.openCgroups(ctx)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil {
		return &runtime.UnsupportedError{Feature: "task sizes", Needs: "cgroups: " + err.Error()}
	}
	lock, err := tree.Lock()
	if errors.Is(err, cgroup.ErrLocked) {
		return fmt.Errorf("cgroup %s is locked: another process uses Config.Owner %q; give each its own", tree.Path(), d.cfg.Owner)
	}
	if err != nil {
		return &runtime.UnsupportedError{
			Feature: "task sizes",
			Needs:   "write access to cgroups; in a container it must be privileged, with /sys/fs/cgroup writable: " + err.Error(),
		}
	}
	d.cgroups = tree
	d.onClose(func() error {
		err := endHelpers(tree)
		tree.RemoveParent() // if nothing runs any more
		return errors.Join(err, lock.Close())
	})
	return nil
}
