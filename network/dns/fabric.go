package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/fardel-io/fardel/network"
)

// FabricConfig says what the name servers of a fabric's VPCs do.
type FabricConfig struct {
	Fabric network.Fabric // required, and a [network.Listener]. It is the new fabric's from then on

	// Forwarder says who answers for names that are not the VPCs' own. All VPCs share its cache. Without Servers such names
	// are refused.
	Forwarder ForwarderConfig

	Search []string // search domains of tasks, after that of the names of their VPC

	// Fallback are name servers that tasks are told of after their VPC's own. There are none by default, for clients
	// differ: glibc's goes to the second when the first does not answer, as while the host program is down, but musl's asks
	// all at once and believes the first answer, and the second does not know the names of the VPC.
	Fallback []netip.Addr

	PacketsPerSecond int // see [Config]

	Logger *slog.Logger // nil discards
}

// Fabric is a network fabric whose VPCs have name servers, at 169.254.169.253 and at [network.VPC.Resolver], and whose
// tasks are told so. It feeds them the names of ENIs. All else is as in the fabric that it is made of.
//
// Name servers live in the process: while it is down, tasks go on without them, and asking them fails at once or after
// the client's timeout, as it did when it stood still. The next Apply opens them again.
type Fabric struct {
	inner    network.Fabric
	listener network.Listener
	cfg      FabricConfig
	forward  *Forwarder

	op sync.RWMutex // held for writing by Apply and Close, for reading by what concerns one ENI

	mu      sync.Mutex                 // guards what follows
	servers map[string]*nameServer     // by VPC
	vpcs    map[string]network.VPC     // that are applied
	subnets map[string]string          // their subnets' VPCs
	hosts   map[string]attachedHost    // by ENI
	zones   map[string]map[string]Zone // by VPC, "" is every one, and canonical name
	spaces  map[string]map[string]Zone // of namespaces, likewise
}

type attachedHost struct {
	vpc   string
	addrs []netip.Addr
}

var (
	_ network.Fabric   = (*Fabric)(nil)
	_ network.Listener = (*Fabric)(nil)

	_ network.FaultInjector = (*Fabric)(nil)
)

// NewFabric returns a fabric over another one. It starts nothing before Apply. The error matches [ErrInvalid], or
// [network.ErrUnsupported] if the fabric cannot listen in its VPCs.
func NewFabric(cfg FabricConfig) (*Fabric, error) {
	if cfg.Fabric == nil {
		return nil, fmt.Errorf("configure name servers: %w: Fabric is required", ErrInvalid)
	}
	listener, ok := cfg.Fabric.(network.Listener)
	if !ok {
		return nil, &network.UnsupportedError{Feature: "a name server in each VPC", Needs: "a fabric that can listen in its VPCs"}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Fabric{inner: cfg.Fabric, listener: listener, cfg: cfg, servers: map[string]*nameServer{}, vpcs: map[string]network.VPC{},
		subnets: map[string]string{}, hosts: map[string]attachedHost{}, zones: map[string]map[string]Zone{}, spaces: map[string]map[string]Zone{}}
	if cfg.Forwarder.Servers != nil {
		var err error
		if f.forward, err = NewForwarder(cfg.Forwarder); err != nil {
			return nil, err
		}
	}
	_, err := NewResolver(f.resolverConfig(network.VPC{Region: "x"}))
	return f, err
}

func (f *Fabric) resolverConfig(v network.VPC) Config {
	return Config{Domain: network.PrivateDomain(v.Region), CIDRs: slices.Concat(v.CIDRs, v.IPv6CIDRs), Forwarder: f.forward,
		PacketsPerSecond: f.cfg.PacketsPerSecond, Logger: f.cfg.Logger}
}

// Apply implements [network.Fabric]. The name server of a VPC that goes is closed first, for its sockets would keep the
// VPC's namespace.
func (f *Fabric) Apply(ctx context.Context, s network.State) error {
	if err := network.Validate(s); err != nil {
		return f.inner.Apply(ctx, s) // which refuses it, or is closed
	}
	f.op.Lock()
	defer f.op.Unlock()
	f.closeServers(func(vpc string) bool { _, stays := s.VPC(vpc); return !stays })
	errs := []error{f.inner.Apply(ctx, s)}
	if errors.Is(errs[0], network.ErrClosed) || ctx.Err() != nil {
		return errs[0]
	}
	f.remember(s)
	for _, v := range s.VPCs {
		if r, err := f.server(ctx, v.ID); err != nil {
			errs = append(errs, err)
		} else {
			r.SetCIDRs(slices.Concat(v.CIDRs, v.IPv6CIDRs))
			errs = append(errs, f.nameAll(r, s, v))
		}
	}
	return errors.Join(errs...)
}

// remember takes over what the state says of VPCs and subnets, and forgets the names of ENIs that are not in it.
func (f *Fabric) remember(s network.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.vpcs)
	clear(f.subnets)
	for _, v := range s.VPCs {
		f.vpcs[v.ID] = network.VPC{ID: v.ID, Region: v.Region, CIDRs: slices.Clone(v.CIDRs), IPv6CIDRs: slices.Clone(v.IPv6CIDRs)}
	}
	for _, n := range s.Subnets {
		f.subnets[n.ID] = n.VPC
	}
	stays := map[string]bool{}
	for _, e := range s.ENIs {
		stays[e.ID] = true
	}
	for id := range f.hosts {
		if !stays[id] {
			f.unnameLocked(id)
		}
	}
}

// nameAll gives the ENIs of a VPC their names.
func (f *Fabric) nameAll(r *Resolver, s network.State, v network.VPC) error {
	var errs []error
	for _, e := range s.ENIs {
		if n, _ := s.Subnet(e.Subnet); n.VPC == v.ID {
			errs = append(errs, f.name(r, v, e))
		}
	}
	return errors.Join(errs...)
}

// name gives an ENI its name.
func (f *Fabric) name(r *Resolver, v network.VPC, e network.ENI) error {
	h := Host{Name: e.PrivateDNSName}
	for _, a := range []netip.Addr{e.PrivateIPv4, e.IPv6} {
		if a.IsValid() {
			h.Addrs = append(h.Addrs, a)
		}
	}
	if h.Name == "" && len(h.Addrs) > 0 {
		h.Name = network.PrivateDNSName(v.Region, h.Addrs[0])
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.hosts[e.ID]; ok && !slices.Equal(old.addrs, h.Addrs) {
		f.unnameLocked(e.ID)
	}
	if err := r.AddHost(h); err != nil {
		return fmt.Errorf("name %s: %w", e.ID, err)
	}
	f.hosts[e.ID] = attachedHost{v.ID, h.Addrs}
	return nil
}

// unnameLocked takes an ENI's name away. The caller holds mu.
func (f *Fabric) unnameLocked(eni string) {
	h := f.hosts[eni]
	delete(f.hosts, eni)
	if s := f.servers[h.vpc]; s != nil {
		for _, a := range h.addrs {
			s.RemoveHost(a)
		}
	}
}

// Attach implements [network.Fabric].
func (f *Fabric) Attach(ctx context.Context, e network.ENI) (network.Attachment, error) {
	f.op.RLock()
	defer f.op.RUnlock()
	a, err := f.inner.Attach(ctx, e)
	if err != nil {
		return a, err
	}
	f.mu.Lock()
	v := f.vpcs[f.subnets[e.Subnet]]
	f.mu.Unlock()
	r, err := f.server(ctx, v.ID)
	if err == nil {
		err = f.name(r, v, e)
	}
	if err != nil {
		return network.Attachment{}, fmt.Errorf("attach %s: %w", e.ID, err)
	}
	return f.told(a), nil
}

// told returns what a task is told of its ENI, with its name servers.
func (f *Fabric) told(a network.Attachment) network.Attachment {
	a.DNS = append([]netip.Addr{network.ResolverAddr()}, f.cfg.Fallback...)
	a.Search = slices.Concat(a.Search, f.cfg.Search)
	return a
}

// Detach implements [network.Fabric]. The name goes first: when it returns, the address may be another one's.
func (f *Fabric) Detach(ctx context.Context, eniID string) error {
	f.op.RLock()
	defer f.op.RUnlock()
	f.mu.Lock()
	f.unnameLocked(eniID)
	f.mu.Unlock()
	return f.inner.Detach(ctx, eniID)
}

// Attachments implements [network.Fabric].
func (f *Fabric) Attachments(ctx context.Context) ([]network.Attachment, error) {
	list, err := f.inner.Attachments(ctx)
	for i := range list {
		list[i] = f.told(list[i])
	}
	return list, err
}

// Listen implements [network.Listener].
func (f *Fabric) Listen(ctx context.Context, vpcID string, addr netip.AddrPort) (net.Listener, error) {
	return f.listener.Listen(ctx, vpcID, addr)
}

// SetFaults implements [network.FaultInjector]. It fails with [network.ErrUnsupported] if the fabric that it is made of
// does not.
func (f *Fabric) SetFaults(ctx context.Context, eniID string, faults network.Faults) error {
	if inner, ok := network.As[network.FaultInjector](f.inner); ok {
		return inner.SetFaults(ctx, eniID, faults)
	}
	return &network.UnsupportedError{Feature: "faults", Needs: "a fabric that implements network.FaultInjector"}
}

// Unwrap returns the fabric that this one is made of, so that [network.As] finds what else that can do. It is this one's: only
// what is no part of [network.Fabric] is for others to call.
func (f *Fabric) Unwrap() network.Fabric { return f.inner }

// ListenPacket implements [network.Listener].
func (f *Fabric) ListenPacket(ctx context.Context, vpcID string, addr netip.AddrPort) (net.PacketConn, error) {
	return f.listener.ListenPacket(ctx, vpcID, addr)
}

// Close implements [network.Fabric]. It waits until no name server runs, and closes the fabric that this one is made of.
func (f *Fabric) Close() error {
	f.op.Lock()
	defer f.op.Unlock()
	f.closeServers(func(string) bool { return true })
	return f.inner.Close()
}

// SetZone gives a VPC a zone, or replaces its zone of that name. "" means every VPC, also those to come; a VPC's own zone
// hides one of the same name for all. It takes effect at once. The error matches [ErrInvalid].
func (f *Fabric) SetZone(vpcID string, z Zone) error {
	c, err := compile(z)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.zones[vpcID] == nil {
		f.zones[vpcID] = map[string]Zone{}
	}
	f.zones[vpcID][c.soa.Hdr.Name] = z
	return f.setZonesLocked(vpcID)
}

// SetZones replaces all zones of a VPC, or those for every VPC, at once.
func (f *Fabric) SetZones(vpcID string, zones []Zone) error {
	all := map[string]Zone{}
	for _, z := range zones {
		c, err := compile(z)
		if err != nil {
			return err
		}
		if _, twice := all[c.soa.Hdr.Name]; twice {
			return fmt.Errorf("zone %q: %w: there are two of that name", z.Name, ErrInvalid)
		}
		all[c.soa.Hdr.Name] = z
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.zones[vpcID] = all
	return f.setZonesLocked(vpcID)
}

// SetNamespace gives a VPC a namespace of service discovery, or replaces that of its name; "" is as in [Fabric.SetZone]. It
// takes effect at once, at a cost that grows with the instances of the namespace and not with other zones. Namespaces are
// kept apart from zones, and hide those of the same name. The error matches [ErrInvalid].
func (f *Fabric) SetNamespace(vpcID string, n Namespace) error {
	z, err := n.Zone()
	if err != nil {
		return err
	}
	name, err := canonical(z.Name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spaces[vpcID] == nil {
		f.spaces[vpcID] = map[string]Zone{}
	}
	f.spaces[vpcID][name] = z
	var errs []error
	for id, s := range f.servers {
		_, own := f.spaces[id][name]
		if id == vpcID || vpcID == "" && !own {
			errs = append(errs, s.SetZone(z))
		}
	}
	return errors.Join(errs...)
}

// RemoveZone takes a zone from a VPC, or from those that have it because all do. Nothing happens if there is none.
func (f *Fabric) RemoveZone(vpcID, name string) error {
	name, err := canonical(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.zones[vpcID], name)
	return f.setZonesLocked(vpcID)
}

// setZonesLocked tells the name servers that a change concerns. The caller holds mu.
func (f *Fabric) setZonesLocked(vpcID string) error {
	var errs []error
	for id, s := range f.servers {
		if vpcID == "" || id == vpcID {
			errs = append(errs, s.SetZones(f.zonesOf(id)))
		}
	}
	return errors.Join(errs...)
}

// zonesOf returns the zones of a VPC. The caller holds mu.
func (f *Fabric) zonesOf(vpcID string) []Zone {
	all := maps.Clone(f.zones[""])
	if all == nil {
		all = map[string]Zone{}
	}
	maps.Copy(all, f.zones[vpcID])
	maps.Copy(all, f.spaces[""])
	maps.Copy(all, f.spaces[vpcID])
	return slices.Collect(maps.Values(all))
}
