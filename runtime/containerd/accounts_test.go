//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
)

// TestHostileAccounts has images with something else than a file where the names of their users are.
func TestHostileAccounts(t *testing.T) {
	link := func(target string) func(path string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	for _, tt := range []struct {
		name string
		make func(path string) error
		want string // of the error, "" for none
	}{
		{"a file", func(p string) error { return os.WriteFile(p, []byte("root:x:0:0\n"), 0o600) }, ""},
		{"nothing", func(string) error { return nil }, ""},
		{"a link to a file", link("../usr/accounts"), ""},
		{"an absolute link to a file", link("/usr/accounts"), ""},
		{"a link that climbs to a file", link("../../../../usr/accounts"), ""},
		{"a FIFO", func(p string) error { return unix.Mkfifo(p, 0o600) }, "is not a regular file"},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o700) }, "is not a regular file"},
		{"a socket", func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o600, 0) }, "is not a regular file"},
		{"a sparse file of 10 GiB", func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o600), os.Truncate(p, 10<<30))
		}, "has 10737418240 bytes"},
		{"one long line", func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("x", 2<<20)), 0o600) }, "has 2097152 bytes"},
		{"a link to a FIFO", func(p string) error {
			return errors.Join(unix.Mkfifo(filepath.Join(filepath.Dir(p), "fifo"), 0o600), os.Symlink("/etc/fifo", p))
		}, "is not a regular file"},
		{"a link into /proc", link("/proc/self/fd/0"), "the image does not have"},
		{"a link to the host's file", link("/host-has-this"), "the image does not have"},
		{"a link to itself", link("passwd"), "leads nowhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			err := errors.Join(os.MkdirAll(filepath.Join(root, "etc"), 0o700), os.MkdirAll(filepath.Join(root, "usr"), 0o700),
				os.WriteFile(filepath.Join(root, "usr/accounts"), []byte("root:x:0:0\n"), 0o600), tt.make(filepath.Join(root, "etc/passwd")))
			if err != nil {
				t.Fatal(err)
			}
			text, err := readAccount(root, "etc/passwd")
			if tt.want == "" {
				if err != nil || tt.name != "nothing" && string(text) != "root:x:0:0\n" {
					t.Errorf("got %q, %v", text, err)
				}
				return
			}
			refused := err != nil && errors.Is(err, runtime.ErrInvalid) && strings.Contains(err.Error(), "/etc/passwd ") && strings.Contains(err.Error(), tt.want)
			hostiletest.Report(t, "an image's passwd is "+tt.name, !refused, errorText(err))
		})
	}
	root := t.TempDir()
	if err := os.Symlink("/proc/1/root/etc", filepath.Join(root, "etc")); err != nil {
		t.Fatal(err)
	}
	_, err := readAccount(root, "etc/passwd")
	hostiletest.Report(t, "an image's /etc is a link into /proc", !errors.Is(err, runtime.ErrInvalid), errorText(err))
}

func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// TestRemember keeps a host program from holding something of every image that it ever ran.
func TestRemember(t *testing.T) {
	known := map[string]int{}
	for i := range 10 * maxKnownImages {
		remember(known, fmt.Sprint(i), i)
		if len(known) > maxKnownImages || known[fmt.Sprint(i)] != i {
			t.Fatalf("after %d images: %d", i+1, len(known))
		}
	}
}
