package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// sixPool is the IPv6 addresses of one subnet by their last 64 bits. It is so large that a counter finds a free one: what
// was released comes again after 2^64 others.
type sixPool struct {
	used map[uint64]bool
	next uint64
}

// AllocateIPv6 takes an IPv6 address in a subnet. [ErrNotFound] if the subnet is unknown, [ErrInvalid] if it has no IPv6
// CIDR. There is always a free one.
func (a *Allocator) AllocateIPv6(subnet string) (netip.Addr, error) {
	p, err := a.sixPool(subnet)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("allocate IPv6 in %s: %w", subnet, err)
	}
	for p.six.next < reservedFirst || p.six.next == ^uint64(0) || p.six.used[p.six.next] {
		p.six.next++
	}
	host := p.six.next
	p.six.take(host)
	return withHostPart(p.subnet.IPv6CIDR.Addr(), host), nil
}

// ReserveIPv6 takes a given IPv6 address. [ErrNotFound] if the subnet is unknown, [ErrInvalid] if it has no IPv6 CIDR or
// the address is outside of that or one of its reserved ones, [ErrAddressInUse] if it is taken.
func (a *Allocator) ReserveIPv6(subnet string, addr netip.Addr) error {
	p, err := a.sixPool(subnet)
	switch {
	case err != nil:
	case addr.Zone() != "" || !p.subnet.IPv6CIDR.Contains(addr):
		err = fmt.Errorf("%w: the address does not fall within the subnet's address range %s", ErrInvalid, p.subnet.IPv6CIDR)
	case p.subnet.ReservedIPv6(addr):
		err = fmt.Errorf("%w: the address is in the subnet's reserved address range", ErrInvalid)
	case p.six.used[hostPart(addr)]:
		err = ErrAddressInUse
	}
	if err != nil {
		return fmt.Errorf("reserve %s in %s: %w", addr, subnet, err)
	}
	p.six.take(hostPart(addr))
	return nil
}

// ReleaseIPv6 gives an IPv6 address back. It does nothing if the address is not taken.
func (a *Allocator) ReleaseIPv6(subnet string, addr netip.Addr) {
	if p, err := a.sixPool(subnet); err == nil && p.subnet.IPv6CIDR.Contains(addr) {
		delete(p.six.used, hostPart(addr))
	}
}

func (a *Allocator) sixPool(subnet string) (*pool, error) {
	p, ok := a.subnets[subnet]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: the subnet ID '%s' does not exist", ErrNotFound, subnet)
	case !p.subnet.IPv6CIDR.IsValid() || p.subnet.IPv6CIDR.Bits() != subnetIPv6Prefix || !p.subnet.IPv6CIDR.Addr().Is6():
		return nil, fmt.Errorf("%w: the subnet has no IPv6 CIDR block", ErrInvalid)
	}
	return p, nil
}

func (s *sixPool) take(host uint64) {
	if s.used == nil {
		s.used = map[uint64]bool{}
	}
	s.used[host] = true
	s.next = host + 1
}

// withHostPart returns a with other last 64 bits.
func withHostPart(a netip.Addr, host uint64) netip.Addr {
	b := a.As16()
	binary.BigEndian.PutUint64(b[8:], host)
	return netip.AddrFrom16(b)
}
