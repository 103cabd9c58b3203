package network

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
)

// A NetworkACL says what may enter and leave subnets. It is asked about every packet that does, replies included, since
// it is stateless, and about no packet that stays in a subnet; nor about those to the resolver and the other endpoints
// of the VPC, nor between a subnet and the machine that it is on. Of the entries for a packet's direction that match it
// the one with the lowest number decides; without a match it is denied.
//
// A subnet has one, that which names it or else the default one of its VPC. A VPC without a default ACL has one that is
// not named and allows everything, as EC2 makes it.
type NetworkACL struct {
	ID        string            `json:"networkAclId"` // "acl-" and 17 hexadecimal digits
	VPC       string            `json:"vpcId"`
	IsDefault bool              `json:"isDefault"`           // at most one for each VPC
	Subnets   []string          `json:"subnetIds,omitempty"` // those associated explicitly, each with one ACL
	Entries   []NetworkACLEntry `json:"entries"`             // in any order
	Tags      map[string]string `json:"tags,omitempty"`
}

// A NetworkACLEntry allows or denies packets of one direction. CIDR is matched with the address of the other side: the
// source of what enters, the destination of what leaves, before a gateway translates it outwards and after it has
// translated it inwards. Ports are destination ports, so that those of replies are the ephemeral ports of the client.
type NetworkACLEntry struct {
	RuleNumber int          `json:"ruleNumber"` // 1 to 32766; unique in its direction
	Egress     bool         `json:"egress"`     // about what leaves the subnet; else about what enters it
	RuleAction RuleAction   `json:"ruleAction"`
	Protocol   Protocol     `json:"protocol"`
	CIDR       netip.Prefix `json:"cidrBlock"` // IPv4 or IPv6, masked; the entry is about packets of this family only
	FromPort   int          `json:"fromPort"`  // TCP and UDP only: 0 to 65535, inclusive
	ToPort     int          `json:"toPort"`    // TCP and UDP only: FromPort to 65535, inclusive
	ICMPType   int          `json:"icmpType"`  // ICMP and ICMPv6 only: 0 to 255, [AnyICMP] for all
	ICMPCode   int          `json:"icmpCode"`  // ICMP and ICMPv6 only: 0 to 255, [AnyICMP] for all
}

// RuleAction is what an entry of a network ACL does to the packets it matches.
type RuleAction string

// The actions.
const (
	RuleAllow RuleAction = "allow"
	RuleDeny  RuleAction = "deny"
)

// DefaultNetworkACLEntries returns the entries of EC2's default network ACLs: 100 allows all of IPv4, 101 all of IPv6,
// both ways.
func DefaultNetworkACLEntries() []NetworkACLEntry {
	var all []NetworkACLEntry
	for i, everywhere := range []netip.Prefix{allIPv4(), allIPv6()} {
		for _, egress := range []bool{false, true} {
			all = append(all, NetworkACLEntry{RuleNumber: 100 + i, Egress: egress, RuleAction: RuleAllow, Protocol: AllProtocols, CIDR: everywhere})
		}
	}
	return all
}

func allIPv4() netip.Prefix { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }
func allIPv6() netip.Prefix { return netip.PrefixFrom(netip.IPv6Unspecified(), 0) }

// SubnetNetworkACL returns the network ACL that serves a subnet, with the entries in order of their numbers. Its ID is
// "" if it is a default one that the state does not name. ok is false if there is no such subnet.
func (s State) SubnetNetworkACL(subnet string) (acl NetworkACL, ok bool) {
	n, ok := s.Subnet(subnet)
	if !ok {
		return NetworkACL{}, false
	}
	acl, ok = find(s.NetworkACLs, func(a NetworkACL) bool { return slices.Contains(a.Subnets, subnet) })
	if !ok {
		acl, ok = find(s.NetworkACLs, func(a NetworkACL) bool { return a.VPC == n.VPC && a.IsDefault })
	}
	if !ok {
		acl = NetworkACL{VPC: n.VPC, IsDefault: true, Entries: DefaultNetworkACLEntries()}
	}
	acl.Entries = slices.SortedStableFunc(slices.Values(acl.Entries), func(a, b NetworkACLEntry) int { return cmp.Compare(a.RuleNumber, b.RuleNumber) })
	return acl, true
}

// String describes the entry in one line: "100 allow tcp 80-443 from 10.0.0.0/8".
func (e NetworkACLEntry) String() string {
	direction := " from "
	if e.Egress {
		direction = " to "
	}
	return strconv.Itoa(e.RuleNumber) + " " + string(e.RuleAction) + " " + e.traffic().String() + direction + e.CIDR.String()
}

func (e NetworkACLEntry) traffic() traffic {
	return traffic{e.Protocol, e.FromPort, e.ToPort, e.ICMPType, e.ICMPCode}
}
