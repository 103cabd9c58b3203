//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
	"github.com/fardel-io/fardel/task"
)

func openRoots(t *testing.T, from, to string) (a, b *os.Root) {
	t.Helper()
	a, err := os.OpenRoot(from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if b, err = os.OpenRoot(to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a, b
}

func TestCopyTree(t *testing.T) {
	lane.Root(t)
	from, to := t.TempDir(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(from, name) }
	must(os.Mkdir(in("dir"), 0o700))
	must(os.WriteFile(in("dir/file"), []byte("content"), 0o600))
	must(os.Chown(in("dir/file"), 7, 8))
	must(os.Chmod(in("dir/file"), fs.ModeSetuid|0o711))
	must(unix.Setxattr(in("dir/file"), "user.mark", []byte("x"), 0))
	must(os.Link(in("dir/file"), in("second")))
	must(os.Symlink("/etc/passwd", in("link")))
	must(unix.Mkfifo(in("pipe"), 0o640))
	must(unix.Mknod(in("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(os.Chmod(in("null"), 0o666)) // mknod has applied the umask
	must(os.Chmod(from, 0o750))
	must(os.Chown(from, 9, 9))
	must(os.WriteFile(filepath.Join(to, "second"), []byte("mine"), 0o600))
	must(os.WriteFile(filepath.Join(to, partFile), []byte("of a copy that was cut off"), 0o600))

	a, b := openRoots(t, from, to)
	must(copyTree(t.Context(), a, b))
	for name, want := range map[string]string{
		".": "d 750 9:9", "dir": "d 700 0:0", "dir/file": "f 4711 7:8", "second": "f 600 0:0", "link": "l 777 0:0",
		"pipe": "p 640 0:0", "null": "c 666 0:0",
	} {
		var st unix.Stat_t
		must(unix.Lstat(filepath.Join(to, name), &st))
		kind := map[uint32]string{unix.S_IFDIR: "d", unix.S_IFREG: "f", unix.S_IFLNK: "l", unix.S_IFIFO: "p", unix.S_IFCHR: "c"}[st.Mode&unix.S_IFMT]
		if got := fmt.Sprintf("%s %o %d:%d", kind, st.Mode&0o7777, st.Uid, st.Gid); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got, err := os.ReadFile(filepath.Join(to, "second")); err != nil || string(got) != "mine" {
		t.Errorf("a file that was there: %q, %v", got, err)
	}
	value := make([]byte, 8)
	if n, err := unix.Getxattr(filepath.Join(to, "dir/file"), "user.mark", value); err != nil || string(value[:n]) != "x" {
		t.Errorf("extended attribute %q, %v", value[:max(n, 0)], err)
	}
	if _, err := os.Lstat(filepath.Join(to, partFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("part of a file is left: %v", err)
	}
}

// TestCopyTreeIntoHostileDirectory copies into a directory whose owner has put links in the way.
func TestCopyTreeIntoHostileDirectory(t *testing.T) {
	lane.Root(t)
	from, to, outside := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(from, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "etc", "cron"), []byte("evil"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(to, "etc")); err != nil {
		t.Fatal(err)
	}
	a, b := openRoots(t, from, to)
	if err := copyTree(t.Context(), a, b); err == nil {
		t.Error("copied through a link")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside there is %v, %v", left, err)
	}
}

func TestCopyIsResumed(t *testing.T) {
	lane.Root(t)
	dir := filepath.Join(t.TempDir(), "data")
	if err := makeVolume(dir); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		do   func() error
		want bool
	}{
		{func() error { return nil }, true},
		{func() error { return os.WriteFile(filepath.Join(dir, "x"), nil, 0o600) }, false},
		{func() error { return os.WriteFile(underWay(dir), nil, 0o600) }, true},
	} {
		if err := tt.do(); err != nil {
			t.Fatal(err)
		}
		if got, err := needsCopy(dir); err != nil || got != tt.want {
			t.Errorf("needsCopy: %v, %v, want %v", got, err, tt.want)
		}
	}
}

// linkedImage has symbolic links that lead out of it, for those who follow them from outside.
func linkedImage(t *testing.T, d *Driver, outside string) runtime.Image {
	t.Helper()
	file, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.New(image.Config{Ref: "fardel.test/guest:links", Entrypoint: []string{"/guest"}}, image.Files(
		image.File{Name: "/guest", Path: file, Mode: 0o755},
		image.File{Name: "/absolute", Mode: fs.ModeSymlink, Link: outside},
		image.File{Name: "/upwards", Mode: fs.ModeSymlink, Link: strings.Repeat("../", 40) + outside[1:]},
		image.File{Name: "/self", Mode: fs.ModeSymlink, Link: "/proc/self/fd/8"},
		image.File{Name: "/real/file", Content: []byte("of the image")},
		image.File{Name: "/within", Mode: fs.ModeSymlink, Link: "/real"},
	))
	if err != nil {
		t.Fatal(err)
	}
	r, err := img.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	images, err := d.ImportImage(t.Context(), "", r)
	if err != nil {
		t.Fatal(err)
	}
	return images[0]
}

// TestLinksOfAnImage wants that an image's symbolic links lead nowhere outside of it, neither where something is mounted
// nor where something is copied from, nor as a working directory.
func TestLinksOfAnImage(t *testing.T) {
	lane.Root(t)
	d := openEmbedded(t, t.TempDir(), fmt.Sprintf("links-%d", os.Getpid()))
	t.Cleanup(func() { closeEmpty(t, d) })
	outside, logs := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	img := linkedImage(t, d, outside)
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s", Size: task.Size{CPU: 256, Memory: 128}}); err != nil {
		t.Fatal(err)
	}
	run := func(id string, change func(*runtime.ContainerSpec), statements ...string) (string, error) {
		t.Helper()
		spec := runtime.ContainerSpec{ID: id, SandboxID: "s", Image: img.Ref, Command: statements, Log: filepath.Join(logs, id)}
		change(&spec)
		if err := d.CreateContainer(t.Context(), spec); err != nil {
			return "", err
		}
		if err := d.Start(t.Context(), id); err != nil {
			return "", err
		}
		if _, err := d.Wait(t.Context(), id); err != nil {
			return "", err
		}
		out, err := readLog(t, d, spec.Log)
		return string(out), err
	}
	for i, at := range []string{"/absolute", "/upwards"} {
		out, err := run(fmt.Sprintf("mount%d", i), func(s *runtime.ContainerSpec) {
			s.Mounts = []runtime.Mount{{Volume: "v", Destination: at, Populate: true}}
		}, "exists "+at+"/secret", "write "+at+"/x")
		if err != nil || strings.Contains(out, "of the host") || !strings.HasSuffix(out, "written\n") || strings.HasPrefix(out, "exists\n") {
			t.Errorf("a volume at %s: %q, %v", at, out, err)
		}
	}
	out, err := run("within", func(s *runtime.ContainerSpec) {
		s.Mounts = []runtime.Mount{{Volume: "w", Destination: "/within", Populate: true}}
	}, "read /real/file")
	if err != nil || out != "of the image\n" {
		t.Errorf("a volume at a link within the image: %q, %v", out, err)
	}
	for _, dir := range []string{"/self", "/proc/self/fd/7", "/proc/self/fd/8", "/proc/self/fd/9"} {
		out, err := run("dir"+strings.ReplaceAll(dir, "/", "-"), func(s *runtime.ContainerSpec) { s.WorkingDir = dir },
			"read ../../../../../../.."+filepath.Join(outside, "secret"))
		if strings.Contains(out, "of the host") {
			t.Errorf("working directory %s leads to the host: %q, %v", dir, out, err)
		}
	}
	if rest, err := os.ReadDir(outside); err != nil || len(rest) != 1 {
		t.Errorf("the host's directory has %v, %v", rest, err)
	}
	if err := d.RemoveSandbox(context.WithoutCancel(t.Context()), "s"); err != nil {
		t.Error(err)
	}
}
