package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func (v *validator) checkGroups() {
	names := map[[2]string]bool{}
	for i, g := range v.state.SecurityGroups {
		path := fmt.Sprintf("securityGroups[%d]", i)
		v.id(path+".groupId", "sg", "GroupId", g.ID)
		v.vpc(path+".vpcId", g.VPC)
		v.checkGroupText(path, g)
		if name := [2]string{g.VPC, g.Name}; names[name] {
			v.add(path+".groupName", "InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", g.Name, g.VPC)
		} else {
			names[name] = true
		}
		v.checkRules(path+".ipPermissions", g, g.Ingress)
		v.checkRules(path+".ipPermissionsEgress", g, g.Egress)
	}
}

// groupCharacters are what EC2 takes in names and descriptions of groups besides letters and digits.
const groupCharacters = " ._-:/()#,@[]+=&;{}!$*"

func groupText(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		return !letter && !strings.ContainsRune(groupCharacters, c)
	})
}

func (v *validator) checkGroupText(path string, g SecurityGroup) {
	if g.Name == "" {
		v.add(path+".groupName", "MissingParameter", "The request must contain the parameter GroupName")
	}
	if strings.HasPrefix(g.Name, "sg-") {
		v.add(path+".groupName", "InvalidParameterValue", "Value (%s) for parameter GroupName is invalid. Group names may not be in the format sg-*.", g.Name)
	}
	if len(g.Name) > 255 || !groupText(g.Name) {
		v.add(path+".groupName", "InvalidParameterValue", "Value (%s) for parameter GroupName is invalid. Valid names are strings "+
			"of at most 255 characters from the following set: a-zA-Z0-9%s", g.Name, groupCharacters)
	}
	if g.Description == "" {
		v.add(path+".description", "MissingParameter", "The request must contain the parameter GroupDescription")
	}
	if len(g.Description) > 255 || !groupText(g.Description) {
		v.add(path+".description", "InvalidParameterValue", "Invalid security group description. Valid descriptions are strings "+
			"less than 256 characters from the following set: a-zA-Z0-9%s", groupCharacters)
	}
}

func (v *validator) checkRules(path string, g SecurityGroup, rules []Rule) {
	count := map[AddressFamily]int{}
	seen := map[string]bool{}
	for i, r := range rules {
		at := fmt.Sprintf("%s[%d]", path, i)
		v.checkTraffic(at, r.traffic())
		if len(r.CIDRs)+len(r.IPv6CIDRs)+len(r.PrefixLists)+len(r.Groups) == 0 {
			v.add(at, "MissingParameter", "The rule needs a CIDR block, a prefix list or a security group")
		}
		v.checkRuleCIDRs(at, r, seen)
		count[IPv4] += len(r.CIDRs) + len(r.Groups)
		count[IPv6] += len(r.IPv6CIDRs) + len(r.Groups)
		for j, id := range r.PrefixLists {
			l, ok := v.lists[id]
			if !ok {
				v.add(fmt.Sprintf("%s.prefixListIds[%d]", at, j), "InvalidPrefixListID.NotFound", "The prefix list ID '%s' does not exist", id)
			} else {
				v.checkFamily(at, r.Protocol, l.AddressFamily)
			}
			count[l.AddressFamily] += l.MaxEntries
			v.checkTwice(at, seen, r, id)
		}
		v.checkRuleGroups(at, g, r, seen)
		if len(r.Description) > 255 || !groupText(r.Description) {
			v.add(at+".description", "InvalidParameterValue", "Invalid rule description. Valid descriptions are strings less than "+
				"256 characters from the following set: a-zA-Z0-9%s", groupCharacters)
		}
	}
	for _, family := range []AddressFamily{IPv4, IPv6} {
		if count[family] > maxRulesPerGroup {
			v.add(path, "RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached: "+
				"%d for %s, the limit is %d", count[family], family, maxRulesPerGroup)
		}
	}
}

func (v *validator) checkRuleCIDRs(path string, r Rule, seen map[string]bool) {
	for j, c := range r.CIDRs {
		if v.checkCIDR(fmt.Sprintf("%s.ipRanges[%d]", path, j), c, IPv4) {
			v.checkFamily(path, r.Protocol, IPv4)
		}
		v.checkTwice(path, seen, r, c.String())
	}
	for j, c := range r.IPv6CIDRs {
		if v.checkCIDR(fmt.Sprintf("%s.ipv6Ranges[%d]", path, j), c, IPv6) {
			v.checkFamily(path, r.Protocol, IPv6)
		}
		v.checkTwice(path, seen, r, c.String())
	}
}

func (v *validator) checkRuleGroups(path string, g SecurityGroup, r Rule, seen map[string]bool) {
	for j, id := range r.Groups {
		at := fmt.Sprintf("%s.groups[%d]", path, j)
		peer, ok := v.groups[id]
		switch {
		case !ok:
			v.add(at, "InvalidGroup.NotFound", "The security group '%s' does not exist", id)
		case peer.VPC != g.VPC && !v.peered[[2]string{peer.VPC, g.VPC}]:
			v.add(at, "InvalidParameter", "You have specified two resources that belong to "+
				"different networks: %s is in %s, %s in %s", g.ID, g.VPC, id, peer.VPC)
		}
		v.checkTwice(path, seen, r, id)
	}
}

// checkTwice reports a rule that the group has already.
func (v *validator) checkTwice(path string, seen map[string]bool, r Rule, peer string) {
	number, _ := r.Protocol.Number()
	key := fmt.Sprint(number, r.FromPort, r.ToPort, r.ICMPType, r.ICMPCode, " ", peer)
	if seen[key] {
		v.add(path, "InvalidPermission.Duplicate", "the specified rule \"%s with %s\" already exists", r.traffic(), peer)
	}
	seen[key] = true
}

// checkCIDR checks a prefix of a rule, an entry or a list, and reports whether it is good.
func (v *validator) checkCIDR(path string, c netip.Prefix, family AddressFamily) bool {
	switch {
	case !c.IsValid():
		v.add(path, "InvalidParameterValue", "The CIDR block is missing or malformed")
	case c.Addr().Is4In6() || c.Addr().Is4() != (family == IPv4):
		v.add(path, "InvalidParameterValue", "The CIDR block %s is not %s", c, family)
	case c != c.Masked():
		v.add(path, "InvalidParameterValue", "CIDR block %s is malformed: its network is %s", c, c.Masked())
	default:
		return true
	}
	return false
}

// checkFamily reports ICMP of the wrong version of IP.
func (v *validator) checkFamily(path string, p Protocol, family AddressFamily) {
	if p.Is(ICMP) && family == IPv6 || p.Is(ICMPv6) && family == IPv4 {
		v.add(path+".ipProtocol", "InvalidParameterValue", "Protocol %s cannot be used with %s", p, family)
	}
}

// checkTraffic checks protocol, ports and ICMP fields. Those that the protocol has no use for must be zero: what is
// accepted counts.
func (v *validator) checkTraffic(path string, t traffic) {
	if _, ok := t.protocol.Number(); !ok {
		v.add(path+".ipProtocol", "InvalidParameterValue", "Invalid value '%s' for IP protocol. Unknown protocol.", t.protocol)
		return
	}
	ports, icmp := t.protocol.hasPorts(), t.protocol.hasTypes()
	switch {
	case !ports && (t.fromPort != 0 || t.toPort != 0):
		v.add(path, "InvalidParameterValue", "Protocol %s has no ports", t.protocol)
	case ports && (t.fromPort < 0 || t.fromPort > 65535):
		v.add(path+".fromPort", "InvalidParameterValue", "TCP/UDP port (%d) out of range", t.fromPort)
	case ports && (t.toPort < 0 || t.toPort > 65535):
		v.add(path+".toPort", "InvalidParameterValue", "TCP/UDP port (%d) out of range", t.toPort)
	case ports && t.fromPort > t.toPort:
		v.add(path, "InvalidParameterValue", "Invalid TCP/UDP port range (%d:%d)", t.fromPort, t.toPort)
	}
	switch {
	case !icmp && (t.icmpType != 0 || t.icmpCode != 0):
		v.add(path, "InvalidParameterValue", "Protocol %s has no ICMP type and code", t.protocol)
	case icmp && (t.icmpType < AnyICMP || t.icmpType > 255):
		v.add(path+".icmpType", "InvalidParameterValue", "ICMP type (%d) out of range", t.icmpType)
	case icmp && (t.icmpCode < AnyICMP || t.icmpCode > 255):
		v.add(path+".icmpCode", "InvalidParameterValue", "ICMP code (%d) out of range", t.icmpCode)
	case icmp && t.icmpType == AnyICMP && t.icmpCode != AnyICMP:
		v.add(path+".icmpCode", "InvalidParameterValue", "ICMP code (%d) without an ICMP type", t.icmpCode)
	}
}

// checkGroupsOf checks the groups that an ENI carries.
func (v *validator) checkGroupsOf(path string, e ENI, vpc string) {
	if len(e.SecurityGroups) == 0 {
		v.add(path+".groups", "MissingParameter", "The network interface needs a security group")
	}
	if len(e.SecurityGroups) > maxGroupsPerENI {
		v.add(path+".groups", "SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of security groups per interface "+
			"has been reached: %d, the limit is %d", len(e.SecurityGroups), maxGroupsPerENI)
	}
	for i, id := range e.SecurityGroups {
		at := fmt.Sprintf("%s.groups[%d]", path, i)
		g, ok := v.groups[id]
		switch {
		case !ok:
			v.add(at, "InvalidGroup.NotFound", "The security group '%s' does not exist", id)
		case vpc != "" && g.VPC != vpc:
			v.add(at, "InvalidParameter", "You have specified two resources that belong to different networks: the interface is "+
				"in %s, %s in %s", vpc, id, g.VPC)
		case slices.Contains(e.SecurityGroups[:i], id):
			v.add(at, "InvalidParameterValue", "The security group '%s' is named twice", id)
		}
	}
}
