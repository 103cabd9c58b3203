package network

import (
	"errors"
	"fmt"
	"net/netip"
)

// Quotas of EC2, at their defaults. Those per VPC or table count IPv4 and IPv6 separately.
const (
	maxCIDRsPerVPC    = 5
	maxRulesPerGroup  = 60 // per direction; each CIDR, group and entry that a prefix list may have counts as one
	maxGroupsPerENI   = 5  // also the most that ECS takes in an awsvpcConfiguration; with 60 rules each it stays below EC2's 1000 rules per ENI
	maxEntriesPerACL  = 20 // per direction
	maxRuleNumber     = 32766
	maxRoutesPerTable = 50
	maxPrefixEntries  = 1000
	minPrefix         = 16 // of VPCs and subnets
	maxPrefix         = 28
	minIPv6Prefix     = 44 // of VPCs
	maxIPv6Prefix     = 60
	subnetIPv6Prefix  = 64
)

// Validate reports everything that is wrong in s, joined, each as a [*ValidationError] with the path to it. Codes and
// texts are those of EC2 where they are known. It returns nil for the zero State. Its cost grows with the size of s,
// not with its square.
func Validate(s State) error {
	v := newValidator(s)
	v.checkVPCs()
	v.checkSubnets()
	v.checkPrefixLists()
	v.checkGroups()
	v.checkACLs()
	v.checkGateways()
	v.checkPeering()
	v.checkPools()
	v.checkRouteTables()
	v.checkENIs()
	v.checkPublishers()
	v.checkNATGateways()
	v.checkAddresses()
	return errors.Join(v.problems...)
}

// ValidateENI reports everything that is wrong with one more ENI in a state that is valid, as [Validate] would with e
// appended. Its cost grows with the number of subnets, groups and pools of public addresses, and not with that of ENIs:
// whether another ENI has the ID or an address is for the caller to know.
func ValidateENI(s State, e ENI) error {
	v := &validator{state: s, subnets: map[string]Subnet{}, groups: map[string]SecurityGroup{}, ids: map[string]string{}}
	if n, ok := s.Subnet(e.Subnet); ok {
		v.subnets[n.ID] = n
	}
	for _, id := range e.SecurityGroups {
		if g, ok := s.SecurityGroup(id); ok {
			v.groups[g.ID] = g
		}
	}
	v.checkENI("eni "+e.ID, e)
	return errors.Join(v.problems...)
}

type validator struct {
	state     State
	vpcs      map[string]VPC
	subnets   map[string]Subnet
	groups    map[string]SecurityGroup
	lists     map[string]PrefixList
	gateways  map[string]InternetGateway
	only      map[string]EgressOnlyInternetGateway
	nats      map[string]NATGateway
	peerings  map[string]VPCPeeringConnection
	addresses map[string]Address
	enis      map[string]ENI
	attached  map[string]bool                  // VPCs with an internet gateway
	peered    map[[2]string]bool               // VPCs with a peering connection, both ways round
	blocks    map[string]map[netip.Prefix]bool // CIDRs of a VPC's subnets
	holders   map[holder]string                // who has an address
	ids       map[string]string                // ID → path of its first use
	problems  []error
}

// holder is an address of a VPC, or a public one if vpc is "".
type holder struct {
	vpc  string
	addr netip.Addr
}

func newValidator(s State) *validator {
	v := &validator{state: s, vpcs: indexed(s.VPCs, func(x VPC) string { return x.ID }), subnets: indexed(s.Subnets, func(x Subnet) string { return x.ID }),
		groups: indexed(s.SecurityGroups, func(x SecurityGroup) string { return x.ID }), lists: indexed(s.PrefixLists, func(x PrefixList) string { return x.ID }),
		gateways: indexed(s.InternetGateways, func(x InternetGateway) string { return x.ID }), nats: indexed(s.NATGateways, func(x NATGateway) string { return x.ID }),
		only:     indexed(s.EgressOnlyInternetGateways, func(x EgressOnlyInternetGateway) string { return x.ID }),
		peerings: indexed(s.VPCPeeringConnections, func(x VPCPeeringConnection) string { return x.ID }),
		enis:     indexed(s.ENIs, func(x ENI) string { return x.ID }), addresses: indexed(s.Addresses, func(x Address) string { return x.AllocationID }),
		attached: map[string]bool{}, peered: map[[2]string]bool{}, blocks: map[string]map[netip.Prefix]bool{}, holders: map[holder]string{}, ids: map[string]string{}}
	for _, g := range s.InternetGateways {
		v.attached[g.VPC] = true
	}
	for _, c := range s.VPCPeeringConnections {
		v.peered[[2]string{c.Requester, c.Accepter}], v.peered[[2]string{c.Accepter, c.Requester}] = true, true
	}
	for _, n := range s.Subnets {
		if v.blocks[n.VPC] == nil {
			v.blocks[n.VPC] = map[netip.Prefix]bool{}
		}
		v.blocks[n.VPC][n.CIDR], v.blocks[n.VPC][n.IPv6CIDR] = true, true
	}
	return v
}

func indexed[T any](list []T, key func(T) string) map[string]T {
	m := make(map[string]T, len(list))
	for _, x := range list {
		m[key(x)] = x
	}
	return m
}

func (v *validator) add(path, code, format string, args ...any) {
	v.problems = append(v.problems, &ValidationError{Path: path, Code: code, Reason: fmt.Sprintf(format, args...)})
}

// id checks the form of an ID and that it is the only one. kind is what EC2 calls it in its codes: "VpcID".
func (v *validator) id(path, prefix, kind, id string) {
	if !validID(prefix, id) {
		v.add(path, "Invalid"+kind+".Malformed", "Invalid id: \"%s\" (expecting \"%s-...\" and 8 or 17 hexadecimal digits)", id, prefix)
	}
	if first, taken := v.ids[id]; taken {
		v.add(path, "Invalid"+kind+".Duplicate", "The ID '%s' is that of %s", id, first)
		return
	}
	v.ids[id] = path
}

func (v *validator) vpc(path, id string) (VPC, bool) {
	n, ok := v.vpcs[id]
	if !ok {
		v.add(path, "InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", id)
	}
	return n, ok
}

// contains reports whether inner lies in outer.
func contains(outer, inner netip.Prefix) bool {
	return outer.IsValid() && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

func isDNSLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
