package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/dns"
	"github.com/fardel-io/fardel/network/linux"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/containerd"
	"github.com/fardel-io/fardel/runtime/image"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/store/bolt"
)

// Cluster is a cluster on this machine. It has all verbs of [scheduler.Cluster], and those that need its driver.
type Cluster struct {
	*scheduler.Cluster

	driver  *containerd.Driver
	fabric  *linux.Fabric
	names   *dns.Fabric    // over fabric; nil if tasks ask other name servers
	network network.Fabric // the one of the two that is on top
	flows   *background    // the collector of flow logs; nil if there are none

	mu    sync.Mutex // guards close
	close []func() error
}

// Reexec must be called first in main, and main must return when it returns true: the process is then the embedded
// runtime's shim, and has done its work. It is quick and does nothing in an ordinary start.
func Reexec() bool { return containerd.Reexec() }

// Open opens the cluster in cfg.Dir and takes over the tasks that the last process left running. ctx is for the start
// only.
//
// It fails with an error that names the fix when this process is not root, when runc is missing or has known ways out of
// containers, or when cgroups cannot be written ([runtime.ErrUnsupported], [network.ErrUnsupported]), and when another process has the directory open
// (store.ErrInUse). It leaves nothing behind then but the directory.
func Open(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, &runtime.UnsupportedError{Feature: "a cluster on this machine", Needs: "root: run this program as root, or with sudo"}
	}
	c := &Cluster{}
	if err := c.open(ctx, cfg); err != nil {
		return nil, errors.Join(err, c.closeAll())
	}
	return c, nil
}

// open builds the cluster from the bottom up. What it has built is in c.close when it fails.
func (c *Cluster) open(ctx context.Context, cfg Config) error {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("local: make Config.Dir: %w", err)
	}
	// All that is made bears the directory's real name: by another one it is the same cluster.
	given := cfg.Dir
	var err error
	if cfg.Dir, err = filepath.EvalSymlinks(given); err != nil {
		return fmt.Errorf("local: find where Config.Dir leads: %w", err)
	}
	// The store comes first: its lock is the directory's.
	st, err := bolt.Open(filepath.Join(cfg.Dir, "state.db"), bolt.Options{})
	if err != nil {
		return fmt.Errorf("local: open %s: %w", given, err)
	}
	c.close = append(c.close, st.Close)
	if c.driver, err = openDriver(ctx, cfg); err != nil {
		return err
	}
	c.close = append(c.close, c.driver.Close)
	if err := c.openNetwork(cfg); err != nil {
		return err
	}
	c.close = append(c.close, c.network.Close)
	collector, err := c.flowCollector(cfg)
	if err != nil {
		return err
	}
	sc, err := schedulerConfig(cfg)
	if err != nil {
		return err
	}
	sc.Store, sc.Driver, sc.Fabric = st, c.driver, c.network
	if c.names != nil {
		sc.Names = serviceNames{c.names}
	}
	if cfg.Roles != nil {
		sc.TaskCaller = cfg.Roles.TaskCaller
	}
	sc.DefaultCIDR = func() (netip.Prefix, error) { return c.cidr(cfg) }
	if c.Cluster, err = scheduler.Open(ctx, sc); err != nil {
		return errors.Join(err, c.abandon(context.WithoutCancel(ctx), sc))
	}
	c.close = append(c.close, c.Cluster.Close)
	if collector != nil {
		if err := c.beginToCount(ctx); err != nil {
			cfg.Logger.Error("flow logs lack the first packets", "error", err)
		}
		c.flows = start(collector.Run, "flow logs", cfg.Logger)
		c.close = append(c.close, c.flows.end)
	}
	return nil
}

// abandon takes down the network of a cluster that could not be opened, unless tasks of an earlier run use it.
func (c *Cluster) abandon(ctx context.Context, sc scheduler.Config) error {
	closed, err := scheduler.New(sc)
	if err != nil {
		return err
	}
	if idle, err := closed.Idle(ctx); err != nil || !idle {
		return err
	}
	return c.network.Apply(ctx, network.State{})
}

// openNetwork makes the fabric, with a name server in each VPC unless tasks ask others.
func (c *Cluster) openNetwork(cfg Config) error {
	lc := linux.Config{Dir: filepath.Join(cfg.Dir, "network"), Owner: cfg.owner(), DNS: cfg.DNS,
		RoutedPublicAddresses: cfg.RoutedPublicAddresses, PublicAddressLink: cfg.PublicAddressLink,
		ConnectionLimits: cfg.ConnectionLimits, Logger: cfg.Logger}
	lc.UserNamespaces = (*linux.IDRange)(cfg.UserNamespaces.ids())
	if cfg.DNS == nil {
		lc.DNS = []netip.Addr{}
	}
	var err error
	if c.fabric, err = linux.New(lc); err != nil {
		return err
	}
	c.network = c.fabric
	if cfg.DNS != nil {
		return nil
	}
	servers := dns.HostServers("/etc/resolv.conf")
	if cfg.Upstreams != nil {
		list := slices.Clone(cfg.Upstreams)
		servers = func() []netip.AddrPort { return list }
	}
	c.names, err = dns.NewFabric(dns.FabricConfig{Fabric: c.fabric, Forwarder: dns.ForwarderConfig{Servers: servers},
		Search: cfg.DNSSearch, Fallback: cfg.DNSFallback, Logger: cfg.Logger})
	if err != nil {
		return err
	}
	c.network = c.names
	return c.names.SetZones("", cfg.Zones)
}

// Names are the name servers of the cluster's VPCs, whose zones can be changed; nil if Config.DNS leaves them out. They are
// the cluster's: only its zones are for others to change.
func (c *Cluster) Names() *dns.Fabric { return c.names }

func openDriver(ctx context.Context, cfg Config) (*containerd.Driver, error) {
	dc := containerd.Config{
		Owner: cfg.owner(), Dir: filepath.Join(cfg.Dir, "containerd"), Runtime: cfg.Runtime,
		AllowVulnerableRuntime: cfg.AllowVulnerableRuntime, AppArmorProfile: cfg.AppArmorProfile, CgroupManager: cfg.CgroupManager,
		Registries: cfg.Registries, ImageLimits: cfg.ImageLimits, PullAttempts: cfg.PullAttempts, Logger: cfg.Logger,
		UserNamespaces: (*containerd.IDRange)(cfg.UserNamespaces.ids()),
	}
	if cfg.Containerd != "" {
		return containerd.Connect(ctx, cfg.Containerd, dc)
	}
	return containerd.Embed(ctx, dc)
}

// cidr is the address range of a new default VPC.
func (c *Cluster) cidr(cfg Config) (netip.Prefix, error) {
	if cfg.CIDR.IsValid() {
		return cfg.CIDR, nil
	}
	taken, err := c.fabric.HostRoutes()
	if err != nil {
		return netip.Prefix{}, err
	}
	return network.FreeCIDR(taken)
}

func schedulerConfig(cfg Config) (scheduler.Config, error) {
	machine, err := machineSize()
	if err != nil {
		return scheduler.Config{}, err
	}
	if cfg.MaxTask.CPU == 0 {
		cfg.MaxTask.CPU = machine.CPU
	}
	if cfg.LogSink == nil {
		if cfg.LogSink, err = logs.NewFileSink(logs.FileSinkConfig{Dir: filepath.Join(cfg.Dir, "awslogs")}); err != nil {
			return scheduler.Config{}, err
		}
	}
	if cfg.MaxTask.Memory == 0 {
		cfg.MaxTask.Memory = machine.Memory
	}
	return scheduler.Config{
		Dir: cfg.Dir, Name: cfg.Name, Region: cfg.Region, Account: cfg.Account, Network: cfg.Network, Namespaces: cfg.Namespaces,
		MaxTask: cfg.MaxTask, Capacity: cfg.Capacity, Authorizer: cfg.Authorizer, Retention: cfg.Retention, Logger: cfg.Logger,
		RegistryCredentials: cfg.RegistryCredentials, RegistryAuth: cfg.RegistryAuth, PullProgress: cfg.PullProgress, TaskCredentials: cfg.TaskCredentials,
		ImageCache: cfg.ImageCache,
		Volumes:    cfg.Volumes, PullBehavior: cfg.PullBehavior, Secrets: cfg.Secrets, EnvironmentFiles: cfg.EnvironmentFiles,
		EnforceDefaultStorage: cfg.EnforceDefaultStorage, NoNewPrivileges: cfg.NoNewPrivileges, DropNetRaw: cfg.DropNetRaw,
		LogSink: cfg.LogSink, DefaultLogDriverMode: cfg.DefaultLogDriverMode, LogLimit: cfg.LogLimit,
	}, nil
}

// Close detaches from the tasks, which go on running, and waits until nothing of the cluster runs in this process. When
// no task is left it also takes down the network, so that nothing of the cluster is left on the machine but its
// directory.
func (c *Cluster) Close() error {
	ctx := context.Background()
	_ = c.flows.end()                         // while it can still count
	if err := c.Cluster.Close(); err != nil { // before the look at what is left: no task comes after it
		return errors.Join(err, c.closeAll())
	}
	idle, err := c.Idle(ctx)
	if err == nil && idle {
		err = c.network.Apply(ctx, network.State{})
	}
	return errors.Join(err, c.closeAll())
}

// closeAll closes the parts, last first. It does nothing the second time.
func (c *Cluster) closeAll() error {
	c.mu.Lock()
	steps := c.close
	c.close = nil
	c.mu.Unlock()
	var errs []error
	for _, step := range slices.Backward(steps) {
		errs = append(errs, step())
	}
	return errors.Join(errs...)
}

// Purge stops every task, waits until all that they hold is released, and closes the cluster. Nothing of it is left on
// the machine then but Config.Dir, with images and logs, which can be deleted.
func (c *Cluster) Purge(ctx context.Context) error {
	tasks, err := c.Cluster.List(ctx, scheduler.ListOptions{})
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if _, err := c.Cluster.Stop(ctx, t.TaskARN, "Cluster is removed"); err != nil {
			return err
		}
	}
	for _, t := range tasks {
		run, err := c.Cluster.Lookup(ctx, t.TaskARN)
		if errors.Is(err, scheduler.ErrNotFound) {
			continue // forgotten in the meantime
		}
		if err != nil {
			return err
		}
		if _, err := run.Wait(ctx); err != nil {
			return err
		}
	}
	return c.Close()
}

// ImportImage adds the images of an archive, an OCI image layout or the output of docker save, plain or gzipped, so that
// tasks can name them without a registry. ref names an image whose archive does not, and is otherwise "". Package
// runtime/image builds archives, also of the running program itself.
func (c *Cluster) ImportImage(ctx context.Context, ref string, archive io.Reader) ([]runtime.Image, error) {
	return c.driver.ImportImage(ctx, ref, archive)
}

// AddImage adds an image that was made in Go, under the name in its configuration.
func (c *Cluster) AddImage(ctx context.Context, img *image.Image) (runtime.Image, error) {
	archive, err := img.Open()
	if err != nil {
		return runtime.Image{}, err
	}
	defer archive.Close()
	images, err := c.driver.ImportImage(ctx, "", archive)
	if err != nil {
		return runtime.Image{}, err
	}
	return images[0], nil
}

// PullImage makes an image present before the first task needs it. See [runtime.Driver].
func (c *Cluster) PullImage(ctx context.Context, spec runtime.ImageSpec) (runtime.Image, error) {
	return c.driver.Pull(ctx, spec)
}

// CollectImages removes images that were pulled and that nothing uses, the least recently used first, until the rest takes
// no more than the limit; the zero limit removes them all. See [runtime.ImageCollector].
func (c *Cluster) CollectImages(ctx context.Context, limit runtime.ImageLimit) (runtime.ImageCollection, error) {
	return c.driver.CollectImages(ctx, limit)
}

// Images lists the images that are present.
func (c *Cluster) Images(ctx context.Context) ([]runtime.Image, error) { return c.driver.Images(ctx) }

// RemoveImage removes an image; its content goes when nothing else uses it. No error if there is none.
func (c *Cluster) RemoveImage(ctx context.Context, ref string) error {
	return c.driver.RemoveImage(ctx, ref)
}
