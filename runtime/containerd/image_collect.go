//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

// pulledLabel is on the records of images that came from a registry, and may be collected because they can come again.
const pulledLabel = "io.fardel/pulled"

// imageGroup is the records of one image: its tags in a repository, its digest there, and what came of it for other
// platforms.
type imageGroup struct {
	names    []string
	targets  []ocispec.Descriptor
	imported bool
	changed  time.Time // the latest change of a record
}

// imageGroups sorts the records of this driver by the Ref of what their tags name. Others' are left out, also those that
// somebody else made in our namespace of a daemon.
func (d *Driver) imageGroups(records []images.Image) map[string]*imageGroup {
	groups := map[string]*imageGroup{}
	for _, record := range records {
		name, err := runtime.ParseImageName(record.Name)
		if err != nil || record.Labels[ownerLabel] != d.cfg.Owner {
			continue
		}
		key := record.Labels[indexLabel]
		if key == "" {
			key = name.Pinned(record.Target.Digest.String())
		}
		g := groups[key]
		if g == nil {
			g = &imageGroup{}
			groups[key] = g
		}
		g.names, g.targets = append(g.names, record.Name), append(g.targets, record.Target)
		g.imported = g.imported || record.Labels[pulledLabel] == ""
		if record.UpdatedAt.After(g.changed) {
			g.changed = record.UpdatedAt
		}
	}
	return groups
}

// CollectImages implements [runtime.ImageCollector].
func (d *Driver) CollectImages(ctx context.Context, limit runtime.ImageLimit) (runtime.ImageCollection, error) {
	if err := d.open(); err != nil {
		return runtime.ImageCollection{}, err
	}
	ctx, cancel := d.untilClose(d.context(ctx))
	defer cancel()
	c, err := d.collectImages(ctx, limit)
	if err != nil && d.open() != nil {
		return c, d.open()
	}
	if err != nil {
		return c, fmt.Errorf("collect images: %w", err)
	}
	return c, nil
}

func (d *Driver) collectImages(ctx context.Context, limit runtime.ImageLimit) (c runtime.ImageCollection, err error) {
	records, err := d.client.ImageService().List(ctx)
	if err != nil {
		return c, err
	}
	present := map[string]bool{}
	for _, record := range records {
		present[record.Name] = true
	}
	groups := d.imageGroups(records)
	all, err := d.weigh(ctx, groups)
	if err != nil {
		return c, err
	}
	gone, left := planCollection(all, limit, time.Now())
	c.Bytes = left
	came := false // somebody, for one of them
	for _, key := range gone {
		removed := false
		var img runtime.Image
		if layer, ok := partialLayer(key); ok {
			removed, err = d.discardPartial(ctx, key, layer)
		} else if img, removed, err = d.discard(ctx, key); removed {
			c.Removed = append(c.Removed, img)
		}
		if err != nil {
			return c, err
		}
		came = came || !removed
	}
	if err := d.use.save(d.cfg.Dir, present); err != nil {
		return c, err
	}
	if len(gone) == 0 {
		return c, nil
	}
	if came {
		if records, err = d.client.ImageService().List(ctx); err != nil {
			return c, err
		}
		if all, err = d.weigh(ctx, d.imageGroups(records)); err != nil {
			return c, err
		}
		_, c.Bytes = planCollection(all, runtime.ImageLimit{MaxBytes: maxBytes}, time.Now())
	}
	d.accountsMu.Lock()
	clear(d.accounts)
	d.accountsMu.Unlock()
	d.linksMu.Lock()
	clear(d.links)
	d.linksMu.Unlock()
	return c, d.collectContent(ctx)
}

// maxBytes is no limit.
const maxBytes = 1<<63 - 1

// weigh says what images take, and who has to stay.
func (d *Driver) weigh(ctx context.Context, groups map[string]*imageGroup) ([]cached, error) {
	all, err := d.weighPartials(ctx)
	if err != nil {
		return nil, err
	}
	for key, g := range groups {
		parts := map[string]int64{}
		for _, target := range g.targets {
			if err := d.addParts(ctx, parts, target); err != nil {
				return nil, fmt.Errorf("image %s: %w", key, err)
			}
		}
		all = append(all, cached{
			key: key, lastUsed: d.use.lastUse(g.names, g.changed), imported: g.imported,
			spared: d.use.held(append([]string{key}, g.names...)), parts: parts,
		})
	}
	return all, nil
}

// addParts adds what is here of an image: blobs by digest, and unpacked layers by the name of their snapshot.
func (d *Driver) addParts(ctx context.Context, parts map[string]int64, desc ocispec.Descriptor) error {
	store := d.client.ContentStore()
	if found, err := addBlob(ctx, store, parts, desc); err != nil || !found {
		return err
	}
	var doc document
	if err := readDocument(ctx, store, desc, &doc); err != nil {
		return ignoreMissing(err)
	}
	for _, manifest := range doc.Manifests {
		if err := d.addParts(ctx, parts, manifest); err != nil {
			return err
		}
	}
	for _, layer := range doc.Layers {
		if _, err := addBlob(ctx, store, parts, layer); err != nil {
			return err
		}
	}
	if doc.Config == nil {
		return nil
	}
	if found, err := addBlob(ctx, store, parts, *doc.Config); err != nil || !found {
		return err
	}
	var config ocispec.Image
	if err := readDocument(ctx, store, *doc.Config, &config); err != nil {
		return ignoreMissing(err)
	}
	for i := range config.RootFS.DiffIDs {
		chain := identity.ChainID(config.RootFS.DiffIDs[:i+1]).String()
		size, err := d.snapshotSize(ctx, chain)
		if err != nil {
			return err
		}
		parts["snapshot "+chain] = size
	}
	return nil
}

// addBlob adds a blob that is here.
func addBlob(ctx context.Context, store content.Store, parts map[string]int64, desc ocispec.Descriptor) (bool, error) {
	info, err := store.Info(ctx, desc.Digest)
	if err != nil {
		return false, ignoreMissing(err)
	}
	parts[desc.Digest.String()] = info.Size
	return true, nil
}

func ignoreMissing(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// snapshotSize is what an unpacked layer takes. It does not change, and containerd noted it when it was unpacked.
func (d *Driver) snapshotSize(ctx context.Context, chain string) (int64, error) {
	usage, err := d.client.SnapshotService(d.snapshotter).Usage(ctx, chain)
	if err != nil {
		return 0, ignoreMissing(err)
	}
	return usage.Size, nil
}

// discard removes the records of an image, unless somebody has come to use it or has imported it. Its content goes with
// the next collection of garbage. Cut off half-way, it leaves an image with fewer tags.
func (d *Driver) discard(ctx context.Context, key string) (runtime.Image, bool, error) {
	d.use.gate.Lock()
	defer d.use.gate.Unlock()
	service := d.client.ImageService()
	records, err := service.List(ctx)
	if err != nil {
		return runtime.Image{}, false, err
	}
	g := d.imageGroups(records)[key]
	if g == nil || g.imported || d.use.held(append([]string{key}, g.names...)) {
		return runtime.Image{}, false, nil
	}
	img, err := d.describe(ctx, key, g)
	if err != nil {
		return img, false, err
	}
	for i, name := range g.names {
		d.pulls.forget(g.targets[i].Digest)
		if err := service.Delete(ctx, name); err != nil && !errdefs.IsNotFound(err) {
			return img, false, fmt.Errorf("remove image %s: %w", name, err)
		}
	}
	d.logger.Info("image was removed to make room", "image", img.Name)
	return img, true, nil
}

// describe says what an image was, under its first tag if it has one.
func (d *Driver) describe(ctx context.Context, key string, g *imageGroup) (runtime.Image, error) {
	best, target := key, g.targets[0]
	for i, record := range g.names {
		if name, err := runtime.ParseImageName(record); err == nil && name.Digest == "" && (best == key || record < best) {
			best, target = record, g.targets[i]
		}
	}
	name, err := runtime.ParseImageName(best)
	if err != nil {
		return runtime.Image{}, err
	}
	known, err := d.anyPlatform(ctx, target)
	if err != nil && !errdefs.IsNotFound(err) && !errors.Is(err, runtime.ErrImageCorrupt) {
		return runtime.Image{}, fmt.Errorf("image %s: %w", best, err)
	}
	if known == nil { // not all of it is there
		return runtime.Image{Name: name.String(), Ref: key, Digest: target.Digest.String()}, nil
	}
	return known.named(name), nil
}

// collectContent has containerd remove what no record names, and waits for it.
func (d *Driver) collectContent(ctx context.Context) error {
	_, release, err := d.lease(ctx)
	if err != nil {
		return err
	}
	return release(true)
}
