package network

import "net/netip"

// Reserved addresses of a subnet, by their distance from its base.
const (
	gatewayOffset = 1 // the VPC's router
	reservedFirst = 4 // base, router, DNS and one for future use
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
