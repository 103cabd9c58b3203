//go:build linux

package containerd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

// FuzzScan reads layers that are anything: it must end, within its limits, and count what a reader of tar sees.
func FuzzScan(f *testing.F) {
	f.Add(tarOf(f, tar.Header{Name: "a/b", Size: 3}), false)
	f.Add(sparseTar(1<<40), true)
	f.Add(zipped(f, tarOf(f, tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"})), true)
	f.Fuzz(func(t *testing.T, data []byte, plain bool) {
		limits := ImageLimits{MaxUnpackedBytes: 1 << 20, MaxEntries: 1000}.withDefaults()
		tl := newTally(limits)
		mediaType := ocispec.MediaTypeImageLayerGzip
		if plain {
			mediaType = ocispec.MediaTypeImageLayer
		}
		layer, err := expand(t.Context(), bytes.NewReader(data), mediaType)
		if err != nil {
			return
		}
		defer layer.Close()
		err = scanEntries(&layerStream{layer, io.NopCloser(nil), tl}, tl)
		if err == nil && (tl.stream > limits.MaxUnpackedBytes || tl.content > limits.MaxUnpackedBytes || tl.entries > limits.MaxEntries) {
			t.Errorf("%+v is within the limits", tl)
		}
	})
}

// FuzzArchive reads archives of images that are anything. What is passed on is no more than there may be.
func FuzzArchive(f *testing.F) {
	f.Add(tarOf(f, tar.Header{Name: "manifest.json", Size: 3}, tar.Header{Name: "b", Typeflag: tar.TypeSymlink, Linkname: "c"}))
	f.Add(sparseTar(1 << 40))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := ImageLimits{MaxUnpackedBytes: 1 << 20}.withDefaults()
		n, err := io.Copy(io.Discard, newArchiveReader(bytes.NewReader(data), limits))
		// Each file has two headers and a name, at most.
		if most := limits.MaxUnpackedBytes + int64(len(data)/512+2)*(4<<10+2*maxPath); n > most {
			t.Errorf("%d bytes from %d, %v", n, len(data), err)
		}
	})
}

func TestArchiveReader(t *testing.T) {
	limits := ImageLimits{MaxUnpackedBytes: 1 << 20}.withDefaults()
	whole := tarOf(t, tar.Header{Name: "d", Typeflag: tar.TypeDir}, tar.Header{Name: "manifest.json", Size: 5},
		tar.Header{Name: "layer", Size: 100_000}, tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "layer", Size: 7},
		tar.Header{Name: "dev", Typeflag: tar.TypeChar})
	var got []string
	for tr := tar.NewReader(newArchiveReader(bytes.NewReader(whole), limits)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil || int64(len(data)) != h.Size {
			t.Fatalf("%s: %d bytes of %d, %v", h.Name, len(data), h.Size, err)
		}
		got = append(got, h.Name+" "+h.Linkname)
	}
	if want := []string{"manifest.json ", "layer ", "link layer"}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("passed on %q, want %q", got, want)
	}
	var many []tar.Header
	for range maxArchiveFiles + 1 {
		many = append(many, tar.Header{Name: "a"})
	}
	for name, data := range map[string][]byte{
		"holes":      sparseTar(1 << 40),
		"large":      tarOf(t, tar.Header{Name: "a", Size: 1 << 19}, tar.Header{Name: "b", Size: 1<<19 + 1}),
		"many files": tarOf(t, many...),
	} {
		if _, err := io.Copy(io.Discard, newArchiveReader(bytes.NewReader(data), limits)); !errors.Is(err, runtime.ErrImageLimit) {
			t.Errorf("%s: got %v, want ErrImageLimit", name, err)
		}
	}
	if _, err := io.Copy(io.Discard, newArchiveReader(bytes.NewReader(whole[:len(whole)/2]), limits)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half an archive: %v", err)
	}
}

// tarOf is a tar of zeros.
func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.Typeflag == tar.TypeSymlink {
			h.Size = 0
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, zeros{}, h.Size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// sparseTar is a tar of one file in the sparse format of PAX, which is nothing but a hole. archive/tar does not write such.
func sparseTar(size int64) []byte {
	record := func(key, value string) string {
		n := len(key) + len(value) + 3 // a blank, an equals sign and an end
		for n < len(fmt.Sprint(n))+len(key)+len(value)+3 {
			n = len(fmt.Sprint(n)) + len(key) + len(value) + 3
		}
		return fmt.Sprintf("%d %s=%s\n", n, key, value)
	}
	block := func(data string) []byte { return append([]byte(data), make([]byte, 512-len(data))...) }
	header := func(name string, kind byte, length int) []byte {
		b := block(name)
		copy(b[100:], "0000644\x00"+"0000000\x00"+"0000000\x00")
		copy(b[124:], fmt.Sprintf("%011o\x00", length))
		copy(b[136:], "00000000000\x00"+"        ")
		b[156] = kind
		copy(b[257:], "ustar\x0000")
		sum := 0
		for _, c := range b {
			sum += int(c)
		}
		copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
		return b
	}
	records := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "hole") +
		record("GNU.sparse.realsize", fmt.Sprint(size))
	extents := fmt.Sprintf("1\n%d\n0\n", size) // a piece of no bytes at the end
	return bytes.Join([][]byte{
		header("pax", tar.TypeXHeader, len(records)), block(records), header("hole", tar.TypeReg, 512), block(extents), make([]byte, 1024),
	}, nil)
}

func zipped(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, part := range parts { // each a member of its own
		w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// TestExpandEmptyMembers wants that nothing, zipped many times over, ends with its context.
func TestExpandEmptyMembers(t *testing.T) {
	ctx, cancel := contextOf(t, time.Minute)
	empty := zipped(t, nil)
	data := bytes.Repeat(empty, 1<<16)
	r, err := expand(ctx, io.MultiReader(bytes.NewReader(data), endOf(func() { cancel() }), bytes.NewReader(data)), ocispec.MediaTypeImageLayerGzip)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); n != 0 || !errors.Is(err, ctx.Err()) || ctx.Err() == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func contextOf(t testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx, cancel
}

// endOf is an empty reader that does something when it is reached.
type endOf func()

func (f endOf) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
