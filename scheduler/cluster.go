package scheduler

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
)

// Cluster runs tasks. Its methods are safe for concurrent use, and so are several clusters in one process, each with
// its own Config.
type Cluster struct {
	*core
	principal string         // whose view it is; "" with a nil caller is the host program's
	caller    *policy.Caller // instead of principal, for who came with credentials
}

// core is what all views of a cluster share.
type core struct {
	cfg    Config
	engine *engine.Engine
	hub    hub
	names  discovery

	ready  chan struct{} // closed when verbs are served
	done   chan struct{} // closed when Serve has returned
	cancel func()        // ends the Serve that Open started

	// assigned are the tasks handed to the engine whose end has not come by in the watch. Serve's own: first its recovery
	// and then its watch loop.
	assigned map[string]bool

	placing sync.RWMutex // held for reading from the placement of a task until it is stored

	mu      sync.Mutex // guards what follows
	serving bool
	err     error // why Serve returned
	ledger  *ledger
	net     network.State
}

// New returns a cluster that does nothing until [Cluster.Serve] runs. It checks cfg and touches nothing.
func New(cfg Config) (*Cluster, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &core{cfg: cfg, ready: make(chan struct{}), done: make(chan struct{}), cancel: func() {}, assigned: map[string]bool{}, names: discovery{cfg: cfg}}
	c.engine, err = engine.New(engine.Config{
		Driver: cfg.Driver, Fabric: cfg.Fabric, Journal: journal{cfg.Store, c.saved}, Dir: cfg.Dir,
		Credentials: cfg.RegistryCredentials, RegistryAuth: cfg.RegistryAuth, PullProgress: cfg.PullProgress, Logger: cfg.Logger,
		TaskCredentials: cfg.TaskCredentials, Protector: protector{c}, Region: cfg.Region,
		Volumes: cfg.Volumes, PullBehavior: cfg.PullBehavior, ImageCache: cfg.ImageCache,
		LogMode: cfg.DefaultLogDriverMode, LogLimit: cfg.LogLimit,
		Logs:    logs.New(logs.Config{Dir: logDir(cfg.Dir), Sink: cfg.LogSink}),
		Secrets: cfg.Secrets, EnvironmentFiles: cfg.EnvironmentFiles, Authorize: c.roleAuthorizer(),
	})
	if err != nil {
		return nil, err
	}
	return &Cluster{core: c}, nil
}

// Open returns a cluster that is being served until [Cluster.Close]. ctx is for the start only: taking over the tasks of
// the last run and removing what it left behind.
func Open(ctx context.Context, cfg Config) (*Cluster, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	c.serveInBackground(context.WithoutCancel(ctx))
	select {
	case <-c.ready:
		return c, nil
	case <-c.done:
		return nil, c.err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), c.Close())
	}
}

// Close detaches from the tasks, which go on running, and waits until nothing of the cluster runs in this process. It
// ends a cluster made by Open; one made by New ends with the context of its Serve.
func (c *Cluster) Close() error {
	c.cancel()
	c.mu.Lock()
	serving := c.serving
	c.mu.Unlock()
	if serving {
		<-c.done
	}
	return nil
}

// Ready is closed when the tasks of the last run are taken over and verbs are served.
func (c *Cluster) Ready() <-chan struct{} { return c.ready }

// Name is the cluster's name.
func (c *Cluster) Name() string { return c.cfg.Name }

// ARN is the cluster's ARN.
func (c *Cluster) ARN() string { return c.cfg.clusterARN() }

// recover takes over what the last run left: network, addresses, tasks. It returns the watch that follows on what it
// read.
func (c *core) recover(ctx context.Context) (store.Watch, error) {
	if err := c.checkFormat(ctx); err != nil {
		return nil, err
	}
	watch, err := c.cfg.Store.Watch(ctx, prefixTasks)
	if err != nil {
		return nil, err
	}
	if err := c.takeOver(ctx, watch); err != nil {
		return nil, errors.Join(err, watch.Close())
	}
	return watch, nil
}

func (c *core) takeOver(ctx context.Context, watch store.Watch) error {
	snapshot, err := watch.Next(ctx)
	if err != nil {
		return err
	}
	net, err := c.loadNetwork(ctx)
	if err != nil {
		return err
	}
	var live, owing []taskRecord // owing have output to deliver and nothing else
	for _, e := range snapshot.Events {
		var rec taskRecord
		if err := decode(e.Entry, &rec); err != nil {
			return err
		}
		switch {
		case rec.Task.LastStatus < task.Stopped:
			live = append(live, rec)
			if rec.ENI.ID != "" {
				net.ENIs = append(net.ENIs, rec.ENI)
			}
		case c.engine.Undelivered(rec.Task.ID()):
			owing = append(owing, rec)
		}
	}
	if net, err = c.disassociate(ctx, net); err != nil {
		return err
	}
	if err := c.cfg.Fabric.Apply(ctx, net); err != nil {
		return fmt.Errorf("scheduler: apply network: %w", err)
	}
	c.mu.Lock()
	c.net = net
	c.net.ENIs = nil
	c.ledger = newLedger(net, live, c.cfg.Capacity)
	c.mu.Unlock()
	if err := c.names.begin(live); err != nil {
		return err
	}
	for _, rec := range live {
		if err := c.assign(ctx, rec); err != nil {
			return err
		}
	}
	for _, rec := range owing {
		def, err := c.effectiveDefinition(ctx, rec)
		if err != nil {
			return err
		}
		c.engine.Submit(engine.Assignment{Task: &rec.Task, Definition: def, ENI: rec.ENI})
	}
	if err := c.engine.Sweep(ctx); err != nil {
		return fmt.Errorf("scheduler: remove what the last run left: %w", err)
	}
	return nil
}

// saved follows what the engine has written.
func (c *core) saved(rec *taskRecord) {
	if err := c.names.observe(rec); err != nil {
		c.cfg.Logger.Error("service discovery is behind", "taskArn", rec.Task.TaskARN, "error", err)
	}
}

// checkFormat writes the layout's version into a new store and refuses one that a later version wrote.
func (c *core) checkFormat(ctx context.Context) error {
	var have int
	at, err := load(ctx, c.cfg.Store, keyFormat, &have)
	if err != nil {
		return err
	}
	if at != 0 && have != format {
		return fmt.Errorf("scheduler: the store has layout %d and this version of fardel reads %d: use the version that wrote it", have, format)
	}
	if at != 0 {
		return nil
	}
	change, err := put(keyFormat, format, 0)
	if err != nil {
		return err
	}
	_, err = c.cfg.Store.Update(ctx, change)
	return err
}

// loadNetwork returns the configured network, else that of the last run, else a default VPC, and stores it.
func (c *core) loadNetwork(ctx context.Context) (network.State, error) {
	var stored network.State
	at, err := load(ctx, c.cfg.Store, keyNetwork, &stored)
	if err != nil {
		return network.State{}, err
	}
	want := c.cfg.Network.Clone()
	if len(want.VPCs) == 0 {
		if at != 0 {
			return stored, nil
		}
		if want, err = c.defaultNetwork(); err != nil {
			return network.State{}, err
		}
	}
	return want, c.storeNetwork(ctx, want, at)
}

func (c *core) defaultNetwork() (network.State, error) {
	cidr, err := c.cfg.DefaultCIDR()
	if err != nil {
		return network.State{}, fmt.Errorf("scheduler: address range of the default VPC: %w", err)
	}
	return network.DefaultVPC(c.cfg.clusterARN(), cidr, c.cfg.Region, c.cfg.zones())
}

func (c *core) storeNetwork(ctx context.Context, s network.State, at store.Revision) error {
	change, err := put(keyNetwork, s, at)
	if err != nil {
		return err
	}
	_, err = c.cfg.Store.Update(ctx, change)
	return err
}

// assign hands a task to the engine, which starts or adopts it.
func (c *core) assign(ctx context.Context, rec taskRecord) error {
	def, err := c.effectiveDefinition(ctx, rec)
	if err != nil {
		return err
	}
	c.assigned[rec.Task.ID()] = true
	c.mu.Lock()
	subnet, _ := c.net.Subnet(rec.ENI.Subnet) // no subnet goes away under a task
	c.mu.Unlock()
	c.engine.Submit(engine.Assignment{
		Task: &rec.Task, Definition: def, ENI: rec.ENI, Subnet: subnet,
		VolumeConfigurations: rec.VolumeConfigurations, Confinement: rec.Confinement,
	})
	if rec.Task.DesiredStatus >= task.Stopped {
		c.engine.Stop(rec.Task.ID(), rec.Task.StopCode, rec.Task.StoppedReason)
	}
	return nil
}

// effectiveDefinition is what a task runs: its definition with its overrides.
func (c *core) effectiveDefinition(ctx context.Context, rec taskRecord) (*task.TaskDefinition, error) {
	def, err := c.definition(ctx, rec.Task.TaskDefinitionARN)
	if err != nil || rec.Task.Overrides == nil {
		return def, err
	}
	return def.WithOverrides(*rec.Task.Overrides)
}

// logDir is where the log driver json-file writes, beside what the runtime keeps.
func logDir(dir string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "logs")
}

// follow hands what changes in the store to the engine and to those who wait, until ctx ends.
func (c *core) follow(ctx context.Context, watch store.Watch) error {
	for {
		batch, err := watch.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("scheduler: watch tasks: %w", err)
		}
		for _, e := range batch.Events {
			if err := c.changed(ctx, e); err != nil {
				return err
			}
		}
		if batch.Snapshot {
			c.hub.notifyAll()
		}
	}
}

// changed reacts to one task's change.
func (c *core) changed(ctx context.Context, e store.Event) error {
	id := e.Key[len(prefixTasks):]
	defer c.hub.notify(id)
	if e.Deleted {
		return nil
	}
	var rec taskRecord
	if err := decode(e.Entry, &rec); err != nil {
		return err
	}
	switch {
	case rec.Task.LastStatus >= task.Stopped:
		delete(c.assigned, id)
		c.release(id)
		c.releaseInterface(ctx, rec.ENI.ID)
	case !c.assigned[id]:
		return c.assign(ctx, rec)
	case rec.Task.DesiredStatus >= task.Stopped:
		c.engine.Stop(id, rec.Task.StopCode, rec.Task.StoppedReason)
	}
	return nil
}

// release gives back what a stopped task had reserved.
func (c *core) release(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.release(id)
}

// await waits until the cluster is ready, for verbs. It returns why it is not.
func (c *core) await(ctx context.Context) error {
	select {
	case <-c.done:
		return c.closed()
	default:
	}
	select {
	case <-c.ready:
		return nil
	case <-c.done:
		return c.closed()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *core) closed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, c.err)
	}
	return ErrClosed
}
