package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/fardel-io/fardel/runtime"
)

// Driver runs containers through containerd. It is made by [Embed] or [Connect].
type Driver struct {
	cfg         Config
	client      *client.Client
	namespace   string // containerd namespace; an owner mark
	snapshotter string // name of the snapshotter that root file systems come from
	logger      *slog.Logger

	mu     sync.Mutex
	closed bool
	undo   []func() error // what Close does, last first
}

// context returns ctx as containerd wants it: with the namespace, and with a logger that does not write to stderr.
func (d *Driver) context(ctx context.Context) context.Context {
	return quiet(namespaces.WithNamespace(ctx, d.namespace), d.logger)
}

// open reports ErrClosed after Close.
func (d *Driver) open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("containerd %s: %w", d.cfg.Dir, runtime.ErrClosed)
	}
	return nil
}

// Close detaches from what runs: containers go on, and the next driver with the same Dir adopts them. Calls in progress
// end with an error.
func (d *Driver) Close() error {
	d.mu.Lock()
	undo := d.undo
	d.closed, d.undo = true, nil
	d.mu.Unlock()
	var errs []error
	for _, f := range slices.Backward(undo) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
