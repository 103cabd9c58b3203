//go:build linux

package containerd

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

// maxArchiveFiles is how many entries an archive of images may have, of which each becomes a blob.
const maxArchiveFiles = 10_000

// archiveReader passes on what an archive of images needs: files, and links between them, as many and as long as there may be.
// containerd's importer writes whatever it is given.
type archiveReader struct {
	from *tar.Reader
	to   *tar.Writer
	out  bytes.Buffer // not read yet
	rest int64        // of the file that is being passed on
	err  error        // after out

	files int
	left  int64 // bytes that may still come
	most  int64
}

func newArchiveReader(r io.Reader, limits ImageLimits) *archiveReader {
	a := &archiveReader{from: tar.NewReader(r), left: limits.MaxUnpackedBytes, most: limits.MaxUnpackedBytes}
	a.to = tar.NewWriter(&a.out)
	return a
}

// Read implements [io.Reader].
func (a *archiveReader) Read(p []byte) (int, error) {
	for a.out.Len() == 0 {
		if a.err != nil {
			return 0, a.err
		}
		a.out.Reset()
		a.err = a.more()
	}
	return a.out.Read(p)
}

// more passes on a piece of a file, or else the next header.
func (a *archiveReader) more() error {
	if a.rest > 0 {
		n, err := io.CopyN(a.to, a.from, min(a.rest, 32<<10))
		a.rest -= n
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	h, err := a.from.Next()
	if errors.Is(err, io.EOF) {
		if err := a.to.Close(); err != nil {
			return err
		}
		return io.EOF
	}
	if err != nil {
		return err
	}
	if err := a.check(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeSymlink {
		return nil
	}
	document := h.Typeflag == tar.TypeReg && isArchiveDocument(h.Name)
	plain := &tar.Header{Typeflag: h.Typeflag, Name: h.Name, Linkname: h.Linkname, Mode: 0o600, Format: tar.FormatPAX}
	if h.Typeflag == tar.TypeReg {
		plain.Size = h.Size
	}
	if err := a.to.WriteHeader(plain); err != nil {
		return err
	}
	if !document {
		a.rest = plain.Size
		return nil
	}
	data, err := io.ReadAll(a.from)
	if err != nil {
		return err
	}
	if values(data) > maxValues {
		return fmt.Errorf("%s of the archive holds more than %d values: %w", path.Clean(h.Name), maxValues, runtime.ErrImageLimit)
	}
	_, err = a.to.Write(data)
	return err
}

// isArchiveDocument recognises what the importer reads before it is a blob.
func isArchiveDocument(name string) bool {
	name = path.Clean(name)
	return name == "manifest.json" || name == ocispec.ImageLayoutFile
}

func (a *archiveReader) check(h *tar.Header) error {
	a.files++
	switch {
	case a.files > maxArchiveFiles:
		return fmt.Errorf("an archive of more than %d files: %w", maxArchiveFiles, runtime.ErrImageLimit)
	case len(h.Name) > maxPath, len(h.Linkname) > maxPath:
		return fmt.Errorf("an entry %.100q… of the archive has a name of more than %d bytes: %w", h.Name, maxPath, runtime.ErrImageLimit)
	case h.Size > a.left:
		return fmt.Errorf("an archive of more than %d bytes (Config.ImageLimits.MaxUnpackedBytes): %w", a.most, runtime.ErrImageLimit)
	case isArchiveDocument(h.Name) && h.Size > maxManifest:
		return fmt.Errorf("%s of the archive has %d bytes, more than %d: %w", path.Clean(h.Name), h.Size, maxManifest, runtime.ErrImageLimit)
	}
	a.left -= h.Size
	return nil
}

// bounded ends an archive that is longer than it may be, whatever is in it.
type bounded struct {
	from io.Reader
	left int64
	most int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("an archive of more than %d bytes (Config.ImageLimits.MaxUnpackedBytes): %w", b.most, runtime.ErrImageLimit)
	}
	return n, err
}
