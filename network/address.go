package network

import "net/netip"

// A PublicIPv4Pool is a range of addresses that the operator gives to ENIs as public ones: those that are routed to
// this machine, or any unused ones if only the machine itself needs to reach them.
type PublicIPv4Pool struct {
	ID          string            `json:"poolId"`     // "ipv4pool-ec2-" and 17 hexadecimal digits
	CIDRs       []netip.Prefix    `json:"cidrBlocks"` // IPv4, /16 to /32, not those of a VPC or another pool; every address is used
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// An Address is an elastic address: a public IPv4 address that stays when ENIs come and go. It belongs to one ENI, one
// NAT gateway that names it, or nobody, and then nothing answers at it.
type Address struct {
	AllocationID string            `json:"allocationId"` // "eipalloc-" and 17 hexadecimal digits
	PublicIP     netip.Addr        `json:"publicIp"`     // in a [PublicIPv4Pool]
	ENI          string            `json:"networkInterfaceId,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`
}

// PublicIPv4 returns the public address of an ENI: of its elastic address, else its own. ok reports whether it has any:
// if addr is the zero value then, it shares an address of the machine.
func (s State) PublicIPv4(e ENI) (addr netip.Addr, ok bool) {
	for _, a := range s.Addresses {
		if a.ENI == e.ID && e.ID != "" {
			return a.PublicIP, true
		}
	}
	return e.PublicIPv4, e.AssignPublicIP || e.PublicIPv4.IsValid()
}
