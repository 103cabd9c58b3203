//go:build linux

package containerd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// A layer whose download was broken off, by the registry, the caller or the end of this process, is kept for the next pull
// to go on from. It is the writing that containerd's content store calls an ingest, and has a lease of its own that keeps
// the collector away from it for a day.

const (
	partialAge    = 24 * time.Hour
	partialPrefix = "fardel-partial-" // and the digest: the ID of the lease
	layerPrefix   = "layer-"          // and the digest: containerd's name of a layer that is being written
)

// partialLayer is the digest of a layer that is being written under this name.
func partialLayer(ref string) (digest.Digest, bool) {
	name, ok := strings.CutPrefix(ref, layerPrefix)
	layer := digest.Digest(name)
	return layer, ok && layer.Validate() == nil
}

// written is how much of a blob is here.
func written(ctx context.Context, store content.Store, ref string) int64 {
	status, err := store.Status(ctx, ref)
	if err != nil {
		return 0
	}
	return status.Offset
}

// putAside keeps what has come of a layer, and throws away what is too old, empty or no layer.
func (d *Driver) putAside(ctx context.Context, status content.Status) error {
	layer, ok := partialLayer(status.Ref)
	rest := partialAge - time.Since(status.UpdatedAt)
	if !ok || status.Offset == 0 || rest <= 0 {
		return d.throwAway(ctx, status.Ref)
	}
	service, lease := d.client.LeasesService(), leases.Lease{ID: partialPrefix + layer.Encoded()}
	if err := service.Delete(ctx, lease); err != nil && !errdefs.IsNotFound(err) { // it may end sooner
		return fmt.Errorf("release lease: %w", err)
	}
	labels := leases.WithLabels(map[string]string{ownerLabel: d.cfg.Owner})
	if _, err := service.Create(ctx, leases.WithID(lease.ID), leases.WithExpiration(rest), labels); err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	if err := service.AddResource(ctx, lease, leases.Resource{ID: status.Ref, Type: "ingests"}); err != nil {
		return fmt.Errorf("keep %s: %w", status.Ref, err)
	}
	return nil
}

// sweepPartials keeps what is worth it of what an earlier process was writing, and returns the leases that do.
func (d *Driver) sweepPartials(ctx context.Context) (map[string]bool, error) {
	list, err := d.client.ContentStore().ListStatuses(ctx)
	if err != nil {
		return nil, fmt.Errorf("list transfers: %w", err)
	}
	kept := map[string]bool{}
	for _, status := range list {
		if err := d.putAside(ctx, status); err != nil {
			return nil, err
		}
		if layer, ok := partialLayer(status.Ref); ok && status.Offset > 0 {
			kept[partialPrefix+layer.Encoded()] = true
		}
	}
	return kept, nil
}

// throwAway removes what has come of a blob.
func (d *Driver) throwAway(ctx context.Context, ref string) error {
	if err := abort(ctx, d.client.ContentStore(), ref); err != nil {
		return err
	}
	return d.finishPartial(ctx, ref)
}

// finishPartial removes the lease of a layer that was kept.
func (d *Driver) finishPartial(ctx context.Context, ref string) error {
	layer, ok := partialLayer(ref)
	if !ok {
		return nil
	}
	err := d.client.LeasesService().Delete(ctx, leases.Lease{ID: partialPrefix + layer.Encoded()})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("release lease: %w", err)
	}
	return nil
}

// weighPartials says what layers take whose download was broken off.
func (d *Driver) weighPartials(ctx context.Context) ([]cached, error) {
	list, err := d.client.ContentStore().ListStatuses(ctx)
	if err != nil {
		return nil, fmt.Errorf("list transfers: %w", err)
	}
	var all []cached
	for _, status := range list {
		layer, ok := partialLayer(status.Ref)
		if !ok {
			continue
		}
		all = append(all, cached{
			key: status.Ref, lastUsed: status.UpdatedAt, spared: d.pulls.claimed(layer), parts: map[string]int64{status.Ref: status.Offset},
		})
	}
	return all, nil
}

// discardPartial throws away what has come of a layer, unless somebody is at it.
func (d *Driver) discardPartial(ctx context.Context, ref string, layer digest.Digest) (bool, error) {
	release, ok := d.pulls.tryClaim(layer)
	if !ok {
		return false, nil
	}
	defer release()
	return true, d.throwAway(ctx, ref)
}
