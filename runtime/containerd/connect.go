//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"

	"github.com/fardel-io/fardel/runtime"
)

// connectTimeout is how long a daemon may take to answer at all.
const connectTimeout = 10 * time.Second

// Connect uses the containerd daemon that listens on a socket of this machine, such as /run/containerd/containerd.sock:
// version 1.6 or later. Images, root file systems and containers are the daemon's, in a namespace of their own; task
// sizes and records are kept by the driver as with [Embed], and as there it takes over what an earlier process left.
func Connect(ctx context.Context, address string, cfg Config) (*Driver, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d := newDriver(cfg)
	if err := d.connect(d.context(ctx), address); err != nil {
		return nil, errors.Join(fmt.Errorf("containerd at %s: %w", address, err), d.Close())
	}
	return d, nil
}

func (d *Driver) connect(ctx context.Context, address string) error {
	binary, err := d.claim(ctx)
	if err != nil {
		return err
	}
	if d.client, err = client.New(address, client.WithDefaultNamespace(d.namespace), client.WithTimeout(connectTimeout)); err != nil {
		return &runtime.UnsupportedError{Feature: "running containers", Needs: fmt.Sprintf("a containerd daemon at %s: %v; start it, or use Embed", address, err)}
	}
	d.remoteDiff = true
	d.onClose(d.client.Close)
	short, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	version, err := d.client.Version(short)
	if err != nil {
		return &runtime.UnsupportedError{Feature: "running containers", Needs: fmt.Sprintf("a containerd daemon at %s that answers: %v", address, err)}
	}
	d.logger.Debug("connected to containerd", "address", address, "version", version.Version)
	if err := d.client.NamespaceService().Create(ctx, d.namespace, nil); err != nil && !errdefs.IsAlreadyExists(err) {
		return err
	}
	if d.snapshotter, err = d.findSnapshotter(ctx); err != nil {
		return err
	}
	if err := d.checkUserNS(ctx, binary); err != nil {
		return err
	}
	if d.tasks, err = newRemote(d.client, d.cfg, binary); err != nil {
		return err
	}
	return d.recover(ctx)
}

// findSnapshotter takes overlayfs if the daemon has it, and else the one that copies and that every daemon has.
func (d *Driver) findSnapshotter(ctx context.Context) (string, error) {
	resp, err := d.client.IntrospectionService().Plugins(ctx, "type==io.containerd.snapshotter.v1")
	if err != nil {
		return "", fmt.Errorf("list snapshotters: %w", err)
	}
	for _, p := range resp.Plugins {
		if p.ID == "overlayfs" && p.InitErr == nil {
			return p.ID, nil
		}
	}
	d.logger.Warn("the daemon has no overlayfs, every container gets a copy of its image")
	return "native", nil
}
