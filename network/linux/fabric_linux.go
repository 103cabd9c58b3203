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

	"github.com/fardel-io/fardel/internal/keylock"
	"github.com/fardel-io/fardel/network"
)

// Fabric makes VPCs real with the namespaces, links, routes and nftables of one Linux host.
type Fabric struct {
	cfg     Config
	log     *slog.Logger
	records *recordFiles
	keys    keylock.Locks // by ENI
	reaper  reaper
	flows   flowMeters

	// op is held for writing by what concerns everything, and for reading by what concerns one ENI.
	op     sync.RWMutex
	host   *host // nil until the first use
	closed bool
	state  network.State // what was applied last, without ENIs
	byID   index
	// settled says that all of the state was applied.
	settled bool

	mu        sync.Mutex
	routers   map[string]*router
	attached  map[string]record
	holders   map[holding]string       // who has an address of a VPC, or a MAC
	published map[hostPort][]publisher // ports of the host
	removals  map[string]chan struct{} // ENIs whose removal is under way
	ids       map[uint32]string        // who has the IDs of a user namespace, by the first one
	forwards  bool                     // the host is known to forward
}

// index finds the parts of the applied state.
type index struct {
	vpcs    map[string]network.VPC
	subnets map[string]network.Subnet
	groups  map[string]network.SecurityGroup
	views   map[string]view       // by VPC
	public  map[string]netip.Addr // elastic addresses by ENI
	namedBy map[string][]string   // VPCs whose rules name a group of another one, by the group
	targets map[string]bool       // what routes name
	outside map[string]bool       // VPCs with a route to an internet gateway
}

func newIndex(s network.State) index {
	x := index{map[string]network.VPC{}, map[string]network.Subnet{}, map[string]network.SecurityGroup{}, map[string]view{},
		map[string]netip.Addr{}, map[string][]string{}, map[string]bool{}, map[string]bool{}}
	for _, n := range s.Subnets {
		x.subnets[n.ID] = n
	}
	for _, g := range s.SecurityGroups {
		x.groups[g.ID] = g
	}
	for _, a := range s.Addresses {
		if a.ENI != "" {
			x.public[a.ENI] = a.PublicIP
		}
	}
	for _, t := range s.RouteTables {
		for _, r := range t.Routes {
			x.targets[r.Target] = true
		}
	}
	s.ENIs = nil
	for _, vpc := range s.VPCs {
		v := newView(s, vpc.ID)
		x.vpcs[vpc.ID], x.views[vpc.ID], x.outside[vpc.ID] = vpc, v, v.leadsOutside()
		for _, g := range v.Foreign {
			x.namedBy[g] = append(x.namedBy[g], vpc.ID)
		}
	}
	return x
}

// port returns an ENI with its public address.
func (x index) port(e network.ENI) port {
	p := port{ENI: e, Public: e.PublicIPv4, Out: e.AssignPublicIP || e.PublicIPv4.IsValid()}
	if a, elastic := x.public[e.ID]; elastic {
		p.Public, p.Out = a, true
	}
	return p
}

var (
	_ network.Fabric   = (*Fabric)(nil)
	_ network.Listener = (*Fabric)(nil)

	_ network.FlowCounter = (*Fabric)(nil)
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
	return &Fabric{cfg: cfg, log: log, records: &recordFiles{dir: cfg.recordDir()}, byID: newIndex(network.State{}),
		routers: map[string]*router{}, attached: map[string]record{}, holders: map[holding]string{},
		published: map[hostPort][]publisher{}, removals: map[string]chan struct{}{}, ids: map[uint32]string{}}, nil
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
	clear(f.published)
	clear(f.ids)
	for id, rec := range o.Records {
		if o.Namespaces[id] && o.Routers[rec.VPC].has(linkName(id)) {
			f.attached[id] = rec
			if rec.FirstID > 0 {
				f.ids[rec.FirstID] = id
			}
			for _, h := range holdings(rec.VPC, rec.ENI) {
				f.holders[h] = id
			}
			for _, p := range rec.ENI.PublishedPorts {
				f.published[hostPortOf(p)] = append(f.published[hostPortOf(p)], publisher{p, id})
			}
		}
	}
}

// Attach implements [network.Fabric].
func (f *Fabric) Attach(ctx context.Context, e network.ENI) (network.Attachment, error) {
	a, err := f.attach(ctx, e.Clone())
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
	defer f.keys.Lock(e.ID)()
	v, n, r, err := f.place(e)
	if err != nil {
		return network.Attachment{}, err
	}
	want := record{Version: recordVersion, VPC: v.ID, ENI: e, Attachment: attachment(v, n, e, f.cfg.namespacePath(e.ID), f.resolvers())}
	have, exists := f.get(e.ID)
	if exists {
		want.Attachment.DNS, want.FirstID = have.Attachment.DNS, have.FirstID
		err = f.change(ctx, r, have, want)
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
	p := f.byID.port(rec.ENI)
	err := r.admit(nil, p)
	if err == nil {
		err = errors.Join(f.befriend(rec.VPC, nil, &p), f.reroute(r, nil, &p), f.publish(r, nil, &p))
	}
	if err != nil {
		return errors.Join(err, f.expel(rec))
	}
	return nil
}

// befriend tells the VPCs whose rules name an ENI's groups what its addresses are.
func (f *Fabric) befriend(own string, old, p *port) error {
	var errs []error
	told := map[string]bool{own: true}
	for _, e := range []*port{old, p} {
		if e == nil {
			continue
		}
		for _, g := range e.SecurityGroups {
			for _, vpc := range f.byID.namedBy[g] {
				if r := f.router(vpc); r != nil && !told[vpc] {
					told[vpc] = true
					errs = append(errs, r.befriend(old, p))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// reroute sets the routes whose target is an ENI.
func (f *Fabric) reroute(r *router, old, p *port) error {
	id := ""
	var have, want []route
	v := f.byID.views[r.vpc]
	if old != nil {
		id, have = old.ID, nil
	}
	if p != nil {
		id = p.ID
	}
	if !f.byID.targets[id] {
		return nil
	}
	if old != nil {
		have = v.routesTo(old.ENI)
	}
	if p != nil {
		want = v.routesTo(p.ENI)
	}
	var errs []error
	for _, to := range want {
		errs = append(errs, r.addRoute(to))
	}
	for _, to := range have {
		if !slices.Contains(want, to) {
			errs = append(errs, r.dropRoute(to))
		}
	}
	return errors.Join(errs...)
}

// makeENI makes an ENI and then records it, in this order, so that the record vouches for the rest. Nothing passes it
// until the router's ruleset knows it, and the next Apply sets that whole.
func (f *Fabric) makeENI(ctx context.Context, r *router, rec record) error {
	if err := f.claim(ctx, rec); err != nil {
		return err
	}
	if err := f.claimPorts(ctx, rec.ENI); err != nil {
		f.release(rec)
		return err
	}
	var err error
	if rec.FirstID, err = f.claimIDs(rec.ENI.ID); err != nil {
		f.release(rec)
		return err
	}
	group := f.byID.views[rec.VPC].Links[rec.ENI.Subnet]
	if err := r.makeENI(rec, group); err != nil {
		f.release(rec)
		return err
	}
	err = f.records.create(rec)
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
func (f *Fabric) change(ctx context.Context, r *router, have, want record) error {
	if !sameENI(have, want) {
		return fmt.Errorf("%w: it is %s (%s) in %s", network.ErrExists, have.ENI.PrivateIPv4, have.ENI.MAC, have.ENI.Subnet)
	}
	if sameRecord(have, want) {
		return nil
	}
	if err := f.claimPorts(ctx, want.ENI); err != nil {
		return err
	}
	if err := f.exchange(r, have.ENI, want.ENI); err != nil {
		f.releasePorts(want.ENI, have.ENI.PublishedPorts)
		return err
	}
	if err := f.records.replace(want); err != nil {
		return errors.Join(err, f.exchange(r, want.ENI, have.ENI))
	}
	f.setAttached(want)
	f.releasePorts(have.ENI, want.ENI.PublishedPorts)
	return nil
}

// exchange lets an ENI through as another one of the same addresses.
func (f *Fabric) exchange(r *router, have, want network.ENI) error {
	old, p := f.byID.port(have), f.byID.port(want)
	if err := r.exchangeLimit(have, want); err != nil {
		return err
	}
	if err := r.admit(&old, p); err != nil {
		return err
	}
	return errors.Join(f.befriend(r.vpc, &old, &p), f.reroute(r, &old, &p), f.publish(r, &old, &p))
}

// Detach implements [network.Fabric].
func (f *Fabric) Detach(ctx context.Context, eniID string) error {
	end, err := f.begin(ctx)
	if err != nil {
		return fmt.Errorf("detach %s: %w", eniID, err)
	}
	defer end()
	defer f.keys.Lock(eniID)()
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
		if err := f.withdraw(r, f.byID.port(rec.ENI)); err != nil {
			return err
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

// withdraw takes an ENI out of rulesets and routes.
func (f *Fabric) withdraw(r *router, p port) error {
	errs := []error{r.refuse(p), f.befriend(r.vpc, &p, nil), f.reroute(r, &p, nil), f.publish(r, &p, nil), r.dropLimit(limitTable(p.ENI))}
	for _, to := range portRoutes(p.ENI) {
		if err := r.dropRoute(to); err != nil {
			errs = append(errs, fmt.Errorf("drop route: %w", err))
		}
	}
	return errors.Join(errs...)
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
	if done || f.cfg.Isolated || !publishes(e) && (!f.byID.port(e).Out || !f.byID.outside[vpc] || f.cfg.PublicAddressLink == "" && !f.host.outside()) {
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
	if err := f.host.openFirewall(f.cfg.Owner); err != nil {
		return fmt.Errorf("pass Docker's rules: %w", err)
	}
	if list, err := f.host.obstacles(); err != nil || len(list) > 0 {
		f.log.Warn("the host's firewall may keep tasks from the outside", "obstacles", list, "error", err)
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
