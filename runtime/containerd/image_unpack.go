//go:build linux

package containerd

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/klauspost/compress/zstd"
	"github.com/moby/sys/userns"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

// maxWindow is how far back Zstandard may refer, and so how much of a layer it has in memory: as much as zstd itself takes
// without being told otherwise.
const maxWindow = 128 << 20

// costLabel is on the blob of a layer that was unpacked, and holds what it takes: bytes and entries.
const costLabel = "io.fardel/unpacked"

// unpack makes a snapshot of the image's layers, of which those that others have are shared. A daemon unpacks without limits,
// so that what it gets to unpack is read here before.
func (d *Driver) unpack(ctx context.Context, name runtime.ImageName, k *knownImage) error {
	if err := d.hold(ctx, "snapshots/"+d.snapshotter, k.layers...); err != nil {
		return err
	}
	t := newTally(d.cfg.ImageLimits)
	fresh, err := d.weighLayers(ctx, k, t)
	if err != nil {
		return err
	}
	if err := t.over(); err != nil {
		return unpackFailed(ctx, err)
	}
	if d.remoteDiff {
		for _, layer := range fresh {
			if err := d.scan(ctx, layer, t); err != nil {
				return unpackFailed(ctx, fmt.Errorf("layer %s: %w", layer.Digest, err))
			}
		}
	}
	img := client.NewImageWithPlatform(d.client, images.Image{Name: name.String(), Target: k.manifest}, platforms.All)
	if err := img.Unpack(context.WithValue(ctx, tallyKey{}, t), d.snapshotter); err != nil {
		return unpackFailed(ctx, err)
	}
	// Another image that has the same layers may have unpacked some of them meanwhile.
	whole := newTally(d.cfg.ImageLimits)
	if _, err := d.weighLayers(ctx, k, whole); err != nil {
		return err
	}
	if err := whole.over(); err != nil {
		return unpackFailed(ctx, err)
	}
	return nil
}

func unpackFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("unpack: %w", unpackError(err))
}

type tallyKey struct{}

// weighLayers adds up what those layers take that are unpacked already, and returns the others. Those that were unpacked by
// an earlier version count nothing.
func (d *Driver) weighLayers(ctx context.Context, k *knownImage, t *tally) (fresh []ocispec.Descriptor, err error) {
	for i, layer := range k.blobs {
		_, err := d.client.SnapshotService(d.snapshotter).Stat(ctx, k.layers[i])
		if errdefs.IsNotFound(err) {
			fresh = append(fresh, layer)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("snapshot %s: %w", k.layers[i], err)
		}
		info, err := d.client.ContentStore().Info(ctx, layer.Digest)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", layer.Digest, err)
		}
		t.add(parseCost(info.Labels[costLabel]))
	}
	return fresh, nil
}

func parseCost(label string) cost {
	b, e, _ := strings.Cut(label, " ")
	bytes, err1 := strconv.ParseInt(b, 10, 64)
	entries, err2 := strconv.ParseInt(e, 10, 64)
	if err1 != nil || err2 != nil || bytes < 0 || entries < 0 {
		return cost{}
	}
	return cost{bytes, entries}
}

func labelCost(ctx context.Context, store content.Manager, layer digest.Digest, c cost) error {
	info := content.Info{Digest: layer, Labels: map[string]string{costLabel: fmt.Sprintf("%d %d", c.bytes, c.entries)}}
	if _, err := store.Update(ctx, info, "labels."+costLabel); err != nil {
		return fmt.Errorf("label layer %s: %w", layer, err)
	}
	return nil
}

// scan reads a layer for what it would take.
func (d *Driver) scan(ctx context.Context, desc ocispec.Descriptor, t *tally) error {
	layer, err := openLayer(ctx, d.client.ContentStore(), desc, t)
	if err != nil {
		return err
	}
	defer layer.Close()
	if err := scanEntries(layer, t); err != nil {
		return err
	}
	return labelCost(ctx, d.client.ContentStore(), desc.Digest, t.finish())
}

// scanEntries counts the entries of a tar stream, and what follows its end.
func scanEntries(r io.Reader, t *tally) error {
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		h.Name = path.Clean(h.Name)
		if err := t.entry(h); err != nil {
			return err
		}
	}
}

// openLayer opens a layer as the tar stream that it holds, and counts what is read of it.
func openLayer(ctx context.Context, store content.Provider, desc ocispec.Descriptor, t *tally) (io.ReadCloser, error) {
	ra, err := store.ReaderAt(ctx, desc)
	if err != nil {
		return nil, fmt.Errorf("open layer %s: %w", desc.Digest, err)
	}
	stream, err := expand(ctx, io.NewSectionReader(ra, 0, ra.Size()), desc.MediaType)
	if err != nil {
		return nil, errors.Join(err, ra.Close())
	}
	return &layerStream{stream, ra, t}, nil
}

// expand decompresses what comes of a layer, as containerd does but for the bound on memory. An empty stretch may be long, so
// that the context is looked at where the layer is read.
func expand(ctx context.Context, r io.Reader, mediaType string) (io.ReadCloser, error) {
	r = &source{ctx: ctx, from: r}
	kind, err := images.DiffCompression(ctx, mediaType)
	if err != nil {
		return nil, fmt.Errorf("layer of the type %.100q: %w", mediaType, err)
	}
	if kind == "" {
		return io.NopCloser(r), nil
	}
	buffered := bufio.NewReaderSize(r, 32<<10)
	magic, err := buffered.Peek(10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if compression.DetectCompression(magic) != compression.Zstd {
		return compression.DecompressStream(buffered)
	}
	z, err := zstd.NewReader(buffered, zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return zstdStream{z.IOReadCloser()}, nil
}

// zstdStream names the limit that a frame is beyond.
type zstdStream struct{ io.ReadCloser }

func (z zstdStream) Read(p []byte) (int, error) {
	n, err := z.ReadCloser.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("%w: more than %d bytes: %w", err, maxWindow, runtime.ErrImageLimit)
	}
	return n, err
}

// layerStream is an open layer.
type layerStream struct {
	stream io.ReadCloser
	blob   io.Closer
	tally  *tally
}

func (l *layerStream) Read(p []byte) (int, error) {
	n, err := l.stream.Read(p)
	if over := l.tally.read(n); over != nil {
		return 0, over
	}
	return n, err
}

func (l *layerStream) Close() error { return errors.Join(l.stream.Close(), l.blob.Close()) }

// applier unpacks layers as containerd's own applier does, and counts while it does so.
type applier struct {
	store  content.Store
	limits ImageLimits
}

// Apply implements [diff.Applier]. Nobody gives options.
func (a applier) Apply(ctx context.Context, desc ocispec.Descriptor, mounts []mount.Mount, _ ...diff.ApplyOpt) (ocispec.Descriptor, error) {
	t, ok := ctx.Value(tallyKey{}).(*tally)
	if !ok {
		t = newTally(a.limits)
	}
	layer, err := openLayer(ctx, a.store, desc, t)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer layer.Close()
	digester := digest.Canonical.Digester()
	r := io.TeeReader(layer, digester.Hash())
	if err := applyTar(ctx, mounts, r, t); err != nil {
		return ocispec.Descriptor{}, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // what follows the end belongs to the digest
		return ocispec.Descriptor{}, err
	}
	size := t.stream
	if err := labelCost(ctx, a.store, desc.Digest, t.finish()); err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Size: size, Digest: digester.Digest()}, nil
}

// applyTar unpacks into the upper directory of an overlay, where a whiteout is a device. A user namespace may not make such,
// and everything else is mounted and written to.
func applyTar(ctx context.Context, mounts []mount.Mount, r io.Reader, t *tally) error {
	into := func(dir string, opts ...archive.ApplyOpt) error {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		t.replaces = func(h *tar.Header) bool {
			_, err := root.Lstat(strings.TrimPrefix(h.Name, "/"))
			return !errors.Is(err, fs.ErrNotExist) // a name that leads out of it may do so to anywhere
		}
		filter := archive.WithFilter(func(h *tar.Header) (bool, error) { return true, t.entry(h) })
		_, err = archive.Apply(ctx, dir, r, append(opts, filter)...)
		return err
	}
	if len(mounts) == 1 && mounts[0].Type == "overlay" && !userns.RunningInUserNS() {
		upper, lower := overlayDirs(mounts[0].Options)
		if upper != "" {
			opts := []archive.ApplyOpt{archive.WithConvertWhiteout(archive.OverlayConvertWhiteout)}
			if len(lower) > 0 {
				opts = append(opts, archive.WithParents(lower))
			}
			return into(upper, opts...)
		}
	}
	return mount.WithTempMount(ctx, mounts, func(root string) error { return into(root) })
}

func overlayDirs(options []string) (upper string, lower []string) {
	for _, o := range options {
		if dir, ok := strings.CutPrefix(o, "upperdir="); ok {
			upper = dir
		} else if dirs, ok := strings.CutPrefix(o, "lowerdir="); ok {
			lower = strings.Split(dirs, ":")
		}
	}
	return upper, lower
}
