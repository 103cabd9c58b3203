//go:build linux

package containerd

import (
	"errors"
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
	file := filepath.Join(d.tempDir(), "mount-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("/dev/null", file, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	closeEmpty(t, openEmbedded(t, d.cfg.Dir, d.cfg.Owner))
	isThere("swept")
	if names, err := os.ReadDir(d.tempDir()); err != nil || len(names) > 0 {
		t.Errorf("not swept: %v, %v", names, err)
	}
}

// TestSweepBehindLink has a directory whose name is a link, where the kernel's table of mounts has another name for it: what a
// driver that was killed has bound there is unmounted, and not removed with its files.
func TestSweepBehindLink(t *testing.T) {
	lane.Root(t)
	base := t.TempDir()
	dir := filepath.Join(base, "link")
	if err := errors.Join(os.Mkdir(filepath.Join(base, "real"), 0o700), os.Symlink("real", dir)); err != nil {
		t.Fatal(err)
	}
	d := openEmbedded(t, dir, fmt.Sprintf("link-%d", os.Getpid()))
	host := t.TempDir()
	precious := filepath.Join(host, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at, _, err := d.bindInside(host, "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	closeEmpty(t, openEmbedded(t, dir, d.cfg.Owner))
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a file of the host: %v", err)
	}
	if _, err := os.Lstat(at); !os.IsNotExist(err) {
		t.Errorf("not swept: %v", err)
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
}
