//go:build linux

package containerd

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

// importPrefix is what containerd's importer puts in front of the names of what it is writing.
const importPrefix = "tar-"

// importing is claimed by the one import that may run at a time, as all use the same names.
const importing = "import"

// ImportImage implements [runtime.ImageStore]. A tag that exists moves; what ran under it keeps its image. Either all
// images of the archive are imported or none.
func (d *Driver) ImportImage(ctx context.Context, ref string, r io.Reader) (_ []runtime.Image, err error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	if ref != "" {
		if _, err := runtime.ParseImageName(ref); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("import image %s: %w", ref, err)
		}
	}()
	ctx, cancel := d.untilClose(d.context(ctx))
	defer cancel()
	done, err := d.pulls.claim(ctx, importing)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, release, err := d.lease(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release(err != nil)) }()
	entries, err := d.readArchive(ctx, ref, r)
	if err != nil {
		return nil, err
	}
	b := &bringer{d: d, store: d.client.ContentStore(), progress: &progress{}}
	for i, e := range entries {
		if entries[i].known, err = d.assemble(ctx, e.target, platforms.Default(), b); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, fetchError(err))
		}
		if err := d.unpack(ctx, e.name, entries[i].known); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	var list []runtime.Image
	for _, e := range entries {
		img, err := d.record(ctx, request{name: e.name}, e.target, e.known)
		if err != nil {
			return nil, err
		}
		list = append(list, img)
	}
	return list, nil
}

// untilClose returns a context that also ends with the driver.
func (d *Driver) untilClose(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	d.life.spawn(func(life context.Context) {
		select {
		case <-life.Done():
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, cancel
}

// entry is an image of an archive.
type entry struct {
	name   runtime.ImageName
	target ocispec.Descriptor
	known  *knownImage
}

// readArchive writes an archive's blobs to the content store and lists its images.
func (d *Driver) readArchive(ctx context.Context, ref string, r io.Reader) ([]entry, error) {
	store := d.client.ContentStore()
	source := &source{ctx: ctx, from: r}
	plain, err := decompress(source)
	var index ocispec.Descriptor
	if err == nil {
		limits := d.cfg.ImageLimits
		plain = &bounded{plain, limits.MaxUnpackedBytes, limits.MaxUnpackedBytes}
		index, err = archive.ImportIndex(ctx, store, newArchiveReader(plain, limits))
	}
	if err != nil {
		err = archiveError(ctx, source, err)
		return nil, errors.Join(err, d.abortImport(ctx))
	}
	var top document
	if err := readDocument(ctx, store, index, &top); err != nil {
		return nil, err
	}
	list, err := entries(top.Manifests, ref)
	if err != nil {
		return nil, err
	}
	// What follows the end of the archive is the caller's, but a gzip's checksum is part of it.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return nil, archiveError(ctx, source, err)
	}
	return list, nil
}

// entries lists what the index of an archive names. An archive of one image takes the name that the caller gives it.
func entries(manifests []ocispec.Descriptor, ref string) ([]entry, error) {
	manifests = slices.DeleteFunc(manifests, func(m ocispec.Descriptor) bool {
		return m.Platform != nil && m.Platform.OS == "unknown" || m.Annotations[images.AnnotationManifestSubject] != ""
	})
	if len(manifests) == 0 {
		return nil, fmt.Errorf("the archive holds no image: %w", runtime.ErrImageCorrupt)
	}
	var list []entry
	unnamed := 0
	for _, m := range manifests {
		name, err := entryName(m, ref)
		if err != nil {
			return nil, err
		}
		if name == (runtime.ImageName{}) {
			unnamed++
			continue
		}
		list = append(list, entry{name: name, target: m})
	}
	if unnamed > 0 && len(list) == 0 && ref == "" {
		return nil, fmt.Errorf("the archive does not name its image, and neither did the caller: %w", runtime.ErrInvalid)
	}
	return list, nil
}

// entryName is the name that an archive gives an image: containerd's annotation, or OCI's if it is a whole name. An entry
// without one has the caller's, and none at all if there is no such.
func entryName(m ocispec.Descriptor, ref string) (runtime.ImageName, error) {
	given := m.Annotations[images.AnnotationImageName]
	if tag := m.Annotations[ocispec.AnnotationRefName]; given == "" && strings.ContainsAny(tag, "/:") {
		given = tag
	}
	if given == "" {
		given = ref
	}
	if given == "" {
		return runtime.ImageName{}, nil
	}
	name, err := runtime.ParseImageName(given)
	if err != nil {
		return name, fmt.Errorf("%w: %w", err, runtime.ErrImageCorrupt)
	}
	if name.Digest != "" {
		return name, fmt.Errorf("the name %q has a digest: %w", given, runtime.ErrInvalid)
	}
	return name, nil
}

// decompress looks at the first bytes of an archive.
func decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	if magic, err := buffered.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return buffered, nil
	}
	return gzip.NewReader(buffered)
}

// source is what the caller gave us to read. It remembers its own errors, which say nothing about the archive, and ends
// with the context.
type source struct {
	ctx  context.Context
	from io.Reader
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		s.err = err
	}
	return n, err
}

// archiveError tells a broken archive from everything else that can go wrong.
func archiveError(ctx context.Context, s *source, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.err != nil:
		return fmt.Errorf("read the archive: %w", s.err)
	case diskFull(err), errdefs.IsUnavailable(err), matchesOurs(err):
		return err
	}
	return fmt.Errorf("%w: %w", err, runtime.ErrImageCorrupt)
}

// abortImport removes what the importer was writing when it failed.
func (d *Driver) abortImport(ctx context.Context) error {
	ctx, cancel := undoContext(ctx)
	defer cancel()
	store := d.client.ContentStore()
	partial, err := store.ListStatuses(ctx)
	if err != nil {
		return fmt.Errorf("list transfers: %w", err)
	}
	var errs []error
	for _, status := range partial {
		if strings.HasPrefix(status.Ref, importPrefix) {
			if err := abort(ctx, store, status.Ref); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// abort throws away what was being written. A daemon may not be done with the stream that wrote it, and still put a file into
// the directory that it removes.
func abort(ctx context.Context, store content.Store, ref string) error {
	const attempts = 10
	for left := attempts; ; left-- {
		err := store.Abort(ctx, ref)
		switch {
		case err == nil, errdefs.IsNotFound(err):
			return nil
		case left == 0 || !strings.Contains(err.Error(), "directory not empty"):
			return fmt.Errorf("abort transfer %s: %w", ref, err)
		}
	}
}
