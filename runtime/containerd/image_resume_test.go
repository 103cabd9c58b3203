//go:build linux

package containerd

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
)

// weakRegistry is a registry that sends a layer in part.
type weakRegistry struct {
	*testRegistry
	layer  []byte
	digest string // of the layer

	mu     sync.Mutex
	most   int   // bytes of the layer that a request gets before the connection breaks
	stuck  bool  // it does not break then, but nothing comes any more
	served int   // bytes of the layer so far
	begins []int // where requests for the layer began
	full   chan struct{}
}

// newWeak has one image, "app:1", with one layer of so many bytes.
func newWeak(t testing.TB, size int) *weakRegistry {
	t.Helper()
	img, err := image.New(image.Config{Architecture: "amd64", Command: []string{"x"}}, payload(byte(seed.Add(1)), size))
	if err != nil {
		t.Fatal(err)
	}
	r := &weakRegistry{testRegistry: newRegistry(t, false), full: make(chan struct{})}
	for digest, blob := range r.pushBlobs(t, "app", img) {
		if len(blob) > size {
			r.layer, r.digest = blob, digest
		}
	}
	r.push(t, "app:1", img)
	r.most = len(r.layer)
	r.setGuard(r.serve)
	return r
}

func (r *weakRegistry) ref() string { return r.host + "/app:1" }

func (r *weakRegistry) serve(w http.ResponseWriter, req *http.Request) bool {
	if !strings.HasSuffix(req.URL.Path, "/blobs/"+r.digest) {
		return true
	}
	begin := 0
	if text := req.Header.Get("Range"); text != "" {
		if _, err := fmt.Sscanf(text, "bytes=%d-", &begin); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return false
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", begin, len(r.layer)-1, len(r.layer)))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(r.layer)-begin))
	if begin > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	r.mu.Lock()
	end := min(begin+r.most, len(r.layer))
	stuck := r.stuck
	r.served += end - begin
	r.begins = append(r.begins, begin)
	first := len(r.begins) == 1
	r.mu.Unlock()
	_, _ = w.Write(r.layer[begin:end])
	if end == len(r.layer) {
		return false
	}
	_ = http.NewResponseController(w).Flush()
	if first {
		close(r.full)
	}
	if stuck {
		<-req.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

func (r *weakRegistry) set(most int, stuck bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most, r.stuck = most, stuck
}

func (r *weakRegistry) sent() (served int, begins []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.served, slices.Clone(r.begins)
}

func amd64(ref string) runtime.ImageSpec { return runtime.ImageSpec{Ref: ref, Platform: "linux/amd64"} }

const weakLayer = 3 << 20

// pullResumes gives a pull up after 1,700,000 bytes of a layer, and breaks that of the next driver off every 700,000 bytes. No
// byte is sent twice, but for the 1 MiB that a daemon may not yet have had when the pull was given up.
func (s imageTests) pullResumes(t *testing.T) {
	r := newWeak(t, weakLayer)
	dir := t.TempDir()
	change := func(c *Config) { c.Dir, c.PullAttempts = dir, 1; named(r.testRegistry)(c) }
	d := s.open(t, change)
	const first, others = 1_700_000, 700_000
	r.set(first, true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := d.Pull(ctx, amd64(r.ref())); done <- err }()
	<-r.full
	waitFor(t, func() bool { // what was sent is on the way
		var bytes int64
		d.pulls.mu.Lock()
		for _, f := range d.pulls.flights {
			bytes = f.progress.now().Done
		}
		d.pulls.mu.Unlock()
		return bytes >= first
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the pull that was given up: %v", err)
	}
	waitFor(t, func() bool { return d.pulls.idle() })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	r.set(others, false)
	d = s.open(t, change)
	if _, err := d.Pull(t.Context(), amd64(r.ref())); err != nil {
		t.Fatal(err)
	}
	served, begins := r.sent()
	if len(begins) < 2 || begins[1] < first-1<<20 || served != len(r.layer)+first-begins[1] {
		t.Errorf("sent %d bytes of a layer of %d, in requests from %v", served, len(r.layer), begins)
	}
	if err := d.RemoveImage(t.Context(), r.ref()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, d)
}

// idle reports whether nobody transfers anything.
func (p *pulls) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.blobs) == 0
}

func (s imageTests) pullSilence(t *testing.T) {
	r := newWeak(t, weakLayer)
	r.set(2<<20, true)
	d := s.open(t, named(r.testRegistry), func(c *Config) { c.pullSilence = 200 * time.Millisecond })
	if _, err := d.Pull(t.Context(), amd64(r.ref())); err != nil {
		t.Fatal(err)
	}
	if served, begins := r.sent(); served != len(r.layer) {
		t.Errorf("sent %d bytes of %d, from %v", served, len(r.layer), begins)
	}
}

// pullPartialIsBounded has what was broken off go with the cache, and with age; and not be believed.
func (s imageTests) pullPartialIsBounded(t *testing.T) {
	r := newWeak(t, weakLayer)
	dir := t.TempDir()
	change := func(c *Config) { c.Dir, c.PullAttempts = dir, 1; named(r.testRegistry)(c) }
	d := s.open(t, change)
	broken := func() {
		t.Helper()
		r.setGuard(func(w http.ResponseWriter, req *http.Request) bool {
			if strings.HasSuffix(req.URL.Path, r.digest) && req.Header.Get("Range") != "" {
				panic(http.ErrAbortHandler)
			}
			return r.serve(w, req)
		})
		r.set(1<<20, false)
		_, err := d.Pull(t.Context(), amd64(r.ref()))
		var said *runtime.PullError
		if !errors.As(err, &said) || said.Step != runtime.PullLayers || !errors.Is(err, runtime.ErrRegistryUnavailable) {
			t.Fatalf("got %v, want ErrRegistryUnavailable about layers", err)
		}
		r.setGuard(r.serve)
	}
	collect := func(most, want int64) {
		t.Helper()
		done, err := d.CollectImages(t.Context(), runtime.ImageLimit{MaxBytes: most})
		if err != nil || done.Bytes != want {
			t.Errorf("%d bytes of broken downloads, %v; want %d", done.Bytes, err, want)
		}
	}
	broken()
	collect(1<<20, 1<<20)
	collect(1<<20-1, 0)
	nothingLeft(t, d)

	files := filepath.Join(dir, "images", "content", "ingest", "*", "data")
	if list, err := filepath.Glob(filepath.Dir(filepath.Dir(files))); err != nil || len(list) == 0 {
		return // a daemon's, whose files are its own
	}
	for _, spoil := range []func(file string) error{
		func(file string) error { return os.Chtimes(file, time.Time{}, time.Now().Add(-partialAge-time.Minute)) },
		func(file string) error { return os.WriteFile(file, bytes.Repeat([]byte("torn"), 1<<18), 0o600) },
	} {
		broken()
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		list, err := filepath.Glob(files)
		if err != nil || len(list) != 1 {
			t.Fatalf("%q, %v: want one file", list, err)
		}
		if err := spoil(list[0]); err != nil {
			t.Fatal(err)
		}
		d = s.open(t, change)
		r.set(len(r.layer), false)
		if _, err := d.Pull(t.Context(), amd64(r.ref())); err != nil {
			t.Errorf("after a broken download that is of no use: %v", err)
		}
		if err := d.RemoveImage(t.Context(), r.ref()); err != nil {
			t.Error(err)
		}
		nothingLeft(t, d)
	}
}

// pullAttempts counts how often a registry is asked.
func (s imageTests) pullAttempts(t *testing.T) {
	for _, tt := range []struct {
		name     string
		status   int
		fails    int // requests, -1 for all
		want     error
		attempts int
	}{
		{name: "down for a while", status: http.StatusBadGateway, fails: 3},
		{name: "down", status: http.StatusBadGateway, fails: -1, want: runtime.ErrRegistryUnavailable, attempts: 4},
		{name: "busy", status: http.StatusTooManyRequests, fails: -1, want: runtime.ErrTooManyRequests, attempts: 4},
		{name: "denied", status: http.StatusForbidden, fails: -1, want: runtime.ErrUnauthorized, attempts: 1},
		{name: "unknown", status: http.StatusNotFound, fails: -1, want: runtime.ErrImageNotFound, attempts: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry(t, false)
			r.push(t, "app:1", randomImage(t, "linux/amd64", 1))
			fails := tt.fails
			r.setGuard(func(w http.ResponseWriter, _ *http.Request) bool {
				if fails == 0 {
					return true
				}
				fails--
				w.WriteHeader(tt.status)
				return false
			})
			d := s.open(t, named(r), func(c *Config) { c.PullAttempts = 4 })
			_, err := d.Pull(t.Context(), amd64(r.host+"/app:1"))
			var said *runtime.PullError
			switch {
			case tt.want == nil:
				if err != nil {
					t.Error(err)
				}
			case !errors.Is(err, tt.want) || !errors.As(err, &said) || said.Attempts != tt.attempts || said.Step != runtime.PullManifest ||
				said.Ref != r.host+"/app:1" || said.Platform != "linux/amd64":
				t.Errorf("got %v (%+v), want %v after %d attempts", err, said, tt.want, tt.attempts)
			}
		})
	}
}

// pullMirrors asks three in their order, each with its own credentials, and goes on where one broke off.
func (s imageTests) pullMirrors(t *testing.T) {
	origin := newWeak(t, weakLayer)
	down, weak := newRegistry(t, false), newRegistry(t, false)
	down.Close()
	var asked []string
	var mu sync.Mutex
	weak.setGuard(func(w http.ResponseWriter, req *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		user, password, _ := req.BasicAuth()
		asked = append(asked, req.URL.Path)
		if user != "mirror" || password != "own" {
			w.Header().Set("WWW-Authenticate", `Basic realm="mirror"`)
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
		rest, ok := strings.CutPrefix(req.URL.Path, "/v2/hub/proxied/app/")
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return false
		}
		if strings.HasPrefix(rest, "blobs/"+origin.digest) {
			if req.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusServiceUnavailable)
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(origin.layer)))
			_, _ = w.Write(origin.layer[:1<<20])
			panic(http.ErrAbortHandler)
		}
		req.URL.Path = "/v2/app/" + rest
		origin.Config.Handler.ServeHTTP(w, req)
		return false
	})
	origin.asked("")
	login := func(next func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, req *http.Request) bool {
			if h := req.Header.Get("Authorization"); strings.Contains(h, base64.StdEncoding.EncodeToString([]byte("alice:secret"))) {
				t.Errorf("the origin's credentials were sent without being asked for: %s", req.URL)
			}
			return next(w, req)
		}
	}
	origin.setGuard(login(origin.serve))
	d := s.open(t, func(c *Config) {
		c.Registries = map[string]Registry{
			origin.host: {PlainHTTP: true, Mirrors: []string{down.host, weak.host + "/hub/proxied/"}},
			weak.host:   {PlainHTTP: true, Auth: &runtime.Credentials{Username: "mirror", Password: "own"}},
			down.host:   {PlainHTTP: true},
		}
	})
	spec := amd64(origin.ref())
	spec.Auth = &runtime.Credentials{Username: "alice", Password: "secret"}
	if _, err := d.Pull(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	served, begins := origin.sent()
	if want := len(origin.layer) - 1<<20; served != want || !slices.Equal(begins, []int{1 << 20}) {
		t.Errorf("the origin sent %d bytes from %v, want the %d that the mirror did not", served, begins, want)
	}
	if _, err := d.Pull(t.Context(), amd64(origin.host+"/none:1")); !errors.Is(err, runtime.ErrImageNotFound) ||
		!strings.Contains(fmt.Sprint(err), "registry "+origin.host) {
		t.Errorf("what nobody has: got %v, want ErrImageNotFound of the origin", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) == 0 {
		t.Error("the mirror was never asked")
	}
}

// TestPullAfterSIGKILL kills the host program in the middle of a layer. The next one has the registry send the rest.
func TestPullAfterSIGKILL(t *testing.T) {
	lane.Root(t)
	dir := t.TempDir()
	r := newWeak(t, 8<<20)
	r.set(5<<20, true)
	if err := os.WriteFile(filepath.Join(dir, "ref"), []byte(r.ref()), 0o600); err != nil {
		t.Fatal(err)
	}
	kill := startChild(t, dir, "pull")
	<-r.full
	ingest := filepath.Join(dir, "driver", "images", "content", "ingest", "*", "data")
	waitFor(t, func() bool {
		files, _ := filepath.Glob(ingest)
		for _, file := range files {
			// All but what containerd's buffer of 1 MiB may hold.
			if info, err := os.Stat(file); err == nil && info.Size() >= 4<<20 {
				return true
			}
		}
		return false
	})
	kill()
	r.set(len(r.layer), false)
	d := crashDriver(t, dir, named(r.testRegistry))
	defer d.Close()
	if _, err := d.Pull(t.Context(), amd64(r.ref())); err != nil {
		t.Fatal(err)
	}
	served, begins := r.sent()
	if len(begins) != 2 || begins[1] < 4<<20 || served > len(r.layer)+1<<20 {
		t.Errorf("sent %d bytes of a layer of %d, from %v; want no more than 1 MiB twice", served, len(r.layer), begins)
	}
	t.Logf("killed after %d bytes; the next process asked from byte %d, and %d of %d bytes were sent in all", 5<<20, begins[len(begins)-1], served, len(r.layer))
}

// TestPullDiskFull pulls an image that is larger than the disk, and then one that is not.
func TestPullDiskFull(t *testing.T) {
	lane.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // the kernel may not be done with what was removed
			t.Error(err)
		}
	})
	large, small := newWeak(t, 8<<20), newWeak(t, 1<<20)
	d := embedForImages(t, named(large.testRegistry, small.testRegistry), func(c *Config) { c.Dir = filepath.Join(dir, "driver") })
	_, err := d.Pull(t.Context(), amd64(large.ref()))
	var said *runtime.PullError
	if !errors.Is(err, runtime.ErrNoSpace) || !errors.As(err, &said) || said.Attempts != 1 || said.Step != runtime.PullLayers {
		t.Errorf("got %v (%+v), want ErrNoSpace of the first attempt at layers", err, said)
	}
	nothingLeft(t, d)
	if _, err := d.Pull(t.Context(), amd64(small.ref())); err != nil {
		t.Errorf("a small image after a large one: %v", err)
	}
}
