//go:build linux

package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
)

// TestSharedPIDAfterReboot finds a sandbox whose first process and network namespace went with the machine's last run. It is
// there to be removed, and in its way is nothing else.
func TestSharedPIDAfterReboot(t *testing.T) {
	lane.Root(t)
	dir := t.TempDir()
	d := openEmbedded(t, dir, fmt.Sprintf("reboot-%d", os.Getpid()))
	afterReboot(t, d, openEmbedded)
}

// TestUserNSSharedPIDAfterReboot has it lose its user namespace, too.
func TestUserNSSharedPIDAfterReboot(t *testing.T) {
	d := usernsDriver(t, t.TempDir())
	afterReboot(t, d, func(t *testing.T, dir, owner string) *Driver { return openUserNS(t, dir, owner) })
}

func afterReboot(t *testing.T, d *Driver, open func(t *testing.T, dir, owner string) *Driver) {
	t.Helper()
	netns := filepath.Join(t.TempDir(), "netns")
	if d.cfg.UserNamespaces != nil {
		netns = netNSOf(t, testIDs().First)
	} else if err := os.Symlink("/proc/self/ns/net", netns); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s", SharePID: true, NetNS: netns}); err != nil {
		t.Fatal(err)
	}
	pause := d.sandboxes["s"].pause
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pause.kill(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{netns, d.userPath("s")} {
		if err := unpin(path); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, d.cfg.Dir, d.cfg.Owner)
	defer closeEmpty(t, again)
	spec := runtime.ContainerSpec{ID: "late", SandboxID: "s", Image: "fardel.test/none:1"}
	if err := again.CreateContainer(t.Context(), spec); err == nil {
		t.Error("a container is made in what is left of the sandbox")
	}
	if err := again.RemoveSandbox(t.Context(), "s"); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, again)
	_ = unix.Unmount(netns, unix.MNT_DETACH)
}
