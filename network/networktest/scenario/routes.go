package scenario

import (
	"net/netip"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// tables adds the route tables of a VPC, and a NAT gateway in a subnet whose table leads outside.
func (b *builder) tables(v network.VPC) {
	var subnets []network.Subnet
	for _, n := range b.s.Subnets {
		if n.VPC == v.ID {
			subnets = append(subnets, n)
		}
	}
	gateway := b.gatewayOf(v.ID)
	nat := ""
	if b.has(NATGateways) && b.has(PublicAddresses) && b.has(SubnetTables) && gateway != "" && b.chance(2) {
		nat = b.natGateway(subnets[0])
	}
	main := network.RouteTable{ID: b.id("rtb"), VPC: v.ID, Main: true, Routes: b.routes(v, subnets, nat)}
	if nat != "" { // the first subnet is public, and the others mostly behind it
		public := network.RouteTable{ID: b.id("rtb"), VPC: v.ID, Subnets: []string{subnets[0].ID}, Routes: b.routes(v, subnets, "")}
		public.Routes = slices.DeleteFunc(public.Routes, func(r network.Route) bool { return r.Destination == all4() })
		public.Routes = append(public.Routes, network.Route{Destination: all4(), Target: gateway})
		b.s.RouteTables = append(b.s.RouteTables, public)
	} else if b.has(SubnetTables) && b.chance(2) {
		b.s.RouteTables = append(b.s.RouteTables, network.RouteTable{ID: b.id("rtb"), VPC: v.ID, Subnets: []string{subnets[0].ID}, Routes: b.routes(v, subnets, "")})
	}
	if nat != "" || !b.chance(6) || !b.has(SubnetTables) {
		b.s.RouteTables = append(b.s.RouteTables, main)
	}
}

func (b *builder) natGateway(n network.Subnet) string {
	_, private, err := b.alloc.Allocate([]string{n.ID})
	if err != nil {
		return ""
	}
	a := network.Address{AllocationID: b.id("eipalloc"), PublicIP: b.publicAddr()}
	b.s.Addresses = append(b.s.Addresses, a)
	g := network.NATGateway{ID: b.id("nat"), Subnet: n.ID, PrivateIPv4: private, Allocation: a.AllocationID}
	b.s.NATGateways = append(b.s.NATGateways, g)
	return g.ID
}

// routes returns the routes of a table, some of the local ones among them.
func (b *builder) routes(v network.VPC, subnets []network.Subnet, nat string) []network.Route {
	var routes []network.Route
	add := func(to netip.Prefix, target string) {
		if target != "" && !slices.ContainsFunc(routes, func(r network.Route) bool { return r.Destination == to }) {
			routes = append(routes, network.Route{Destination: to, Target: target})
		}
	}
	if b.chance(2) {
		add(v.CIDRs[0], network.TargetLocal)
	}
	gateway := b.gatewayOf(v.ID)
	if nat != "" && !b.chance(4) {
		add(all4(), nat)
	} else if !b.chance(5) {
		add(all4(), gateway)
	}
	if len(v.IPv6CIDRs) > 0 {
		targets := []string{gateway, gateway, ""}
		for _, g := range b.s.EgressOnlyInternetGateways {
			if g.VPC == v.ID {
				targets = append(targets, g.ID, g.ID)
			}
		}
		add(all6(), pick(b.Generator, targets...))
	}
	for _, c := range b.s.VPCPeeringConnections {
		other, ok := c.Other(v.ID)
		if !ok || b.chance(5) {
			continue
		}
		o, _ := b.s.VPC(other)
		for _, to := range slices.Concat(o.CIDRs, o.IPv6CIDRs) {
			add(to, c.ID)
		}
	}
	if b.has(SubnetTables) {
		b.oddRoutes(v, subnets, add, gateway)
	}
	if len(b.s.PrefixLists) > 0 && gateway != "" && b.chance(3) {
		b.listRoute(v, &routes, gateway)
	}
	b.Shuffle(len(routes), func(i, j int) { routes[i], routes[j] = routes[j], routes[i] })
	return routes
}

// oddRoutes adds routes to a part of the outside, and through ENIs.
func (b *builder) oddRoutes(v network.VPC, subnets []network.Subnet, add func(netip.Prefix, string), gateway string) {
	if b.chance(4) {
		add(prefix("198.51.100.128/25"), pick(b.Generator, network.TargetBlackhole, gateway))
	}
	if b.has(IPv6) && b.chance(6) {
		add(prefix("fd00:0:0:ffff::/64"), network.TargetBlackhole)
	}
	var enis []string
	for _, e := range b.s.ENIs {
		if n, _ := b.s.Subnet(e.Subnet); n.VPC == v.ID {
			enis = append(enis, e.ID)
		}
	}
	if !b.has(Forwarding) || len(enis) == 0 {
		return
	}
	if b.chance(5) {
		n := pick(b.Generator, subnets...)
		add(n.CIDR, pick(b.Generator, enis...))
		if n.IPv6CIDR.IsValid() {
			add(n.IPv6CIDR, pick(b.Generator, enis...))
		}
	}
	if b.chance(6) {
		add(prefix("198.51.100.7/32"), pick(b.Generator, enis...))
	}
}

// listRoute adds a route to a prefix list that has nothing of the VPC in it.
func (b *builder) listRoute(v network.VPC, routes *[]network.Route, target string) {
	l := pick(b.Generator, b.s.PrefixLists...)
	for _, c := range l.CIDRs() {
		for _, own := range slices.Concat(v.CIDRs, v.IPv6CIDRs) {
			if own.Overlaps(c) {
				return
			}
		}
	}
	*routes = append(*routes, network.Route{PrefixList: l.ID, Target: target})
}
