package network

import (
	"strconv"
	"strings"
)

// AnyICMP stands for every ICMP type, or every code of a type.
const AnyICMP = -1

// Protocol is an IP protocol as EC2 writes it: "tcp", "udp", "icmp", "icmpv6", "-1" for all of them, or a number in
// decimal.
type Protocol string

// The protocols that have names.
const (
	AllProtocols Protocol = "-1"
	ICMP         Protocol = "icmp"
	TCP          Protocol = "tcp"
	UDP          Protocol = "udp"
	ICMPv6       Protocol = "icmpv6"
)

// Number returns the protocol's number, -1 for [AllProtocols]. ok is false if p is no protocol.
func (p Protocol) Number() (number int, ok bool) {
	switch p {
	case AllProtocols:
		return -1, true
	case ICMP:
		return 1, true
	case TCP:
		return 6, true
	case UDP:
		return 17, true
	case ICMPv6:
		return 58, true
	}
	n, err := strconv.Atoi(string(p))
	if err != nil || n < 0 || n > 255 || strconv.Itoa(n) != string(p) {
		return 0, false
	}
	return n, true
}

// Is reports whether p and q are the same protocol, however they are written.
func (p Protocol) Is(q Protocol) bool {
	m, ok := p.Number()
	n, also := q.Number()
	return ok && also && m == n
}

// hasPorts reports whether rules and flows of p have ports.
func (p Protocol) hasPorts() bool { return p.Is(TCP) || p.Is(UDP) }

// hasTypes reports whether rules and flows of p have an ICMP type and code.
func (p Protocol) hasTypes() bool { return p.Is(ICMP) || p.Is(ICMPv6) }

// traffic is what rules of groups and entries of network ACLs say of packets besides addresses.
type traffic struct {
	protocol           Protocol
	fromPort, toPort   int
	icmpType, icmpCode int
}

// matches reports whether the protocol, destination port and ICMP type of f are among t.
func (t traffic) matches(f Flow) bool {
	switch {
	case t.protocol.Is(AllProtocols):
		return true
	case !t.protocol.Is(f.Protocol):
		return false
	case t.protocol.hasPorts():
		return t.fromPort <= int(f.DestinationPort) && int(f.DestinationPort) <= t.toPort
	case t.protocol.hasTypes():
		return (t.icmpType == AnyICMP || t.icmpType == int(f.ICMPType)) && (t.icmpCode == AnyICMP || t.icmpCode == int(f.ICMPCode))
	}
	return true
}

// String returns "tcp 80-443", "all", "icmp type 8 code any" or "protocol 50".
func (t traffic) String() string {
	switch {
	case t.protocol.Is(AllProtocols):
		return "all"
	case t.protocol.hasPorts() && t.fromPort == t.toPort:
		return string(t.protocol) + " " + strconv.Itoa(t.fromPort)
	case t.protocol.hasPorts():
		return string(t.protocol) + " " + strconv.Itoa(t.fromPort) + "-" + strconv.Itoa(t.toPort)
	case t.protocol.hasTypes():
		name := ICMP
		if t.protocol.Is(ICMPv6) {
			name = ICMPv6
		}
		return string(name) + " type " + icmpString(t.icmpType) + " code " + icmpString(t.icmpCode)
	}
	return "protocol " + string(t.protocol)
}

func icmpString(n int) string {
	if n == AnyICMP {
		return "any"
	}
	return strconv.Itoa(n)
}

// join writes things with commas between them.
func join[T interface{ String() string }](things []T) []string {
	all := make([]string, len(things))
	for i, t := range things {
		all[i] = t.String()
	}
	return all
}

func commas(lists ...[]string) string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return strings.Join(all, ", ")
}
