package network

import (
	"fmt"
	"net/netip"
	"slices"
)

func (d *difference) groups() {
	arn := func(g SecurityGroup) string { return "security-group/" + g.ID }
	diff(d.before.SecurityGroups, d.after.SecurityGroups, kind[SecurityGroup]{
		id:    func(g SecurityGroup) string { return g.ID },
		fixed: func(g SecurityGroup) any { return [3]string{g.VPC, g.Name, g.Description} },
		made:  func(g SecurityGroup) { d.do("CreateSecurityGroup", "security-group/*", "vpc/"+g.VPC) },
		fresh: func(SecurityGroup) SecurityGroup { // as EC2 makes it
			return SecurityGroup{Egress: []Rule{{Protocol: AllProtocols, CIDRs: []netip.Prefix{allIPv4()}}}}
		},
		gone: func(g SecurityGroup) { d.do("DeleteSecurityGroup", arn(g)) },
		change: func(was, is SecurityGroup) {
			d.rules("Ingress", arn(is), was.Ingress, is.Ingress)
			d.rules("Egress", arn(is), was.Egress, is.Egress)
			d.tags(arn(is), was.Tags, is.Tags)
		},
	})
}

// rules does what leads from the rules of a group in one direction to others. EC2 has a rule for each peer.
func (d *difference) rules(direction, group string, was, is []Rule) {
	old, now := permissions(was), permissions(is)
	var added, described bool
	for p, text := range now {
		other, there := old[p]
		delete(old, p)
		added, described = added || !there, described || there && other != text
	}
	d.doIf(added, "AuthorizeSecurityGroup"+direction, group)
	d.doIf(described, "UpdateSecurityGroupRuleDescriptions"+direction, group)
	d.doIf(len(old) > 0, "RevokeSecurityGroup"+direction, group)
}

// permission is a rule of one peer, as EC2 counts rules.
type permission struct {
	traffic traffic
	peer    string
}

// permissions returns the descriptions of all rules, of those that are there twice the last.
func permissions(rules []Rule) map[permission]string {
	all := map[permission]string{}
	for _, r := range rules {
		for _, peer := range slices.Concat(join(r.CIDRs), join(r.IPv6CIDRs), r.PrefixLists, r.Groups) {
			all[permission{r.traffic(), peer}] = r.Description
		}
	}
	return all
}

func (d *difference) prefixLists() {
	arn := func(l PrefixList) string { return "prefix-list/" + l.ID }
	diff(d.before.PrefixLists, d.after.PrefixLists, kind[PrefixList]{
		id:    func(l PrefixList) string { return l.ID },
		fixed: func(l PrefixList) any { return l.AddressFamily },
		made:  func(PrefixList) { d.do("CreateManagedPrefixList", "prefix-list/*") },
		fresh: func(l PrefixList) PrefixList { l.Tags = nil; return l },
		gone:  func(l PrefixList) { d.do("DeleteManagedPrefixList", arn(l)) },
		change: func(was, is PrefixList) {
			d.doIf(was.Name != is.Name || was.MaxEntries != is.MaxEntries || missing(was.Entries, is.Entries) || missing(is.Entries, was.Entries),
				"ModifyManagedPrefixList", arn(is))
			d.tags(arn(is), was.Tags, is.Tags)
		},
	})
}

func (d *difference) acls() {
	arn := func(a NetworkACL) string { return "network-acl/" + a.ID }
	diff(d.before.NetworkACLs, d.after.NetworkACLs, kind[NetworkACL]{
		id:    func(a NetworkACL) string { return a.ID },
		fixed: func(a NetworkACL) any { return fmt.Sprint(a.VPC, a.IsDefault) },
		made:  func(a NetworkACL) { d.do("CreateNetworkAcl", "network-acl/*", "vpc/"+a.VPC) },
		fresh: func(NetworkACL) NetworkACL { return NetworkACL{} },
		gone: func(a NetworkACL) {
			d.doIf(len(a.Subnets) > 0, "ReplaceNetworkAclAssociation", arn(a))
			d.do("DeleteNetworkAcl", arn(a))
		},
		change: func(was, is NetworkACL) {
			d.entries(arn(is), was.Entries, is.Entries)
			// A subnet that no ACL names goes to the default one, by an action on the ACL that it leaves.
			d.doIf(missing(was.Subnets, is.Subnets) || missing(is.Subnets, was.Subnets), "ReplaceNetworkAclAssociation", arn(is))
			d.tags(arn(is), was.Tags, is.Tags)
		},
	})
}

// entries does what leads from the entries of an ACL to others. EC2 knows them by number and direction.
func (d *difference) entries(acl string, was, is []NetworkACLEntry) {
	type key struct {
		number int
		egress bool
	}
	old := map[key]NetworkACLEntry{}
	for _, e := range was {
		old[key{e.RuleNumber, e.Egress}] = e
	}
	for _, e := range is {
		other, there := old[key{e.RuleNumber, e.Egress}]
		delete(old, key{e.RuleNumber, e.Egress})
		d.doIf(!there, "CreateNetworkAclEntry", acl)
		d.doIf(there && other != e, "ReplaceNetworkAclEntry", acl)
	}
	d.doIf(len(old) > 0, "DeleteNetworkAclEntry", acl)
}

func (d *difference) routeTables() {
	arn := func(t RouteTable) string { return "route-table/" + t.ID }
	had, has := associations(d.before), associations(d.after)
	diff(d.before.RouteTables, d.after.RouteTables, kind[RouteTable]{
		id:    func(t RouteTable) string { return t.ID },
		fixed: func(t RouteTable) any { return t.VPC },
		made:  func(t RouteTable) { d.do("CreateRouteTable", "route-table/*", "vpc/"+t.VPC) },
		fresh: func(RouteTable) RouteTable { return RouteTable{} },
		gone: func(t RouteTable) {
			d.doIf(len(t.Subnets) > 0, "DisassociateRouteTable", arn(t))
			d.do("DeleteRouteTable", arn(t))
		},
		change: func(was, is RouteTable) {
			d.routes(arn(is), was.Routes, is.Routes)
			d.doIf(was.Main != is.Main, "ReplaceRouteTableAssociation", arn(is))
			for _, n := range is.Subnets {
				fresh := !slices.Contains(was.Subnets, n)
				d.doIf(fresh && had[n] != "", "ReplaceRouteTableAssociation", arn(is))
				d.doIf(fresh && had[n] == "", "AssociateRouteTable", arn(is), "subnet/"+n)
			}
			for _, n := range was.Subnets {
				d.doIf(has[n] == "", "DisassociateRouteTable", arn(is))
			}
			d.tags(arn(is), was.Tags, is.Tags)
		},
	})
}

// associations returns the route tables that subnets name.
func associations(s State) map[string]string {
	all := map[string]string{}
	for _, t := range s.RouteTables {
		for _, n := range t.Subnets {
			all[n] = t.ID
		}
	}
	return all
}

// routes does what leads from the routes of a table to others. EC2 knows them by where they go. Of two prefix lists that
// overlap the first route counts.
func (d *difference) routes(table string, was, is []Route) {
	to := func(r Route) Route { r.Target = ""; return r }
	old := map[Route]string{}
	for _, r := range was {
		old[to(r)] = r.Target
	}
	for _, r := range is {
		target, there := old[to(r)]
		delete(old, to(r))
		d.doIf(!there, "CreateRoute", table)
		d.doIf(there && target != r.Target, "ReplaceRoute", table)
	}
	d.doIf(len(old) > 0, "DeleteRoute", table)
	lists := func(routes []Route) (ids []string) {
		for _, r := range routes {
			if r.PrefixList != "" {
				ids = append(ids, r.PrefixList)
			}
		}
		return ids
	}
	d.doIf(reordered(lists(was), lists(is)), "ReplaceRoute", table)
}
