package network

import (
	"fmt"
	"net/netip"
	"slices"
)

// Evaluate says what must happen to f in s, and why. It is total: a flow that makes no sense is denied. s should have
// passed [Validate].
//
// A packet of an ENI meets its own source check, the egress rules of its security groups, the network ACL of its subnet
// if it leaves that, the route table; then gateways or a peering connection; then the network ACL of the subnet that it
// enters and the ingress rules of the receiver's groups. Groups are stateful: a packet of an established connection
// passes them. Network ACLs and routes are not, so the answer to a packet that arrives is followed back, too: see
// Verdict.Reply.
//
// The outside reaches public addresses, and IPv6 addresses, through internet gateways. So does the host, and ENIs reach
// each other so even in one VPC: the receiver sees the sender's public address then, and no rule that names a group matches.
//
// The host reaches every ENI at its private and its IPv6 address whatever groups and ACLs say, except in VPCs whose IPv4
// CIDRs overlap those of one before them in State.VPCs; and no ENI reaches the host, except to answer. Ports of the host
// that ENIs publish are for the host itself and the outside: see [PublishedPort].
//
// Where Linux and EC2 track connections differently, Evaluate says what Linux does:
//
//   - A gateway translates an ICMP packet that belongs to no connection only if it is a request, such as an echo request;
//     conntrack knows of no connection that begins with an answer. Without translation rules alone decide.
//   - Connections are those of a VPC's router and not of single ENIs. An answer whose route leads through an ENI that
//     forwards passes that one's groups, too, and so do later packets of a connection that it forwards.
//   - Any first TCP packet begins a connection, also one without SYN.
//   - A NAT gateway keeps the source port if it is at least 1024, and is taken to choose 1024 itself if it is not.
func Evaluate(s State, f Flow) Verdict {
	w := newWalk(s, f)
	w.start()
	v := w.verdict()
	if v.Allowed && !f.Established {
		v.Reply = w.reply()
	}
	return v
}

// walk follows one packet.
type walk struct {
	state     State
	flow      Flow       // with the ports and types of the packet itself
	source    netip.Addr // at present; unspecified if it is not known
	dest      netip.Addr
	path      []Hop
	arrival   Arrival
	outer     bool          // the host translates it, at a port that an ENI publishes
	managed   bool          // the host speaks with an ENI directly, and nothing but the ENI's existence counts
	mapped    []translation // by the gateways on its way
	pending   []translation // that gateways on its way have to undo, the last one first
	somewhere bool          // an answer to a packet from an address that is not known
	lenient   bool          // go on after a group or an ACL has denied, to find what else does
	denied    []Hop
	steps     int // through route tables
}

// translation is what a gateway has done to the source of a packet; the answer has it undone.
type translation struct {
	gateway  string
	vpc      string
	from, to netip.Addr
}

func newWalk(s State, f Flow) *walk {
	w := &walk{state: s, flow: f, source: f.Source.Unmap(), dest: f.Destination.Unmap()}
	if f.Source.Is4In6() || f.Destination.Is4In6() { // no packet has such an address
		w.source, w.dest = f.Source, f.Destination
	}
	if !w.source.IsValid() {
		w.source = unknown(w.dest)
	}
	return w
}

// unknown stands for an address of the family of a that nobody has told. Only what is about every address covers it.
func unknown(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// covers reports whether an address is in a prefix, and an unknown one in every case.
func covers(p netip.Prefix, a netip.Addr) bool {
	if a.IsUnspecified() {
		return p.IsValid() && p.Bits() == 0 && p.Addr().Is4() == a.Is4()
	}
	return p.Contains(a)
}

func (w *walk) start() {
	switch {
	case w.flow.ENI != "":
		w.fromENI()
	case w.flow.FromHost:
		w.fromHost()
	default:
		w.fromOutside()
	}
}

func (w *walk) verdict() Verdict {
	n := len(w.path)
	v := Verdict{Allowed: n > 0 && w.path[n-1].Allowed && len(w.denied) == 0, Path: w.path}
	if v.Allowed {
		v.Arrival = w.arrival
		v.Arrival.Destination = w.dest
		if !w.source.IsUnspecified() {
			v.Arrival.Source = w.source
		}
	}
	return v
}

// hop records a check and reports whether the packet goes on.
func (w *walk) hop(check Check, resource string, rule int, allowed bool, format string, args ...any) bool {
	h := Hop{check, resource, rule, allowed, fmt.Sprintf(format, args...)}
	w.path = append(w.path, h)
	if !allowed {
		w.denied = append(w.denied, h)
	}
	return allowed
}

// arrive records where the packet is at the end of its way.
func (w *walk) arrive(a Arrival) { w.arrival = a }

func (w *walk) fromENI() {
	e, ok := w.state.ENI(w.flow.ENI)
	if !ok {
		w.hop(CheckSource, w.flow.ENI, -1, false, "%s does not exist", w.flow.ENI)
		return
	}
	subnet, _ := w.state.Subnet(e.Subnet)
	own := e.addr(w.dest)
	if w.dest.IsValid() && w.dest == own {
		if w.source.IsUnspecified() {
			w.source = own
		}
		w.hop(CheckDestination, e.ID, -1, true, "the packet does not leave the task")
		w.arrive(Arrival{ENI: e.ID})
		w.managed = true
		return
	}
	if !w.ownSource(e, own) || !w.unicast() {
		return
	}
	if w.endpoint(subnet.VPC) {
		w.toEndpoint(e, own, subnet.VPC)
		return
	}
	if w.dest.IsLinkLocalUnicast() {
		w.hop(CheckDestination, "", -1, false, "link-local address at which nothing answers")
		return
	}
	if w.flow.ToHost && w.flow.Established {
		w.toHost()
		return
	}
	if w.groups(CheckEgress, e, w.dest) {
		w.send(subnet)
	}
}

// addr returns the private address of e of the family of peer; the zero value if it has none.
func (e ENI) addr(peer netip.Addr) netip.Addr {
	if peer.Is4() {
		return e.PrivateIPv4
	}
	return e.IPv6
}

// ownSource is the source check.
func (w *walk) ownSource(e ENI, own netip.Addr) bool {
	given := w.flow.Source.IsValid()
	switch {
	case given && w.source != own && !e.NoSourceDestCheck:
		return w.hop(CheckSource, e.ID, -1, false, "%s is not the address of %s", w.source, e.ID)
	case given && w.source != own:
		if w.source.Is4() != w.dest.Is4() || !unicast(w.source) || w.source.IsLinkLocalUnicast() || w.routers(e, w.source) {
			return w.hop(CheckSource, e.ID, -1, false, "%s is not an address that a packet to %s can have", w.source, w.dest)
		}
		return w.hop(CheckSource, e.ID, -1, true, "%s sends for %s without a source/destination check", e.ID, w.source)
	case !own.IsValid() && unicast(w.dest):
		return w.hop(CheckSource, e.ID, -1, false, "%s has no IPv6 address", e.ID)
	case !own.IsValid():
		return true // what is wrong with the destination is said next
	}
	w.source = own
	return w.hop(CheckSource, e.ID, -1, true, "%s is the address of %s", own, e.ID)
}

// routers reports whether an address is one that the VPC's router has itself. The kernel takes packets from its own
// addresses for a mistake.
func (w *walk) routers(e ENI, a netip.Addr) bool {
	mine, _ := w.state.Subnet(e.Subnet)
	v, _ := w.state.VPC(mine.VPC)
	if a == v.Resolver() {
		return true
	}
	return slices.ContainsFunc(w.state.Subnets, func(n Subnet) bool { return n.VPC == v.ID && n.CIDR.IsValid() && n.Gateway() == a })
}

func (w *walk) endpoint(vpc string) bool {
	v, _ := w.state.VPC(vpc)
	return slices.Contains(EndpointAddrs(), w.dest) || w.dest == v.Resolver()
}

// toEndpoint hands the packet to the VPC itself, which knows who calls by the source.
func (w *walk) toEndpoint(e ENI, own netip.Addr, vpc string) {
	if w.source != own {
		w.hop(CheckSource, e.ID, -1, false, "%s is not the address of %s, and %s answers nobody else", w.source, e.ID, w.dest)
		return
	}
	w.hop(CheckEndpoint, "", -1, true, "the VPC answers at %s", w.dest)
	w.arrive(Arrival{VPC: vpc})
	w.managed = true
}

func (w *walk) toHost() {
	if !w.flow.Established {
		w.hop(CheckDestination, "", -1, false, "%s belongs to the host, which only takes answers from tasks", w.dest)
		return
	}
	w.hop(CheckState, "", -1, true, "part of an allowed connection")
	w.arrive(Arrival{Host: true})
}

func (w *walk) fromHost() {
	w.hop(CheckSource, "", -1, true, "the host sends")
	if to, p, ok := w.published(); ok {
		w.fromHostPublished(to, p)
		return
	}
	if !w.unicast() {
		return
	}
	if w.public(w.dest) {
		w.enter()
		return
	}
	e, ok := w.hosted(w.dest)
	if !ok {
		w.hop(CheckRoute, "", -1, false, "no ENI that the host reaches has the address %s", w.dest)
		return
	}
	w.hop(CheckRoute, e.ID, -1, true, "the host reaches every ENI")
	w.arrive(Arrival{ENI: e.ID})
	w.managed = true
}

// hosted returns the ENI that has a private address for the host: that of the first VPC with the address, if that does not
// overlap another one before it.
func (w *walk) hosted(a netip.Addr) (ENI, bool) {
	var reached []netip.Prefix
	for _, v := range w.state.VPCs {
		overlaps := slices.ContainsFunc(v.CIDRs, func(c netip.Prefix) bool { return slices.ContainsFunc(reached, c.Overlaps) })
		if !overlaps {
			reached = append(reached, v.CIDRs...)
		}
		if e, ok := w.holder(a, v.ID); ok && (!overlaps || a.Is6()) {
			return e, true
		}
	}
	return ENI{}, false
}

func (w *walk) fromOutside() {
	f := w.flow
	_, held := w.holder(w.dest, "")
	to, p, published := w.published()
	switch {
	case published && w.privateOf(w.source) != "":
		w.hop(CheckSource, "", -1, false, "%s is an address of %s, and cannot come from elsewhere", w.source, w.privateOf(w.source))
	case published:
		w.hop(CheckSource, "", -1, true, "the outside sends")
		w.enterPublished(to, p)
	case held && f.Established:
		w.answerFromOutside()
	case held && w.dest.Is4():
		w.hop(CheckSource, "", -1, false, "the outside does not reach private addresses uninvited")
	case !held && !w.public(w.dest):
		w.hop(CheckRoute, "", -1, false, "no ENI has the address %s", w.dest)
	default:
		w.hop(CheckSource, "", -1, true, "the outside sends")
		if w.unicast() {
			w.enter()
		}
	}
}

// unicast checks that the destination is an address that packets can be sent to, and of the family of the source and
// the protocol.
func (w *walk) unicast() bool {
	if !unicast(w.dest) && !w.somewhere {
		return w.hop(CheckDestination, "", -1, false, "%s is not a unicast address", w.dest)
	}
	if w.source.Is4() != w.dest.Is4() || w.flow.Protocol.Is(ICMP) && !w.dest.Is4() || w.flow.Protocol.Is(ICMPv6) && w.dest.Is4() {
		return w.hop(CheckDestination, "", -1, false, "%s is of another version of IP than the source or the protocol", w.dest)
	}
	// Kernels do not believe it from further than one hop, but not every stack need be as careful.
	if w.flow.Protocol.Is(ICMPv6) && w.flow.ICMPType >= 133 && w.flow.ICMPType <= 137 {
		return w.hop(CheckDestination, "", -1, false, "neighbor discovery does not leave its link")
	}
	return true
}

func unicast(a netip.Addr) bool {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a != broadcast
}

// holder returns the ENI that has a private or IPv6 address, in one VPC or, if vpc is "", in any.
func (w *walk) holder(addr netip.Addr, vpc string) (ENI, bool) {
	if !addr.IsValid() {
		return ENI{}, false
	}
	return find(w.state.ENIs, func(e ENI) bool {
		if e.addr(addr) != addr {
			return false
		}
		n, ok := w.state.Subnet(e.Subnet)
		return ok && (vpc == "" || n.VPC == vpc)
	})
}
