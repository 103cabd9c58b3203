//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/events/exchange"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/containerd/errdefs"
	bolt "go.etcd.io/bbolt"

	"github.com/fardel-io/fardel/internal/rmtree"
)

// Embed runs containerd in this process, with all it keeps below Config.Dir: its content store, metadata, snapshotter
// and garbage collection, called directly and listening nowhere; and for each sandbox one small process started from
// this program's own binary, which outlives it. See [Reexec] for what main must do.
//
// It takes over the containers that an earlier process left running in the same Dir, and removes what that process left
// half made. It fails with [runtime.UnsupportedError] where the machine lacks something, and with an error that says so
// when another process uses Dir or Owner.
func Embed(ctx context.Context, cfg Config) (*Driver, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if !reexecs.Load() {
		return nil, errors.New("containerd: Embed needs `if containerd.Reexec() { return }`, or local.Reexec, " +
			"at the top of the program's main function, or of TestMain")
	}
	d := newDriver(cfg)
	if err := d.embed(d.context(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("containerd in %s: %w", cfg.Dir, err), d.Close())
	}
	return d, nil
}

func (d *Driver) embed(ctx context.Context) error {
	binary, err := d.claim(ctx)
	if err != nil {
		return err
	}
	db, err := d.openImages(ctx)
	if err != nil {
		return err
	}
	if err := d.checkUserNS(ctx, binary); err != nil {
		return err
	}
	s := &shims{namespace: d.namespace, dir: d.cfg.Dir, runtime: binary, helpers: d.cgroups.OpenHelpers, open: map[string]*shim{}}
	d.tasks = s
	d.onClose(func() error { s.detach(); return nil })
	if err := d.recover(ctx); err != nil {
		return err
	}
	dirty := make(chan struct{}, 1)
	db.RegisterMutationCallback(func(removed bool) {
		if removed {
			select {
			case dirty <- struct{}{}:
			default:
			}
		}
	})
	dirty <- struct{}{} // what a crash left
	d.life.spawn(func(ctx context.Context) {
		collect(d.context(ctx), dirty, func(ctx context.Context) error {
			_, err := db.GarbageCollect(ctx)
			return err
		})
	})
	return nil
}

// openImages opens the parts of containerd that keep images and root file systems, and makes a client of them.
func (d *Driver) openImages(ctx context.Context) (*metadata.DB, error) {
	dir := filepath.Join(d.cfg.Dir, "images")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := sweepVerityProbes(filepath.Join(dir, "content")); err != nil {
		return nil, err
	}
	blobs, err := local.NewStore(filepath.Join(dir, "content"))
	if err != nil {
		return nil, err
	}
	snapshotter, err := d.openSnapshotter(ctx, dir)
	if err != nil {
		return nil, err
	}
	d.onClose(snapshotter.Close)
	options := *bolt.DefaultOptions
	options.NoFreelistSync = true // as containerd: one thing less that can be torn
	options.NoStatistics = true
	options.Timeout = time.Second // the directory is ours: nothing can hold this lock for long
	file, err := bolt.Open(filepath.Join(dir, "meta.db"), 0o600, &options)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Join(dir, "meta.db"), err)
	}
	events := exchange.NewExchange()
	db := metadata.NewDB(file, blobs, map[string]snapshots.Snapshotter{d.snapshotter: snapshotter}, metadata.WithEventsPublisher(events))
	d.onClose(db.Close)
	if err := db.Init(ctx); err != nil {
		return nil, err
	}
	spaces := namespaceStore{db}
	if err := spaces.Create(ctx, d.namespace, nil); err != nil && !errdefs.IsAlreadyExists(err) {
		return nil, err
	}
	d.client, err = client.New("", client.WithDefaultNamespace(d.namespace), client.WithServices(
		client.WithContentStore(db.ContentStore()),
		client.WithSnapshotters(db.Snapshotters()),
		client.WithImageStore(imageStore{metadata.NewImageStore(db), db}),
		client.WithLeasesService(leaseManager{metadata.NewLeaseManager(db), db}),
		client.WithNamespaceService(spaces),
		client.WithDiffService(newDiffer(db.ContentStore(), d.cfg.ImageLimits)),
		client.WithEventService(events),
	))
	return db, err
}

// openSnapshotter takes overlayfs if its directories can be in Config.Dir, and else copies, which works everywhere.
func (d *Driver) openSnapshotter(ctx context.Context, dir string) (snapshots.Snapshotter, error) {
	d.snapshotter = "overlayfs"
	root := filepath.Join(dir, d.snapshotter)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	if err := sweepProbes(root, "snapshots"); err != nil {
		return nil, err
	}
	err := overlayutils.Supported(root)
	if err == nil {
		if err := sweepSnapshotDirs(ctx, root); err != nil {
			return nil, err
		}
		return overlay.NewSnapshotter(root, overlay.AsynchronousRemove)
	}
	d.logger.Warn("overlayfs does not work here, every container gets a copy of its image", "dir", root, "error", err)
	d.snapshotter = "native"
	root = filepath.Join(dir, d.snapshotter)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	if err := sweepSnapshotDirs(ctx, root); err != nil {
		return nil, err
	}
	return native.NewSnapshotter(root)
}

// sweepProbes removes the directories in which containerd was trying what the file system can do, with an overlay mounted in
// one, when the process was killed. keep is the one that is for good.
func sweepProbes(root, keep string) error {
	names, err := subdirs(root)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == keep {
			continue
		}
		path := filepath.Join(root, name)
		if err := mount.UnmountRecursive(path, 0); err != nil {
			return fmt.Errorf("unmount what is below %s: %w", path, err)
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// sweepVerityProbes removes such directories of the content store, whose others are for good.
func sweepVerityProbes(root string) error {
	names, err := subdirs(root)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, ".fsverity-check-") {
			if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepSnapshotDirs removes the directories of snapshots that are in no record, because the process was killed between the
// two. The next snapshot would get the same number and find its directory taken.
func sweepSnapshotDirs(ctx context.Context, root string) error {
	names, err := subdirs(filepath.Join(root, "snapshots"))
	if err != nil || len(names) == 0 {
		return err
	}
	records, err := storage.NewMetaStore(filepath.Join(root, "metadata.db"))
	if err != nil {
		return err
	}
	var known map[string]string
	err = records.WithTransaction(ctx, false, func(ctx context.Context) (err error) {
		known, err = storage.IDMap(ctx)
		return err
	})
	if errdefs.IsNotFound(err) { // there never was a record
		err = nil
	}
	if err := errors.Join(err, records.Close()); err != nil {
		return fmt.Errorf("read records of snapshots in %s: %w", root, err)
	}
	for _, name := range names {
		if _, ok := known[name]; ok {
			continue
		}
		if err := rmtree.Remove(filepath.Join(root, "snapshots", name)); err != nil {
			return err
		}
	}
	return nil
}

// differ applies layers, and has containerd's service that computes them.
type differ struct {
	diff.Applier
	diff.Comparer
}

func newDiffer(store content.Store, limits ImageLimits) differ {
	return differ{Applier: applier{store, limits}, Comparer: walking.NewWalkingDiff(store)}
}

// imageStore and leaseManager collect at once when they are asked to, as a daemon's services do.
type imageStore struct {
	images.Store
	db *metadata.DB
}

func (s imageStore) Delete(ctx context.Context, name string, opts ...images.DeleteOpt) error {
	var o images.DeleteOptions
	for _, opt := range opts {
		if err := opt(ctx, &o); err != nil {
			return err
		}
	}
	if err := s.Store.Delete(ctx, name, opts...); err != nil || !o.Synchronous {
		return err
	}
	_, err := s.db.GarbageCollect(ctx)
	return err
}

type leaseManager struct {
	leases.Manager
	db *metadata.DB
}

func (m leaseManager) Delete(ctx context.Context, l leases.Lease, opts ...leases.DeleteOpt) error {
	var o leases.DeleteOptions
	for _, opt := range opts {
		if err := opt(ctx, &o); err != nil {
			return err
		}
	}
	if err := m.Manager.Delete(ctx, l, opts...); err != nil || !o.Synchronous {
		return err
	}
	_, err := m.db.GarbageCollect(ctx)
	return err
}

// namespaceStore is containerd's store of namespaces with a transaction for each call.
type namespaceStore struct{ db *metadata.DB }

var _ namespaces.Store = namespaceStore{}

func (s namespaceStore) Create(ctx context.Context, namespace string, labels map[string]string) error {
	return s.db.Update(func(tx *bolt.Tx) error { return metadata.NewNamespaceStore(tx).Create(ctx, namespace, labels) })
}

func (s namespaceStore) Labels(ctx context.Context, namespace string) (labels map[string]string, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		labels, err = metadata.NewNamespaceStore(tx).Labels(ctx, namespace)
		return err
	})
	return labels, err
}

func (s namespaceStore) SetLabel(ctx context.Context, namespace, key, value string) error {
	return s.db.Update(func(tx *bolt.Tx) error { return metadata.NewNamespaceStore(tx).SetLabel(ctx, namespace, key, value) })
}

func (s namespaceStore) List(ctx context.Context) (list []string, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		list, err = metadata.NewNamespaceStore(tx).List(ctx)
		return err
	})
	return list, err
}

func (s namespaceStore) Delete(ctx context.Context, namespace string, opts ...namespaces.DeleteOpts) error {
	return s.db.Update(func(tx *bolt.Tx) error { return metadata.NewNamespaceStore(tx).Delete(ctx, namespace, opts...) })
}
