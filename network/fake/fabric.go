package fake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"github.com/fardel-io/fardel/network"
)

// Op is a method of a fabric.
type Op string

// The methods that can be made to fail.
const (
	Apply       Op = "Apply"
	Attach      Op = "Attach"
	Detach      Op = "Detach"
	Attachments Op = "Attachments"
	SetFaults   Op = "SetFaults"
)

// Config says how a fabric behaves. The zero value is a machine with nothing on it.
type Config struct {
	Host *Host        // the machine; nil means a new one
	DNS  []netip.Addr // name servers in attachments

	// Fail is asked before each call; what it returns is the call's error, and the call does nothing. eni is the ID that
	// Attach and Detach are called with, else "". It may block, to hold a call up. nil never fails.
	Fail func(ctx context.Context, op Op, eni string) error
}

// Host is a machine: what is attached to it stays when a fabric is closed. The zero value is one with nothing on it.
type Host struct {
	mu       sync.Mutex
	attached map[string]attached
}

type attached struct {
	eni        network.ENI
	vpc        string
	attachment network.Attachment
	faults     network.Faults
}

// Fabric is a network fabric in memory.
type Fabric struct {
	cfg  Config
	host *Host

	// Guarded by host.mu.
	state  network.State // what was applied last, without ENIs
	closed bool
}

var (
	_ network.Fabric        = (*Fabric)(nil)
	_ network.FaultInjector = (*Fabric)(nil)
)

// New returns a fabric that knows what is attached to its host and has no state yet.
func New(cfg Config) *Fabric {
	h := cfg.Host
	if h == nil {
		h = &Host{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.attached == nil {
		h.attached = map[string]attached{}
	}
	return &Fabric{cfg: cfg, host: h}
}

// begin checks what every call checks and takes the lock, which the caller gives back.
func (f *Fabric) begin(ctx context.Context, op Op, eni string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.cfg.Fail != nil {
		if err := f.cfg.Fail(ctx, op, eni); err != nil {
			return err
		}
	}
	f.host.mu.Lock()
	if f.closed {
		f.host.mu.Unlock()
		return network.ErrClosed
	}
	return nil
}

// Apply implements [network.Fabric].
func (f *Fabric) Apply(ctx context.Context, s network.State) error {
	if err := network.Validate(s); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	s = s.Clone()
	if err := f.begin(ctx, Apply, ""); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	defer f.host.mu.Unlock()
	wanted := map[string]attached{}
	for _, e := range s.ENIs {
		a := f.describe(s, e)
		if old, ok := f.host.attached[e.ID]; ok {
			a.attachment.DNS, a.faults = old.attachment.DNS, old.faults
		}
		wanted[e.ID] = a
	}
	f.host.attached = wanted
	f.state = s
	f.state.ENIs = nil
	return nil
}

// describe returns what a task is told of an ENI.
func (f *Fabric) describe(s network.State, e network.ENI) attached {
	n, _ := s.Subnet(e.Subnet)
	v, _ := s.VPC(n.VPC)
	hostname := e.PrivateDNSName
	if hostname == "" {
		hostname = network.PrivateDNSName(v.Region, e.PrivateIPv4)
	}
	a := network.Attachment{
		ENI: e.ID, NetNS: "/fake/netns/" + e.ID, Interface: "eth0", MAC: e.MAC,
		Address: netip.PrefixFrom(e.PrivateIPv4, n.CIDR.Bits()), Gateway: n.Gateway(),
		DNS: slices.Clone(f.cfg.DNS), Search: []string{network.PrivateDomain(v.Region)}, Hostname: hostname,
	}
	if e.IPv6.IsValid() {
		a.IPv6Address, a.IPv6Gateway = netip.PrefixFrom(e.IPv6, n.IPv6CIDR.Bits()), network.IPv6Gateway()
	}
	return attached{eni: e, vpc: v.ID, attachment: a}
}

// Attach implements [network.Fabric].
func (f *Fabric) Attach(ctx context.Context, e network.ENI) (network.Attachment, error) {
	if err := f.begin(ctx, Attach, e.ID); err != nil {
		return network.Attachment{}, fmt.Errorf("attach %s: %w", e.ID, err)
	}
	defer f.host.mu.Unlock()
	if err := f.check(e); err != nil {
		return network.Attachment{}, fmt.Errorf("attach %s: %w", e.ID, err)
	}
	a := f.describe(f.state, e.Clone())
	if old, ok := f.host.attached[e.ID]; ok {
		a.attachment.DNS, a.faults = old.attachment.DNS, old.faults
	}
	f.host.attached[e.ID] = a
	return a.attachment, nil
}

// check reports what keeps an ENI from being attached.
func (f *Fabric) check(e network.ENI) error {
	n, ok := f.state.Subnet(e.Subnet)
	if !ok {
		return fmt.Errorf("%w: the subnet ID '%s' does not exist", network.ErrNotFound, e.Subnet)
	}
	for _, id := range e.SecurityGroups {
		if _, ok := f.state.SecurityGroup(id); !ok {
			return fmt.Errorf("%w: the security group '%s' does not exist", network.ErrNotFound, id)
		}
	}
	if err := network.ValidateENI(f.state, e); err != nil {
		return err
	}
	if old, ok := f.host.attached[e.ID]; ok {
		same := old.eni
		same.SecurityGroups, same.AssignPublicIP, same.PrivateDNSName = e.SecurityGroups, e.AssignPublicIP, e.PrivateDNSName
		same.PublicIPv4, same.NoSourceDestCheck, same.Description, same.Tags = e.PublicIPv4, e.NoSourceDestCheck, e.Description, e.Tags
		same.Bandwidth, same.PublishedPorts = e.Bandwidth, e.PublishedPorts
		if !reflect.DeepEqual(same, e) {
			return fmt.Errorf("%w: it is %s (%s) in %s", network.ErrExists, old.eni.PrivateIPv4, old.eni.MAC, old.eni.Subnet)
		}
	}
	for _, g := range f.state.NATGateways {
		if at, _ := f.state.Subnet(g.Subnet); at.VPC == n.VPC && g.PrivateIPv4 == e.PrivateIPv4 {
			return fmt.Errorf("%w: %s is that of %s", network.ErrAddressInUse, e.PrivateIPv4, g.ID)
		}
	}
	for _, a := range f.state.Addresses {
		if a.PublicIP == e.PublicIPv4 {
			return fmt.Errorf("%w: %s is that of %s", network.ErrAddressInUse, e.PublicIPv4, a.AllocationID)
		}
	}
	for _, other := range f.host.attached {
		switch {
		case other.eni.ID == e.ID:
		case other.vpc == n.VPC && other.eni.PrivateIPv4 == e.PrivateIPv4:
			return fmt.Errorf("%w: %s is that of %s", network.ErrAddressInUse, e.PrivateIPv4, other.eni.ID)
		case e.IPv6.IsValid() && other.eni.IPv6 == e.IPv6:
			return fmt.Errorf("%w: %s is that of %s", network.ErrAddressInUse, e.IPv6, other.eni.ID)
		case e.PublicIPv4.IsValid() && other.eni.PublicIPv4 == e.PublicIPv4:
			return fmt.Errorf("%w: %s is that of %s", network.ErrAddressInUse, e.PublicIPv4, other.eni.ID)
		case other.eni.MAC == e.MAC:
			return fmt.Errorf("%w: MAC address %s is that of %s", network.ErrInvalid, e.MAC, other.eni.ID)
		}
		if other.eni.ID == e.ID {
			continue
		}
		for _, p := range e.PublishedPorts {
			if i := slices.IndexFunc(other.eni.PublishedPorts, p.Conflicts); i >= 0 {
				return fmt.Errorf("%w: %s is published by %s: %s", network.ErrAddressInUse, p, other.eni.ID, other.eni.PublishedPorts[i])
			}
		}
	}
	return nil
}

// Detach implements [network.Fabric].
func (f *Fabric) Detach(ctx context.Context, eniID string) error {
	if err := f.begin(ctx, Detach, eniID); err != nil {
		return fmt.Errorf("detach %s: %w", eniID, err)
	}
	defer f.host.mu.Unlock()
	delete(f.host.attached, eniID)
	return nil
}

// Attachments implements [network.Fabric].
func (f *Fabric) Attachments(ctx context.Context) ([]network.Attachment, error) {
	if err := f.begin(ctx, Attachments, ""); err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	defer f.host.mu.Unlock()
	list := make([]network.Attachment, 0, len(f.host.attached))
	for _, a := range f.host.attached {
		list = append(list, a.attachment)
	}
	slices.SortFunc(list, func(a, b network.Attachment) int { return cmp.Compare(a.ENI, b.ENI) })
	return list, nil
}

// State returns the applied state with the ENIs that are attached, in order of their IDs.
func (f *Fabric) State() network.State {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	s := f.state.Clone()
	for _, id := range slices.Sorted(maps.Keys(f.host.attached)) {
		s.ENIs = append(s.ENIs, f.host.attached[id].eni.Clone())
	}
	return s
}

// Probe says what happens to a packet in the present state.
func (f *Fabric) Probe(flow network.Flow) network.Verdict { return network.Evaluate(f.State(), flow) }

// Close implements [network.Fabric]. What is attached stays on the host.
func (f *Fabric) Close() error {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	f.closed = true
	return nil
}
