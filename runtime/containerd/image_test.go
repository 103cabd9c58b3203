//go:build linux

package containerd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
)

// imageTests are run with containerd in this process and with a daemon.
type imageTests struct {
	// open opens a driver in a directory of its own, unless told otherwise, that ends with the test.
	open func(t testing.TB, change ...func(*Config)) *Driver
}

func (s imageTests) run(t *testing.T) {
	for _, tt := range []struct {
		name string
		test func(*testing.T)
	}{
		{"ImportImage", s.importImage},
		{"ImportMovesTag", s.importMovesTag},
		{"ImportGzipAndNames", s.importGzipAndNames},
		{"ImportBroken", s.importBroken},
		{"PullOnce", s.pullOnce},
		{"PullSurvivesRestartOffline", s.pullSurvivesRestartOffline},
		{"PullShared", s.pullShared},
		{"PullLayersOnce", s.pullLayersOnce},
		{"PullCancelledLeavesNothing", s.pullCancelledLeavesNothing},
		{"PullHoldsLayers", s.pullHoldsLayers},
		{"TransferCutOffByCrash", s.transferCutOffByCrash},
		{"PullPlatforms", s.pullPlatforms},
		{"PullErrors", s.pullErrors},
		{"PullUnpackErrors", s.pullUnpackErrors},
		{"PullAuthorization", s.pullAuthorization},
		{"PullTLS", s.pullTLS},
		{"PullMirror", s.pullMirror},
		{"PullMirrors", s.pullMirrors},
		{"PullAttempts", s.pullAttempts},
		{"PullResumes", s.pullResumes},
		{"PullSilence", s.pullSilence},
		{"PullPartialIsBounded", s.pullPartialIsBounded},
	} {
		t.Run(tt.name, tt.test)
	}
}

func TestImagesEmbedded(t *testing.T) {
	lane.Root(t)
	imageTests{embedForImages}.run(t)
}

func TestImagesOfDaemon(t *testing.T) {
	lane.Root(t)
	address := imageDaemon(t)
	imageTests{func(t testing.TB, change ...func(*Config)) *Driver {
		return openForImages(t, func(cfg Config) (*Driver, error) { return Connect(t.Context(), address, cfg) }, change)
	}}.run(t)
}

func embedForImages(t testing.TB, change ...func(*Config)) *Driver {
	t.Helper()
	return openForImages(t, func(cfg Config) (*Driver, error) { return Embed(t.Context(), cfg) }, change)
}

// openForImages gives each directory an owner, so that tests that share a daemon do not share images.
func openForImages(t testing.TB, open func(Config) (*Driver, error), change []func(*Config)) *Driver {
	t.Helper()
	cfg := Config{Dir: t.TempDir(), pullDelay: time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	cfg.Owner = fmt.Sprintf("images-%x", sha256.Sum256([]byte(cfg.Dir)))[:20]
	d, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// imageDaemon starts a containerd of the machine for images only and returns its address.
func imageDaemon(t *testing.T) string {
	t.Helper()
	binary := lane.Command(t, "containerd")
	dir, err := os.MkdirTemp("", "fardel-images-") //nolint:usetesting // short, as a socket's path must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	config := filepath.Join(dir, "config.toml")
	text := "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "--config", config, "--root", filepath.Join(dir, "root"), "--state", filepath.Join(dir, "state"), "--address", address)
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
	})
	waitFor(t, func() bool {
		conn, err := net.Dial("unix", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return address
}

// payload is a layer with one file of n bytes that do not compress, the same for the same seed.
func payload(seed byte, n int) image.Layer {
	data := make([]byte, n)
	x := uint32(seed) + 1
	for i := range data {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		data[i] = byte(x)
	}
	return image.Files(image.File{Name: "/payload" + string(rune('a'+seed)), Content: data})
}

func newImage(t testing.TB, cfg image.Config, layers ...image.Layer) *image.Image {
	t.Helper()
	img, err := image.New(cfg, append([]image.Layer{image.Base()}, layers...)...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func archiveOf(t testing.TB, img *image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := img.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func importOne(t testing.TB, d *Driver, cfg image.Config, layers ...image.Layer) runtime.Image {
	t.Helper()
	list, err := d.ImportImage(t.Context(), "", bytes.NewReader(archiveOf(t, newImage(t, cfg, layers...))))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 {
		t.Fatalf("imported %+v, want one image", list)
	}
	return list[0]
}

// nothingLeft wants that nothing but what records name is in containerd: no lease, no transfer, no loose blob.
func nothingLeft(t testing.TB, d *Driver, wantRecords ...string) {
	t.Helper()
	ctx := d.context(t.Context())
	var last string
	for i := range 1200 { // the collector may run in the background
		last = looseContent(t, ctx, d, wantRecords)
		if last == "" {
			return
		}
		if i%100 == 99 { // a busy daemon may have collected just before: what counts is that nothing keeps the content
			collectGarbage(t, ctx, d)
		}
		timer := time.NewTimer(25 * time.Millisecond)
		<-timer.C
	}
	t.Error(last)
}

// collectGarbage has containerd collect what nothing refers to: the deletion of a lease can wait for that.
func collectGarbage(t testing.TB, ctx context.Context, d *Driver) {
	t.Helper()
	lease, err := d.client.LeasesService().Create(ctx, leases.WithRandomID())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.client.LeasesService().Delete(ctx, lease, leases.SynchronousDelete); err != nil {
		t.Fatal(err)
	}
}

func looseContent(t testing.TB, ctx context.Context, d *Driver, wantRecords []string) string {
	t.Helper()
	records, err := d.client.ImageService().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	wanted := map[string]bool{}
	for _, record := range records {
		names = append(names, record.Name)
		err := images.Walk(ctx, images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
			wanted[desc.Digest.String()] = true
			return images.Children(ctx, d.client.ContentStore(), desc)
		}), record.Target)
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	slices.Sort(wantRecords)
	if !slices.Equal(names, wantRecords) {
		return "records " + strings.Join(names, " ") + ", want " + strings.Join(wantRecords, " ")
	}
	leases, err := d.client.LeasesService().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(leases) > 0 {
		return "lease " + leases[0].ID
	}
	statuses, err := d.client.ContentStore().ListStatuses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(statuses) > 0 {
		return "transfer " + statuses[0].Ref
	}
	loose := ""
	err = d.client.ContentStore().Walk(ctx, func(info content.Info) error {
		if !wanted[info.Digest.String()] {
			loose = "blob " + info.Digest.String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return loose
}

func (s imageTests) importImage(t *testing.T) {
	d := s.open(t)
	img := newImage(t, image.Config{
		Ref: "app:1", Entrypoint: []string{"/bin/app"}, Command: []string{"serve"}, Env: []string{"A=1"}, WorkingDir: "/srv",
		User: "nobody", StopSignal: "SIGINT", Volumes: []string{"/b", "/a"}, ExposedPorts: []string{"80/tcp"}, Labels: map[string]string{"k": "v"},
	}, payload(1, 1<<20))
	archive, err := img.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	list, err := d.ImportImage(t.Context(), "", archive)
	if err != nil {
		t.Fatal(err)
	}
	got := list[0]
	if got.Name != "docker.io/library/app:1" || got.Digest != img.Digest() || got.Ref != "docker.io/library/app@"+img.Digest() {
		t.Errorf("names: got %q, %q, %q; want digest %s", got.Name, got.Digest, got.Ref, img.Digest())
	}
	if !slices.Equal(got.Volumes, []string{"/a", "/b"}) || got.User != "nobody" || got.Size < 1<<20 {
		t.Errorf("got %+v", got)
	}
	pulled, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: "app:1"})
	if err != nil || pulled.Ref != got.Ref {
		t.Errorf("Pull of an imported image: %+v, %v", pulled, err)
	}
	nothingLeft(t, d, got.Name, got.Ref)
	if err := d.RemoveImage(t.Context(), "app:1"); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, d)
}

func (s imageTests) importMovesTag(t *testing.T) {
	d := s.open(t)
	first := importOne(t, d, image.Config{Ref: "app:1", Command: []string{"first"}}, payload(1, 1000))
	second := importOne(t, d, image.Config{Ref: "app:1", Command: []string{"second"}}, payload(1, 1000))
	if first.Digest == second.Digest {
		t.Fatal("one digest for two images")
	}
	for ref, want := range map[string]string{"app:1": "second", first.Ref: "first", second.Ref: "second"} {
		img, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: ref})
		if err != nil || !slices.Equal(img.Command, []string{want}) {
			t.Errorf("%s is %v, %v; want %s", ref, img.Command, err, want)
		}
	}
	list, err := d.Images(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != "docker.io/library/app:1" || list[1].Name != first.Ref {
		t.Errorf("Images: %+v, %v; want the tag and what lost it", list, err)
	}
	for _, ref := range []string{"app:1", first.Ref} {
		if err := d.RemoveImage(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	nothingLeft(t, d)
}

func (s imageTests) importGzipAndNames(t *testing.T) {
	d := s.open(t)
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	if _, err := newImage(t, image.Config{Gzip: true}, payload(2, 5000)).WriteTo(zw); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ImportImage(t.Context(), "", bytes.NewReader(zipped.Bytes())); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("an image without a name: got %v, want ErrInvalid", err)
	}
	nothingLeft(t, d)
	list, err := d.ImportImage(t.Context(), "host:5000/x/app", bytes.NewReader(zipped.Bytes()))
	if err != nil || len(list) != 1 || list[0].Name != "host:5000/x/app:latest" {
		t.Errorf("got %+v, %v", list, err)
	}
	docker := dockerSave(t, "busybox:test")
	list, err = d.ImportImage(t.Context(), "ignored:1", bytes.NewReader(docker))
	if err != nil || len(list) != 1 || list[0].Name != "docker.io/library/busybox:test" {
		t.Errorf("docker save: got %+v, %v", list, err)
	}
}

func (s imageTests) importBroken(t *testing.T) {
	d := s.open(t)
	good := archiveOf(t, newImage(t, image.Config{Ref: "app:1"}, payload(3, 200_000)))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-100_000] ^= 1 // in the layer
	foreign := archiveOf(t, newImage(t, image.Config{Ref: "app:1", Architecture: "s390x"}))
	broken := errors.New("the disk is gone")
	for _, tt := range []struct {
		name string
		from io.Reader
		want error
	}{
		{"empty", strings.NewReader(""), runtime.ErrImageCorrupt},
		{"garbage", strings.NewReader(strings.Repeat("no archive ", 1000)), runtime.ErrImageCorrupt},
		{"gzip of nothing", strings.NewReader("\x1f\x8b\x08nope"), runtime.ErrImageCorrupt},
		{"truncated in the layer", bytes.NewReader(good[:len(good)-100_000]), runtime.ErrImageCorrupt},
		{"truncated in a document", bytes.NewReader(good[:3000]), runtime.ErrImageCorrupt},
		{"flipped bit", bytes.NewReader(flipped), runtime.ErrImageCorrupt},
		{"other architecture", bytes.NewReader(foreign), runtime.ErrImagePlatform},
		{"reader fails", io.MultiReader(bytes.NewReader(good[:5000]), failing{broken}), broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.ImportImage(t.Context(), "app:1", tt.from)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "app:1") {
				t.Errorf("got %v, want %v with the name", err, tt.want)
			}
			if tt.want == broken && errors.Is(err, runtime.ErrImageCorrupt) {
				t.Errorf("%v blames the archive", err)
			}
			nothingLeft(t, d)
		})
	}
	if _, err := d.ImportImage(t.Context(), "UPPER//", bytes.NewReader(good)); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("a name that is none: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	slow := io.MultiReader(bytes.NewReader(good[:50_000]), cancelling(cancel), bytes.NewReader(good[50_000:]))
	if _, err := d.ImportImage(ctx, "", slow); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	nothingLeft(t, d)
	if _, err := d.ImportImage(t.Context(), "", bytes.NewReader(good)); err != nil {
		t.Errorf("the good archive after all the broken ones: %v", err)
	}
}

// dockerSave is an archive in the format of docker save before it had OCI's.
func dockerSave(t testing.TB, ref string) []byte {
	t.Helper()
	var layer, out bytes.Buffer
	put := func(w *tar.Writer, name string, data []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	lw := tar.NewWriter(&layer)
	put(lw, "etc/motd", []byte("hello\n"))
	if err := lw.Close(); err != nil {
		t.Fatal(err)
	}
	config := fmt.Appendf(nil, `{"architecture":%q,"os":"linux","config":{"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`,
		goruntime.GOARCH, sha256.Sum256(layer.Bytes()))
	w := tar.NewWriter(&out)
	put(w, "layer.tar", layer.Bytes())
	put(w, "config.json", config)
	put(w, "manifest.json", fmt.Appendf(nil, `[{"Config":"config.json","RepoTags":[%q],"Layers":["layer.tar"]}]`, ref))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// cancelling is an empty reader that calls f.
type cancelling func()

func (f cancelling) Read([]byte) (int, error) { f(); return 0, io.EOF }

func BenchmarkImportAndCachedPull(b *testing.B) {
	d := embedForImages(b)
	data := archiveOf(b, newImage(b, image.Config{Ref: "app:1"}, payload(3, 2<<20)))
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.ImportImage(b.Context(), "", bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pull", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.Pull(b.Context(), runtime.ImageSpec{Ref: "app:1"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
