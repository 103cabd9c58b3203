package scenario

import (
	"fmt"
	"net/netip"

	"github.com/fardel-io/fardel/network"
)

// vpc adds the i-th VPC with its subnets and gateways.
func (b *builder) vpc(i int) {
	v := network.VPC{ID: b.id("vpc"), Region: "eu-central-1"}
	n := i
	if b.has(Overlap) && b.chance(3) {
		n = 0
	}
	v.CIDRs = []netip.Prefix{prefix(fmt.Sprintf("10.%d.0.0/16", n))}
	if b.chance(3) {
		v.CIDRs = append(v.CIDRs, prefix(fmt.Sprintf("10.%d.16.0/20", 64+n)))
	}
	if b.has(IPv6) && !b.chance(3) {
		v.IPv6CIDRs = []netip.Prefix{prefix(fmt.Sprintf("fd00:0:0:%x00::/56", i))}
	}
	b.s.VPCs = append(b.s.VPCs, v)
	for j := range 1 + b.IntN(4) {
		block := v.CIDRs[j%len(v.CIDRs)].Addr().As4()
		block[2] += byte(j)
		subnet := network.Subnet{ID: b.id("subnet"), VPC: v.ID, CIDR: netip.PrefixFrom(netip.AddrFrom4(block), pick(b.Generator, 24, 25, 28)),
			AvailabilityZone: pick(b.Generator, "eu-central-1a", "eu-central-1b")}
		if len(v.IPv6CIDRs) > 0 && !b.chance(4) {
			subnet.IPv6CIDR = prefix(fmt.Sprintf("fd00:0:0:%x%02x::/64", i, j))
		}
		b.s.Subnets = append(b.s.Subnets, subnet)
	}
	if !b.chance(4) {
		b.s.InternetGateways = append(b.s.InternetGateways, network.InternetGateway{ID: b.id("igw"), VPC: v.ID})
	}
	if len(v.IPv6CIDRs) > 0 && b.chance(2) {
		b.s.EgressOnlyInternetGateways = append(b.s.EgressOnlyInternetGateways, network.EgressOnlyInternetGateway{ID: b.id("eigw"), VPC: v.ID})
	}
}

func (b *builder) prefixLists() {
	for range b.IntN(3) {
		l := network.PrefixList{ID: b.id("pl"), Name: "list", AddressFamily: network.IPv4, MaxEntries: 4}
		candidates := []netip.Prefix{prefix("10.0.0.0/9"), prefix("10.1.0.0/24"), prefix("198.51.100.0/24"), prefix("192.0.2.0/24"), b.cfg.PublicPool}
		if b.has(IPv6) && b.chance(3) {
			l.AddressFamily = network.IPv6
			candidates = []netip.Prefix{prefix("fd00::/48"), prefix("fd00:0:0:1::/64"), prefix("fd00:0:0:ffff::/64")}
		}
		for _, c := range some(b.Generator, candidates, 3) {
			l.Entries = append(l.Entries, network.PrefixListEntry{CIDR: c})
		}
		b.s.PrefixLists = append(b.s.PrefixLists, l)
	}
}

// peering connects about half of the pairs of VPCs that can be.
func (b *builder) peering() {
	for i, one := range b.s.VPCs {
		for _, two := range b.s.VPCs[i+1:] {
			if !overlap(one, two) && b.chance(2) {
				b.s.VPCPeeringConnections = append(b.s.VPCPeeringConnections,
					network.VPCPeeringConnection{ID: b.id("pcx"), Requester: one.ID, Accepter: two.ID})
			}
		}
	}
}

func overlap(one, two network.VPC) bool {
	for _, a := range one.CIDRs {
		for _, c := range two.CIDRs {
			if a.Overlaps(c) {
				return true
			}
		}
	}
	return false
}

// groups adds the security groups of a VPC, with what a new one allows.
func (b *builder) groups(v network.VPC) {
	for n := range 1 + b.IntN(4) {
		everything := network.Rule{Protocol: network.AllProtocols, CIDRs: []netip.Prefix{all4()}, IPv6CIDRs: []netip.Prefix{all6()}}
		name := fmt.Sprint("group ", n)
		b.s.SecurityGroups = append(b.s.SecurityGroups, network.SecurityGroup{ID: b.id("sg"), VPC: v.ID, Name: name, Description: name,
			Egress: []network.Rule{everything}})
	}
}

func (b *builder) groupsOf(vpc string) (ids []string) {
	for _, g := range b.s.SecurityGroups {
		if g.VPC == vpc {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

func (b *builder) gatewayOf(vpc string) string {
	for _, g := range b.s.InternetGateways {
		if g.VPC == vpc {
			return g.ID
		}
	}
	return ""
}

// enis adds the ENIs and the elastic addresses.
func (b *builder) enis() {
	b.alloc = network.NewAllocator(b.s)
	for range b.cfg.MinENIs + b.IntN(b.cfg.MaxENIs-b.cfg.MinENIs+1) {
		n := pick(b.Generator, b.s.Subnets...)
		_, private, err := b.alloc.Allocate([]string{n.ID})
		if err != nil {
			continue // a small subnet that is full
		}
		e := network.ENI{ID: b.id("eni"), Subnet: n.ID, PrivateIPv4: private, SecurityGroups: some(b.Generator, b.groupsOf(n.VPC), 5)}
		e.MAC = network.NewMAC(e.ID)
		if n.IPv6CIDR.IsValid() && !b.chance(4) {
			six := n.IPv6CIDR.Addr().As16()
			six[14], six[15] = private.As4()[2], private.As4()[3]|0x10
			e.IPv6 = netip.AddrFrom16(six)
			if b.taken(e.IPv6) {
				e.IPv6 = netip.Addr{}
			}
		}
		e.NoSourceDestCheck = b.has(Forwarding) && b.chance(10)
		b.publish(&e, n.VPC)
		b.s.ENIs = append(b.s.ENIs, e)
	}
	if b.has(PublicAddresses) && b.chance(2) {
		b.s.Addresses = append(b.s.Addresses, network.Address{AllocationID: b.id("eipalloc"), PublicIP: b.publicAddr()})
	}
}

func (b *builder) taken(a netip.Addr) bool {
	for _, e := range b.s.ENIs {
		if e.IPv6 == a {
			return true
		}
	}
	return false
}

// publish gives an ENI a public address of one of the three kinds, or none.
func (b *builder) publish(e *network.ENI, vpc string) {
	kind := b.IntN(6)
	if !b.has(PublicAddresses) {
		kind %= 3
	}
	switch {
	case kind == 1:
		e.AssignPublicIP = true
	case kind == 3:
		e.AssignPublicIP, e.PublicIPv4 = true, b.publicAddr()
	case kind > 3 && b.gatewayOf(vpc) != "":
		b.s.Addresses = append(b.s.Addresses, network.Address{AllocationID: b.id("eipalloc"), PublicIP: b.publicAddr(), ENI: e.ID})
	}
}
