package network

import (
	"net/netip"
	"slices"
)

// maxSteps bounds how often a packet can be routed: by its subnet and by that of a NAT gateway, and once more on each
// side of a way through public addresses.
const maxSteps = 8

// send routes the packet that is in subnet n.
func (w *walk) send(n Subnet) {
	if w.steps++; w.steps > maxSteps {
		w.hop(CheckRoute, "", -1, false, "the packet goes in circles")
		return
	}
	if n.contains(w.dest) {
		w.hop(CheckRoute, n.ID, -1, true, "%s is in the same subnet", w.dest)
		w.local(n)
		return
	}
	table, ok := w.state.SubnetRouteTable(n.ID)
	if !ok {
		w.hop(CheckRoute, "", -1, false, "%s does not exist", n.ID)
		return
	}
	i, r := w.lookup(table, w.dest)
	if i < 0 {
		if w.acl(CheckACLEgress, n) {
			w.hop(CheckRoute, table.ID, -1, false, "no route to %s", w.dest)
		}
		return
	}
	// A task or gateway in the same subnet is reached without leaving it, so no ACL is asked.
	next, inside := w.nextSubnet(r.Target)
	if (!inside || next != n.ID) && !w.acl(CheckACLEgress, n) {
		return
	}
	named := i
	if declared, ok := w.state.RouteTable(table.ID); !ok || i >= len(declared.Routes) {
		named = -1
	}
	w.follow(n, table, named, r)
}

// follow takes the packet along a route.
func (w *walk) follow(n Subnet, table RouteTable, i int, r Route) {
	to := r.Destination.String()
	if r.PrefixList != "" {
		to = r.PrefixList
	}
	if r.Target == TargetBlackhole {
		w.hop(CheckRoute, table.ID, i, false, "route %s is a blackhole", to)
		return
	}
	if r.Target == TargetLocal {
		w.hop(CheckRoute, table.ID, i, true, "route %s is local", to)
		w.local(n)
		return
	}
	w.hop(CheckRoute, table.ID, i, true, "route %s leads to %s", to, r.Target)
	if g, ok := w.state.InternetGateway(r.Target); ok {
		w.leave(g)
	} else if g, ok := w.state.EgressOnlyInternetGateway(r.Target); ok {
		w.leaveOnly(g)
	} else if g, ok := w.state.NATGateway(r.Target); ok {
		w.nat(n, g)
	} else if c, ok := w.state.VPCPeeringConnection(r.Target); ok {
		w.peer(n, c)
	} else if e, ok := w.state.ENI(r.Target); ok {
		w.forward(n, e)
	} else {
		w.hop(CheckRoute, table.ID, i, false, "route %s is a blackhole: %s does not exist", to, r.Target)
	}
}

// lookup returns the route that decides about an address, and its index; -1 if there is none.
func (w *walk) lookup(table RouteTable, a netip.Addr) (int, Route) {
	best, bits, static := -1, -1, false
	for i, r := range table.Routes {
		if n, ok := w.length(r, a); ok && (n > bits || n == bits && !static && r.PrefixList == "") {
			best, bits, static = i, n, r.PrefixList == ""
		}
	}
	if best < 0 {
		return -1, Route{}
	}
	return best, table.Routes[best]
}

// length returns the length of the longest prefix of a route that covers an address.
func (w *walk) length(r Route, a netip.Addr) (bits int, ok bool) {
	if r.PrefixList == "" {
		return r.Destination.Bits(), covers(r.Destination, a)
	}
	l, _ := w.state.PrefixList(r.PrefixList)
	for _, c := range l.CIDRs() {
		if covers(c, a) {
			bits, ok = max(bits, c.Bits()), true
		}
	}
	return bits, ok
}

// nextSubnet returns the subnet of a target that is in one.
func (w *walk) nextSubnet(target string) (subnet string, ok bool) {
	if e, ok := w.state.ENI(target); ok {
		return e.Subnet, true
	}
	g, ok := w.state.NATGateway(target)
	return g.Subnet, ok
}

// contains reports whether an address is in one of the subnet's CIDRs.
func (n Subnet) contains(a netip.Addr) bool { return n.CIDR.Contains(a) || n.IPv6CIDR.Contains(a) }

// local hands the packet to whoever has its destination address in the VPC of the subnet it comes from.
func (w *walk) local(from Subnet) {
	if g, ok := find(w.state.NATGateways, func(g NATGateway) bool {
		n, _ := w.state.Subnet(g.Subnet)
		return n.VPC == from.VPC && g.PrivateIPv4 == w.dest
	}); ok {
		w.hop(CheckNAT, g.ID, -1, false, "%s answers nobody at its own address %s", g.ID, w.dest)
		return
	}
	to, ok := w.holder(w.dest, from.VPC)
	if !ok {
		w.hop(CheckRoute, from.VPC, -1, false, "no ENI has the address %s", w.dest)
		return
	}
	w.deliver(to, from.ID)
}

// deliver brings the packet to an ENI from a subnet, "" if it is from outside of the VPC.
func (w *walk) deliver(to ENI, from string) {
	n, _ := w.state.Subnet(to.Subnet)
	if n.ID != from && !w.acl(CheckACLIngress, n) {
		return
	}
	if w.groups(CheckIngress, to, w.source) {
		w.arrive(Arrival{ENI: to.ID})
	}
}

// forward gives the packet to an ENI that is the target of a route.
func (w *walk) forward(from Subnet, to ENI) {
	n, _ := w.state.Subnet(to.Subnet)
	if n.VPC != from.VPC {
		w.hop(CheckForward, to.ID, -1, false, "%s is in another VPC, %s", to.ID, n.VPC)
		return
	}
	if n.ID != from.ID && !w.acl(CheckACLIngress, n) {
		return
	}
	if to.addr(w.dest) != w.dest {
		if !to.NoSourceDestCheck {
			w.hop(CheckForward, to.ID, -1, false, "%s is not the address of %s, which has its source/destination check", w.dest, to.ID)
			return
		}
		w.hop(CheckForward, to.ID, -1, true, "%s takes packets for others", to.ID)
		w.managed = true // what the task makes of it nobody knows
	}
	if w.groups(CheckIngress, to, w.source) {
		w.arrive(Arrival{ENI: to.ID})
	}
}

// peer carries the packet through a peering connection.
func (w *walk) peer(from Subnet, c VPCPeeringConnection) {
	other, ok := c.Other(from.VPC)
	if !ok {
		w.hop(CheckPeering, c.ID, -1, false, "%s is not one of the two VPCs of %s", from.VPC, c.ID)
		return
	}
	if _, ok := w.holder(w.source, from.VPC); !ok {
		w.hop(CheckPeering, c.ID, -1, false, "%s is not the address of an ENI of %s, and peering is not transitive", w.source, from.VPC)
		return
	}
	v, _ := w.state.VPC(other)
	in := func(p netip.Prefix) bool { return p.Contains(w.dest) }
	if !slices.ContainsFunc(v.CIDRs, in) && !slices.ContainsFunc(v.IPv6CIDRs, in) {
		w.hop(CheckPeering, c.ID, -1, false, "%s is not in %s, and peering is not transitive", w.dest, other)
		return
	}
	to, ok := w.holder(w.dest, other)
	if !ok {
		w.hop(CheckPeering, c.ID, -1, false, "no ENI of %s has the address %s", other, w.dest)
		return
	}
	w.hop(CheckPeering, c.ID, -1, true, "%s leads to %s", c.ID, other)
	w.deliver(to, "")
}
