package network

import "net/netip"

// A SecurityGroup says what may enter and leave the ENIs that carry it. Groups only allow; an ENI with several has the
// rules of all of them. They are stateful: what belongs to an allowed connection passes in both directions.
type SecurityGroup struct {
	ID          string            `json:"groupId"` // "sg-" and 17 hexadecimal digits
	VPC         string            `json:"vpcId"`
	Name        string            `json:"groupName"` // unique in the VPC, at most 255 characters, not starting with "sg-"
	Description string            `json:"description"`
	Ingress     []Rule            `json:"ipPermissions"`       // at most 60 for each family: a CIDR counts one, a group one in both, a prefix list its MaxEntries
	Egress      []Rule            `json:"ipPermissionsEgress"` // as Ingress
	Tags        map[string]string `json:"tags,omitempty"`
}

// A Rule allows one protocol between an ENI and its peers: the union of CIDRs, IPv6CIDRs, the entries of PrefixLists and
// the members of Groups, at least one of them. A group stands for the private IPv4 and the IPv6 addresses of the ENIs
// that carry it: a packet that comes through an internet or NAT gateway has another source and matches none by it. It is
// addresses that count: of two peered VPCs with the same ones, ENIs of the one match groups of the other.
type Rule struct {
	Protocol    Protocol       `json:"ipProtocol"`
	FromPort    int            `json:"fromPort"`                // TCP and UDP only: 0 to 65535, inclusive
	ToPort      int            `json:"toPort"`                  // TCP and UDP only: FromPort to 65535, inclusive
	ICMPType    int            `json:"icmpType"`                // ICMP and ICMPv6 only: 0 to 255, [AnyICMP] for all
	ICMPCode    int            `json:"icmpCode"`                // ICMP and ICMPv6 only: 0 to 255, [AnyICMP] for all
	CIDRs       []netip.Prefix `json:"ipRanges,omitempty"`      // IPv4, masked
	IPv6CIDRs   []netip.Prefix `json:"ipv6Ranges,omitempty"`    // masked
	PrefixLists []string       `json:"prefixListIds,omitempty"` // IDs
	Groups      []string       `json:"groups,omitempty"`        // IDs of groups, its own perhaps, of the same VPC or of one peered with it
	Description string         `json:"description,omitempty"`
}

func (r Rule) traffic() traffic {
	return traffic{r.Protocol, r.FromPort, r.ToPort, r.ICMPType, r.ICMPCode}
}

// String describes the rule in one line: "tcp 80-443 with 10.0.0.0/8, sg-0123".
func (r Rule) String() string {
	return r.traffic().String() + " with " + commas(join(r.CIDRs), join(r.IPv6CIDRs), r.PrefixLists, r.Groups)
}
