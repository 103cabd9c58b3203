//go:build linux

package local_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fardel-io/fardel/runtime/image"
)

// tagRegistry is a registry on loopback that has every tag of the repository "app": each names the guest with a layer of
// its own, of so many KiB as the tag says after its last dash. It is slow, so that a pull takes a while.
type tagRegistry struct {
	host string // "127.0.0.1:1234"

	mu       sync.Mutex // guards what follows
	blobs    map[string][]byte
	manifest map[string]any // of the guest
	config   map[string]any
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

func serveTags(t *testing.T) *tagRegistry {
	t.Helper()
	img, err := image.Self(image.Config{Ref: "guest", Env: []string{guestVar + "=1"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &tagRegistry{blobs: map[string][]byte{}}
	archive, err := img.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for files := tar.NewReader(archive); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		if hex, ok := strings.CutPrefix(header.Name, "blobs/sha256/"); ok {
			r.blobs["sha256:"+hex] = content
		}
	}
	if err := json.Unmarshal(r.blobs[img.Digest()], &r.manifest); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(r.blobs[r.manifest["config"].(map[string]any)["digest"].(string)], &r.config); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// ServeHTTP serves manifests and blobs.
func (r *tagRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	dir, name := path.Split(strings.TrimPrefix(req.URL.Path, "/v2/app"))
	var content []byte
	switch dir {
	case "/v2/":
		return
	case "/manifests/":
		w.Header().Set("Content-Type", manifestType)
		content = r.tagged(name)
	case "/blobs/":
		content = r.blob(name)
	}
	if content == nil {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Header().Set("Docker-Content-Digest", digestOf(content))
	if req.Method == http.MethodHead {
		return
	}
	const parts = 8
	for part := range parts {
		if _, err := w.Write(content[len(content)*part/parts : len(content)*(part+1)/parts]); err != nil {
			return
		}
		select {
		case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
		case <-req.Context().Done():
			return
		}
	}
}

func (r *tagRegistry) blob(digest string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blobs[digest]
}

// tagged returns the manifest of a tag, or the one with a digest, nil for one that is not there.
func (r *tagRegistry) tagged(tag string) []byte {
	if strings.HasPrefix(tag, "sha256:") {
		return r.blob(tag)
	}
	kib, err := strconv.Atoi(tag[strings.LastIndexByte(tag, '-')+1:])
	if err != nil {
		return nil
	}
	layer := layerOf(tag, kib<<10)
	r.mu.Lock()
	defer r.mu.Unlock()
	put := func(content []byte) string {
		r.blobs[digestOf(content)] = content
		return digestOf(content)
	}
	config := cloned(r.config)
	rootfs := config["rootfs"].(map[string]any)
	rootfs["diff_ids"] = append(rootfs["diff_ids"].([]any), put(layer))
	manifest := cloned(r.manifest)
	text := encoded(config)
	manifest["config"].(map[string]any)["digest"] = put(text)
	manifest["config"].(map[string]any)["size"] = len(text)
	manifest["layers"] = append(manifest["layers"].([]any), map[string]any{"mediaType": layerType, "digest": digestOf(layer), "size": len(layer)})
	text = encoded(manifest)
	put(text)
	return text
}

// layerOf is a layer of one file, the same for the same tag.
func layerOf(tag string, size int) []byte {
	seed := sha256.Sum256([]byte(tag))
	content := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(content) // it never fails
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "payload-" + strconv.FormatUint(binary.LittleEndian.Uint64(seed[:]), 16), Mode: 0o644, Size: int64(size)})
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return nil
	}
	return b.Bytes()
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func encoded(v map[string]any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

func cloned(v map[string]any) (out map[string]any) {
	if json.Unmarshal(encoded(v), &out) != nil {
		return nil
	}
	return out
}
