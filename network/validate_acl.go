package network

import (
	"fmt"
	"strings"
)

func (v *validator) checkPrefixLists() {
	for i, l := range v.state.PrefixLists {
		path := fmt.Sprintf("prefixLists[%d]", i)
		v.id(path+".prefixListId", "pl", "PrefixListID", l.ID)
		if l.Name == "" || len(l.Name) > 255 || strings.HasPrefix(l.Name, "com.amazonaws") {
			v.add(path+".prefixListName", "InvalidParameterValue", "'%s' is not a name of 1 to 255 characters that does not begin with com.amazonaws", l.Name)
		}
		if l.AddressFamily != IPv4 && l.AddressFamily != IPv6 {
			v.add(path+".addressFamily", "InvalidParameterValue", "'%s' is not IPv4 or IPv6", l.AddressFamily)
		}
		if l.MaxEntries < 1 || l.MaxEntries > maxPrefixEntries {
			v.add(path+".maxEntries", "InvalidParameterValue", "%d is not 1 to %d", l.MaxEntries, maxPrefixEntries)
		}
		if len(l.Entries) > l.MaxEntries {
			v.add(path+".entries", "PrefixListMaxEntriesExceeded", "The list has %d entries, and its maximum is %d", len(l.Entries), l.MaxEntries)
		}
		seen := map[string]bool{}
		for j, e := range l.Entries {
			at := fmt.Sprintf("%s.entries[%d].cidr", path, j)
			v.checkCIDR(at, e.CIDR, l.AddressFamily)
			if seen[e.CIDR.String()] {
				v.add(at, "InvalidParameterValue", "%s is in the list already", e.CIDR)
			}
			seen[e.CIDR.String()] = true
		}
	}
}

func (v *validator) checkACLs() {
	standard, associated := map[string]string{}, map[string]string{}
	for i, a := range v.state.NetworkACLs {
		path := fmt.Sprintf("networkAcls[%d]", i)
		v.id(path+".networkAclId", "acl", "NetworkAclID", a.ID)
		v.vpc(path+".vpcId", a.VPC)
		if other := standard[a.VPC]; a.IsDefault && other != "" {
			v.add(path+".isDefault", "InvalidParameterValue", "%s has a default network ACL, %s", a.VPC, other)
		} else if a.IsDefault {
			standard[a.VPC] = a.ID
		}
		v.checkAssociations(path, a.ID, a.VPC, a.Subnets, associated)
		v.checkEntries(path+".entries", a.Entries)
	}
}

// checkAssociations checks the subnets of a network ACL or route table; associated has those of others of the kind.
func (v *validator) checkAssociations(path, id, vpc string, subnets []string, associated map[string]string) {
	for j, n := range subnets {
		at := fmt.Sprintf("%s.subnetIds[%d]", path, j)
		subnet, ok := v.subnets[n]
		other, taken := associated[n]
		switch {
		case !ok:
			v.add(at, "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", n)
		case subnet.VPC != vpc:
			v.add(at, "InvalidParameterValue", "%s and subnet %s belong to different networks", id, n)
		case taken:
			v.add(at, "Resource.AlreadyAssociated", "the subnet '%s' is already associated with %s", n, other)
		}
		associated[n] = id
	}
}

func (v *validator) checkEntries(path string, entries []NetworkACLEntry) {
	type key struct {
		number int
		egress bool
	}
	type count struct{ egress, six bool }
	seen := map[key]bool{}
	counts := map[count]int{}
	for i, e := range entries {
		at := fmt.Sprintf("%s[%d]", path, i)
		if e.RuleNumber < 1 || e.RuleNumber > maxRuleNumber {
			v.add(at+".ruleNumber", "InvalidParameterValue", "Invalid value '%d' for rule number: must be 1 to %d", e.RuleNumber, maxRuleNumber)
		}
		if k := (key{e.RuleNumber, e.Egress}); seen[k] {
			v.add(at+".ruleNumber", "NetworkAclEntryAlreadyExists", "The network acl entry identified by %d already exists.", e.RuleNumber)
		} else {
			seen[k] = true
		}
		if e.RuleAction != RuleAllow && e.RuleAction != RuleDeny {
			v.add(at+".ruleAction", "InvalidParameterValue", "Invalid value '%s' for rule action: must be allow or deny", e.RuleAction)
		}
		v.checkTraffic(at, e.traffic())
		family := IPv4
		if e.CIDR.IsValid() && !e.CIDR.Addr().Is4() {
			family = IPv6
		}
		if v.checkCIDR(at+".cidrBlock", e.CIDR, family) {
			v.checkFamily(at, e.Protocol, family)
		}
		counts[count{e.Egress, family == IPv6}]++
	}
	for _, n := range counts {
		if n > maxEntriesPerACL {
			v.add(path, "NetworkAclEntryLimitExceeded", "The network ACL has %d entries of one direction and version of IP, the limit is %d", n, maxEntriesPerACL)
		}
	}
}
