package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/fardel-io/fardel/network"
)

// Fabric makes VPCs real with the namespaces, links, routes and nftables of one Linux host.
type Fabric struct {
	cfg     Config
	log     *slog.Logger
	records recordFiles
	keys    keyLocks // by ENI
	reaper  reaper

	// op is held for writing by what concerns everything, and for reading by what concerns one ENI.
	op     sync.RWMutex
	host   *host // nil until the first use
	closed bool
	state  network.State // what was applied last, without ENIs
	byID   index

	mu       sync.Mutex
	routers  map[string]*router
	attached map[string]record
	holders  map[holding]string       // who has an address of a VPC, or a MAC
	removals map[string]chan struct{} // ENIs whose removal is under way
	forwards bool                     // the host is known to forward
}

// index finds the parts of the applied state.
type index struct {
	vpcs    map[string]network.VPC
	subnets map[string]network.Subnet
	groups  map[string]network.SecurityGroup
}

func newIndex(s network.State) index {
	x := index{map[string]network.VPC{}, map[string]network.Subnet{}, map[string]network.SecurityGroup{}}
	for _, v := range s.VPCs {
		x.vpcs[v.ID] = v
	}
	for _, n := range s.Subnets {
		x.subnets[n.ID] = n
	}
	for _, g := range s.SecurityGroups {
		x.groups[g.ID] = g
	}
	return x
}

var (
	_ network.Fabric   = (*Fabric)(nil)
	_ network.Listener = (*Fabric)(nil)
)

// New returns a fabric. It touches nothing: the first call of a method finds what an earlier fabric with the same
// configuration left. The error matches [network.ErrInvalid].
func New(cfg Config) (*Fabric, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configure linux fabric: %w", err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Fabric{cfg: cfg, log: log, records: recordFiles{cfg.recordDir()}, byID: newIndex(network.State{}),
		routers: map[string]*router{}, attached: map[string]record{}, holders: map[holding]string{},
		removals: map[string]chan struct{}{}}, nil
}

// open finds what is there. The caller holds op for writing.
func (f *Fabric) open() error {
	if f.closed {
		return network.ErrClosed
	}
	if f.host != nil {
		return nil
	}
	h, err := openHost(f.cfg.HostNetNS)
	if err != nil {
		return fmt.Errorf("open linux fabric: %w", err)
	}
	f.host = h
	o, err := f.observe()
	if err != nil {
		f.host = nil
		h.close()
		return fmt.Errorf("open linux fabric in %s: %w", f.cfg.Dir, err)
	}
	f.remember(o)
	return nil
}

// begin opens the fabric if need be and holds op for reading until the returned func is called.
func (f *Fabric) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.op.RLock()
	if f.host != nil && !f.closed {
		return f.op.RUnlock, nil
	}
	f.op.RUnlock()
	f.op.Lock()
	err = f.open()
	f.op.Unlock()
	if err != nil {
		return nil, err
	}
	f.op.RLock()
	if f.closed {
		f.op.RUnlock()
		return nil, network.ErrClosed
	}
	return f.op.RUnlock, nil
}

// remember takes the ENIs that were found complete as attached.
func (f *Fabric) remember(o observed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.attached)
	clear(f.holders)
	for id, rec := range o.Records {
		if o.Namespaces[id] && o.Routers[rec.VPC].Links[linkName(id)] {
			f.attached[id] = rec
			for _, h := range holdings(rec.VPC, rec.ENI) {
				f.holders[h] = id
			}
		}
	}
}

// Attach implements [network.Fabric].
func (f *Fabric) Attach(ctx context.Context, e network.ENI) (network.Attachment, error) {
	a, err := f.attach(ctx, e)
	if err != nil {
		return network.Attachment{}, fmt.Errorf("attach %s: %w", e.ID, err)
	}
	return a, nil
}

func (f *Fabric) attach(ctx context.Context, e network.ENI) (network.Attachment, error) {
	end, err := f.begin(ctx)
	if err != nil {
		return network.Attachment{}, err
	}
	defer end()
	defer f.keys.lock(e.ID)()
	v, n, r, err := f.place(e)
	if err != nil {
		return network.Attachment{}, err
	}
	want := record{Version: recordVersion, VPC: v.ID, ENI: e, Attachment: attachment(v, n, e, f.cfg.namespacePath(e.ID), f.resolvers())}
	have, exists := f.get(e.ID)
	if exists {
		want.Attachment.DNS = have.Attachment.DNS
		err = f.change(r, have, want)
	} else {
		err = f.build(ctx, r, want)
	}
	if err != nil {
		return network.Attachment{}, err
	}
	return want.Attachment, f.reachOutside(ctx, v.ID, e)
}

// resolvers returns the name servers that tasks are told of.
func (f *Fabric) resolvers() []netip.Addr {
	if f.cfg.DNS != nil {
		return slices.Clone(f.cfg.DNS)
	}
	return hostResolvers()
}

// place finds where an ENI belongs and checks it against the applied state.
func (f *Fabric) place(e network.ENI) (v network.VPC, n network.Subnet, r *router, err error) {
	n, ok := f.byID.subnets[e.Subnet]
	if !ok {
		return v, n, nil, fmt.Errorf("%w: the subnet ID '%s' does not exist", network.ErrNotFound, e.Subnet)
	}
	part := network.State{Subnets: []network.Subnet{n}, PublicIPv4Pools: f.state.PublicIPv4Pools}
	for _, id := range e.SecurityGroups {
		g, ok := f.byID.groups[id]
		if !ok {
			return v, n, nil, fmt.Errorf("%w: the security group '%s' does not exist", network.ErrNotFound, id)
		}
		part.SecurityGroups = append(part.SecurityGroups, g)
	}
	if err := enforceableENI(e); err != nil {
		return v, n, nil, err
	}
	if err := network.ValidateENI(part, e); err != nil {
		return v, n, nil, err
	}
	v = f.byID.vpcs[n.VPC]
	if r = f.router(v.ID); r == nil {
		return v, n, nil, fmt.Errorf("%w: %s has no router; apply the state again", network.ErrNotFound, v.ID)
	}
	return v, n, r, nil
}

func (f *Fabric) get(id string) (record, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rec, ok := f.attached[id]
	return rec, ok
}

func (f *Fabric) router(vpc string) *router {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.routers[vpc]
}

// build makes an ENI and lets it through.
func (f *Fabric) build(ctx context.Context, r *router, rec record) error {
	if err := f.makeENI(ctx, r, rec); err != nil {
		return err
	}
	if err := r.admit(nil, rec.ENI); err != nil {
		return errors.Join(err, f.expel(rec))
	}
	return nil
}

// makeENI makes an ENI and then records it, in this order, so that the record vouches for the rest. Nothing passes it
// until the router's ruleset knows it, and the next Apply sets that whole.
func (f *Fabric) makeENI(ctx context.Context, r *router, rec record) error {
	if err := f.claim(ctx, rec); err != nil {
		return err
	}
	if err := r.makeENI(rec.Attachment.NetNS, rec.ENI, rec.Attachment); err != nil {
		f.release(rec)
		return err
	}
	err := f.records.create(rec)
	f.setAttached(rec) // also after an error, for expel
	if err != nil {
		return errors.Join(err, f.expel(rec))
	}
	return nil
}

func (f *Fabric) setAttached(rec record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attached[rec.ENI.ID] = rec
}

// change lets an attached ENI have other groups, and records what else is new about it.
func (f *Fabric) change(r *router, have, want record) error {
	if !sameENI(have, want) {
		return fmt.Errorf("%w: it is %s (%s) in %s", network.ErrExists, have.ENI.PrivateIPv4, have.ENI.MAC, have.ENI.Subnet)
	}
	if sameRecord(have, want) {
		return nil
	}
	if err := r.admit(&have.ENI, want.ENI); err != nil {
		return err
	}
	if err := f.records.replace(want); err != nil {
		return errors.Join(err, r.admit(&want.ENI, have.ENI))
	}
	f.setAttached(want)
	return nil
}

// Detach implements [network.Fabric].
func (f *Fabric) Detach(ctx context.Context, eniID string) error {
	end, err := f.begin(ctx)
	if err != nil {
		return fmt.Errorf("detach %s: %w", eniID, err)
	}
	defer end()
	defer f.keys.lock(eniID)()
	rec, ok := f.get(eniID)
	if !ok {
		return nil
	}
	if err := f.expel(rec); err != nil {
		return fmt.Errorf("detach %s: %w", eniID, err)
	}
	return nil
}

// expel removes an ENI as far as others can notice and leaves the rest to the reaper. From its first step on, the ENI is
// known as going, so a fabric that is opened after a crash goes on with it.
func (f *Fabric) expel(rec record) error {
	id := rec.ENI.ID
	if err := f.records.bury(id); err != nil {
		return err
	}
	r := f.router(rec.VPC)
	if r != nil {
		if err := r.refuse(rec.ENI); err != nil {
			return err
		}
		if err := r.dropRoute(eniRoute(rec.ENI)); err != nil {
			return fmt.Errorf("drop route: %w", err)
		}
	}
	if err := clearMountPoint(f.cfg.namespacePath(id)); err != nil {
		return err
	}
	done := make(chan struct{})
	f.mu.Lock()
	delete(f.attached, id)
	f.removals[id] = done
	f.mu.Unlock()
	f.reaper.push(reaped{router: r, rec: rec, done: done}, f.reap)
	return nil
}

// reaped notes that nothing is left of an ENI.
func (f *Fabric) reaped(item reaped) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.releaseLocked(item.rec)
	delete(f.removals, item.rec.ENI.ID)
	close(item.done)
}

// reachOutside lets the host forward as soon as an ENI can make use of it.
func (f *Fabric) reachOutside(ctx context.Context, vpc string, e network.ENI) error {
	f.mu.Lock()
	done := f.forwards
	f.mu.Unlock()
	if done || !e.AssignPublicIP || f.cfg.Isolated || !leadsOutside(f.state, vpc) || !f.host.outside() {
		return nil
	}
	return f.startForwarding(ctx)
}

func (f *Fabric) startForwarding(ctx context.Context) error {
	unlock, err := f.host.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := f.host.startForwarding(f.cfg.Owner); err != nil {
		return fmt.Errorf("let the host forward: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forwards = true
	return nil
}

// Attachments implements [network.Fabric].
func (f *Fabric) Attachments(ctx context.Context) ([]network.Attachment, error) {
	end, err := f.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	defer end()
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]network.Attachment, 0, len(f.attached))
	for _, rec := range f.attached {
		list = append(list, rec.Attachment)
	}
	slices.SortFunc(list, func(a, b network.Attachment) int { return cmp.Compare(a.ENI, b.ENI) })
	return list, nil
}

// Close implements [network.Fabric].
func (f *Fabric) Close() error {
	f.op.Lock()
	defer f.op.Unlock()
	f.reaper.wait()
	if f.closed {
		return nil
	}
	f.closed = true
	for _, r := range f.routers {
		r.close()
	}
	if f.host != nil {
		f.host.close()
	}
	return nil
}
