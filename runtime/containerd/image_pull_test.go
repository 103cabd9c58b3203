//go:build linux

package containerd

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
)

// testRegistry is a registry on loopback that counts what it is asked.
type testRegistry struct {
	*httptest.Server
	host string

	mu       sync.Mutex
	requests []string                                               // "GET /v2/app/manifests/1"
	guard    func(w http.ResponseWriter, r *http.Request) (ok bool) // before the registry itself
}

func newRegistry(t testing.TB, secure bool) *testRegistry {
	t.Helper()
	r := &testRegistry{}
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, req.Method+" "+req.URL.Path)
		guard := r.guard
		r.mu.Unlock()
		if guard == nil || guard(w, req) {
			store.ServeHTTP(w, req)
		}
	})
	if r.Server = httptest.NewUnstartedServer(handler); secure {
		r.StartTLS()
	} else {
		r.Start()
	}
	t.Cleanup(r.Close)
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.host = u.Host
	return r
}

// named gives registries on loopback the entries that they need.
func named(registries ...*testRegistry) func(*Config) {
	return func(c *Config) {
		if c.Registries == nil {
			c.Registries = map[string]Registry{}
		}
		for _, r := range registries {
			c.Registries[r.host] = Registry{PlainHTTP: r.TLS == nil}
		}
	}
}

func (r *testRegistry) setGuard(guard func(w http.ResponseWriter, r *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.guard = guard
}

// asked returns and forgets the requests whose line contains part.
func (r *testRegistry) asked(part string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.requests
	r.requests = nil
	return slices.DeleteFunc(all, func(line string) bool { return !strings.Contains(line, part) })
}

// push puts an image into the registry under a tag, before any guard, and returns its digest.
func (r *testRegistry) push(t testing.TB, ref string, img *image.Image) string {
	t.Helper()
	repository, tag, _ := strings.Cut(ref, ":")
	blobs := r.pushBlobs(t, repository, img)
	r.put(t, repository+"/manifests/"+tag, ocispec.MediaTypeImageManifest, blobs[img.Digest()])
	r.asked("")
	return img.Digest()
}

// pushIndex puts an index of images into the registry.
func (r *testRegistry) pushIndex(t testing.TB, ref string, platforms []string, imgs ...*image.Image) string {
	t.Helper()
	repository, tag, _ := strings.Cut(ref, ":")
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i, img := range imgs {
		manifest := r.pushBlobs(t, repository, img)[img.Digest()]
		r.put(t, repository+"/manifests/"+img.Digest(), ocispec.MediaTypeImageManifest, manifest)
		os, arch, _ := strings.Cut(platforms[i], "/")
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(img.Digest()), Size: int64(len(manifest)),
			Platform: &ocispec.Platform{OS: os, Architecture: arch},
		})
	}
	data, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	r.put(t, repository+"/manifests/"+tag, ocispec.MediaTypeImageIndex, data)
	r.asked("")
	return digest.FromBytes(data).String()
}

// pushBlobs puts everything in an image's archive into the registry, and returns it by digest.
func (r *testRegistry) pushBlobs(t testing.TB, repository string, img *image.Image) map[string][]byte {
	t.Helper()
	blobs := map[string][]byte{}
	for tr := tar.NewReader(bytes.NewReader(archiveOf(t, img))); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return blobs
		}
		if err != nil {
			t.Fatal(err)
		}
		hex, isBlob := strings.CutPrefix(header.Name, "blobs/sha256/")
		if !isBlob || header.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		blobs["sha256:"+hex] = data
		r.send(t, http.MethodPost, repository+"/blobs/uploads/?digest=sha256:"+hex, "application/octet-stream", data)
	}
}

func (r *testRegistry) put(t testing.TB, path, mediaType string, data []byte) {
	t.Helper()
	r.send(t, http.MethodPut, path, mediaType, data)
}

func (r *testRegistry) send(t testing.TB, method, path, mediaType string, data []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL+"/v2/"+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// seed tells the images of randomImage apart.
var seed atomic.Uint32

// randomImage has layers of content that no other has, for a platform.
func randomImage(t testing.TB, platform string, layers int) *image.Image {
	t.Helper()
	var list []image.Layer
	for range layers {
		list = append(list, payload(byte(seed.Add(1)), 40_000))
	}
	_, arch, _ := strings.Cut(platform, "/")
	img, err := image.New(image.Config{Architecture: arch, Command: []string{platform}, Gzip: true}, list...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func (s imageTests) pullOnce(t *testing.T) {
	r := newRegistry(t, false)
	digest := r.push(t, "team/app:1", randomImage(t, "linux/amd64", 3))
	d := s.open(t, named(r))
	ref := r.host + "/team/app:1"
	var last runtime.PullProgress
	spec := runtime.ImageSpec{Ref: ref, Platform: "linux/amd64", Progress: func(p runtime.PullProgress) { last = p }}
	img, err := d.Pull(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if img.Digest != digest || img.Name != ref || img.Ref != r.host+"/team/app@"+digest || !slices.Equal(img.Command, []string{"linux/amd64"}) {
		t.Errorf("got %+v, want digest %s", img, digest)
	}
	if last.Cached || last.Layers != 3 || last.LayersDone != 3 || last.Done != last.Total || last.Total != img.Size || !last.Unpacking {
		t.Errorf("last progress %+v of an image with %d bytes", last, img.Size)
	}
	requests := r.asked("")
	if blobs := len(slices.DeleteFunc(slices.Clone(requests), func(l string) bool { return !strings.Contains(l, "/blobs/") })); blobs != 4 {
		t.Errorf("%d requests for blobs, want three layers and a configuration: %q", blobs, requests)
	}
	if heads := len(slices.DeleteFunc(slices.Clone(requests), func(l string) bool { return !strings.HasSuffix(l, "/manifests/1") })); heads != 1 {
		t.Errorf("the tag was resolved %d times: %q", heads, requests)
	}

	r.push(t, "team/app:1", randomImage(t, "linux/amd64", 1)) // the tag moves
	for _, again := range []string{ref, img.Ref} {
		got, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: again, Platform: "linux/amd64"})
		if err != nil || got.Digest != digest {
			t.Errorf("%s again: %+v, %v", again, got, err)
		}
	}
	if requests := r.asked(""); len(requests) > 0 {
		t.Errorf("a cached image costs requests: %q", requests)
	}
	spec.Refresh = true
	if got, err := d.Pull(t.Context(), spec); err != nil || got.Digest == digest {
		t.Errorf("with Refresh: %+v, %v; want what the tag names now", got, err)
	}
	r.asked("")
	if got, err := d.Pull(t.Context(), spec); err != nil || !last.Cached {
		t.Errorf("Refresh of what is here: %+v, %v, progress %+v", got, err, last)
	}
	if requests := r.asked(""); len(requests) != 1 || !strings.HasPrefix(requests[0], "HEAD") {
		t.Errorf("Refresh of what is here asked %q, want one HEAD", requests)
	}
}

func (s imageTests) pullSurvivesRestartOffline(t *testing.T) {
	r := newRegistry(t, false)
	r.push(t, "app:1", randomImage(t, "linux/amd64", 1))
	dir := t.TempDir()
	inDir := func(c *Config) { c.Dir = dir }
	first := s.open(t, inDir, named(r))
	spec := runtime.ImageSpec{Ref: r.host + "/app:1", Platform: "linux/amd64"}
	want, err := first.Pull(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Pull(t.Context(), spec); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("Pull after Close: got %v, want ErrClosed", err)
	}
	r.Close()
	got, err := s.open(t, inDir, named(r)).Pull(t.Context(), spec)
	if err != nil || got.Ref != want.Ref {
		t.Errorf("the next driver, without a registry: %+v, %v", got, err)
	}
}

// gate holds requests for blobs until it is opened, and tells of the first.
func gate(r *testRegistry) (arrived <-chan struct{}, open func()) {
	first, opened := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.setGuard(func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/blobs/") {
			once.Do(func() { close(first) })
			select {
			case <-opened:
			case <-req.Context().Done():
			}
		}
		return true
	})
	return first, sync.OnceFunc(func() { close(opened) })
}

func (s imageTests) pullShared(t *testing.T) {
	r := newRegistry(t, false)
	r.push(t, "app:1", randomImage(t, "linux/amd64", 2))
	d := s.open(t, named(r))
	arrived, open := gate(r)
	spec := runtime.ImageSpec{Ref: r.host + "/app:1", Platform: "linux/amd64"}
	impatient, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() {
			ctx := t.Context()
			if i == 0 {
				ctx = impatient
			}
			_, errs[i] = d.Pull(ctx, spec)
		})
	}
	<-arrived
	cancel()
	waitFor(t, func() bool { d.pulls.mu.Lock(); defer d.pulls.mu.Unlock(); return onlyWaiters(d) == 3 })
	open()
	group.Wait()
	if !errors.Is(errs[0], context.Canceled) {
		t.Errorf("the one that gave up: %v", errs[0])
	}
	if err := errors.Join(errs[1:]...); err != nil {
		t.Errorf("those that waited: %v", err)
	}
	if blobs := r.asked("/blobs/"); len(blobs) != 3 {
		t.Errorf("%d requests for three blobs: %q", len(blobs), blobs)
	}
}

// pullLayersOnce pulls different images with the same layers at once.
func (s imageTests) pullLayersOnce(t *testing.T) {
	r := newRegistry(t, false)
	layers := []image.Layer{payload(200, 60_000), payload(201, 60_000)}
	const count = 5
	for i := range count {
		img, err := image.New(image.Config{Architecture: "amd64", Command: []string{fmt.Sprint(i)}, Gzip: true}, layers...)
		if err != nil {
			t.Fatal(err)
		}
		r.push(t, fmt.Sprintf("app:%d", i), img)
	}
	d := s.open(t, named(r))
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() {
			img, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: fmt.Sprintf("%s/app:%d", r.host, i), Platform: "linux/amd64"})
			if err != nil || !slices.Equal(img.Command, []string{fmt.Sprint(i)}) {
				t.Errorf("image %d: %+v, %v", i, img, err)
			}
		})
	}
	group.Wait()
	if blobs := r.asked("/blobs/"); len(blobs) != count+len(layers) {
		t.Errorf("%d requests for %d configurations and %d layers: %q", len(blobs), count, len(layers), blobs)
	}
}

// onlyWaiters counts the waiters of all flights. The caller holds the lock.
func onlyWaiters(d *Driver) int {
	n := 0
	for _, f := range d.pulls.flights {
		n += f.waiters
	}
	return n
}

func waitFor(t testing.TB, ask func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("waited in vain")
		}
	}
}

func (s imageTests) pullCancelledLeavesNothing(t *testing.T) {
	r := newRegistry(t, false)
	r.push(t, "app:1", randomImage(t, "linux/amd64", 3))
	d := s.open(t, named(r))
	spec := runtime.ImageSpec{Ref: r.host + "/app:1", Platform: "linux/amd64"}
	arrived, open := gate(r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := d.Pull(ctx, spec); done <- err }()
	<-arrived
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), spec.Ref) {
		t.Errorf("got %v", err)
	}
	nothingLeft(t, d)
	open()
	if _, err := d.Pull(t.Context(), spec); err != nil {
		t.Errorf("the next pull: %v", err)
	}
}

// pullHoldsLayers pulls an image whose other layers are here, and which nothing refers to any more, while they are
// collected.
func (s imageTests) pullHoldsLayers(t *testing.T) {
	r := newRegistry(t, false)
	shared := []image.Layer{payload(210, 40_000), payload(211, 40_000)}
	for tag, layers := range map[string][]image.Layer{"old:1": shared, "new:1": append(slices.Clone(shared), payload(212, 40_000))} {
		img, err := image.New(image.Config{Architecture: "amd64"}, layers...)
		if err != nil {
			t.Fatal(err)
		}
		r.push(t, tag, img)
	}
	r.push(t, "other:1", randomImage(t, "linux/amd64", 1))
	d := s.open(t, named(r))
	pull := func(tag string) runtime.Image {
		t.Helper()
		img, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: r.host + "/" + tag, Platform: "linux/amd64"})
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	pull("other:1")
	old := pull("old:1")
	for _, name := range []string{old.Name, old.Ref} { // without a collection, as after a crash
		if err := d.client.ImageService().Delete(d.context(t.Context()), name); err != nil {
			t.Fatal(err)
		}
	}
	var configured atomic.Bool
	r.setGuard(func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/blobs/") && configured.Swap(true) { // a layer; the configuration comes before
			if err := d.RemoveImage(t.Context(), r.host+"/other:1"); err != nil { // collects at once
				t.Error(err)
			}
		}
		return true
	})
	pull("new:1")
}

func (s imageTests) transferCutOffByCrash(t *testing.T) {
	dir := t.TempDir()
	d := s.open(t, func(c *Config) { c.Dir = dir })
	// What a killed process leaves: a lease, and a blob that nothing refers to or that is only begun.
	ctx, _, err := d.lease(d.context(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if err := content.WriteBlob(ctx, d.client.ContentStore(), "whole", strings.NewReader("loose"), ocispec.Descriptor{Size: 5}); err != nil {
		t.Fatal(err)
	}
	w, err := d.client.ContentStore().Writer(ctx, content.WithRef("begun"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("beg")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, s.open(t, func(c *Config) { c.Dir = dir }))
}

func (s imageTests) pullPlatforms(t *testing.T) {
	r := newRegistry(t, false)
	digest := r.pushIndex(t, "multi:1", []string{"linux/arm64", "linux/amd64", "unknown/unknown"},
		randomImage(t, "linux/arm64", 1), randomImage(t, "linux/amd64", 1), randomImage(t, "linux/unknown", 1))
	r.push(t, "arm:1", randomImage(t, "linux/arm64", 1))
	d := s.open(t, named(r))
	pull := func(ref, platform string) (runtime.Image, error) {
		return d.Pull(t.Context(), runtime.ImageSpec{Ref: r.host + "/" + ref, Platform: platform})
	}
	amd, err := pull("multi:1", "linux/amd64")
	if err != nil || amd.Digest != digest || amd.Platform != "linux/amd64" {
		t.Errorf("amd64 of an index: %+v, %v", amd, err)
	}
	arm, err := pull("multi:1", "linux/arm64")
	if err != nil || arm.Digest != digest || arm.Platform != "linux/arm64" || arm.Ref == amd.Ref {
		t.Errorf("arm64 of the same index: %+v, %v", arm, err)
	}
	r.asked("")
	for platform, want := range map[string]runtime.Image{"linux/amd64": amd, "linux/arm64": arm} {
		if got, err := pull("multi:1", platform); err != nil || got.Ref != want.Ref || !slices.Equal(got.Command, []string{platform}) {
			t.Errorf("%s again: %+v, %v", platform, got, err)
		}
	}
	if requests := r.asked(""); len(requests) > 0 {
		t.Errorf("both are cached, and yet: %q", requests)
	}
	for _, tt := range []struct{ ref, platform, has string }{
		{"multi:1", "linux/s390x", "linux/arm64, linux/amd64"}, {"arm:1", "linux/amd64", "linux/arm64"},
	} {
		_, err := pull(tt.ref, tt.platform)
		if !errors.Is(err, runtime.ErrImagePlatform) || !strings.Contains(err.Error(), tt.has) {
			t.Errorf("%s for %s: got %v, want ErrImagePlatform that names %s", tt.ref, tt.platform, err, tt.has)
		}
	}
	if blobs := r.asked("/blobs/"); len(blobs) > 1 {
		t.Errorf("layers of an image for another platform were fetched: %q", blobs)
	}
	list, err := d.Images(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != amd.Name || list[0].Platform != "linux/amd64" || list[1].Ref != arm.Ref {
		t.Errorf("Images: %+v, %v; want the tag and the other platform", list, err)
	}
	if err := d.RemoveImage(t.Context(), r.host+"/multi:1"); err != nil {
		t.Error(err)
	}
	nothingLeft(t, d)
	if _, err := pull("multi:1", "linux/arm64"); err != nil {
		t.Error(err)
	}
	if list, err := d.Images(t.Context()); err != nil || len(list) != 2 || list[0].Digest != digest || list[1].Ref != arm.Ref {
		t.Errorf("Images, with the other platform alone: %+v, %v", list, err)
	}
	if _, err := pull("multi:1", "no platform"); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("a platform that is none: %v", err)
	}
}

func (s imageTests) pullErrors(t *testing.T) {
	r := newRegistry(t, false)
	r.push(t, "app:1", randomImage(t, "linux/amd64", 2))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	d := s.open(t, named(r))
	for _, tt := range []struct {
		name, ref string
		guard     func(w http.ResponseWriter, r *http.Request) bool
		want      error
		words     string
	}{
		{name: "no such tag", ref: r.host + "/app:2", want: runtime.ErrImageNotFound, words: r.host + "/app:2"},
		{name: "no such repository", ref: r.host + "/none", want: runtime.ErrImageNotFound, words: r.host + "/none"},
		{name: "no such digest", ref: r.host + "/app@sha256:" + strings.Repeat("0", 64), want: runtime.ErrImageNotFound},
		{name: "down", ref: down + "/app:1", words: "registry " + down + ": "},
		{
			name: "broken layer", ref: r.host + "/app:1", want: runtime.ErrImageCorrupt, words: r.host,
			guard: func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.Contains(req.URL.Path, "/blobs/") {
					return true
				}
				_, _ = io.WriteString(w, strings.Repeat("x", 40_000))
				return false
			},
		},
		{
			name: "missing layer", ref: r.host + "/app:1", want: runtime.ErrImageCorrupt,
			guard: func(w http.ResponseWriter, req *http.Request) bool {
				if strings.Contains(req.URL.Path, "/blobs/") {
					http.NotFound(w, req)
					return false
				}
				return true
			},
		},
		{
			name: "manifest that is none", ref: r.host + "/app:1", want: runtime.ErrImageCorrupt,
			guard: func(w http.ResponseWriter, req *http.Request) bool { return answer(w, req, `{"schemaVersion":2}`) },
		},
		{
			name: "manifest that is no JSON", ref: r.host + "/app:1", want: runtime.ErrImageCorrupt,
			guard: func(w http.ResponseWriter, req *http.Request) bool { return answer(w, req, `nonsense`) },
		},
		{
			name: "manifest of another digest", ref: r.host + "/app:1", want: runtime.ErrImageCorrupt,
			guard: func(w http.ResponseWriter, req *http.Request) bool {
				if req.Method == http.MethodHead {
					return answer(w, req, `one`)
				}
				return answer(w, req, `two`)
			},
		},
		{
			name: "server error", ref: r.host + "/app:1", words: "500",
			guard: func(w http.ResponseWriter, _ *http.Request) bool {
				http.Error(w, "on fire", http.StatusInternalServerError)
				return false
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.setGuard(tt.guard)
			defer r.setGuard(nil)
			_, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: tt.ref, Platform: "linux/amd64"})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), tt.ref) {
				t.Errorf("got %v, want %v with %q and the reference", err, tt.want, tt.words)
			}
			nothingLeft(t, d)
		})
	}
	if _, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: r.host + "/app:1", Platform: "linux/amd64"}); err != nil {
		t.Errorf("the good image after all the broken ones: %v", err)
	}
}

// answer answers requests for manifests with a document, whatever they ask for.
func answer(w http.ResponseWriter, r *http.Request, text string) bool {
	if !strings.Contains(r.URL.Path, "/manifests/") {
		return true
	}
	w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("one"))))
	if text != "one" && text != "two" {
		w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, text)
	}
	return false
}

func (s imageTests) pullUnpackErrors(t *testing.T) {
	r := newRegistry(t, false)
	blobs := r.pushBlobs(t, "lying", randomImage(t, "linux/amd64", 1))
	var config, manifest []byte
	for _, data := range blobs {
		switch {
		case bytes.Contains(data, []byte("diff_ids")):
			config = data
		case bytes.Contains(data, []byte("schemaVersion")):
			manifest = data
		}
	}
	diffID := regexp.MustCompile("diff_ids\":\\[\"sha256:[0-9a-f]{64}")
	other := diffID.ReplaceAll(config, []byte("diff_ids\":[\"sha256:"+strings.Repeat("0", 64)))
	r.send(t, http.MethodPost, "lying/blobs/uploads/?digest="+digest.FromBytes(other).String(), "application/octet-stream", other)
	manifest = bytes.ReplaceAll(manifest, []byte(digest.FromBytes(config)), []byte(digest.FromBytes(other)))
	r.put(t, "lying/manifests/1", ocispec.MediaTypeImageManifest, manifest)
	d := s.open(t, named(r))
	_, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: r.host + "/lying:1", Platform: "linux/amd64"})
	if !errors.Is(err, runtime.ErrImageCorrupt) {
		t.Errorf("a layer that is not what the configuration says: got %v, want ErrImageCorrupt", err)
	}
	nothingLeft(t, d)
}

// withAuth lets in who has the user and the password, directly or through a token.
func withAuth(r *testRegistry, scheme string) {
	basic := func(req *http.Request) bool {
		user, password, _ := req.BasicAuth()
		return user == "alice" && password == "secret"
	}
	r.setGuard(func(w http.ResponseWriter, req *http.Request) bool {
		switch {
		case req.URL.Path == "/token":
			anonymous := req.URL.Query().Get("scope") == "repository:public/app:pull" && req.Header.Get("Authorization") == ""
			if req.Method == http.MethodPost { // OAuth2, as containerd asks first when it has credentials
				http.NotFound(w, req)
				return false
			}
			if !anonymous && !basic(req) {
				http.Error(w, "no", http.StatusUnauthorized)
				return false
			}
			_, _ = fmt.Fprintf(w, `{"token":"let-me-in-%t"}`, anonymous)
			return false
		case scheme == "Basic" && basic(req):
			return true
		case scheme == "Bearer" && strings.HasPrefix(req.Header.Get("Authorization"), "Bearer let-me-in-"):
			return true
		}
		challenge := scheme + ` realm="fardel"`
		if scheme == "Bearer" {
			repository := strings.Split(strings.TrimPrefix(req.URL.Path, "/v2/"), "/manifests/")[0]
			challenge = fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="repository:%s:pull"`, r.URL, repository)
		}
		w.Header().Set("WWW-Authenticate", challenge)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return false
	})
}

func (s imageTests) pullAuthorization(t *testing.T) {
	good, bad := &runtime.Credentials{Username: "alice", Password: "secret"}, &runtime.Credentials{Username: "alice", Password: "wrong"}
	for _, scheme := range []string{"Basic", "Bearer"} {
		t.Run(scheme, func(t *testing.T) {
			r := newRegistry(t, false)
			r.push(t, "private/app:1", randomImage(t, "linux/amd64", 1))
			r.push(t, "public/app:1", randomImage(t, "linux/amd64", 1))
			withAuth(r, scheme)
			d := s.open(t, named(r))
			private := runtime.ImageSpec{Ref: r.host + "/private/app:1", Platform: "linux/amd64"}
			for _, auth := range []*runtime.Credentials{nil, bad} {
				private.Auth = auth
				_, err := d.Pull(t.Context(), private)
				if !errors.Is(err, runtime.ErrUnauthorized) || strings.Contains(fmt.Sprint(err), "wrong") {
					t.Errorf("with %v: got %v, want ErrUnauthorized without the password", auth, err)
				}
			}
			nothingLeft(t, d)
			private.Auth = good
			if _, err := d.Pull(t.Context(), private); err != nil {
				t.Errorf("with credentials: %v", err)
			}
			if scheme == "Bearer" {
				if _, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: r.host + "/public/app:1", Platform: "linux/amd64"}); err != nil {
					t.Errorf("anonymous token: %v", err)
				}
			}
			configured := s.open(t, func(c *Config) {
				c.Registries = map[string]Registry{r.host: {PlainHTTP: true, Auth: good}}
			})
			private.Auth = nil
			if _, err := configured.Pull(t.Context(), private); err != nil {
				t.Errorf("with the credentials of the configuration: %v", err)
			}
		})
	}
}

func (s imageTests) pullTLS(t *testing.T) {
	r := newRegistry(t, true)
	r.push(t, "app:1", randomImage(t, "linux/amd64", 1))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	for _, tt := range []struct {
		name string
		cfg  Registry
		want string
	}{
		{"unknown authority", Registry{}, "certificate signed by unknown authority"},
		{"its authority", Registry{RootCAs: ca}, ""},
		{"insecure", Registry{Insecure: true}, ""},
		{"no authority", Registry{RootCAs: []byte("nonsense")}, "RootCAs"},
		{"plain HTTP", Registry{PlainHTTP: true}, "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := s.open(t, func(c *Config) { c.Registries = map[string]Registry{r.host: tt.cfg} })
			_, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: r.host + "/app:1", Platform: "linux/amd64"})
			if tt.want == "" && err != nil || tt.want != "" && !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func (s imageTests) pullMirror(t *testing.T) {
	mirror, origin := newRegistry(t, false), newRegistry(t, false)
	img := randomImage(t, "linux/amd64", 1)
	mirror.push(t, "app:1", img)
	origin.push(t, "app:1", img)
	origin.push(t, "only-here:1", randomImage(t, "linux/amd64", 1))
	d := s.open(t, func(c *Config) {
		c.Registries = map[string]Registry{origin.host: {PlainHTTP: true, Mirrors: []string{mirror.host}}, mirror.host: {PlainHTTP: true}}
	})
	auth := &runtime.Credentials{Username: "alice", Password: "secret"}
	for _, ref := range []string{"app:1", "only-here:1"} {
		if _, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: origin.host + "/" + ref, Platform: "linux/amd64", Auth: auth}); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
		if ref == "app:1" {
			if asked := origin.asked(""); len(asked) > 0 {
				t.Errorf("the mirror has it, and yet the origin was asked %q", asked)
			}
		}
	}
}
