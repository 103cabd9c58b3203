package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// An Allocator hands out the private addresses of subnets, IPv6 addresses in them, and public addresses of pools. It is a data structure, not a service: it is not safe for concurrent
// use, keeps nothing on disk, and is rebuilt from the ENIs of a State. What its methods cost does not depend on how
// many ENIs there are.
type Allocator struct {
	subnets map[string]*pool
	zones   map[string]int // addresses in use by VPC and availability zone
	public  []*publicPool
}

// pool is the addresses of one subnet.
type pool struct {
	subnet Subnet
	used   bitmap
	next   int // where the search starts, so that a released address rests as long as possible
	free   int
	six    sixPool
}

// NewAllocator returns an allocator for the subnets and pools of s in which the addresses of its ENIs and NAT gateways
// and its elastic addresses are taken. What [Validate] refuses is left out.
func NewAllocator(s State) *Allocator {
	a := &Allocator{subnets: make(map[string]*pool, len(s.Subnets)), zones: map[string]int{}}
	for _, n := range s.Subnets {
		if !n.CIDR.Addr().Is4() || n.CIDR.Bits() < minPrefix || n.CIDR.Bits() > maxPrefix {
			continue
		}
		a.subnets[n.ID] = &pool{subnet: n, used: newBitmap(1 << (32 - n.CIDR.Bits())), next: reservedFirst, free: n.Size()}
	}
	for _, p := range s.PublicIPv4Pools {
		a.addPool(p)
	}
	for _, e := range s.ENIs {
		_ = a.Reserve(e.Subnet, e.PrivateIPv4)
		_ = a.ReserveIPv6(e.Subnet, e.IPv6)
		_ = a.ReservePublic(e.PublicIPv4)
	}
	for _, g := range s.NATGateways {
		_ = a.Reserve(g.Subnet, g.PrivateIPv4)
	}
	for _, e := range s.Addresses {
		_ = a.ReservePublic(e.PublicIP)
	}
	return a
}

// Allocate takes an address in one of the given subnets and returns both. It chooses the availability zone with the
// fewest addresses in use, in it the subnet with the most free ones, and among equals the one named first. An address
// that was released is given again last. [ErrNotFound] if a subnet is unknown, [ErrNoAddress] if all are full.
func (a *Allocator) Allocate(subnets []string) (subnet string, addr netip.Addr, err error) {
	candidates := make([]*pool, 0, len(subnets))
	for _, id := range subnets {
		p, ok := a.subnets[id]
		if !ok {
			return "", netip.Addr{}, fmt.Errorf("allocate: %w: the subnet ID '%s' does not exist", ErrNotFound, id)
		}
		if p.free > 0 {
			candidates = append(candidates, p)
		}
	}
	if len(candidates) == 0 {
		return "", netip.Addr{}, fmt.Errorf("allocate in %q: %w: the specified subnets do not have enough free addresses "+
			"to satisfy the request", subnets, ErrNoAddress)
	}
	best := slices.MinFunc(candidates, func(p, q *pool) int {
		return cmp.Or(cmp.Compare(a.zones[p.zone()], a.zones[q.zone()]), cmp.Compare(q.free, p.free))
	})
	return best.subnet.ID, a.take(best, best.search()), nil
}

// Reserve takes a given address. [ErrNotFound] if the subnet is unknown, [ErrInvalid] if the address is outside of it
// or one of its reserved ones, [ErrAddressInUse] if it is taken.
func (a *Allocator) Reserve(subnet string, addr netip.Addr) error {
	p, ok := a.subnets[subnet]
	if !ok {
		return fmt.Errorf("reserve %s: %w: the subnet ID '%s' does not exist", addr, ErrNotFound, subnet)
	}
	if !p.subnet.CIDR.Contains(addr) {
		return fmt.Errorf("reserve %s in %s: %w: the address does not fall within the subnet's address range %s", addr,
			subnet, ErrInvalid, p.subnet.CIDR)
	}
	if p.subnet.Reserved(addr) {
		return fmt.Errorf("reserve %s in %s: %w: the address is in the subnet's reserved address range", addr, subnet, ErrInvalid)
	}
	n := distance(p.subnet.CIDR.Addr(), addr)
	if p.used.has(n) {
		return fmt.Errorf("reserve %s in %s: %w", addr, subnet, ErrAddressInUse)
	}
	a.take(p, n)
	return nil
}

// Release gives an address back. It does nothing if the address is not taken.
func (a *Allocator) Release(subnet string, addr netip.Addr) {
	p, ok := a.subnets[subnet]
	if !ok || !p.subnet.CIDR.Contains(addr) {
		return
	}
	if n := distance(p.subnet.CIDR.Addr(), addr); p.used.has(n) {
		p.used.clear(n)
		p.free++
		a.zones[p.zone()]--
	}
}

// Free returns how many addresses a subnet has left: what EC2 calls availableIpAddressCount. It is 0 for an unknown
// subnet.
func (a *Allocator) Free(subnet string) int {
	if p, ok := a.subnets[subnet]; ok {
		return p.free
	}
	return 0
}

func (a *Allocator) take(p *pool, n int) netip.Addr {
	p.used.set(n)
	p.free--
	p.next = n + 1
	a.zones[p.zone()]++
	return offset(p.subnet.CIDR.Addr(), n)
}

func (p *pool) zone() string { return p.subnet.VPC + "/" + p.subnet.AvailabilityZone }

// search returns the first free address at or after next, going round. There is one, since free > 0.
func (p *pool) search() int {
	last := p.used.size - 2 // the broadcast address is reserved
	if n := p.used.firstClear(p.next); n <= last {
		return n
	}
	return p.used.firstClear(reservedFirst)
}
