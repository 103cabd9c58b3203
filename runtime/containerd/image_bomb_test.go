//go:build linux

package containerd

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
)

// bombLimits are small enough for a test to go beyond them.
var bombLimits = ImageLimits{MaxLayerBytes: 8 << 20, MaxImageBytes: 12 << 20, MaxUnpackedBytes: 48 << 20, MaxEntries: 2000, MaxLayers: 8}

// bombLayer is a layer as it lies in a registry, and what it is a compression of.
type bombLayer struct {
	mediaType string
	blob      []byte
	diffID    digest.Digest
	size      int64 // as the manifest has it; 0 is the truth
}

func plainLayer(data []byte) bombLayer {
	return bombLayer{mediaType: ocispec.MediaTypeImageLayer, blob: data, diffID: digest.FromBytes(data)}
}

func gzipLayer(t testing.TB, parts ...[]byte) bombLayer {
	return bombLayer{mediaType: ocispec.MediaTypeImageLayerGzip, blob: zipped(t, parts...), diffID: digest.FromBytes(bytes.Join(parts, nil))}
}

func zstdLayer(t testing.TB, data []byte) bombLayer {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return bombLayer{mediaType: ocispec.MediaTypeImageLayerZstd, blob: w.EncodeAll(data, nil), diffID: digest.FromBytes(data)}
}

// pushLayers puts an image of any layers into the registry.
func (r *testRegistry) pushLayers(t testing.TB, ref string, layers ...bombLayer) {
	t.Helper()
	repository, tag, _ := strings.Cut(ref, ":")
	r.setGuard(nil)
	blob := func(mediaType string, data []byte) ocispec.Descriptor {
		dgst := digest.FromBytes(data)
		r.send(t, http.MethodPost, repository+"/blobs/uploads/?digest="+dgst.String(), "application/octet-stream", data)
		return ocispec.Descriptor{MediaType: mediaType, Digest: dgst, Size: int64(len(data))}
	}
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, layer := range layers {
		desc := blob(layer.mediaType, layer.blob)
		if layer.size != 0 {
			desc.Size = layer.size
		}
		manifest.Layers = append(manifest.Layers, desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.diffID)
	}
	manifest.Config = blob(ocispec.MediaTypeImageConfig, asJSON(t, config))
	data := asJSON(t, manifest)
	r.setGuard(func(w http.ResponseWriter, req *http.Request) bool { // the registry itself would look at what it is given
		if req.URL.Path == "/v2/"+repository+"/manifests/"+tag || strings.HasSuffix(req.URL.Path, digest.FromBytes(data).String()) {
			return answer(w, req, string(data))
		}
		return true
	})
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// manyFiles is a layer of so many empty files.
func manyFiles(t testing.TB, prefix string, n int) bombLayer {
	var list []tar.Header
	for i := range n {
		list = append(list, tar.Header{Name: fmt.Sprintf("%s%d", prefix, i)})
	}
	return gzipLayer(t, tarOf(t, list...))
}

// deepFiles is a layer of few files in many directories, of which it names none.
func deepFiles(t testing.TB, n int) bombLayer {
	var list []tar.Header
	for i := range n {
		list = append(list, tar.Header{Name: fmt.Sprintf("r%d/%sf", i, strings.Repeat("d/", 400))})
	}
	return gzipLayer(t, tarOf(t, list...))
}

// attributes is a layer of a file with extended attributes.
func attributes(t testing.TB, n, length int) bombLayer {
	records := map[string]string{}
	for i := range n {
		records[fmt.Sprintf("%suser.a%d", paxXattr, i)] = strings.Repeat("v", length)
	}
	return gzipLayer(t, tarOf(t, tar.Header{Name: "a", PAXRecords: records}))
}

// largeWindow is a Zstandard frame of nothing that wants 512 MiB of memory, as much as a decoder takes if it is not told otherwise.
func largeWindow() bombLayer {
	blob := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, (29 - 10) << 3, 0x01, 0x00, 0x00}
	return bombLayer{mediaType: ocispec.MediaTypeImageLayerZstd, blob: blob, diffID: digest.FromString("")}
}

// bombs are layers that are refused, as all of them would take more than they say.
var bombs = []struct {
	name   string
	want   error
	layers func(t testing.TB) []bombLayer
}{
	{"a gzip bomb", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		return []bombLayer{gzipLayer(t, tarOf(t, tar.Header{Name: "zeros", Size: 128 << 20}))}
	}},
	{"a gzip bomb of many members", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		data := tarOf(t, tar.Header{Name: "zeros", Size: 64 << 20})
		var parts [][]byte
		for at := 0; at < len(data); at += 1 << 20 {
			parts = append(parts, data[at:min(len(data), at+1<<20)])
		}
		return []bombLayer{gzipLayer(t, parts...)}
	}},
	{"a gzip bomb after the end of the archive", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		return []bombLayer{gzipLayer(t, tarOf(t, tar.Header{Name: "a"}), make([]byte, 64<<20))}
	}},
	{"a Zstandard bomb", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		return []bombLayer{zstdLayer(t, tarOf(t, tar.Header{Name: "zeros", Size: 128 << 20}))}
	}},
	{"a Zstandard frame with a window of 512 MiB", runtime.ErrImageLimit, func(testing.TB) []bombLayer { return []bombLayer{largeWindow()} }},
	{"a file that is a hole of a terabyte", runtime.ErrImageLimit, func(testing.TB) []bombLayer { return []bombLayer{plainLayer(sparseTar(1 << 40))} }},
	{"a file that is a hole of 64 MiB", runtime.ErrImageLimit, func(testing.TB) []bombLayer { return []bombLayer{plainLayer(sparseTar(64 << 20))} }},
	{"many files", runtime.ErrImageLimit, func(t testing.TB) []bombLayer { return []bombLayer{manyFiles(t, "a", 2001)} }},
	{"many files in many layers", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		return []bombLayer{manyFiles(t, "a", 700), manyFiles(t, "b", 700), manyFiles(t, "c", 700)}
	}},
	{"many directories that are only in names", runtime.ErrImageLimit, func(t testing.TB) []bombLayer { return []bombLayer{deepFiles(t, 6)} }},
	{"the same directories below what another link leads to", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		var list []tar.Header
		for i := range 6 {
			list = append(list, tar.Header{Name: fmt.Sprintf("t%d", i), Typeflag: tar.TypeDir, Mode: 0o755},
				tar.Header{Name: "alias/d", Typeflag: tar.TypeSymlink, Linkname: fmt.Sprintf("t%d", i)},
				tar.Header{Name: strings.Repeat("d/", 400) + "f"})
		}
		list = append([]tar.Header{{Name: "alias", Typeflag: tar.TypeSymlink, Linkname: "."}}, list...)
		return []bombLayer{gzipLayer(t, tarOf(t, list...))}
	}},
	{"many attributes", runtime.ErrImageLimit, func(t testing.TB) []bombLayer { return []bombLayer{attributes(t, 200, 1)} }},
	{"long attributes", runtime.ErrImageLimit, func(t testing.TB) []bombLayer { return []bombLayer{attributes(t, 3, 30<<10)} }},
	{"a long name", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		return []bombLayer{gzipLayer(t, tarOf(t, tar.Header{Name: strings.Repeat("n/", 5000)}))}
	}},
	{"headers of 900 KiB each", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		var list []tar.Header
		for i := range 60 {
			list = append(list, tar.Header{Name: fmt.Sprint(i), Typeflag: tar.TypeDir, PAXRecords: map[string]string{"FARDEL.comment": strings.Repeat("c", 900<<10)}})
		}
		return []bombLayer{gzipLayer(t, tarOf(t, list...))}
	}},
	{"many layers", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		var list []bombLayer
		for i := range 9 {
			list = append(list, manyFiles(t, fmt.Sprint(i), 1))
		}
		return list
	}},
	{"a layer that says it has a petabyte", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		l := manyFiles(t, "a", 1)
		l.size = 1 << 50
		return []bombLayer{l}
	}},
	{"a layer that says it has less than nothing", runtime.ErrImageCorrupt, func(t testing.TB) []bombLayer {
		l := manyFiles(t, "a", 1)
		l.size = -5
		return []bombLayer{l}
	}},
	{"a layer that is longer than it says", runtime.ErrImageCorrupt, func(t testing.TB) []bombLayer {
		l := plainLayer(tarOf(t, tar.Header{Name: "a", Size: 4 << 20}))
		l.size = 100
		return []bombLayer{l}
	}},
	{"layers that are together too large", runtime.ErrImageLimit, func(t testing.TB) []bombLayer {
		a, b := plainLayer(tarOf(t, tar.Header{Name: "a", Size: 7 << 20})), plainLayer(tarOf(t, tar.Header{Name: "b", Size: 7 << 20}))
		return []bombLayer{a, b}
	}},
	{"a layer that is not what the configuration says", runtime.ErrImageCorrupt, func(t testing.TB) []bombLayer {
		l := manyFiles(t, "a", 1)
		l.diffID = digest.FromString("else")
		return []bombLayer{l}
	}},
	{"a layer that is shorter than it says", runtime.ErrRegistryUnavailable, func(t testing.TB) []bombLayer {
		l := manyFiles(t, "a", 1)
		l.size = int64(len(l.blob)) + 10
		return []bombLayer{l}
	}},
}

func TestHostileLayersEmbedded(t *testing.T) {
	lane.Root(t)
	imageTests{embedForImages}.hostileLayers(t)
	imageTests{embedForImages}.hostileArchives(t)
	imageTests{embedForImages}.hostilePaths(t)
}

func TestHostileLayersOfDaemon(t *testing.T) {
	lane.Root(t)
	address := imageDaemon(t)
	s := imageTests{func(t testing.TB, change ...func(*Config)) *Driver {
		return openForImages(t, func(cfg Config) (*Driver, error) { return Connect(t.Context(), address, cfg) }, change)
	}}
	s.hostileLayers(t)
	s.hostileArchives(t)
	s.hostilePaths(t)
}

func limited(c *Config) { c.ImageLimits, c.PullAttempts = bombLimits, 1 }

// hostileLayers pulls images that would take more than the limits allow, or than they say. Nothing of them may stay.
func (s imageTests) hostileLayers(t *testing.T) {
	r := newRegistry(t, false)
	d := s.open(t, named(r), limited)
	for i, bomb := range bombs {
		r.pushLayers(t, fmt.Sprintf("bomb%d:1", i), bomb.layers(t)...)
		_, err := d.Pull(t.Context(), amd64(fmt.Sprintf("%s/bomb%d:1", r.host, i)))
		hostiletest.Report(t, bomb.name, err == nil, fmt.Sprint(err))
		var said *runtime.PullError
		if !errors.Is(err, bomb.want) || !errors.As(err, &said) || said.Attempts != 1 {
			t.Errorf("%s: got %v, want %v", bomb.name, err, bomb.want)
		}
		if bomb.want != runtime.ErrRegistryUnavailable { //nolint:errorlint // what was broken off may go on
			nothingLeft(t, d)
		}
	}
	// An image on top of one that is within the limits.
	half := manyFiles(t, "half", 1500)
	r.pushLayers(t, "half:1", half)
	if _, err := d.Pull(t.Context(), amd64(r.host+"/half:1")); err != nil {
		t.Fatal(err)
	}
	r.pushLayers(t, "whole:1", half, manyFiles(t, "rest", 600))
	_, err := d.Pull(t.Context(), amd64(r.host+"/whole:1"))
	hostiletest.Report(t, "an image on top of another", !errors.Is(err, runtime.ErrImageLimit), fmt.Sprint(err))
	r.pushLayers(t, "fits:1", half, manyFiles(t, "few", 400))
	if _, err := d.Pull(t.Context(), amd64(r.host+"/fits:1")); err != nil {
		t.Errorf("an image that fits on top of another: %v", err)
	}
	// Documents of many values, each of which takes a hundred times as much in memory.
	for name, text := range map[string]string{
		"an index of a million manifests": `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[{}` + strings.Repeat(",{}", 1_000_000) + `]}`,
		"a manifest of a million layers":  `{"schemaVersion":2,"config":{},"layers":[{}` + strings.Repeat(",{}", 1_000_000) + `]}`,
	} {
		r.setGuard(func(w http.ResponseWriter, req *http.Request) bool { return answer(w, req, text) })
		_, err := d.Pull(t.Context(), amd64(r.host+"/values:1"))
		hostiletest.Report(t, name, !errors.Is(err, runtime.ErrImageLimit), fmt.Sprint(err))
	}
}

// hostileArchives imports what a user may have uploaded.
func (s imageTests) hostileArchives(t *testing.T) {
	d := s.open(t, limited)
	values := []byte("[{}" + strings.Repeat(",{}", 1_000_000) + "]")
	var long bytes.Buffer
	w := tar.NewWriter(&long)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "manifest.json", Size: int64(len(values))}), func() error { _, err := w.Write(values); return err }(), w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"an archive that is a gzip bomb":               zipped(t, tarOf(t, tar.Header{Name: "a", Size: 64 << 20})),
		"an archive with a hole of a terabyte":         sparseTar(1 << 40),
		"an archive of large files":                    tarOf(t, tar.Header{Name: "a", Size: 30 << 20}, tar.Header{Name: "b", Size: 30 << 20}),
		"an archive with a manifest of many values":    long.Bytes(),
		"an archive with a manifest of 5 MiB":          tarOf(t, tar.Header{Name: "./manifest.json", Size: 5 << 20}),
		"an archive with a long name":                  tarOf(t, tar.Header{Name: strings.Repeat("n/", 5000)}),
		"an archive of links without an end to it":     zipped(t, bytes.Repeat(tarOf(t, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "m"})[:512], maxArchiveFiles+1)),
		"an archive that is followed by a gzip bomb":   zipped(t, archiveOf(t, newImage(t, image.Config{})), make([]byte, 64<<20)),
		"an archive that is a gzip bomb of no entry":   zipped(t, bytes.Repeat(pax(t), 64)),
		"an archive in a compressed stream of nothing": zipped(t, make([]byte, 64<<20)),
	} {
		_, err := d.ImportImage(t.Context(), "fardel.test/hostile:1", bytes.NewReader(data))
		hostiletest.Report(t, name, err == nil, fmt.Sprint(err))
		if !errors.Is(err, runtime.ErrImageLimit) && !errors.Is(err, runtime.ErrImageCorrupt) {
			t.Errorf("%s: got %v, want ErrImageLimit", name, err)
		}
		nothingLeft(t, d)
	}
}

// pax is a header of a megabyte that belongs to nothing.
func pax(t testing.TB) []byte {
	whole := tarOf(t, tar.Header{Name: "a", PAXRecords: map[string]string{"FARDEL.comment": strings.Repeat("c", 1_000_000)}})
	return whole[:len(whole)-1536]
}

// hostilePaths unpacks layers whose entries mean to be elsewhere on the machine.
func (s imageTests) hostilePaths(t *testing.T) {
	r := newRegistry(t, false)
	d := s.open(t, named(r), limited)
	host := t.TempDir()
	secret, dir := filepath.Join(host, "secret"), filepath.Join(host, "dir")
	if err := errors.Join(os.WriteFile(secret, []byte("secret"), 0o600), os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 40)
	state := func() string {
		var stat unix.Stat_t
		if err := unix.Stat(secret, &stat); err != nil {
			return err.Error()
		}
		content, err := os.ReadFile(secret)
		list, derr := os.ReadDir(host)
		inner, ierr := os.ReadDir(dir)
		return fmt.Sprint(stat.Nlink, stat.Mode, stat.Uid, stat.Size, string(content), list, inner, err, derr, ierr)
	}
	before := state()
	link := func(name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
	}
	for i, tt := range []struct {
		name    string
		entries []tar.Header
	}{
		{"a path upwards", []tar.Header{{Name: up + host[1:] + "/new"}}},
		{"an absolute path", []tar.Header{{Name: host + "/new"}}},
		{"a path through a link", []tar.Header{link("out", host), {Name: "out/new"}}},
		{"a path through a link upwards", []tar.Header{link("out", up+host[1:]), {Name: "out/new"}}},
		{"a path through two links", []tar.Header{link("a", "b"), link("b", host), {Name: "a/new"}}},
		{"a file over a link", []tar.Header{link("s", secret), {Name: "s", Size: 3}}},
		{"a directory over a link", []tar.Header{link("d", dir), {Name: "d", Typeflag: tar.TypeDir, Mode: 0o777, Uid: 12345}}},
		{"a hard link upwards", []tar.Header{{Name: "h", Typeflag: tar.TypeLink, Linkname: up + secret[1:]}}},
		{"an absolute hard link", []tar.Header{{Name: "h", Typeflag: tar.TypeLink, Linkname: secret, Mode: 0o777}}},
		{"a hard link through a link", []tar.Header{link("out", host), {Name: "h", Typeflag: tar.TypeLink, Linkname: "out/secret", Mode: 0o777}}},
		{"a hard link to a link, and a file over it", []tar.Header{link("s", secret), {Name: "h", Typeflag: tar.TypeLink, Linkname: "s"}, {Name: "h", Size: 3}}},
		{"a whiteout upwards", []tar.Header{{Name: up + host[1:] + "/.wh.secret"}}},
		{"a whiteout through a link", []tar.Header{link("out", host), {Name: "out/.wh.secret"}}},
		{"a whiteout of the parent", []tar.Header{{Name: "a/.wh..."}, {Name: "a/.wh.."}, {Name: ".wh.."}}},
		{"an opaque link", []tar.Header{link("out", dir), {Name: "out/.wh..wh..opq"}}},
		{"attributes through a link", []tar.Header{link("s", secret), {Name: "s", Typeflag: tar.TypeLink, Linkname: "s", Mode: 0o777, Uid: 12345}}},
	} {
		r.pushLayers(t, fmt.Sprintf("path%d:1", i), gzipLayer(t, tarOf(t, tt.entries...)), manyFiles(t, "above", 1))
		_, err := d.Pull(t.Context(), amd64(fmt.Sprintf("%s/path%d:1", r.host, i)))
		after := state()
		hostiletest.Report(t, tt.name, after != before, fmt.Sprintf("%s before, %s after; %v", before, after, err))
	}
	s.hostileAttributes(t, r, d)
}

// hostileAttributes unpacks labels that the host's kernel would believe.
func (s imageTests) hostileAttributes(t *testing.T, r *testRegistry, d *Driver) {
	names := []string{"security.selinux", "security.ima", "trusted.overlay.redirect", "trusted.overlay.opaque"}
	records := map[string]string{paxXattr + "user.fine": "yes"}
	for _, name := range names {
		records[paxXattr+name] = "y"
	}
	r.pushLayers(t, "attributes:1", gzipLayer(t, tarOf(t, tar.Header{Name: "marked", PAXRecords: records})))
	if _, err := d.Pull(t.Context(), amd64(r.host+"/attributes:1")); err != nil {
		t.Logf("attributes that are not for images: %v", err) // a daemon may refuse them
		return
	}
	files, err := filepath.Glob(filepath.Join(d.cfg.Dir, "images", "*", "snapshots", "*", "fs", "marked"))
	if err != nil || len(files) != 1 {
		if d.remoteDiff {
			return // its files are its own
		}
		t.Fatalf("%q, %v: want one file", files, err)
	}
	for _, name := range names {
		var value [16]byte
		n, err := unix.Lgetxattr(files[0], name, value[:])
		hostiletest.Report(t, "attribute "+name, err == nil && string(value[:max(n, 0)]) == "y", fmt.Sprint(err))
	}
}
