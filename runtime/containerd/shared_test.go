//go:build linux

package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/lane"
)

// TestMountsOfTheHostStay binds a directory of the host with a mount in it, on a machine whose mounts are shared, as systemd
// has them: what is unmounted of a copy is unmounted of the original then.
func TestMountsOfTheHostStay(t *testing.T) {
	lane.Root(t)
	host := t.TempDir()
	inner := filepath.Join(host, "inner")
	if err := unix.Mount("fardel", host, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(host, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", host, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	isThere := func(when string) {
		t.Helper()
		if mounted, err := mountinfo.Mounted(inner); err != nil || mounted {
			return
		}
		t.Errorf("%s: what is mounted at %s is gone", when, inner)
		if err := unix.Mount("fardel", inner, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("fardel", inner, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	d := openEmbedded(t, t.TempDir(), fmt.Sprintf("shared-%d", os.Getpid()))
	at, unmount, err := d.bindInside(host, "/")
	if err != nil {
		t.Fatal(err)
	}
	if mounted, err := mountinfo.Mounted(filepath.Join(at, "inner")); err != nil || !mounted {
		t.Errorf("the copy has no mount in it: %v", err)
	}
	if err := unmount(); err != nil {
		t.Error(err)
	}
	isThere("bound and unmounted")

	// What a driver leaves that is killed in between.
	left := filepath.Join(d.tempDir(), "mount-left")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(host, left, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	closeEmpty(t, openEmbedded(t, d.cfg.Dir, d.cfg.Owner))
	isThere("swept")
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("not swept: %v", err)
	}
}
