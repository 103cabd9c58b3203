package network

import "net/netip"

// A Flow is a packet, described by what [Evaluate] needs to know of it. Who sends it is the ENI; or the machine itself
// if FromHost; or else the outside.
type Flow struct {
	ENI             string     // ID of the sending ENI; "" if the host or the outside sends
	FromHost        bool       // the machine that the tasks run on sends
	Source          netip.Addr // source address; the zero value is the ENI's own, or any address of the host or the outside
	Destination     netip.Addr
	ToHost          bool // Destination is an address of the machine itself
	Protocol        Protocol
	SourcePort      uint16 // TCP and UDP
	DestinationPort uint16 // TCP and UDP
	ICMPType        uint8  // ICMP
	ICMPCode        uint8  // ICMP
	Established     bool   // belongs to a connection that was allowed, such as a reply
}

// A Verdict is what happens to a Flow and why. Path holds every check that was made, in order; the last one decided.
type Verdict struct {
	Allowed bool
	Path    []Hop
}

// Check names what was looked at.
type Check string

// The checks, in the order in which a packet meets them.
const (
	CheckSource      Check = "source"      // the sender exists and its source address is its own
	CheckDestination Check = "destination" // the address is one that packets can be sent to
	CheckEndpoint    Check = "endpoint"    // the VPC itself answers at the address
	CheckState       Check = "state"       // the packet belongs to an allowed connection
	CheckEgress      Check = "egress"      // security groups of the sender
	CheckRoute       Check = "route"       // route table, gateway, and who has the address
	CheckIngress     Check = "ingress"     // security groups of the receiver
)

// A Hop is one check on a packet's way.
type Hop struct {
	Check    Check
	Resource string // what was consulted: an ENI, a security group, a route table; "" if none decided
	Rule     int    // index of the rule in the group's Ingress or Egress, or of the route in the table; -1 if none decided
	Allowed  bool
	Reason   string // for people
}

// Decision returns the hop that decided.
func (v Verdict) Decision() Hop {
	if len(v.Path) == 0 {
		return Hop{Rule: -1}
	}
	return v.Path[len(v.Path)-1]
}

// String returns "allowed" or "denied" and the reason of the hop that decided.
func (v Verdict) String() string {
	d := v.Decision()
	s := "denied"
	if v.Allowed {
		s = "allowed"
	}
	return s + " by " + string(d.Check) + " check: " + d.Reason
}
