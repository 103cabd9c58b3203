//go:build linux

package containerd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

// tree walks from what a tag names, an index or a manifest, to an image's configuration and layers.
type tree struct {
	store   content.Provider
	matcher platforms.MatchComparer

	// bring makes a blob present in store before it is read; nil where everything is there.
	bring func(ctx context.Context, desc ocispec.Descriptor) error
}

// present brings a document if there is something to bring it with.
func (t *tree) present(ctx context.Context, desc ocispec.Descriptor) error {
	if err := checkDocument(desc, documentLimit(desc.MediaType)); err != nil || t.bring == nil {
		return err
	}
	return t.bring(ctx, desc)
}

// document is an index or a manifest; its media type alone is not to be believed.
type document struct {
	Manifests []ocispec.Descriptor `json:"manifests"`
	Layers    []ocispec.Descriptor `json:"layers"`
	Config    *ocispec.Descriptor  `json:"config"`
}

// choose returns the manifest for the platform: target itself, or the best of an index.
func (t *tree) choose(ctx context.Context, target ocispec.Descriptor) (ocispec.Descriptor, error) {
	for range 3 { // an index may hold an index; real ones go no deeper
		if !images.IsManifestType(target.MediaType) && !images.IsIndexType(target.MediaType) {
			return target, fmt.Errorf("%s is %.100q, not an image: %w", target.Digest, target.MediaType, runtime.ErrImageCorrupt)
		}
		if err := t.present(ctx, target); err != nil {
			return target, err
		}
		if images.IsManifestType(target.MediaType) {
			return target, nil
		}
		var index document
		if err := readDocument(ctx, t.store, target, &index); err != nil {
			return target, err
		}
		if len(index.Layers) > 0 || index.Config != nil {
			return target, fmt.Errorf("%s is an index and a manifest in one: %w", target.Digest, runtime.ErrImageCorrupt)
		}
		best, err := t.best(index.Manifests)
		if err != nil {
			return target, err
		}
		target = best
	}
	return target, fmt.Errorf("%s: indexes within indexes: %w", target.Digest, runtime.ErrImageCorrupt)
}

// best picks the manifest for the platform. One without a platform is taken if there is no other; read checks it.
func (t *tree) best(manifests []ocispec.Descriptor) (ocispec.Descriptor, error) {
	fitting := slices.DeleteFunc(slices.Clone(manifests), func(m ocispec.Descriptor) bool {
		return m.Platform == nil || !t.matcher.Match(platforms.Normalize(*m.Platform))
	})
	if len(fitting) > 0 {
		slices.SortStableFunc(fitting, func(a, b ocispec.Descriptor) int {
			switch {
			case t.matcher.Less(*a.Platform, *b.Platform):
				return -1
			case t.matcher.Less(*b.Platform, *a.Platform):
				return 1
			}
			return 0
		})
		return fitting[0], nil
	}
	if len(manifests) == 0 {
		return ocispec.Descriptor{}, fmt.Errorf("an index without manifests: %w", runtime.ErrImageCorrupt)
	}
	var others []string
	for _, m := range manifests {
		if m.Platform == nil {
			return m, nil
		}
		if m.Platform.OS != "unknown" { // attestations
			others = append(others, platforms.Format(platforms.Normalize(*m.Platform)))
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("it is for %s: %w", strings.Join(others, ", "), runtime.ErrImagePlatform)
}

// read returns a manifest and its configuration, which must be for the platform and fit each other.
func (t *tree) read(ctx context.Context, desc ocispec.Descriptor) (m ocispec.Manifest, config ocispec.Image, err error) {
	var both document
	if err := readDocument(ctx, t.store, desc, &both); err != nil {
		return m, config, err
	}
	if len(both.Manifests) > 0 || both.Config == nil {
		return m, config, fmt.Errorf("manifest %s has no configuration: %w", desc.Digest, runtime.ErrImageCorrupt)
	}
	m.Config = *both.Config
	m.Layers = slices.DeleteFunc(both.Layers, func(l ocispec.Descriptor) bool { return !images.IsLayerType(l.MediaType) })
	if err := t.present(ctx, m.Config); err != nil {
		return m, config, err
	}
	if err := readDocument(ctx, t.store, m.Config, &config); err != nil {
		return m, config, err
	}
	if config.OS != "" && !t.matcher.Match(platforms.Normalize(config.Platform)) {
		return m, config, fmt.Errorf("it is for %s: %w", platforms.Format(platforms.Normalize(config.Platform)), runtime.ErrImagePlatform)
	}
	if len(m.Layers) != len(config.RootFS.DiffIDs) {
		return m, config, fmt.Errorf("manifest %s has %d layers, its configuration %d: %w",
			desc.Digest, len(m.Layers), len(config.RootFS.DiffIDs), runtime.ErrImageCorrupt)
	}
	return m, config, nil
}
