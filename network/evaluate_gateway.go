package network

import (
	"net/netip"
	"slices"
)

// portFloor is the lowest source port that NAT gateways use.
const portFloor = 1024

// nat sends the packet through a NAT gateway.
func (w *walk) nat(from Subnet, g NATGateway) {
	n, _ := w.state.Subnet(g.Subnet)
	if n.ID != from.ID && !w.acl(CheckACLIngress, n) {
		return
	}
	sender, ok := w.holder(w.source, n.VPC)
	switch {
	case n.VPC != from.VPC:
		w.hop(CheckNAT, g.ID, -1, false, "%s is in another VPC, %s", g.ID, n.VPC)
		return
	case !w.dest.Is4():
		w.hop(CheckNAT, g.ID, -1, false, "%s carries IPv4 only", g.ID)
		return
	case !ok:
		w.hop(CheckNAT, g.ID, -1, false, "%s is not the address of an ENI of %s", w.source, n.VPC)
		return
	case !w.flow.Protocol.hasPorts() && !w.flow.Protocol.Is(ICMP):
		w.hop(CheckNAT, g.ID, -1, false, "%s carries TCP, UDP and ICMP only", g.ID)
		return
	case !w.translatable(CheckNAT, g.ID):
		return
	}
	w.hop(CheckNAT, g.ID, -1, true, "%s puts its address %s in the place of that of %s", g.ID, g.PrivateIPv4, sender.ID)
	w.translate(g.ID, n.VPC, g.PrivateIPv4)
	w.send(n)
}

// translatable reports whether the kernel can translate the packet. One of ICMP that belongs to no connection must be
// a request: for others it sees none begin.
func (w *walk) translatable(check Check, gateway string) bool {
	if w.flow.Established || !w.flow.Protocol.Is(ICMP) {
		return true
	}
	if _, request := icmpAnswer(w.flow); request {
		return true
	}
	return w.hop(check, gateway, -1, false, "ICMP type %d belongs to no connection and begins none, so it cannot be translated", w.flow.ICMPType)
}

// icmpAnswer returns the type of the answer to a request.
func icmpAnswer(f Flow) (answer uint8, request bool) {
	switch t := f.ICMPType; {
	case f.Protocol.Is(ICMP) && t == 8: // echo
		return 0, true
	case f.Protocol.Is(ICMP) && (t == 13 || t == 15 || t == 17): // timestamp, information, address mask
		return t + 1, true
	case f.Protocol.Is(ICMPv6) && t == 128: // echo
		return 129, true
	}
	return 0, false
}

func (w *walk) translate(gateway, vpc string, to netip.Addr) {
	w.mapped = append(w.mapped, translation{gateway, vpc, w.source, to})
	w.source = to
}

// leave sends the packet through an internet gateway.
func (w *walk) leave(g InternetGateway) {
	if !w.dest.Is4() {
		if _, ok := w.holder(w.source, g.VPC); !ok {
			w.hop(CheckGateway, g.ID, -1, false, "%s is not the address of an ENI of %s", w.source, g.VPC)
			return
		}
		w.hop(CheckGateway, g.ID, -1, true, "%s carries IPv6 as it is", g.ID)
		w.enter()
		return
	}
	public, name, ok := w.publicOf(w.source, g.VPC)
	switch {
	case w.outer:
		w.hop(CheckGateway, g.ID, -1, true, "%s carries the answer, which the machine puts its own address back into", g.ID)
		w.arrive(Arrival{Outside: true})
		return
	case !ok:
		w.hop(CheckRoute, g.ID, -1, false, "%s has no public address, and %s carries nothing for it", name, g.ID)
		return
	case w.privateOf(w.dest) != "":
		w.hop(CheckRoute, g.ID, -1, false, "%s is a private address of %s, which %s does not reach", w.dest, w.privateOf(w.dest), g.ID)
		return
	case !w.translatable(CheckGateway, g.ID):
		return
	case public.IsUnspecified():
		w.hop(CheckGateway, g.ID, -1, true, "%s puts an address of the host in the place of that of %s", g.ID, name)
	default:
		w.hop(CheckGateway, g.ID, -1, true, "%s puts %s in the place of the address of %s", g.ID, public, name)
	}
	w.translate(g.ID, g.VPC, public)
	w.enter()
}

// leaveOnly sends the packet through an egress-only internet gateway.
func (w *walk) leaveOnly(g EgressOnlyInternetGateway) {
	_, ok := w.holder(w.source, g.VPC)
	switch {
	case w.dest.Is4():
		w.hop(CheckGateway, g.ID, -1, false, "%s carries IPv6 only", g.ID)
	case !ok:
		w.hop(CheckGateway, g.ID, -1, false, "%s is not the address of an ENI of %s", w.source, g.VPC)
	default:
		w.hop(CheckGateway, g.ID, -1, true, "%s carries IPv6 as it is, outwards and back", g.ID)
		w.enter()
	}
}

// publicOf returns the public address that stands for a private one of a VPC, unspecified if it is one of the host's,
// and who has them.
func (w *walk) publicOf(private netip.Addr, vpc string) (public netip.Addr, name string, ok bool) {
	if g, is := w.natAt(private, vpc); is {
		a, ok := w.state.Address(g.Allocation)
		return a.PublicIP, g.ID, ok
	}
	e, is := w.holder(private, vpc)
	if !is {
		return netip.Addr{}, private.String(), false
	}
	public, ok = w.state.PublicIPv4(e)
	if ok && !public.IsValid() {
		public = netip.IPv4Unspecified()
	}
	return public, e.ID, ok
}

func (w *walk) natAt(private netip.Addr, vpc string) (NATGateway, bool) {
	return find(w.state.NATGateways, func(g NATGateway) bool {
		n, ok := w.state.Subnet(g.Subnet)
		return ok && n.VPC == vpc && g.PrivateIPv4 == private
	})
}

// privateOf returns the first VPC in whose CIDRs an address is, "" if it is in none.
func (w *walk) privateOf(a netip.Addr) string {
	v, _ := find(w.state.VPCs, func(v VPC) bool {
		return slices.ContainsFunc(slices.Concat(v.CIDRs, v.IPv6CIDRs), func(c netip.Prefix) bool { return c.Contains(a) })
	})
	return v.ID
}

// public reports whether an address is one that the outside uses for something in the state: a public IPv4 address, with
// somebody behind it or not.
func (w *walk) public(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	return slices.ContainsFunc(w.state.PublicIPv4Pools, func(p PublicIPv4Pool) bool {
		return slices.ContainsFunc(p.CIDRs, func(c netip.Prefix) bool { return c.Contains(a) })
	}) || slices.ContainsFunc(w.state.Addresses, func(x Address) bool { return x.PublicIP == a }) ||
		slices.ContainsFunc(w.state.ENIs, func(e ENI) bool { return e.PublicIPv4 == a })
}

// enter takes a packet that is between gateways to its destination: into a VPC or to the outside.
func (w *walk) enter() {
	if w.undo() {
		return
	}
	fromInside := len(w.flow.ENI) > 0
	if fromInside && w.flow.ToHost {
		w.toHost()
		return
	}
	if v := w.privateOf(w.source); v != "" && (!fromInside || w.dest.Is4()) {
		w.hop(CheckSource, "", -1, false, "%s is an address of %s, and cannot come from elsewhere", w.source, v)
		return
	}
	switch {
	case w.public(w.dest):
		w.enterPublic()
	case w.privateOf(w.dest) != "" && !w.dest.Is4():
		w.enterIPv6(w.privateOf(w.dest))
	case fromInside || w.flow.Established:
		w.arrive(Arrival{Outside: true})
	default:
		w.hop(CheckRoute, "", -1, false, "no ENI has the address %s", w.dest)
	}
}

// enterPublic takes the packet to whoever has the public address that it goes to.
func (w *walk) enterPublic() {
	for _, g := range w.state.NATGateways {
		if a, ok := w.state.Address(g.Allocation); ok && a.PublicIP == w.dest {
			w.hop(CheckNAT, g.ID, -1, false, "%s carries nothing that does not answer", g.ID)
			return
		}
	}
	to, ok := find(w.state.ENIs, func(e ENI) bool { a, _ := w.state.PublicIPv4(e); return a == w.dest })
	n, known := w.state.Subnet(to.Subnet)
	if !ok || !known {
		w.hop(CheckGateway, "", -1, false, "no ENI has the public address %s", w.dest)
		return
	}
	g, ok := find(w.state.InternetGateways, func(g InternetGateway) bool { return g.VPC == n.VPC })
	if !ok {
		w.hop(CheckGateway, "", -1, false, "%s has no internet gateway", n.VPC)
		return
	}
	if !w.translatable(CheckGateway, g.ID) {
		return
	}
	w.hop(CheckGateway, g.ID, -1, true, "%s puts the address of %s in the place of %s", g.ID, to.ID, w.dest)
	w.dest = to.PrivateIPv4
	if w.answers(n, g.ID) {
		w.deliver(to, "")
	}
}

// enterIPv6 takes the packet into a VPC by its own internet gateway.
func (w *walk) enterIPv6(vpc string) {
	to, ok := w.holder(w.dest, vpc)
	if !ok {
		w.hop(CheckRoute, vpc, -1, false, "no ENI has the address %s", w.dest)
		return
	}
	n, _ := w.state.Subnet(to.Subnet)
	g, ok := find(w.state.InternetGateways, func(g InternetGateway) bool { return g.VPC == vpc })
	if ok {
		w.hop(CheckGateway, g.ID, -1, true, "%s carries IPv6 as it is", g.ID)
	} else if !w.flow.Established {
		w.hop(CheckGateway, "", -1, false, "%s has no internet gateway", vpc)
		return
	}
	if w.answers(n, g.ID) {
		w.deliver(to, "")
	}
}

// answers checks that what a subnet sends to the packet's source takes the gateway by which the packet comes in, so that
// the subnet is a public one. A connection that began inside can be by an egress-only gateway, too.
func (w *walk) answers(n Subnet, gateway string) bool {
	table, _ := w.state.SubnetRouteTable(n.ID)
	i, r := w.lookup(table, w.source)
	_, only := w.state.EgressOnlyInternetGateway(r.Target)
	if i >= 0 && (r.Target == gateway || only && w.flow.Established) {
		return w.hop(CheckRoute, table.ID, i, true, "%s answers by %s", n.ID, r.Target)
	}
	return w.hop(CheckRoute, table.ID, i, false, "%s does not answer by %s, so it is not reached by it", n.ID, gateway)
}
