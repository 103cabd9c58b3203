//go:build linux

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"

	"github.com/fardel-io/fardel/internal/rmtree"
	"github.com/fardel-io/fardel/runtime"
)

// ownerLabel is on every snapshot and container that we make in containerd.
const ownerLabel = "io.fardel/owner"

// rootLabel keeps a snapshot from being collected. The value is a time that only people read.
const rootLabel = "containerd.io/gc.root"

// unpacked is an image whose layers are unpacked.
type unpacked struct {
	runtime.Image
	chainID string // name of its topmost layer's snapshot
}

// unpackedImage finds an image that was pulled or imported.
func (d *Driver) unpackedImage(ctx context.Context, ref string) (unpacked, error) {
	name, err := runtime.ParseImageName(ref)
	if err != nil {
		return unpacked{}, err
	}
	k, err := d.find(ctx, name, platforms.Default(), "")
	if k == nil && err == nil { // pulled for another platform
		k, err = d.find(ctx, name, platforms.All, "all")
	}
	if err != nil {
		return unpacked{}, fmt.Errorf("image %s: %w", ref, err)
	}
	if k == nil {
		return unpacked{}, fmt.Errorf("image %s is not on this machine; pull it first: %w", ref, runtime.ErrImageNotFound)
	}
	return unpacked{Image: k.named(name), chainID: k.chainID}, nil
}

func keys(m map[string]struct{}) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// prepareRootfs makes a writable copy of an image's file system and returns how to mount it.
func (d *Driver) prepareRootfs(ctx context.Context, key string, img unpacked) ([]mount.Mount, error) {
	sn := d.client.SnapshotService(d.snapshotter)
	labels := snapshots.WithLabels(map[string]string{ownerLabel: d.cfg.Owner, rootLabel: time.Now().UTC().Format(time.RFC3339)})
	mounts, err := sn.Prepare(ctx, key, img.chainID, labels)
	if errdefs.IsAlreadyExists(err) { // left by a creation that was cut off
		if err := d.removeSnapshot(ctx, d.snapshotter, key); err != nil {
			return nil, err
		}
		mounts, err = sn.Prepare(ctx, key, img.chainID, labels)
	}
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("image %s was removed: %w", img.Ref, runtime.ErrImageNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("make root file system of image %s: %w", img.Ref, err)
	}
	return mounts, nil
}

func (d *Driver) removeSnapshot(ctx context.Context, snapshotter, key string) error {
	sn := d.client.SnapshotService(snapshotter)
	mounts, err := sn.Mounts(ctx, key)
	if err == nil {
		// The snapshotter has a file open for each directory in another, and leaves what it cannot remove without a word.
		for _, dir := range ownDirs(mounts) {
			err = errors.Join(err, rmtree.Remove(dir))
		}
	}
	if err == nil {
		err = sn.Remove(ctx, key)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove root file system %s: %w", key, err)
	}
	return nil
}

// ownDirs are the directories that are written to through a snapshot's mounts, and no other's.
func ownDirs(mounts []mount.Mount) []string {
	var dirs []string
	for _, m := range mounts {
		if m.Type == "bind" && slices.Contains(m.Options, "rw") {
			dirs = append(dirs, m.Source)
		}
		for _, option := range m.Options {
			name, dir, _ := strings.Cut(option, "=")
			if m.Type == "overlay" && (name == "upperdir" || name == "workdir") {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// insideImage calls f with a directory in which an image's file system can be read.
func (d *Driver) insideImage(ctx context.Context, img unpacked, f func(root string) error) (err error) {
	return d.insideImageFor(ctx, img, "", f)
}

// insideImageFor shows owners as they are for a sandbox, if one with a user namespace is named.
func (d *Driver) insideImageFor(ctx context.Context, img unpacked, sandbox string, f func(root string) error) (err error) {
	dir, err := os.MkdirTemp(d.tempDir(), "image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	key := "fardel-view-" + rand.Text()
	sn := d.client.SnapshotService(d.snapshotter)
	mounts, err := sn.View(ctx, key, img.chainID, snapshots.WithLabels(map[string]string{ownerLabel: d.cfg.Owner, rootLabel: "view"}))
	if err != nil {
		return fmt.Errorf("look into image %s: %w", img.Ref, err)
	}
	undo, cancel := undoContext(ctx)
	defer cancel()
	defer func() { err = errors.Join(err, d.removeSnapshot(undo, d.snapshotter, key)) }()
	mounts, release, err := d.mapImage(sandbox, mounts)
	if err != nil {
		return fmt.Errorf("mount image %s: %w", img.Ref, err)
	}
	if err := errors.Join(mount.All(mounts, dir), release()); err != nil {
		return fmt.Errorf("mount image %s: %w", img.Ref, err)
	}
	defer func() { err = errors.Join(err, mount.UnmountAll(dir, 0)) }()
	return f(dir)
}

func (d *Driver) tempDir() string { return filepath.Join(d.cfg.Dir, "tmp") }
