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
	count := 0
	seen := map[string]bool{}
	for i, r := range rules {
		at := fmt.Sprintf("%s[%d]", path, i)
		count += len(r.CIDRs) + len(r.Groups)
		v.checkRule(at, r)
		if len(r.CIDRs)+len(r.Groups) == 0 {
			v.add(at, "MissingParameter", "The rule needs a CIDR block or a security group")
		}
		for j, c := range r.CIDRs {
			v.checkRuleCIDR(fmt.Sprintf("%s.ipRanges[%d]", at, j), c)
			v.checkTwice(at, seen, r, c.String())
		}
		for j, id := range r.Groups {
			peer, ok := v.groups[id]
			switch {
			case !ok:
				v.add(fmt.Sprintf("%s.groups[%d]", at, j), "InvalidGroup.NotFound", "The security group '%s' does not exist", id)
			case peer.VPC != g.VPC:
				v.add(fmt.Sprintf("%s.groups[%d]", at, j), "InvalidParameter", "You have specified two resources that belong to "+
					"different networks: %s is in %s, %s in %s", g.ID, g.VPC, id, peer.VPC)
			}
			v.checkTwice(at, seen, r, id)
		}
		if len(r.Description) > 255 || !groupText(r.Description) {
			v.add(at+".description", "InvalidParameterValue", "Invalid rule description. Valid descriptions are strings less than "+
				"256 characters from the following set: a-zA-Z0-9%s", groupCharacters)
		}
	}
	if count > maxRulesPerGroup {
		v.add(path, "RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached: "+
			"%d, the limit is %d", count, maxRulesPerGroup)
	}
}

// checkTwice reports a rule that the group has already.
func (v *validator) checkTwice(path string, seen map[string]bool, r Rule, peer string) {
	number, _ := r.Protocol.Number()
	key := fmt.Sprint(number, r.FromPort, r.ToPort, r.ICMPType, r.ICMPCode, " ", peer)
	if seen[key] {
		r.CIDRs, r.Groups = nil, []string{peer}
		v.add(path, "InvalidPermission.Duplicate", "the specified rule \"%s\" already exists", r)
	}
	seen[key] = true
}

func (v *validator) checkRuleCIDR(path string, c netip.Prefix) {
	switch {
	case !c.IsValid():
		v.add(path, "InvalidParameterValue", "The CIDR block is missing or malformed")
	case !c.Addr().Is4():
		v.add(path, "InvalidParameterValue", "The CIDR block %s is not IPv4, and fardel has no other", c)
	case c != c.Masked():
		v.add(path, "InvalidParameterValue", "CIDR block %s is malformed: its network is %s", c, c.Masked())
	}
}

// checkRule checks protocol, ports and ICMP fields. Those that the protocol has no use for must be zero: what is
// accepted counts.
func (v *validator) checkRule(path string, r Rule) {
	number, ok := r.Protocol.Number()
	switch {
	case !ok:
		v.add(path+".ipProtocol", "InvalidParameterValue", "Invalid value '%s' for IP protocol. Unknown protocol.", r.Protocol)
		return
	case number == 58:
		v.add(path+".ipProtocol", "InvalidParameterValue", "Invalid value '%s' for IP protocol: fardel has no IPv6", r.Protocol)
	}
	ports, icmp := r.Protocol.hasPorts(), r.Protocol.Is(ICMP)
	switch {
	case !ports && (r.FromPort != 0 || r.ToPort != 0):
		v.add(path, "InvalidParameterValue", "Protocol %s has no ports", r.Protocol)
	case ports && (r.FromPort < 0 || r.FromPort > 65535):
		v.add(path+".fromPort", "InvalidParameterValue", "TCP/UDP port (%d) out of range", r.FromPort)
	case ports && (r.ToPort < 0 || r.ToPort > 65535):
		v.add(path+".toPort", "InvalidParameterValue", "TCP/UDP port (%d) out of range", r.ToPort)
	case ports && r.FromPort > r.ToPort:
		v.add(path, "InvalidParameterValue", "Invalid TCP/UDP port range (%d:%d)", r.FromPort, r.ToPort)
	}
	switch {
	case !icmp && (r.ICMPType != 0 || r.ICMPCode != 0):
		v.add(path, "InvalidParameterValue", "Protocol %s has no ICMP type and code", r.Protocol)
	case icmp && (r.ICMPType < AnyICMP || r.ICMPType > 255):
		v.add(path+".icmpType", "InvalidParameterValue", "ICMP type (%d) out of range", r.ICMPType)
	case icmp && (r.ICMPCode < AnyICMP || r.ICMPCode > 255):
		v.add(path+".icmpCode", "InvalidParameterValue", "ICMP code (%d) out of range", r.ICMPCode)
	case icmp && r.ICMPType == AnyICMP && r.ICMPCode != AnyICMP:
		v.add(path+".icmpCode", "InvalidParameterValue", "ICMP code (%d) without an ICMP type", r.ICMPCode)
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
