package network

import (
	"net/netip"
	"strconv"
	"strings"
)

// A SecurityGroup says what may enter and leave the ENIs that carry it. Groups only allow; an ENI with several has the
// rules of all of them. They are stateful: what belongs to an allowed connection passes in both directions.
type SecurityGroup struct {
	ID          string            `json:"groupId"` // "sg-" and 17 hexadecimal digits
	VPC         string            `json:"vpcId"`
	Name        string            `json:"groupName"` // unique in the VPC, at most 255 characters, not starting with "sg-"
	Description string            `json:"description"`
	Ingress     []Rule            `json:"ipPermissions"`
	Egress      []Rule            `json:"ipPermissionsEgress"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// A Rule allows one protocol between an ENI and its peers: the union of CIDRs and of the members of Groups, at least
// one of either. A group stands for the private addresses of the ENIs that carry it.
type Rule struct {
	Protocol    Protocol       `json:"ipProtocol"`
	FromPort    int            `json:"fromPort"`           // TCP and UDP only: 0 to 65535, inclusive
	ToPort      int            `json:"toPort"`             // TCP and UDP only: FromPort to 65535, inclusive
	ICMPType    int            `json:"icmpType"`           // ICMP only: 0 to 255, [AnyICMP] for all
	ICMPCode    int            `json:"icmpCode"`           // ICMP only: 0 to 255, [AnyICMP] for all
	CIDRs       []netip.Prefix `json:"ipRanges,omitempty"` // IPv4, masked
	Groups      []string       `json:"groups,omitempty"`   // IDs of groups of the same VPC
	Description string         `json:"description,omitempty"`
}

// AnyICMP stands for every ICMP type, or every code of a type.
const AnyICMP = -1

// Protocol is an IP protocol as EC2 writes it: "tcp", "udp", "icmp", "-1" for all of them, or a number in decimal.
type Protocol string

// The protocols that have names.
const (
	AllProtocols Protocol = "-1"
	ICMP         Protocol = "icmp"
	TCP          Protocol = "tcp"
	UDP          Protocol = "udp"
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

// String describes the rule in one line: "tcp 80-443 with 10.0.0.0/8, sg-0123".
func (r Rule) String() string {
	var b strings.Builder
	switch {
	case r.Protocol.Is(AllProtocols):
		b.WriteString("all")
	case r.Protocol.hasPorts() && r.FromPort == r.ToPort:
		b.WriteString(string(r.Protocol) + " " + strconv.Itoa(r.FromPort))
	case r.Protocol.hasPorts():
		b.WriteString(string(r.Protocol) + " " + strconv.Itoa(r.FromPort) + "-" + strconv.Itoa(r.ToPort))
	case r.Protocol.Is(ICMP):
		b.WriteString("icmp type " + icmpString(r.ICMPType) + " code " + icmpString(r.ICMPCode))
	default:
		b.WriteString("protocol " + string(r.Protocol))
	}
	b.WriteString(" with ")
	for i, c := range r.CIDRs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.String())
	}
	for i, g := range r.Groups {
		if i > 0 || len(r.CIDRs) > 0 {
			b.WriteString(", ")
		}
		b.WriteString(g)
	}
	return b.String()
}

func icmpString(n int) string {
	if n == AnyICMP {
		return "any"
	}
	return strconv.Itoa(n)
}
