package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/internal/lane"
	fardel "github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/runtime/image"
)

//go:embed doc.go
var embedded embed.FS

func build(t testing.TB, cfg image.Config, layers ...image.Layer) *image.Image {
	t.Helper()
	img, err := image.New(cfg, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func archive(t testing.TB, img *image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := img.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo: %d of %d bytes, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

// layerFiles lists the headers of the first layer of an archive that has the file.
func layerFiles(t testing.TB, data []byte) map[string]*tar.Header {
	t.Helper()
	found := map[string]*tar.Header{}
	for outer := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := outer.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(outer)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(header.Name, "blobs/sha256/") || len(content) == 0 || content[0] == '{' {
			continue
		}
		for inner := tar.NewReader(bytes.NewReader(content)); ; {
			h, err := inner.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			found["/"+strings.TrimSuffix(h.Name, "/")] = h
		}
	}
}

func TestSameFilesSameDigest(t *testing.T) {
	dir := func(when time.Time) string {
		d := t.TempDir()
		for name, mode := range map[string]fs.FileMode{"b/x": 0o755, "a": 0o640, "b/y": 0o644} {
			file := filepath.Join(d, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(name), mode), os.Chmod(file, mode),
				os.Chtimes(file, when, when)); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	for _, zipped := range []bool{false, true} {
		cfg := image.Config{Ref: "app:1", Labels: map[string]string{"a": "1", "b": "2"}, Volumes: []string{"/y", "/x"}, Gzip: zipped}
		one := build(t, cfg, image.Dir(dir(time.Unix(1, 0))), image.Base())
		two := build(t, cfg, image.Dir(dir(time.Now())), image.Base())
		if one.Digest() != two.Digest() {
			t.Errorf("gzip %t: %s and %s", zipped, one.Digest(), two.Digest())
		}
		if !bytes.Equal(archive(t, one), archive(t, two)) {
			t.Errorf("gzip %t: one digest, two archives", zipped)
		}
	}
}

func TestLayers(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "tool"), []byte("x"), 0o700), os.Chmod(filepath.Join(dir, "tool"), 0o700|fs.ModeSetuid),
		os.Symlink("tool", filepath.Join(dir, "link")), os.Mkdir(filepath.Join(dir, "empty"), 0o711)); err != nil {
		t.Fatal(err)
	}
	img := build(t, image.Config{},
		image.Base(), image.Dir(dir), image.FS(embedded),
		image.Files(
			image.File{Name: "/deep/er/file", Content: []byte("hello"), UID: 7, GID: 8, Mode: 0o600},
			image.File{Name: "/deep/link", Mode: fs.ModeSymlink, Link: "../etc"},
			image.File{Name: "/zero"},
			image.File{Name: "/opened", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("stream")), nil }},
		))
	files := layerFiles(t, archive(t, img))
	for name, want := range map[string]tar.Header{
		"/tmp":          {Typeflag: tar.TypeDir, Mode: 0o1777},
		"/etc/passwd":   {Typeflag: tar.TypeReg, Mode: 0o644, Size: files["/etc/passwd"].Size},
		"/tool":         {Typeflag: tar.TypeReg, Mode: 0o4700, Size: 1},
		"/link":         {Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: "tool"},
		"/empty":        {Typeflag: tar.TypeDir, Mode: 0o711},
		"/doc.go":       {Typeflag: tar.TypeReg, Mode: 0o444, Size: files["/doc.go"].Size},
		"/deep/er":      {Typeflag: tar.TypeDir, Mode: 0o755},
		"/deep/er/file": {Typeflag: tar.TypeReg, Mode: 0o600, Size: 5, Uid: 7, Gid: 8},
		"/deep/link":    {Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: "../etc"},
		"/zero":         {Typeflag: tar.TypeReg, Mode: 0o644},
		"/opened":       {Typeflag: tar.TypeReg, Mode: 0o644, Size: 6},
	} {
		got := files[name]
		if got == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		summary := tar.Header{Typeflag: got.Typeflag, Mode: got.Mode, Size: got.Size, Linkname: got.Linkname, Uid: got.Uid, Gid: got.Gid}
		if diff := cmp.Diff(want, summary); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestInvalid(t *testing.T) {
	fifo := t.TempDir()
	if err := exec.CommandContext(t.Context(), "mkfifo", filepath.Join(fifo, "pipe")).Run(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		cfg   image.Config
		layer image.Layer
		want  error
		words string
	}{
		{name: "name", cfg: image.Config{Ref: "A//b"}, want: image.ErrInvalid, words: "A//b"},
		{name: "digest", cfg: image.Config{Ref: "a@sha256:" + strings.Repeat("0", 64)}, want: image.ErrInvalid},
		{name: "relative file", layer: image.Files(image.File{Name: "a"}), want: image.ErrInvalid, words: `"a"`},
		{name: "file twice", layer: image.Files(image.File{Name: "/a"}, image.File{Name: "/b/../a"}), want: image.ErrInvalid, words: "/a"},
		{name: "file below a file", layer: image.Files(image.File{Name: "/a"}, image.File{Name: "/a/b"}), want: image.ErrInvalid, words: "/a/b"},
		{name: "device", layer: image.Files(image.File{Name: "/a", Mode: fs.ModeDevice}), want: image.ErrInvalid},
		{name: "pipe", layer: image.Dir(fifo), want: image.ErrInvalid, words: "pipe"},
		{name: "no directory", layer: image.Dir(file), want: image.ErrInvalid, words: file},
		{name: "missing directory", layer: image.Dir("/no/such/dir"), want: fs.ErrNotExist},
		{name: "missing file", layer: image.Files(image.File{Name: "/a", Path: "/no/such/file"}), want: fs.ErrNotExist, words: "/a"},
		{name: "no program", layer: image.Program(file, "/a"), want: image.ErrInvalid, words: file},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := image.New(tt.cfg, tt.layer)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.words)
			}
		})
	}
}

func TestChangedMeanwhile(t *testing.T) {
	for _, after := range []string{"longer than before", "short", "other!"} {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte("before"), 0o644); err != nil {
			t.Fatal(err)
		}
		img := build(t, image.Config{}, image.Files(image.File{Name: "/file", Path: file}))
		if err := os.WriteFile(file, []byte(after), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := img.WriteTo(io.Discard); !errors.Is(err, image.ErrChanged) {
			t.Errorf("%q: got %v, want ErrChanged", after, err)
		}
		r, err := img.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); !errors.Is(err, image.ErrChanged) {
			t.Errorf("%q, read: got %v, want ErrChanged", after, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpen(t *testing.T) {
	img := build(t, image.Config{Ref: "app:1"}, image.Base(), image.Files(image.File{Name: "/big", Content: bytes.Repeat([]byte("x"), 300_000)}))
	r, err := img.Open()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(r, 5000)))
	if err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := archive(t, img); !bytes.Equal(want, append(got, rest...)) {
		t.Error("Open and WriteTo differ")
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	early, err := img.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(early, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(early.Close(), early.Close()); err != nil {
		t.Errorf("Close before the end: %v", err)
	}
}

func TestInspect(t *testing.T) {
	cfg := image.Config{
		Ref: "team/app:1", Architecture: "arm64", Entrypoint: []string{"/a"}, Command: []string{"b"}, Env: []string{"A=1"}, WorkingDir: "/w",
		User: "7:8", StopSignal: "SIGINT", Volumes: []string{"/y", "/x"}, ExposedPorts: []string{"80/tcp"}, Labels: map[string]string{"k": "v"},
	}
	img := build(t, cfg, image.Base())
	plain := archive(t, img)
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	if _, err := zw.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"plain": plain, "gzip": zipped.Bytes()} {
		got, err := image.Inspect(bytes.NewReader(data))
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		want := fardel.Image{
			Ref: "docker.io/team/app:1", Name: "docker.io/team/app:1", Digest: img.Digest(), Platform: "linux/arm64", Size: got[0].Size,
			Entrypoint: []string{"/a"}, Command: []string{"b"}, Env: []string{"A=1"}, WorkingDir: "/w", User: "7:8", StopSignal: "SIGINT",
			Volumes: []string{"/x", "/y"}, ExposedPorts: []string{"80/tcp"}, Labels: map[string]string{"k": "v"},
		}
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte(strings.Repeat("no archive ", 100)), "truncated": plain[:2000], "truncated gzip": zipped.Bytes()[:300],
		"gzip of nothing": []byte("\x1f\x8b\x08x"),
	} {
		if got, err := image.Inspect(bytes.NewReader(data)); !errors.Is(err, image.ErrCorrupt) {
			t.Errorf("%s: got %+v, %v; want ErrCorrupt", name, got, err)
		}
	}
	broken := errors.New("the disk is gone")
	if _, err := image.Inspect(io.MultiReader(bytes.NewReader(plain[:2000]), iotest.ErrReader(broken))); !errors.Is(err, broken) || errors.Is(err, image.ErrCorrupt) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func TestInspectDockerSave(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range map[string]string{
		"manifest.json": `[{"Config":"c.json","RepoTags":["b:2","a:1"],"Layers":["layer.tar"]}]`,
		"c.json":        `{"os":"linux","architecture":"amd64","config":{"Cmd":["x"]},"rootfs":{"type":"layers","diff_ids":[]}}`,
	} {
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Size: int64(len(content)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := image.Inspect(&b)
	if err != nil || len(got) != 2 || got[0].Name != "docker.io/library/a:1" || got[1].Name != "docker.io/library/b:2" || !slices.Equal(got[0].Command, []string{"x"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzInspect(f *testing.F) {
	img, err := image.New(image.Config{Ref: "app:1"}, image.Files(image.File{Name: "/a", Content: []byte("x")}))
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := img.WriteTo(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := image.Inspect(bytes.NewReader(data)); err != nil && !errors.Is(err, image.ErrCorrupt) {
			t.Errorf("%v is not ErrCorrupt", err)
		}
	})
}

// TestSelf takes this test binary, which is dynamically linked when cgo is on, and runs it from its image alone.
func TestSelf(t *testing.T) {
	img, err := image.Self(image.Config{Ref: "self:1", Command: []string{"-test.run=^TestNothing$", "-test.v"}})
	if err != nil {
		t.Fatal(err)
	}
	runFrom(t, img, "--- PASS: TestNothing")
}

func TestNothing(*testing.T) {}

// TestDynamicProgram takes programs of the machine with libraries, some of which need others.
func TestDynamicProgram(t *testing.T) {
	for name, args := range map[string][]string{"ls": {"/etc/passwd"}, "id": {"-u"}} {
		t.Run(name, func(t *testing.T) {
			path := lane.Command(t, name)
			img, err := image.FromExecutable(path, image.Config{Command: args})
			if err != nil {
				t.Fatal(err)
			}
			want := "/etc/passwd"
			if name == "id" {
				want = "0"
			}
			runFrom(t, img, want)
		})
	}
}

// runFrom unpacks an image and runs its command with it as the root directory.
func runFrom(t *testing.T, img *image.Image, want string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	lane.Root(t)
	chroot := lane.Command(t, "chroot")
	data := archive(t, img)
	infos, err := image.Inspect(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	unpack(t, data, root)
	args := append([]string{root}, append(infos[0].Entrypoint, infos[0].Command...)...)
	out, err := exec.CommandContext(t.Context(), chroot, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%q: %v, %s; want %q", args, err, out, want)
	}
}

func unpack(t testing.TB, data []byte, dir string) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for outer := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := outer.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(header.Name, "blobs/sha256/") || header.Size < 1024 {
			continue
		}
		for inner := tar.NewReader(outer); ; {
			h, err := inner.Next()
			if err != nil {
				break // also for blobs that are no layers
			}
			name := strings.TrimSuffix(h.Name, "/")
			if h.Typeflag == tar.TypeDir {
				err = root.MkdirAll(name, h.FileInfo().Mode().Perm())
			} else {
				err = extract(root, name, h, inner)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func extract(root *os.Root, name string, h *tar.Header, content io.Reader) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, h.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

func TestCACertificates(t *testing.T) {
	img, err := image.New(image.Config{}, image.CACertificates())
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if h := layerFiles(t, archive(t, img))["/etc/ssl/certs/ca-certificates.crt"]; h == nil || h.Size == 0 {
		t.Errorf("got %+v", h)
	}
}

func TestMissingLibrary(t *testing.T) {
	if _, err := image.New(image.Config{}, image.FS(fstest.MapFS{"a": {Data: []byte("x"), Mode: 0o600}})); err != nil {
		t.Errorf("a file system in memory: %v", err)
	}
}

func ExampleNew() {
	img, err := image.New(image.Config{Ref: "hello:1", Entrypoint: []string{"/hello"}},
		image.Base(), image.Files(image.File{Name: "/hello", Mode: 0o755, Content: []byte("#!/bin/sh\necho hello\n")}))
	if err != nil {
		fmt.Println(err)
		return
	}
	archive, err := img.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer archive.Close()

	driver := fake.New(fake.Config{})
	defer driver.Machine().Close()
	list, err := driver.ImportImage(context.Background(), "", archive)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(list[0].Name, list[0].Entrypoint)
	// Output: docker.io/library/hello:1 [/hello]
}
