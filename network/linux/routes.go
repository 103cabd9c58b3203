package linux

import (
	"net/netip"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// mainRoutes returns the routes of a router's main table but those to ENIs: what nobody has goes into nothing, silently.
func (v view) mainRoutes(f family, uplink bool) []route {
	routes := []route{{To: f.reserved()}}
	if uplink && (f == ipv4 || len(v.VPC.IPv6CIDRs) > 0) {
		routes[0].Link = uplinkName // to the host's own ends
	}
	for _, c := range v.prefixes(f) {
		routes = append(routes, route{To: c})
	}
	routes = append(routes, route{To: f.everywhere()})
	for _, g := range v.NATs {
		if f == ipv4 {
			routes = append(routes, route{To: netip.PrefixFrom(g.PrivateIPv4, 32), Link: natLink(g)})
		}
	}
	return routes
}

// hasTable reports whether packets of a family that leave the subnet have a route table.
func hasTable(n network.Subnet, f family) bool { return f == ipv4 || n.IPv6CIDR.IsValid() }

// tableRoutes returns the routes of the table of a subnet. What it has no route for goes into nothing in the main table,
// which is also where those go on that are local.
func (v view) tableRoutes(n network.Subnet, f family, uplink bool) []route {
	table := v.Links[n.ID]
	routes := []route{{Table: table, To: f.reserved(), Main: true}}
	all := v.subnetRoutes(n, f)
	for i, r := range all {
		if own, ok := v.ownOnly(r.Target, f); ok && firstFor(all, own) == i {
			routes = append(routes, route{Table: table, To: netip.PrefixFrom(own, own.BitLen()), Main: true})
		}
		to := route{Table: table, To: r.Destination}
		own := r.Destination == n.CIDR || r.Destination == n.IPv6CIDR // not routed by any
		if own || r.Target == network.TargetLocal {
			to.Main = true
			routes = append(routes, to)
			continue
		}
		to.Link, to.Via = v.nextHop(r.Target, f, uplink)
		if to.Link == "" || to.Link == uplinkName {
			routes = append(routes, to)
			continue
		}
		// Links come and go, and the routes into them with them. What is left then is not the next shorter prefix.
		routes = append(routes, route{Table: table, To: r.Destination, Fallback: true}, to)
	}
	return routes
}

// ownOnly returns the address of an ENI that takes nothing for others, if a target is one.
func (v view) ownOnly(target string, f family) (netip.Addr, bool) {
	e, ok := v.State.ENI(target)
	addr := port{ENI: e}.addr(f)
	return addr, ok && !e.NoSourceDestCheck && addr.IsValid()
}

// firstFor returns the index of the first route to an address, which is the longest, -1 if there is none.
func firstFor(routes []network.Route, a netip.Addr) int {
	return slices.IndexFunc(routes, func(r network.Route) bool { return r.Destination.Contains(a) })
}

// nextHop returns the link that leads to the target of a route; "" if nothing does.
func (v view) nextHop(target string, f family, uplink bool) (link string, via netip.Addr) {
	if v.isGateway(target) {
		if uplink {
			return uplinkName, netip.Addr{}
		}
		return "", netip.Addr{}
	}
	for _, g := range v.NATs {
		if g.ID == target && f == ipv4 {
			return natLink(g), g.PrivateIPv4
		}
	}
	for _, p := range v.Peerings {
		if p.ID == target {
			return peeringLink(p.ID), peeringAddr(f)
		}
	}
	if e, ok := v.State.ENI(target); ok && e.NoSourceDestCheck {
		if addr := newPort(v.State, e).addr(f); addr.IsValid() {
			return linkName(e.ID), addr
		}
	}
	return "", netip.Addr{}
}

func (v view) isGateway(target string) bool {
	_, egressOnly := v.State.EgressOnlyInternetGateway(target)
	return egressOnly || v.isInternet(target)
}

// routesTo returns the routes that there are for the sake of an ENI.
func (v view) routesTo(e network.ENI) []route {
	var list []route
	with := v
	with.State.ENIs = []network.ENI{e}
	for _, n := range v.Subnets {
		for _, f := range families() {
			if !hasTable(n, f) {
				continue
			}
			without := v.tableRoutes(n, f, false)
			for _, to := range with.tableRoutes(n, f, false) {
				if !slices.Contains(without, to) && !to.Fallback {
					list = append(list, to)
				}
			}
		}
	}
	return list
}

// portRoutes returns the routes to an ENI's own addresses.
func portRoutes(e network.ENI) []route {
	routes := []route{{To: netip.PrefixFrom(e.PrivateIPv4, 32), Link: linkName(e.ID)}}
	if e.IPv6.IsValid() {
		routes = append(routes, route{To: netip.PrefixFrom(e.IPv6, 128), Link: linkName(e.ID)})
	}
	return routes
}

func portNeighbors(e network.ENI) []neighbor {
	list := []neighbor{{linkName(e.ID), e.PrivateIPv4, e.MAC}}
	if e.IPv6.IsValid() {
		list = append(list, neighbor{linkName(e.ID), e.IPv6, e.MAC})
	}
	return list
}

// gatewayNeighbors returns who is behind the links of NAT gateways and peering connections.
func (v view) gatewayNeighbors() []neighbor {
	var list []neighbor
	for _, g := range v.NATs {
		list = append(list, neighbor{natLink(g), g.PrivateIPv4, natMAC(g)})
	}
	for _, p := range v.Peerings {
		for _, f := range families() {
			if len(prefixesOf(p.Other, f)) > 0 {
				list = append(list, neighbor{peeringLink(p.ID), peeringAddr(f), peeringMAC(p.ID, !p.First)})
			}
		}
	}
	return list
}

// addrs returns the addresses that a VPC's router has itself: the endpoints, and its own one in each subnet.
func (v view) addrs() []netip.Addr {
	all := v.endpoints()
	for _, n := range v.Subnets {
		all = append(all, n.Gateway())
	}
	return all
}
