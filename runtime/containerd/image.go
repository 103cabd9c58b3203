//go:build linux

package containerd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

// An image that Pull or ImportImage made available has two records in containerd: one under its name, which moves with
// the tag, and one under runtime.Image.Ref, which is the repository with the digest and does not. The records keep the
// content, and a label on the configuration keeps the unpacked layers.

// indexLabel is on the record of an image for another platform than the machine's, and holds the Ref of the index that
// it came from.
const indexLabel = "io.fardel/index"

// pulls is what a driver has in memory of images. The zero value is ready for use.
type pulls struct {
	mu      sync.Mutex
	flights map[string]*flight       // transfers, see flight
	known   map[string]*knownImage   // by platform and digest of the record's target
	blobs   map[digest.Digest]*claim // those that are being transferred
	swept   bool                     // what an earlier process left is removed
}

// knownImage is an image that was found complete and unpacked. It does not change.
type knownImage struct {
	image    runtime.Image // without Ref and Name
	manifest ocispec.Descriptor
	chainID  string
	layers   []string             // names of the snapshots of its layers; the last is chainID
	blobs    []ocispec.Descriptor // of the layers
}

var (
	_ runtime.ImageStore = (*Driver)(nil)
)

// Images implements [runtime.ImageStore]. It lists every tag once, and what has no tag any more under its Ref.
func (d *Driver) Images(ctx context.Context) ([]runtime.Image, error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	ctx = d.context(ctx)
	records, err := d.client.ImageService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	tagged := map[string]bool{}
	for _, record := range records {
		if name, err := runtime.ParseImageName(record.Name); err == nil && name.Digest == "" {
			tagged[name.Pinned(record.Target.Digest.String())] = true
		}
	}
	var list []runtime.Image
	for _, record := range records {
		name, err := runtime.ParseImageName(record.Name)
		if err != nil || tagged[record.Name] {
			continue
		}
		known, err := d.anyPlatform(ctx, record.Target)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", record.Name, err)
		}
		if known != nil {
			list = append(list, known.named(name))
		}
	}
	slices.SortFunc(list, func(a, b runtime.Image) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// anyPlatform returns what is here of an image: that for this machine's platform, or else the first.
func (d *Driver) anyPlatform(ctx context.Context, target ocispec.Descriptor) (*knownImage, error) {
	known, err := d.knownImage(ctx, target, platforms.Default(), "")
	if known != nil || err != nil && !errors.Is(err, runtime.ErrImagePlatform) {
		return known, err
	}
	var index document
	if err := readDocument(ctx, d.client.ContentStore(), target, &index); err != nil {
		return nil, err
	}
	for _, manifest := range append(index.Manifests, target) {
		known, err := d.knownImage(ctx, manifest, platforms.All, "all")
		if err != nil {
			return nil, err
		}
		if known != nil {
			same := *known
			same.image.Digest = target.Digest.String()
			return &same, nil
		}
	}
	return nil, nil
}

// named completes an image with its names.
func (k *knownImage) named(name runtime.ImageName) runtime.Image {
	img := k.image
	img.Name = name.String()
	img.Ref = name.Pinned(img.Digest)
	img.Entrypoint, img.Command, img.Env = slices.Clone(img.Entrypoint), slices.Clone(img.Command), slices.Clone(img.Env)
	return img
}

// RemoveImage implements [runtime.ImageStore]. A tag goes with the image if it was the last that named it; a digest goes
// with all of its tags. Containers that run keep their root file systems.
func (d *Driver) RemoveImage(ctx context.Context, ref string) error {
	if err := d.open(); err != nil {
		return err
	}
	name, err := runtime.ParseImageName(ref)
	if err != nil {
		return err
	}
	ctx = d.context(ctx)
	service := d.client.ImageService()
	target, err := service.Get(ctx, recordName(name))
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	records, err := service.List(ctx)
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	pinned := name.Pinned(target.Target.Digest.String())
	gone := []string{recordName(name)}
	others := siblings(records, name, target.Target.Digest)
	if name.Digest != "" {
		gone = append(gone, others...)
	} else if len(others) == 1 { // itself
		gone = append(gone, pinned)
		for _, record := range records { // of other platforms
			if record.Labels[indexLabel] == pinned {
				gone = append(gone, record.Name)
			}
		}
	}
	d.pulls.forget(target.Target.Digest)
	var errs []error
	slices.Sort(gone)
	gone = slices.Compact(gone)
	for i, record := range gone {
		var opts []images.DeleteOpt
		if i == len(gone)-1 {
			opts = append(opts, images.SynchronousDelete())
		}
		if err := service.Delete(ctx, record, opts...); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove image %s: %w", record, err))
		}
	}
	return errors.Join(errs...)
}

// siblings are the tags of a repository that name a digest.
func siblings(records []images.Image, name runtime.ImageName, target digest.Digest) []string {
	var tags []string
	for _, record := range records {
		other, err := runtime.ParseImageName(record.Name)
		if err == nil && other.Digest == "" && other.Registry == name.Registry && other.Repository == name.Repository &&
			record.Target.Digest == target {
			tags = append(tags, record.Name)
		}
	}
	return tags
}

// recordName is the record that answers for a reference. With a digest the tag does not matter.
func recordName(name runtime.ImageName) string {
	if name.Digest != "" {
		return name.Pinned(name.Digest)
	}
	return name.String()
}

// find returns an image of this machine that is complete and unpacked, or nil.
func (d *Driver) find(ctx context.Context, name runtime.ImageName, matcher platforms.MatchComparer, platform string) (*knownImage, error) {
	record, err := d.client.ImageService().Get(ctx, recordName(name))
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return d.knownImage(ctx, record.Target, matcher, platform)
}

// knownImage reads what is known of the image at a descriptor, or nil if not all of it is there.
func (d *Driver) knownImage(ctx context.Context, target ocispec.Descriptor, matcher platforms.MatchComparer, platform string) (*knownImage, error) {
	key := platform + " " + target.Digest.String()
	if k := d.pulls.get(key); k != nil {
		return k, nil
	}
	k, err := readKnown(ctx, d.client.ContentStore(), target, matcher)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if k.chainID != "" {
		if _, err := d.client.SnapshotService(d.snapshotter).Stat(ctx, k.chainID); errdefs.IsNotFound(err) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	d.pulls.put(key, k)
	return k, nil
}

func readKnown(ctx context.Context, store content.Provider, target ocispec.Descriptor, matcher platforms.MatchComparer) (*knownImage, error) {
	t := &tree{store: store, matcher: matcher}
	chosen, err := t.choose(ctx, target)
	if err != nil {
		return nil, err
	}
	m, config, err := t.read(ctx, chosen)
	if err != nil {
		return nil, err
	}
	return newKnown(target, chosen, m, config), nil
}

func newKnown(target, chosen ocispec.Descriptor, m ocispec.Manifest, config ocispec.Image) *knownImage {
	size := chosen.Size + m.Config.Size
	for _, layer := range m.Layers {
		size += layer.Size
	}
	if target.Digest != chosen.Digest {
		size += target.Size
	}
	var layers []string
	for _, id := range identity.ChainIDs(slices.Clone(config.RootFS.DiffIDs)) {
		layers = append(layers, id.String())
	}
	c := config.Config
	return &knownImage{
		manifest: chosen, chainID: identity.ChainID(config.RootFS.DiffIDs).String(), layers: layers, blobs: m.Layers,
		image: runtime.Image{
			Digest: target.Digest.String(), Platform: platforms.Format(platforms.Normalize(config.Platform)), Size: size,
			Entrypoint: c.Entrypoint, Command: c.Cmd, Env: c.Env, WorkingDir: c.WorkingDir, User: c.User,
			StopSignal: c.StopSignal, Volumes: keys(c.Volumes), ExposedPorts: keys(c.ExposedPorts), Labels: c.Labels,
		},
	}
}

func (p *pulls) get(key string) *knownImage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[key]
}

func (p *pulls) put(key string, k *knownImage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]*knownImage{}
	}
	p.known[key] = k
}

func (p *pulls) forget(target digest.Digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.known {
		if strings.HasSuffix(key, " "+target.String()) {
			delete(p.known, key)
		}
	}
}

// readDocument reads a JSON document of an image.
func readDocument(ctx context.Context, store content.Provider, desc ocispec.Descriptor, into any) error {
	if err := checkDocument(desc, documentLimit(desc.MediaType)); err != nil {
		return err
	}
	data, err := content.ReadBlob(ctx, store, desc)
	if err != nil {
		return err
	}
	if values(data) > maxValues {
		return fmt.Errorf("%.100s %s holds more than %d values: %w", desc.MediaType, desc.Digest, maxValues, runtime.ErrImageLimit)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s %s: %w: %w", desc.MediaType, desc.Digest, err, runtime.ErrImageCorrupt)
	}
	return nil
}
