package network

import (
	"encoding/binary"
	"net/netip"
)

// Reserved addresses of a subnet, by their distance from its base.
const (
	gatewayOffset  = 1 // the VPC's router
	resolverOffset = 2 // its name server, in the first subnet of the VPC
	reservedFirst  = 4 // base, router, DNS and one for future use
)

// Gateway returns the address of the VPC's router in the subnet.
func (n Subnet) Gateway() netip.Addr { return offset(n.CIDR.Addr(), gatewayOffset) }

// Size returns how many addresses ENIs can have in the subnet: all but the five that EC2 reserves.
func (n Subnet) Size() int { return 1<<(32-n.CIDR.Bits()) - reservedFirst - 1 }

// Reserved reports whether addr is one of the five addresses of the subnet that no ENI can have: the first four and
// the last.
func (n Subnet) Reserved(addr netip.Addr) bool {
	if !n.CIDR.Contains(addr) {
		return false
	}
	i := distance(n.CIDR.Addr(), addr)
	return i < reservedFirst || i == 1<<(32-n.CIDR.Bits())-1
}

// ReservedIPv6 reports whether addr is one of the five addresses of the subnet's IPv6 CIDR that no ENI can have: the
// first four and the last.
func (n Subnet) ReservedIPv6(addr netip.Addr) bool {
	if !n.IPv6CIDR.Contains(addr) {
		return false
	}
	host := hostPart(addr)
	return host < reservedFirst || host == ^uint64(0)
}

// hostPart returns the last 64 bits of an IPv6 address.
func hostPart(a netip.Addr) uint64 {
	b := a.As16()
	return binary.BigEndian.Uint64(b[8:])
}

// Resolver returns the address of the VPC's name server in the VPC: its base plus two.
func (v VPC) Resolver() netip.Addr {
	if len(v.CIDRs) == 0 || !v.CIDRs[0].Addr().Is4() {
		return netip.Addr{}
	}
	return offset(v.CIDRs[0].Masked().Addr(), resolverOffset)
}
