package network

import (
	"net/netip"
	"slices"
)

// groups asks the security groups of e about a packet from or to peer.
func (w *walk) groups(check Check, e ENI, peer netip.Addr) bool {
	if w.flow.Established {
		return w.hop(CheckState, "", -1, true, "part of an allowed connection")
	}
	for _, id := range e.SecurityGroups {
		g, _ := w.state.SecurityGroup(id)
		rules := g.Egress
		if check == CheckIngress {
			rules = g.Ingress
		}
		for i, r := range rules {
			if w.matches(r, peer) {
				return w.hop(check, id, i, true, "%s of %s allows %s", id, e.ID, r)
			}
		}
	}
	return w.hop(check, e.ID, -1, false, "no %s rule of %s allows it", check, e.ID) || w.lenient
}

func (w *walk) matches(r Rule, peer netip.Addr) bool {
	if !r.traffic().matches(w.flow) {
		return false
	}
	is := func(c netip.Prefix) bool { return covers(c, peer) }
	if slices.ContainsFunc(r.CIDRs, is) || slices.ContainsFunc(r.IPv6CIDRs, is) {
		return true
	}
	for _, id := range r.PrefixLists {
		if l, ok := w.state.PrefixList(id); ok && slices.ContainsFunc(l.CIDRs(), is) {
			return true
		}
	}
	return slices.ContainsFunc(r.Groups, func(group string) bool { return w.member(group, peer) })
}

// member reports whether an ENI that carries the group has the address. Private addresses are those of the group's own
// VPC: another VPC may use the same ones.
func (w *walk) member(group string, addr netip.Addr) bool {
	g, ok := w.state.SecurityGroup(group)
	if !ok || addr.IsUnspecified() {
		return false
	}
	e, ok := w.holder(addr, g.VPC)
	return ok && slices.Contains(e.SecurityGroups, group)
}

// acl asks the network ACL of a subnet about the packet, which leaves it if check is CheckACLEgress and enters it if it
// is CheckACLIngress.
func (w *walk) acl(check Check, n Subnet) bool {
	acl, _ := w.state.SubnetNetworkACL(n.ID)
	name := acl.ID
	if name == "" {
		name = "the default network ACL"
	}
	peer, way := w.dest, "leave"
	if check == CheckACLIngress {
		peer, way = w.source, "enter"
	}
	for _, e := range acl.Entries {
		if e.Egress != (check == CheckACLEgress) || !e.traffic().matches(w.flow) || !covers(e.CIDR, peer) {
			continue
		}
		number := e.RuleNumber
		if acl.ID == "" {
			number = -1
		}
		allowed := e.RuleAction == RuleAllow
		return w.hop(check, acl.ID, number, allowed, "%s of %s decides: %s", name, n.ID, e) || w.lenient
	}
	return w.hop(check, acl.ID, -1, false, "no entry of %s lets it %s %s", name, way, n.ID) || w.lenient
}
