package network

import (
	"maps"
	"slices"
)

// Clone returns a copy of the state that shares no memory with it: what is done to one is not seen in the other.
func (s State) Clone() State {
	s.VPCs = cloneEach(s.VPCs, func(v *VPC) {
		v.CIDRs, v.IPv6CIDRs, v.Tags = slices.Clone(v.CIDRs), slices.Clone(v.IPv6CIDRs), maps.Clone(v.Tags)
	})
	s.Subnets = cloneEach(s.Subnets, func(n *Subnet) { n.Tags = maps.Clone(n.Tags) })
	s.SecurityGroups = cloneEach(s.SecurityGroups, func(g *SecurityGroup) {
		g.Ingress, g.Egress, g.Tags = cloneEach(g.Ingress, (*Rule).own), cloneEach(g.Egress, (*Rule).own), maps.Clone(g.Tags)
	})
	s.PrefixLists = cloneEach(s.PrefixLists, func(l *PrefixList) {
		l.Entries, l.Tags = slices.Clone(l.Entries), maps.Clone(l.Tags)
	})
	s.NetworkACLs = cloneEach(s.NetworkACLs, func(a *NetworkACL) {
		a.Subnets, a.Entries, a.Tags = slices.Clone(a.Subnets), slices.Clone(a.Entries), maps.Clone(a.Tags)
	})
	s.InternetGateways = cloneEach(s.InternetGateways, func(g *InternetGateway) { g.Tags = maps.Clone(g.Tags) })
	s.EgressOnlyInternetGateways = cloneEach(s.EgressOnlyInternetGateways, func(g *EgressOnlyInternetGateway) {
		g.Tags = maps.Clone(g.Tags)
	})
	s.NATGateways = cloneEach(s.NATGateways, func(g *NATGateway) { g.Tags = maps.Clone(g.Tags) })
	s.VPCPeeringConnections = cloneEach(s.VPCPeeringConnections, func(p *VPCPeeringConnection) { p.Tags = maps.Clone(p.Tags) })
	s.RouteTables = cloneEach(s.RouteTables, func(t *RouteTable) {
		t.Subnets, t.Routes, t.Tags = slices.Clone(t.Subnets), slices.Clone(t.Routes), maps.Clone(t.Tags)
	})
	s.PublicIPv4Pools = cloneEach(s.PublicIPv4Pools, func(p *PublicIPv4Pool) {
		p.CIDRs, p.Tags = slices.Clone(p.CIDRs), maps.Clone(p.Tags)
	})
	s.Addresses = cloneEach(s.Addresses, func(a *Address) { a.Tags = maps.Clone(a.Tags) })
	s.ENIs = cloneEach(s.ENIs, (*ENI).own)
	return s
}

// Clone returns a copy of the ENI that shares no memory with it.
func (e ENI) Clone() ENI {
	e.own()
	return e
}

func (e *ENI) own() {
	e.SecurityGroups, e.PublishedPorts = slices.Clone(e.SecurityGroups), slices.Clone(e.PublishedPorts)
	e.Tags = maps.Clone(e.Tags)
}

func (r *Rule) own() {
	r.CIDRs, r.IPv6CIDRs = slices.Clone(r.CIDRs), slices.Clone(r.IPv6CIDRs)
	r.PrefixLists, r.Groups = slices.Clone(r.PrefixLists), slices.Clone(r.Groups)
}

// cloneEach copies a list and lets each element make what it holds its own.
func cloneEach[T any](list []T, own func(*T)) []T {
	list = slices.Clone(list)
	for i := range list {
		own(&list[i])
	}
	return list
}
