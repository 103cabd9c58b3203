package containerd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
)

// ownerLabel is on every snapshot and container that we make in containerd.
const ownerLabel = "io.fardel/owner"

// rootLabel keeps a snapshot from being collected. The value is a time that only people read.
const rootLabel = "containerd.io/gc.root"

// unpacked is an image whose layers are unpacked.
type unpacked struct {
	runtime.Image
	chainID       string // name of its topmost layer's snapshot
	passwd, group []byte // /etc/passwd and /etc/group; read when first needed, see accounts
	read          bool
}

// image finds an image that was pulled or imported. What it returns is shared and not to be changed but by accounts.
func (d *Driver) unpackedImage(ctx context.Context, ref string) (*unpacked, error) {
	stored, err := d.client.ImageService().Get(ctx, ref)
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("image %s is not on this machine; pull it first: %w", ref, runtime.ErrImageNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref, err)
	}
	key := ref + " " + stored.Target.Digest.String()
	d.mu.Lock()
	img := d.images[key]
	d.mu.Unlock()
	if img != nil {
		return img, nil
	}
	if img, err = readImage(ctx, d.client.ContentStore(), stored); err != nil {
		return nil, fmt.Errorf("image %s: %w", ref, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.images[key] = img
	return img, nil
}

func readImage(ctx context.Context, store content.Provider, stored images.Image) (*unpacked, error) {
	manifest, err := images.Manifest(ctx, store, stored.Target, platforms.Default())
	if errdefs.IsNotFound(err) { // of another platform, as asked for in Pull
		manifest, err = images.Manifest(ctx, store, stored.Target, platforms.All)
	}
	if err != nil {
		return nil, err
	}
	data, err := content.ReadBlob(ctx, store, manifest.Config)
	if err != nil {
		return nil, err
	}
	var config ocispec.Image
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("configuration: %w: %w", err, runtime.ErrImageCorrupt)
	}
	volumes, ports := keys(config.Config.Volumes), keys(config.Config.ExposedPorts)
	return &unpacked{
		chainID: identity.ChainID(config.RootFS.DiffIDs).String(),
		Image: runtime.Image{
			Ref: stored.Name, Name: stored.Name, Digest: stored.Target.Digest.String(),
			Platform: platforms.Format(config.Platform), Entrypoint: config.Config.Entrypoint, Command: config.Config.Cmd,
			Env: config.Config.Env, WorkingDir: config.Config.WorkingDir, User: config.Config.User,
			StopSignal: config.Config.StopSignal, Volumes: volumes, ExposedPorts: ports, Labels: config.Config.Labels,
		},
	}, nil
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
func (d *Driver) prepareRootfs(ctx context.Context, key string, img *unpacked) ([]mount.Mount, error) {
	sn := d.client.SnapshotService(d.snapshotter)
	labels := snapshots.WithLabels(map[string]string{ownerLabel: d.cfg.Owner, rootLabel: time.Now().UTC().Format(time.RFC3339)})
	mounts, err := sn.Prepare(ctx, key, img.chainID, labels)
	if errdefs.IsAlreadyExists(err) { // left by a creation that was cut off
		if err := sn.Remove(ctx, key); err != nil {
			return nil, fmt.Errorf("remove old root file system %s: %w", key, err)
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
	err := d.client.SnapshotService(snapshotter).Remove(ctx, key)
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove root file system %s: %w", key, err)
	}
	return nil
}

// user finds who a user of an image is. The image's files are read once per image, through a mount of its own.
func (d *Driver) user(ctx context.Context, img *unpacked, name string) (oci.User, error) {
	passwd, group, err := d.accounts(ctx, img)
	if err != nil {
		return oci.User{}, err
	}
	return oci.ResolveUser(name, bytes.NewReader(passwd), bytes.NewReader(group))
}

func (d *Driver) accounts(ctx context.Context, img *unpacked) (passwd, group []byte, err error) {
	d.accountsMu.Lock()
	defer d.accountsMu.Unlock()
	if img.read {
		return img.passwd, img.group, nil
	}
	key := fmt.Sprintf("fardel-accounts-%d-%s", os.Getpid(), img.chainID)
	sn := d.client.SnapshotService(d.snapshotter)
	mounts, err := sn.View(ctx, key, img.chainID, snapshots.WithLabels(map[string]string{ownerLabel: d.cfg.Owner, rootLabel: "accounts"}))
	if err != nil {
		return nil, nil, fmt.Errorf("look into image %s: %w", img.Ref, err)
	}
	defer func() { err = errors.Join(err, d.removeSnapshot(context.WithoutCancel(ctx), d.snapshotter, key)) }()
	dir, err := os.MkdirTemp(d.tempDir(), "image-")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	if err := mount.All(mounts, dir); err != nil {
		return nil, nil, fmt.Errorf("mount image %s: %w", img.Ref, err)
	}
	defer func() { err = errors.Join(err, mount.UnmountAll(dir, 0)) }()
	if img.passwd, err = readInside(dir, "etc/passwd"); err != nil {
		return nil, nil, err
	}
	if img.group, err = readInside(dir, "etc/group"); err != nil {
		return nil, nil, err
	}
	img.read = true
	return img.passwd, img.group, nil
}

// maxAccounts bounds the files of an image that are kept in memory.
const maxAccounts = 1 << 20

// readInside reads a file of an image. Symbolic links that lead out of it are not followed. nil if there is no such file.
func readInside(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// An image may have a FIFO there, which would block.
	info, err := root.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxAccounts))
}

func (d *Driver) tempDir() string { return filepath.Join(d.cfg.Dir, "tmp") }
