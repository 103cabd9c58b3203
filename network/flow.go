package network

import "net/netip"

// A Flow is a packet, described by what [Evaluate] needs to know of it. Who sends it is the ENI; or the machine itself
// if FromHost; or else the outside.
type Flow struct {
	ENI             string     // ID of the sending ENI; "" if the host or the outside sends
	FromHost        bool       // the machine that the tasks run on sends
	Source          netip.Addr // source address; the zero value is the ENI's own, or some address of the host or the outside that only rules for everything match
	Destination     netip.Addr // private or public
	ToHost          bool       // Destination is an address of the machine itself, or 0.0.0.0 for any that it has beside the loopback's; see [PublishedPort]
	Protocol        Protocol
	SourcePort      uint16 // TCP and UDP
	DestinationPort uint16 // TCP and UDP
	ICMPType        uint8  // ICMP and ICMPv6
	ICMPCode        uint8  // ICMP and ICMPv6
	Established     bool   // belongs to a connection that was allowed, such as a reply; one from the outside is described by the private address of the ENI that it answers
}

// A Verdict is what happens to a Flow and why. Path holds every check that was made, in order; the last one decided.
type Verdict struct {
	Allowed bool // the packet arrives
	Path    []Hop
	Arrival Arrival  // where, if it is allowed
	Reply   *Verdict // of the answer to a new packet that arrives at an ENI or outside of the VPC; nil if there is none to judge
}

// Connects reports whether the packet arrives and its answer comes back.
func (v Verdict) Connects() bool { return v.Allowed && (v.Reply == nil || v.Reply.Allowed) }

// Arrival is where a packet arrives, and with which addresses after all translation.
type Arrival struct {
	ENI         string     // ID of the ENI that gets it; "" if it is not an ENI
	VPC         string     // ID of the VPC whose endpoint answers; "" if it is not an endpoint
	Host        bool       // the machine itself gets it
	Outside     bool       // it goes to the outside
	Source      netip.Addr // the zero value is an address of the machine, or one that the Flow does not say
	Destination netip.Addr
}

// Check names what was looked at.
type Check string

// The checks, in the order in which a packet meets them. One that is routed more than once, by a NAT gateway or through
// a public address, meets some of them again.
const (
	CheckSource      Check = "source"      // the sender exists and its source address is its own
	CheckDestination Check = "destination" // the address is one that packets can be sent to
	CheckEndpoint    Check = "endpoint"    // the VPC itself answers at the address
	CheckState       Check = "state"       // the packet belongs to an allowed connection
	CheckEgress      Check = "egress"      // security groups of the sender
	CheckACLEgress   Check = "acl-egress"  // network ACL of the subnet that the packet leaves
	CheckRoute       Check = "route"       // route table, and who has the address
	CheckNAT         Check = "nat"         // NAT gateway
	CheckGateway     Check = "gateway"     // internet gateway or egress-only internet gateway
	CheckPeering     Check = "peering"     // peering connection
	CheckPublished   Check = "published"   // port of the machine that an ENI publishes
	CheckACLIngress  Check = "acl-ingress" // network ACL of the subnet that the packet enters
	CheckForward     Check = "forward"     // source/destination check of an ENI that is the target of a route
	CheckIngress     Check = "ingress"     // security groups of the receiver
)

// A Hop is one check on a packet's way.
type Hop struct {
	Check    Check
	Resource string // what was consulted: an ENI, a security group, a network ACL, a route table; "" if none decided
	Rule     int    // index of the rule in the group's Ingress or Egress or of the route in the table, number of the ACL's entry; -1 if none of those named decided
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
