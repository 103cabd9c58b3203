package containerd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/fardel-io/fardel/internal/cgroup"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
)

// claim makes sure that the machine can run containers and that nobody else uses our directory and our cgroups. It
// returns the path of the OCI runtime.
func (d *Driver) claim() (string, error) {
	if os.Geteuid() != 0 {
		return "", &runtime.UnsupportedError{Feature: "containers", Needs: "root: run the program as root, for example with sudo"}
	}
	binary, err := findRuntime(d.cfg.Runtime)
	if err != nil {
		return "", err
	}
	if err := d.lockDir(); err != nil {
		return "", err
	}
	if err := d.lockCgroups(); err != nil {
		return "", err
	}
	d.limits, err = oci.ProcessLimits(os.DirFS("/proc"), "self")
	return binary, err
}

func findRuntime(name string) (string, error) {
	candidates := []string{name}
	if filepath.Base(name) == name {
		candidates = append(candidates, "/usr/local/sbin/"+name, "/usr/sbin/"+name, "/sbin/"+name)
	}
	for _, c := range candidates {
		if path, err := exec.LookPath(c); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", &runtime.UnsupportedError{
		Feature: "containers",
		Needs:   fmt.Sprintf("the OCI runtime %s in PATH, /usr/local/sbin or /usr/sbin: apt-get install runc, or dnf install runc", name),
	}
}

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
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("%s is locked: another process uses this directory; give each its own Config.Dir", path), f.Close())
	}
	d.onClose(f.Close)
	return nil
}

func (d *Driver) lockCgroups() error {
	tree, err := cgroup.Open(d.cfg.CgroupParent)
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
		tree.RemoveParent() // if nothing runs any more
		return lock.Close()
	})
	return nil
}
