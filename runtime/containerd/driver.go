//go:build linux

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
	"github.com/containerd/log"

	"github.com/fardel-io/fardel/internal/cgroup"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
)

// Driver runs containers through containerd. It is made by [Embed] or [Connect].
type Driver struct {
	cfg         Config
	client      *client.Client
	namespace   string // containerd namespace; an owner mark
	remoteDiff  bool   // a daemon unpacks layers
	snapshotter string // name of the snapshotter that root file systems come from
	logger      *slog.Logger
	quiet       *log.Entry // the same for containerd
	tasks       tasks
	cgroups     *cgroup.Tree
	limits      oci.Limits
	throttling  []string // as in oci.Options
	appArmor    string   // as oci.Options.AppArmorProfile
	life        life
	pulls       pulls
	use         imageUse
	copies      copies
	logWatch    logWatch

	accountsMu sync.Mutex          // held while an image's accounts are read
	accounts   map[string]accounts // by chain ID

	linksMu sync.Mutex                   // held while an image's links are read
	links   map[string]map[string]string // by chain ID and path: what the link there says, "" for none

	mu         sync.Mutex
	closed     bool
	undo       []func() error // what Close does, last first
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

// newDriver returns a driver without a client.
func newDriver(cfg Config) *Driver {
	return &Driver{
		cfg: cfg, namespace: "fardel-" + cfg.Owner, logger: cfg.Logger, quiet: quietLog(cfg.Logger), life: newLife(),
		accounts: map[string]accounts{}, links: map[string]map[string]string{}, sandboxes: map[string]*sandbox{}, containers: map[string]*container{},
	}
}

// context returns ctx as containerd wants it: with the namespace, and with a logger that does not write to stderr.
func (d *Driver) context(ctx context.Context) context.Context {
	return log.WithLogger(namespaces.WithNamespace(ctx, d.namespace), d.quiet)
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

// onClose adds a step to what Close does, in front of those before.
func (d *Driver) onClose(f func() error) { d.undo = append(d.undo, f) }

// Close detaches from what runs: containers go on, and the next driver with the same Dir adopts them. Calls in progress
// end with an error.
func (d *Driver) Close() error {
	d.mu.Lock()
	undo := d.undo
	d.closed, d.undo = true, nil
	d.mu.Unlock()
	if !d.life.stop() {
		d.logger.Warn("calls have not ended in time, the next driver of the directory finishes them")
	}
	var errs []error
	if len(undo) > 0 {
		errs = append(errs, d.use.save(d.cfg.Dir, nil))
	}
	for _, f := range slices.Backward(undo) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
