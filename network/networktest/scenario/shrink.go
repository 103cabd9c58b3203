package scenario

import (
	"slices"

	"github.com/fardel-io/fardel/network"
)

// Shrink drops parts of a state as long as fails says that what it is about is still there, and returns a valid state of
// which no single part can be dropped. fails(s) must be true. It is called some hundred times for a state of 30 ENIs,
// never with a state that [network.Validate] refuses.
func Shrink(s network.State, fails func(network.State) bool) network.State {
	for size := len(parts(s)); size > 0; {
		all := parts(s)
		smaller := false
		for at := 0; at < len(all); at += size {
			candidate := without(s, all[at:min(at+size, len(all))])
			if network.Validate(candidate) == nil && fails(candidate) {
				s, smaller = candidate, true
				break
			}
		}
		switch {
		case !smaller:
			size /= 2
		default:
			size = min(size, len(parts(s)))
		}
	}
	return s
}

// part is something that can be dropped: a list of the state, an index in it, and perhaps a list and an index in that.
type part struct {
	list  string
	i     int
	inner string
	j     int
}

// parts lists what can be dropped, what holds others first.
func parts(s network.State) []part {
	var all []part
	add := func(list string, n int) {
		for i := range n {
			all = append(all, part{list, i, "", 0})
		}
	}
	within := func(list string, i int, inner string, n int) {
		for j := range n {
			all = append(all, part{list, i, inner, j})
		}
	}
	add("vpc", len(s.VPCs))
	add("subnet", len(s.Subnets))
	add("eni", len(s.ENIs))
	add("pcx", len(s.VPCPeeringConnections))
	add("nat", len(s.NATGateways))
	add("igw", len(s.InternetGateways))
	add("eigw", len(s.EgressOnlyInternetGateways))
	add("address", len(s.Addresses))
	add("pool", len(s.PublicIPv4Pools))
	add("table", len(s.RouteTables))
	add("acl", len(s.NetworkACLs))
	add("group", len(s.SecurityGroups))
	add("list", len(s.PrefixLists))
	for i, t := range s.RouteTables {
		within("table", i, "route", len(t.Routes))
	}
	for i, a := range s.NetworkACLs {
		within("acl", i, "entry", len(a.Entries))
	}
	for i, g := range s.SecurityGroups {
		within("group", i, "ingress", len(g.Ingress))
		within("group", i, "egress", len(g.Egress))
	}
	for i, e := range s.ENIs {
		within("eni", i, "carried", len(e.SecurityGroups))
		within("eni", i, "published", len(e.PublishedPorts))
	}
	return all
}

// without returns s without some parts, and without what refers to them.
func without(s network.State, dropped []part) network.State {
	gone := map[part]bool{}
	for _, p := range dropped {
		gone[p] = true
	}
	s = s.Clone()
	for i := range s.RouteTables {
		s.RouteTables[i].Routes = drop(s.RouteTables[i].Routes, gone, part{"table", i, "route", 0})
	}
	for i := range s.NetworkACLs {
		s.NetworkACLs[i].Entries = drop(s.NetworkACLs[i].Entries, gone, part{"acl", i, "entry", 0})
	}
	for i := range s.SecurityGroups {
		s.SecurityGroups[i].Ingress = drop(s.SecurityGroups[i].Ingress, gone, part{"group", i, "ingress", 0})
		s.SecurityGroups[i].Egress = drop(s.SecurityGroups[i].Egress, gone, part{"group", i, "egress", 0})
	}
	for i := range s.ENIs {
		s.ENIs[i].SecurityGroups = drop(s.ENIs[i].SecurityGroups, gone, part{"eni", i, "carried", 0})
		s.ENIs[i].PublishedPorts = drop(s.ENIs[i].PublishedPorts, gone, part{"eni", i, "published", 0})
	}
	s.VPCs = drop(s.VPCs, gone, part{list: "vpc"})
	s.Subnets = drop(s.Subnets, gone, part{list: "subnet"})
	s.ENIs = drop(s.ENIs, gone, part{list: "eni"})
	s.VPCPeeringConnections = drop(s.VPCPeeringConnections, gone, part{list: "pcx"})
	s.NATGateways = drop(s.NATGateways, gone, part{list: "nat"})
	s.InternetGateways = drop(s.InternetGateways, gone, part{list: "igw"})
	s.EgressOnlyInternetGateways = drop(s.EgressOnlyInternetGateways, gone, part{list: "eigw"})
	s.Addresses = drop(s.Addresses, gone, part{list: "address"})
	s.PublicIPv4Pools = drop(s.PublicIPv4Pools, gone, part{list: "pool"})
	s.RouteTables = drop(s.RouteTables, gone, part{list: "table"})
	s.NetworkACLs = drop(s.NetworkACLs, gone, part{list: "acl"})
	s.SecurityGroups = drop(s.SecurityGroups, gone, part{list: "group"})
	s.PrefixLists = drop(s.PrefixLists, gone, part{list: "list"})
	return prune(s)
}

// drop removes the elements of a list that are gone.
func drop[T any](list []T, gone map[part]bool, at part) []T {
	var kept []T
	for i, x := range list {
		if at.inner == "" {
			at.i = i
		} else {
			at.j = i
		}
		if !gone[at] {
			kept = append(kept, x)
		}
	}
	return kept
}

// prune removes what refers to something that does not exist, in the order in which things refer to each other.
func prune(s network.State) network.State {
	vpc := func(id string) bool { _, ok := s.VPC(id); return ok }
	keep(&s.Subnets, func(n network.Subnet) bool { return vpc(n.VPC) })
	keep(&s.InternetGateways, func(g network.InternetGateway) bool { return vpc(g.VPC) })
	keep(&s.EgressOnlyInternetGateways, func(g network.EgressOnlyInternetGateway) bool { return vpc(g.VPC) })
	keep(&s.VPCPeeringConnections, func(c network.VPCPeeringConnection) bool { return vpc(c.Requester) && vpc(c.Accepter) })
	keep(&s.SecurityGroups, func(g network.SecurityGroup) bool { return vpc(g.VPC) })
	keep(&s.NetworkACLs, func(a network.NetworkACL) bool { return vpc(a.VPC) })
	keep(&s.RouteTables, func(t network.RouteTable) bool { return vpc(t.VPC) })
	group := func(id string) bool { _, ok := s.SecurityGroup(id); return ok }
	subnet := func(id string) bool { _, ok := s.Subnet(id); return ok }
	for i := range s.ENIs {
		keep(&s.ENIs[i].SecurityGroups, group)
	}
	keep(&s.ENIs, func(e network.ENI) bool { return subnet(e.Subnet) && len(e.SecurityGroups) > 0 })
	pooled := len(s.PublicIPv4Pools) > 0
	for i := range s.ENIs {
		if e := &s.ENIs[i]; e.PublicIPv4.IsValid() && !pooled {
			*e = unpublished(*e)
		}
	}
	keep(&s.Addresses, func(a network.Address) bool { _, ok := s.ENI(a.ENI); return pooled && (ok || a.ENI == "") })
	keep(&s.NATGateways, func(g network.NATGateway) bool { _, ok := s.Address(g.Allocation); return ok && subnet(g.Subnet) })
	pruneRules(&s, group)
	for i := range s.NetworkACLs {
		keep(&s.NetworkACLs[i].Subnets, subnet)
	}
	for i := range s.RouteTables {
		keep(&s.RouteTables[i].Subnets, subnet)
		keep(&s.RouteTables[i].Routes, func(r network.Route) bool { return exists(s, r) })
	}
	return s
}

func unpublished(e network.ENI) network.ENI {
	var none network.ENI
	e.AssignPublicIP, e.PublicIPv4 = false, none.PublicIPv4
	return e
}

// pruneRules drops groups and prefix lists that are gone from rules, and rules that are for nobody then.
func pruneRules(s *network.State, group func(string) bool) {
	list := func(id string) bool { _, ok := s.PrefixList(id); return ok }
	for i := range s.SecurityGroups {
		for _, rules := range []*[]network.Rule{&s.SecurityGroups[i].Ingress, &s.SecurityGroups[i].Egress} {
			for j := range *rules {
				keep(&(*rules)[j].Groups, group)
				keep(&(*rules)[j].PrefixLists, list)
			}
			keep(rules, func(r network.Rule) bool {
				return len(r.CIDRs)+len(r.IPv6CIDRs)+len(r.Groups)+len(r.PrefixLists) > 0
			})
		}
	}
}

// exists reports whether a route's target and prefix list do.
func exists(s network.State, r network.Route) bool {
	if _, ok := s.PrefixList(r.PrefixList); r.PrefixList != "" && !ok {
		return false
	}
	_, igw := s.InternetGateway(r.Target)
	_, eigw := s.EgressOnlyInternetGateway(r.Target)
	_, nat := s.NATGateway(r.Target)
	_, pcx := s.VPCPeeringConnection(r.Target)
	_, eni := s.ENI(r.Target)
	return igw || eigw || nat || pcx || eni || r.Target == network.TargetLocal || r.Target == network.TargetBlackhole
}

func keep[T any](list *[]T, is func(T) bool) {
	*list = slices.DeleteFunc(*list, func(x T) bool { return !is(x) })
}
