package containerd

import (
	"archive/tar"
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

// ImageLimits bound what one image may take of this machine, whatever its registry or archive says. One that is beyond a
// limit is refused with [runtime.ErrImageLimit], as far as possible before anything of it is fetched or written. 0 is the
// default, and less than 0 no limit. Indexes, manifests and configurations have limits that are not to be set: 4 MiB, and
// 8 MiB for configurations.
type ImageLimits struct {
	MaxLayerBytes    int64 // of one layer, as the registry sends it; 0 is 10 GiB
	MaxImageBytes    int64 // of all layers, as the registry sends them; 0 is 20 GiB
	MaxUnpackedBytes int64 // of all layers, unpacked, holes in files included; also of an archive that is imported; 0 is 40 GiB
	MaxEntries       int64 // files, directories and links in all layers, of which each takes an inode; 0 is 1,000,000
	MaxLayers        int   // 0 is 500, of which overlayfs cannot stack more, either
}

// Defaults of ImageLimits. GitHub's registry has layers of 10 GB at most, and Fargate 20 GiB for a task if not asked for more.
const (
	defaultLayerBytes    = 10 << 30
	defaultImageBytes    = 20 << 30
	defaultUnpackedBytes = 40 << 30
	defaultEntries       = 1_000_000
	defaultLayers        = 500
)

const (
	maxManifest = 4 << 20 // registries refuse more
	maxConfig   = 8 << 20
	maxValues   = 1 << 16 // in a JSON document, of which each may take a hundred times as much when it is read

	maxPath     = 4096      // the kernel's PATH_MAX
	maxNames    = 512 << 20 // names and attributes of a layer, which are in memory while it is unpacked
	maxXattrs   = 128       // of a file
	maxXattrLen = 64 << 10  // of all attributes of a file; the kernel has as much for one
)

func (l ImageLimits) withDefaults() ImageLimits {
	limit := func(n, standard int64) int64 {
		if n < 0 {
			return math.MaxInt64
		}
		return cmp.Or(n, standard)
	}
	l.MaxLayerBytes = limit(l.MaxLayerBytes, defaultLayerBytes)
	l.MaxImageBytes = limit(l.MaxImageBytes, defaultImageBytes)
	l.MaxUnpackedBytes = limit(l.MaxUnpackedBytes, defaultUnpackedBytes)
	l.MaxEntries = limit(l.MaxEntries, defaultEntries)
	l.MaxLayers = int(limit(int64(l.MaxLayers), defaultLayers))
	return l
}

// document checks the size of an index, a manifest or, with most, a configuration before it is fetched.
func checkDocument(desc ocispec.Descriptor, most int64) error {
	switch {
	case desc.Size < 0:
		return fmt.Errorf("%.100s %s has %d bytes: %w", desc.MediaType, desc.Digest, desc.Size, runtime.ErrImageCorrupt)
	case desc.Size > most:
		return fmt.Errorf("%.100s %s has %d bytes, more than %d: %w", desc.MediaType, desc.Digest, desc.Size, most, runtime.ErrImageLimit)
	}
	return nil
}

// layers checks what a manifest says of its layers before they are fetched.
func (l ImageLimits) layers(list []ocispec.Descriptor) error {
	if len(list) > l.MaxLayers {
		return fmt.Errorf("%d layers, more than %d (Config.ImageLimits.MaxLayers): %w", len(list), l.MaxLayers, runtime.ErrImageLimit)
	}
	var sum int64
	for _, layer := range list {
		switch {
		case layer.Size < 0:
			return fmt.Errorf("layer %s has %d bytes: %w", layer.Digest, layer.Size, runtime.ErrImageCorrupt)
		case layer.Size > l.MaxLayerBytes:
			return fmt.Errorf("layer %s has %d bytes, more than %d (Config.ImageLimits.MaxLayerBytes): %w",
				layer.Digest, layer.Size, l.MaxLayerBytes, runtime.ErrImageLimit)
		case layer.Size > l.MaxImageBytes-sum:
			return fmt.Errorf("its layers have more than %d bytes (Config.ImageLimits.MaxImageBytes): %w", l.MaxImageBytes, runtime.ErrImageLimit)
		}
		sum += layer.Size
	}
	return nil
}

// values counts the values of a JSON document, or a few more.
func values(document []byte) int {
	n, quoted, escaped := 1, false, false
	for _, c := range document {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == ',', c == '[', c == '{':
			n++
		}
	}
	return n
}

// cost is what layers take when they are unpacked.
type cost struct{ bytes, entries int64 }

// tally adds up what the layers of an image take, and says when it is too much.
type tally struct {
	limits ImageLimits
	before cost // of the layers that are done

	stream  int64 // bytes of this layer, as it is read
	content int64 // of its files, which is more if they have holes
	entries int64
	names   int64               // bytes of what is kept in memory
	dirs    map[uint64]struct{} // hashes of the directories that are counted

	// replaces reports whether something is where an entry is to be; nil if that cannot be known.
	replaces func(h *tar.Header) bool
	seed     maphash.Seed
}

func newTally(limits ImageLimits) *tally {
	return &tally{limits: limits, dirs: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
}

// finish ends a layer and returns what it takes.
func (t *tally) finish() cost {
	c := cost{max(t.stream, t.content), t.entries}
	t.add(c)
	return c
}

// add counts a layer whose costs are known, and begins the next.
func (t *tally) add(c cost) {
	*t = tally{
		limits: t.limits, before: cost{saturate(t.before.bytes, c.bytes), saturate(t.before.entries, c.entries)},
		dirs: map[uint64]struct{}{}, seed: t.seed,
	}
}

// saturate adds two numbers that are not negative.
func saturate(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// over says whether what is counted is too much already.
func (t *tally) over() error {
	if err := t.bytes(t.stream); err != nil {
		return err
	}
	if t.entries > t.limits.MaxEntries-t.before.entries {
		return fmt.Errorf("more than %d entries (Config.ImageLimits.MaxEntries): %w", t.limits.MaxEntries, runtime.ErrImageLimit)
	}
	return nil
}

// read counts bytes of the layer as a tar stream.
func (t *tally) read(n int) error {
	t.stream = saturate(t.stream, int64(n))
	return t.bytes(t.stream)
}

func (t *tally) bytes(n int64) error {
	if n > t.limits.MaxUnpackedBytes-t.before.bytes {
		return fmt.Errorf("more than %d bytes unpacked (Config.ImageLimits.MaxUnpackedBytes): %w", t.limits.MaxUnpackedBytes, runtime.ErrImageLimit)
	}
	return nil
}

// entry counts one entry, and takes from it what nothing needs: it may stay in memory until the layer is unpacked, and strings
// that were cut out of a header keep the whole header there.
func (t *tally) entry(h *tar.Header) error {
	if len(h.Name) > maxPath || len(h.Linkname) > maxPath {
		return fmt.Errorf("an entry %.100q… has a name of more than %d bytes: %w", h.Name, maxPath, runtime.ErrImageLimit)
	}
	for key, value := range h.PAXRecords {
		t.names += int64(len(key) + len(value))
	}
	t.names += int64(len(h.Name) + len(h.Linkname))
	switch h.Typeflag {
	case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo: // no content, whatever the size
	default:
		t.content = saturate(t.content, max(h.Size, 0))
	}
	t.entries = saturate(t.entries, 1+t.parents(h))
	if err := t.bytes(t.content); err != nil {
		return err
	}
	if err := t.over(); err != nil {
		return err
	}
	if t.names > maxNames {
		return fmt.Errorf("names and attributes of more than %d bytes in one layer: %w", maxNames, runtime.ErrImageLimit)
	}
	attributes, err := xattrs(h)
	if err != nil {
		return err
	}
	*h = tar.Header{
		Typeflag: h.Typeflag, Name: strings.Clone(h.Name), Linkname: strings.Clone(h.Linkname), Size: h.Size,
		Mode: h.Mode, Uid: h.Uid, Gid: h.Gid, ModTime: h.ModTime, AccessTime: h.AccessTime,
		Devmajor: h.Devmajor, Devminor: h.Devminor, PAXRecords: attributes,
	}
	return nil
}

// parents counts the directories that an entry needs and that the layer did not have before: each takes an inode, too. A link in
// place of something else may change what any name leads to, so that all are counted again after one.
func (t *tally) parents(h *tar.Header) (n int64) {
	if (h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink) && (t.replaces == nil || t.replaces(h)) {
		defer clear(t.dirs)
	}
	name := strings.TrimSuffix(h.Name, "/")
	for i := range len(name) {
		if name[i] == '/' && i > 0 {
			n += t.newDir(name[:i])
		}
	}
	if h.Typeflag == tar.TypeDir {
		t.newDir(name)
	}
	return n
}

func (t *tally) newDir(path string) int64 {
	hash := maphash.String(t.seed, path)
	if _, known := t.dirs[hash]; known {
		return 0
	}
	t.dirs[hash] = struct{}{}
	return 1
}

const paxXattr = "SCHILY.xattr."

// xattrs are the extended attributes that an image may give its files: capabilities, ACLs and those of users. The others are
// for the host's kernel to believe: labels of security modules and, below trusted., what overlayfs reads.
func xattrs(h *tar.Header) (map[string]string, error) {
	var kept map[string]string
	size := 0
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, paxXattr)
		if !ok {
			continue
		}
		if size += len(name) + len(value); size > maxXattrLen || len(kept) >= maxXattrs {
			return nil, fmt.Errorf("%.100q has more than %d extended attributes, or %d bytes of them: %w", h.Name, maxXattrs, maxXattrLen, runtime.ErrImageLimit)
		}
		if strings.HasPrefix(name, "security.") && name != "security.capability" || strings.HasPrefix(name, "trusted.") {
			continue
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[strings.Clone(key)] = strings.Clone(value)
	}
	return kept, nil
}

// documentLimit is how large what a tag or an index names may be.
func documentLimit(mediaType string) int64 {
	if images.IsManifestType(mediaType) || images.IsIndexType(mediaType) {
		return maxManifest
	}
	return maxConfig
}
