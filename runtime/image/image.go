package image

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// Image is an image that can be written as an OCI archive, any number of times. It does not change, but its files are
// those of the machine and are read each time.
type Image struct {
	cfg      Config
	layers   []layer
	config   []byte
	manifest []byte
	index    []byte
}

// layer is a layer whose digests are known.
type layer struct {
	files  []File
	digest string // of the blob
	diffID string // of the tar in it
	size   int64  // of the blob
}

// New makes an image of layers, the lowest first. It reads every file once to compute the digests.
func New(cfg Config, layers ...Layer) (*Image, error) {
	img := &Image{cfg: cfg}
	annotations, err := nameAnnotations(cfg.Ref)
	if err != nil {
		return nil, err
	}
	diffIDs, descriptors := []string{}, []descriptor{}
	for i, l := range layers {
		files, err := l.resolve()
		if err != nil {
			return nil, fmt.Errorf("image %s: layer %d: %w", cfg.Ref, i, err)
		}
		measured := layer{files: files}
		if measured.digest, measured.diffID, measured.size, err = writeLayer(io.Discard, files, cfg.Gzip); err != nil {
			return nil, fmt.Errorf("image %s: layer %d: %w", cfg.Ref, i, err)
		}
		img.layers = append(img.layers, measured)
		diffIDs = append(diffIDs, measured.diffID)
		mediaType := typeLayer
		if cfg.Gzip {
			mediaType = typeLayerGzip
		}
		descriptors = append(descriptors, descriptor{MediaType: mediaType, Digest: measured.digest, Size: measured.size})
	}
	if img.config, err = cfg.encode(diffIDs); err != nil {
		return nil, err
	}
	if img.manifest, err = json.Marshal(manifest{
		SchemaVersion: 2, MediaType: typeManifest, Config: describe(typeConfig, img.config), Layers: descriptors,
	}); err != nil {
		return nil, err
	}
	entry := describe(typeManifest, img.manifest)
	entry.Annotations, entry.Platform = annotations, &platform{Architecture: cfg.architecture(), OS: "linux"}
	img.index, err = json.Marshal(index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{entry}})
	return img, err
}

func nameAnnotations(ref string) (map[string]string, error) {
	if ref == "" {
		return nil, nil
	}
	name, err := runtime.ParseImageName(ref)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	if name.Digest != "" {
		return nil, fmt.Errorf("image %q: an image has its digest from its content: %w", ref, ErrInvalid)
	}
	return map[string]string{annotationTag: name.Tag, annotationName: name.String()}, nil
}

// Digest is the digest of the image's manifest, "sha256:…".
func (i *Image) Digest() string { return digestOf(i.manifest) }

// WriteTo writes the image as an OCI archive. The error matches [ErrChanged] when a file is not what it was in New.
func (i *Image) WriteTo(w io.Writer) (int64, error) {
	counted := &counter{to: w}
	tw := tar.NewWriter(counted)
	dirs := []string{"blobs/", "blobs/sha256/"}
	for _, dir := range dirs {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return counted.n, err
		}
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", i.index},
		{blobPath(digestOf(i.manifest)), i.manifest},
		{blobPath(digestOf(i.config)), i.config},
	} {
		if err := writeHeader(tw, f.name, int64(len(f.content))); err != nil {
			return counted.n, err
		}
		if _, err := tw.Write(f.content); err != nil {
			return counted.n, err
		}
	}
	written := map[string]bool{}
	for _, l := range i.layers {
		if written[l.digest] { // two equal layers are one blob
			continue
		}
		written[l.digest] = true
		if err := i.writeBlob(tw, l); err != nil {
			return counted.n, fmt.Errorf("image %s: %w", i.cfg.Ref, err)
		}
	}
	err := tw.Close()
	return counted.n, err
}

func (i *Image) writeBlob(tw *tar.Writer, l layer) error {
	if err := writeHeader(tw, blobPath(l.digest), l.size); err != nil {
		return err
	}
	digest, _, _, err := writeLayer(tw, l.files, i.cfg.Gzip)
	if err == nil && digest != l.digest {
		return fmt.Errorf("layer %s: %w", l.digest, ErrChanged)
	}
	if errors.Is(err, tar.ErrWriteTooLong) {
		return fmt.Errorf("layer %s: %w: it had %d bytes", l.digest, ErrChanged, l.size)
	}
	return err
}

// Open returns the archive to be read. The caller closes it; Read and Close must not be called at the same time.
func (i *Image) Open() (io.ReadCloser, error) {
	r := &reader{}
	r.next, r.stop = iter.Pull(func(yield func([]byte) bool) {
		_, r.err = i.WriteTo(yieldWriter(yield))
	})
	return r, nil
}

// reader reads what WriteTo writes, in a coroutine.
type reader struct {
	next  func() ([]byte, bool)
	stop  func()
	chunk []byte
	err   error // of WriteTo, when next has returned false
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.chunk) == 0 {
		chunk, ok := r.next()
		if !ok && r.err != nil {
			return 0, r.err
		}
		if !ok {
			return 0, io.EOF
		}
		r.chunk = chunk
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

func (r *reader) Close() error {
	r.stop()
	return nil
}

// yieldWriter hands on what is written to it. The bytes are read before Write returns.
type yieldWriter func([]byte) bool

func (y yieldWriter) Write(p []byte) (int, error) {
	if !y(p) {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// writeLayer writes a layer's blob and says what it was.
func writeLayer(w io.Writer, files []File, compress bool) (digest, diffID string, size int64, err error) {
	blobHash, tarHash := sha256.New(), sha256.New()
	blob := &counter{to: io.MultiWriter(w, blobHash)}
	if !compress {
		err = write(blob, files)
		digest = "sha256:" + hex.EncodeToString(blobHash.Sum(nil))
		return digest, digest, blob.n, err
	}
	zw := gzip.NewWriter(blob)
	if err := write(io.MultiWriter(zw, tarHash), files); err != nil {
		return "", "", 0, err
	}
	err = zw.Close()
	return "sha256:" + hex.EncodeToString(blobHash.Sum(nil)), "sha256:" + hex.EncodeToString(tarHash.Sum(nil)), blob.n, err
}

func writeHeader(tw *tar.Writer, name string, size int64) error {
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)})
}

func blobPath(digest string) string { return "blobs/" + strings.ReplaceAll(digest, ":", "/") }

func describe(mediaType string, blob []byte) descriptor {
	return descriptor{MediaType: mediaType, Digest: digestOf(blob), Size: int64(len(blob))}
}

func digestOf(blob []byte) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
}

// counter counts what goes through it.
type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
