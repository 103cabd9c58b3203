package linux

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// aclChain returns the name of the chain of a network ACL. One without an ID allows everything and has none.
func aclChain(id string, egress bool) string {
	if egress {
		return id + "-egress"
	}
	return id + "-ingress"
}

// aclRules renders the entries of one direction: what an entry allows goes on after the chain, the rest is dropped.
func aclRules(acl network.NetworkACL, f family, egress bool) []rule {
	var rules []rule
	for _, e := range acl.Entries {
		if e.Egress != egress || !f.holds(e.CIDR) {
			continue
		}
		then := verdict{Kind: "return"}
		if e.RuleAction == network.RuleDeny {
			then = drop
		}
		match := protocolMatch(e.Protocol, e.FromPort, e.ToPort, e.ICMPType, e.ICMPCode)
		rules = append(rules, slices.Concat(peerPrefix(e.CIDR, !egress), match, rule{then}))
	}
	return append(rules, rule{drop})
}

// allows reports whether rules let everything pass at the first one.
func allows(rules []rule) bool { return rules[0].equal(rule{verdict{Kind: "return"}}) }

// filters reports whether any subnet has a network ACL that is in the way of anything.
func (v view) filters() bool {
	return slices.ContainsFunc(v.Subnets, func(n network.Subnet) bool {
		for _, f := range families() {
			if len(v.aclElements(n, f)) > 0 {
				return true
			}
		}
		return false
	})
}

// aclElements leads from a subnet to its network ACL, unless that allows everything.
func (v view) aclElements(n network.Subnet, f family) []setElement {
	acl, ok := v.State.SubnetNetworkACL(n.ID)
	if !ok || acl.ID == "" {
		return nil
	}
	var list []setElement
	for _, egress := range []bool{true, false} {
		if allows(aclRules(acl, f, egress)) {
			continue
		}
		name := enteringMap
		if egress {
			name = leavingMap
		}
		list = append(list, setElement{f, name, groupVerdicts, element{Group: v.Links[n.ID], Verdict: jump(aclChain(acl.ID, egress))}})
	}
	return list
}

// aclChains renders the network ACLs of the VPC's subnets.
func (v view) aclChains(f family) []chain {
	acls := map[string]network.NetworkACL{}
	for _, n := range v.Subnets {
		if acl, ok := v.State.SubnetNetworkACL(n.ID); ok && acl.ID != "" {
			acls[acl.ID] = acl
		}
	}
	var chains []chain
	for _, acl := range acls {
		for _, egress := range []bool{true, false} {
			if rules := aclRules(acl, f, egress); !allows(rules) {
				chains = append(chains, chain{Name: aclChain(acl.ID, egress), Rules: rules})
			}
		}
	}
	slices.SortFunc(chains, func(a, b chain) int { return cmp.Compare(a.Name, b.Name) })
	return chains
}

// openChain returns the name of the chain that decides what the internet gateway carries into a subnet.
func openChain(subnet string) string { return "open-" + subnet }

// isOpen reports whether a subnet's route table leads anywhere by an internet gateway or an egress-only one.
func (v view) isOpen(n network.Subnet, f family) bool {
	return slices.ContainsFunc(v.subnetRoutes(n, f), func(r network.Route) bool { return v.isGateway(r.Target) })
}

func (v view) isInternet(target string) bool {
	_, ok := v.State.InternetGateway(target)
	return ok
}

// openChains render the route tables of subnets by whether the answer to a packet's source goes through the internet
// gateway: the longest prefix first, so the first match is that of the route.
func (v view) openChains(f family) []chain {
	var chains []chain
	for _, n := range v.Subnets {
		if !v.isOpen(n, f) {
			continue
		}
		c := chain{Name: openChain(n.ID)}
		for _, r := range v.subnetRoutes(n, f) {
			switch from := peerPrefix(r.Destination, true); {
			case v.isInternet(r.Target):
				c.Rules = append(c.Rules, append(from, follow(arriving)))
			case v.isGateway(r.Target):
				c.Rules = append(c.Rules, slices.Concat(from, rule{tracked{}, follow(arriving)}), append(from, drop))
			default:
				c.Rules = append(c.Rules, append(from, drop))
			}
		}
		c.Rules = append(c.Rules, rule{drop})
		chains = append(chains, c)
	}
	return chains
}

// subnetRoutes returns the routes of a subnet's table, one for each prefix, the longest first.
func (v view) subnetRoutes(n network.Subnet, f family) []network.Route {
	table, _ := v.State.SubnetRouteTable(n.ID)
	var routes []network.Route
	seen := map[netip.Prefix]bool{}
	add := func(p netip.Prefix, target string) {
		if f.holds(p) && !seen[p] {
			seen[p] = true
			routes = append(routes, network.Route{Destination: p, Target: target})
		}
	}
	for _, r := range table.Routes {
		if r.PrefixList == "" {
			add(r.Destination, r.Target)
		}
	}
	for _, r := range table.Routes { // EC2: a route that names a CIDR is preferred to one of a prefix list
		if r.PrefixList != "" {
			l, _ := v.State.PrefixList(r.PrefixList)
			for _, p := range l.CIDRs() {
				add(p, r.Target)
			}
		}
	}
	slices.SortStableFunc(routes, func(a, b network.Route) int {
		return cmp.Or(cmp.Compare(b.Destination.Bits(), a.Destination.Bits()), a.Destination.Addr().Compare(b.Destination.Addr()))
	})
	return routes
}

// prefixes returns the CIDRs of the VPC.
func (v view) prefixes(f family) []netip.Prefix { return prefixesOf(v.VPC, f) }

func prefixesOf(vpc network.VPC, f family) []netip.Prefix {
	return f.only(slices.Concat(vpc.CIDRs, vpc.IPv6CIDRs))
}
