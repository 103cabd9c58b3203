package network

import (
	"fmt"
	"net/netip"
	"slices"
)

// Evaluate says what must happen to f in s, and why. It is total: a flow that makes no sense is denied. s should have
// passed [Validate].
//
// Security groups of the sender are asked first, then routes, then the groups of the receiver. The packets of an
// established connection pass them all, but not the check of their source. The host reaches every ENI whatever the
// groups say, and no ENI reaches the host.
func Evaluate(s State, f Flow) Verdict {
	w := &walk{state: s, flow: f}
	switch {
	case f.ENI != "":
		w.fromENI()
	case f.FromHost:
		w.fromHost()
	default:
		w.fromOutside()
	}
	n := len(w.path)
	return Verdict{Allowed: n > 0 && w.path[n-1].Allowed, Path: w.path}
}

// walk follows one packet.
type walk struct {
	state State
	flow  Flow
	path  []Hop
}

// hop records a check and reports whether the packet goes on.
func (w *walk) hop(check Check, resource string, rule int, allowed bool, format string, args ...any) bool {
	w.path = append(w.path, Hop{check, resource, rule, allowed, fmt.Sprintf(format, args...)})
	return allowed
}

func (w *walk) fromENI() {
	f := w.flow
	e, ok := w.state.ENI(f.ENI)
	if !ok {
		w.hop(CheckSource, f.ENI, -1, false, "%s does not exist", f.ENI)
		return
	}
	if f.Destination == e.PrivateIPv4 {
		w.hop(CheckDestination, e.ID, -1, true, "the packet does not leave the task")
		return
	}
	if f.Source.IsValid() && f.Source != e.PrivateIPv4 {
		w.hop(CheckSource, e.ID, -1, false, "%s is not the address of %s", f.Source, e.ID)
		return
	}
	w.hop(CheckSource, e.ID, -1, true, "%s is the address of %s", e.PrivateIPv4, e.ID)
	if !w.unicast() {
		return
	}
	if slices.Contains(EndpointAddrs(), f.Destination) {
		w.hop(CheckEndpoint, "", -1, true, "the VPC answers at %s", f.Destination)
		return
	}
	if f.Destination.IsLinkLocalUnicast() {
		w.hop(CheckDestination, "", -1, false, "link-local address at which nothing answers")
		return
	}
	if f.Established {
		w.hop(CheckState, "", -1, true, "part of an allowed connection")
		return
	}
	if f.ToHost {
		w.hop(CheckDestination, "", -1, false, "%s belongs to the host, which only takes answers from tasks", f.Destination)
		return
	}
	subnet, _ := w.state.Subnet(e.Subnet)
	if !w.groups(CheckEgress, e, f.Destination) {
		return
	}
	w.route(e, subnet.VPC)
}

// route follows the packet from e through its VPC's route table.
func (w *walk) route(e ENI, vpc string) {
	table, ok := w.state.MainRouteTable(vpc)
	if !ok {
		w.hop(CheckRoute, "", -1, false, "%s has no main route table", vpc)
		return
	}
	best := -1
	for i, r := range table.Routes {
		if r.Destination.Contains(w.flow.Destination) && (best < 0 || r.Destination.Bits() > table.Routes[best].Destination.Bits()) {
			best = i
		}
	}
	switch {
	case best < 0:
		w.hop(CheckRoute, table.ID, -1, false, "no route to %s", w.flow.Destination)
	case table.Routes[best].Target == TargetLocal:
		w.hop(CheckRoute, table.ID, best, true, "route %s is local", table.Routes[best].Destination)
		w.deliver(vpc)
	default:
		w.outward(e, table, best)
	}
}

// deliver hands the packet to the ENI of a VPC that has its destination address.
func (w *walk) deliver(vpc string) {
	to, ok := w.holder(w.flow.Destination, vpc)
	if !ok {
		w.hop(CheckRoute, vpc, -1, false, "no ENI has the address %s", w.flow.Destination)
		return
	}
	from, _ := w.state.ENI(w.flow.ENI)
	w.groups(CheckIngress, to, from.PrivateIPv4)
}

// outward sends the packet through an internet gateway.
func (w *walk) outward(e ENI, table RouteTable, route int) {
	r := table.Routes[route]
	if !e.AssignPublicIP {
		w.hop(CheckRoute, r.Target, -1, false, "%s has no public address, and %s carries nothing for it", e.ID, r.Target)
		return
	}
	for _, v := range w.state.VPCs {
		for _, c := range v.CIDRs {
			if c.Contains(w.flow.Destination) {
				w.hop(CheckRoute, r.Target, -1, false, "%s is a private address of %s, which %s does not reach",
					w.flow.Destination, v.ID, r.Target)
				return
			}
		}
	}
	w.hop(CheckRoute, table.ID, route, true, "route %s leads to %s", r.Destination, r.Target)
}

func (w *walk) fromHost() {
	f := w.flow
	w.hop(CheckSource, "", -1, true, "the host sends")
	if !w.unicast() {
		return
	}
	if e, ok := w.holder(f.Destination, ""); ok {
		w.hop(CheckRoute, e.ID, -1, true, "the host reaches every ENI")
		return
	}
	w.hop(CheckRoute, "", -1, false, "no ENI has the address %s", f.Destination)
}

func (w *walk) fromOutside() {
	f := w.flow
	_, held := w.holder(f.Destination, "")
	switch {
	case !held:
		w.hop(CheckRoute, "", -1, false, "no ENI has the address %s", f.Destination)
	case f.Established:
		w.hop(CheckState, "", -1, true, "part of an allowed connection")
	default:
		w.hop(CheckSource, "", -1, false, "the outside does not reach private addresses uninvited")
	}
}

// unicast checks that the destination is an address that packets can be sent to.
func (w *walk) unicast() bool {
	d := w.flow.Destination
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if d.Is4() && !d.IsUnspecified() && !d.IsLoopback() && !d.IsMulticast() && d != broadcast {
		return true
	}
	return w.hop(CheckDestination, "", -1, false, "%s is not an IPv4 unicast address", d)
}

// holder returns the ENI that has an address, in one VPC or, if vpc is "", in any.
func (w *walk) holder(addr netip.Addr, vpc string) (ENI, bool) {
	return find(w.state.ENIs, func(e ENI) bool {
		if e.PrivateIPv4 != addr {
			return false
		}
		n, ok := w.state.Subnet(e.Subnet)
		return ok && (vpc == "" || n.VPC == vpc)
	})
}

// groups asks the security groups of e about a packet from or to peer.
func (w *walk) groups(check Check, e ENI, peer netip.Addr) bool {
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
	return w.hop(check, e.ID, -1, false, "no %s rule of %s allows it", check, e.ID)
}

func (w *walk) matches(r Rule, peer netip.Addr) bool {
	if !r.traffic().matches(w.flow) {
		return false
	}
	if slices.ContainsFunc(r.CIDRs, func(c netip.Prefix) bool { return c.Contains(peer) }) {
		return true
	}
	return slices.ContainsFunc(r.Groups, func(group string) bool { return w.member(group, peer) })
}

// member reports whether an ENI that carries the group has the address. Private addresses are those of the group's own
// VPC: another VPC may use the same ones.
func (w *walk) member(group string, addr netip.Addr) bool {
	g, ok := w.state.SecurityGroup(group)
	if !ok {
		return false
	}
	e, ok := w.holder(addr, g.VPC)
	return ok && slices.Contains(e.SecurityGroups, group)
}
