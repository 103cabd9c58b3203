package network

import (
	"fmt"
	"net/netip"
	"strings"
)

// A NetworkInsightsPath asks why one thing does or does not reach another, as EC2's Reachability Analyzer is asked. For
// a task that does not run yet add the ENI that it would have to the State.
type NetworkInsightsPath struct {
	Source          string     // ID of an ENI; or of an internet gateway, for the outside; or "" for the host
	SourceIP        netip.Addr // of the outside or the host; the zero value is any, which only rules for everything match
	Destination     string     // ID of an ENI, of which all addresses are tried that the source can use, and the ports of the machine that lead to its DestinationPort; "" if there is a DestinationIP
	DestinationIP   netip.Addr // instead: any address, such as one outside
	ToHost          bool       // DestinationIP is an address of the machine itself, and DestinationPort one of its ports; see [PublishedPort]
	Protocol        Protocol   // "" is TCP
	SourcePort      uint16     // TCP and UDP: where the answer goes; 0 is 49152, the first of the ephemeral ports
	DestinationPort uint16     // TCP and UDP
	ICMPType        uint8      // ICMP and ICMPv6: such as 8 or 128, an echo request
	ICMPCode        uint8
}

// ephemeral is the first port that IANA has for clients.
const ephemeral = 49152

// A NetworkInsightsAnalysis is the answer to a [NetworkInsightsPath].
type NetworkInsightsAnalysis struct {
	NetworkPathFound bool           // a packet arrives on one of the ways, and its answer comes back
	Paths            []AnalyzedPath // one for each address of the destination that the source can use, and for each port of the machine that leads there
}

// An AnalyzedPath is the way to one address.
type AnalyzedPath struct {
	Flow         Flow
	Verdict      Verdict
	Explanations []Hop // everything that has to change for it to connect, as far as that can be known: a packet that no route carries is not followed
}

// Analyze finds the ways between two things, and on each all that stands in the way: not the first thing only, but what would
// stop the packet and its answer after that, too.
func Analyze(s State, p NetworkInsightsPath) NetworkInsightsAnalysis {
	var a NetworkInsightsAnalysis
	for _, f := range p.flows(s) {
		path := AnalyzedPath{Flow: f, Verdict: Evaluate(s, f)}
		if !path.Verdict.Connects() {
			path.Explanations = explain(s, f)
		}
		a.NetworkPathFound = a.NetworkPathFound || path.Verdict.Connects()
		a.Paths = append(a.Paths, path)
	}
	return a
}

// explain returns all that denies a packet or its answer.
func explain(s State, f Flow) []Hop {
	w := newWalk(s, f)
	w.lenient = true
	w.start()
	if w.arrival == (Arrival{}) || f.Established {
		return w.denied
	}
	return append(w.denied, w.replyWalk()...)
}

// replyWalk returns what denies the answer.
func (w *walk) replyWalk() []Hop {
	back := w.reply()
	if back == nil {
		return nil
	}
	var denied []Hop
	for _, h := range back.Path {
		if !h.Allowed {
			denied = append(denied, h)
		}
	}
	return denied
}

// flows returns a packet for each address of the destination that the source can use.
func (p NetworkInsightsPath) flows(s State) []Flow {
	f := Flow{ENI: p.Source, Source: p.SourceIP, Protocol: p.Protocol, SourcePort: p.SourcePort, DestinationPort: p.DestinationPort,
		ICMPType: p.ICMPType, ICMPCode: p.ICMPCode}
	if f.Protocol == "" {
		f.Protocol = TCP
	}
	if f.SourcePort == 0 && f.Protocol.hasPorts() {
		f.SourcePort = ephemeral
	}
	_, outside := s.InternetGateway(p.Source)
	if outside || p.Source == "" {
		f.ENI, f.FromHost = "", !outside
	}
	var flows []Flow
	add := func(to netip.Addr) {
		if !to.IsValid() || !f.Protocol.is(to) {
			return
		}
		f.Destination, f.Source = to, p.SourceIP
		if f.Source.Is4() != to.Is4() {
			f.Source = netip.Addr{} // any of the other version of IP
		}
		flows = append(flows, f)
	}
	if p.Destination == "" {
		f.ToHost = p.ToHost
		add(p.DestinationIP)
		return flows
	}
	to, _ := s.ENI(p.Destination)
	public, _ := s.PublicIPv4(to)
	from, isENI := s.ENI(p.Source)
	if !outside {
		add(to.PrivateIPv4)
	}
	if !isENI || from.IPv6.IsValid() {
		add(to.IPv6)
	}
	if from.ID != to.ID {
		add(public)
	}
	if f.ENI != "" {
		return flows
	}
	f.ToHost = true
	for _, x := range to.PublishedPorts {
		if x.Port == p.DestinationPort && x.Protocol.Is(f.Protocol) && (f.FromHost || !x.HostAddress.IsLoopback()) {
			f.DestinationPort = x.HostPort
			add(x.HostAddress)
		}
	}
	return flows
}

// is reports whether packets of p can go to an address.
func (p Protocol) is(a netip.Addr) bool { return !p.Is(ICMP) && !p.Is(ICMPv6) || p.Is(ICMP) == a.Is4() }

// String returns the ways with all their checks, one on a line.
func (a NetworkInsightsAnalysis) String() string {
	var b strings.Builder
	switch {
	case a.NetworkPathFound:
		b.WriteString("reachable\n")
	case len(a.Paths) == 0:
		b.WriteString("not reachable: the destination has no address that the source can use\n")
	default:
		b.WriteString("not reachable\n")
	}
	for _, p := range a.Paths {
		b.WriteString(p.String())
	}
	return b.String()
}

// String returns the way with all its checks, one on a line.
func (p AnalyzedPath) String() string {
	var b strings.Builder
	result := "denied"
	switch {
	case p.Verdict.Connects():
		result = "allowed"
	case p.Verdict.Allowed:
		result = "its answer is denied"
	}
	what := traffic{p.Flow.Protocol, int(p.Flow.DestinationPort), int(p.Flow.DestinationPort), int(p.Flow.ICMPType), int(p.Flow.ICMPCode)}
	to := p.Flow.Destination.String()
	switch {
	case p.Flow.ToHost && p.Flow.Destination.IsUnspecified():
		to = "the machine"
	case p.Flow.ToHost:
		to += " of the machine"
	}
	fmt.Fprintf(&b, "%s to %s: %s\n", what, to, result)
	write := func(mark string, hops []Hop) {
		for _, h := range hops {
			sign := "+"
			if !h.Allowed {
				sign = "-"
			}
			fmt.Fprintf(&b, "  %s%s %-11s %s\n", mark, sign, h.Check, h.Reason)
		}
	}
	write("", p.Verdict.Path)
	if p.Verdict.Reply != nil {
		write("answer ", p.Verdict.Reply.Path)
	}
	if len(p.Explanations) > 0 {
		b.WriteString("  to change:\n")
		for _, h := range p.Explanations {
			fmt.Fprintf(&b, "    %s: %s\n", h.Check, h.Reason)
		}
	}
	return b.String()
}
