package linux

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/network"
)

// Names of sets and chains in a router.
const (
	sourceSet   = "sources"
	publicSet   = "public"
	endpointSet = "endpoints"
	classSet    = "classes"
	egressMap   = "egress"
	ingressMap  = "ingress"
	admitted    = "admitted"
	uplinkSet   = "uplinks"
)

func membersSet(group string) string { return "members-" + group }

var (
	accept = verdict{Kind: "accept"}
	drop   = verdict{Kind: "drop"}
)

// class is a distinct set of security groups that ENIs carry. Packets are looked up by the class of their ENI, and an
// element of a data map adds an ENI; a verdict map keyed by address would have the kernel walk every chain of the table
// for each new ENI to rule out loops.
type class struct {
	ID     uint32
	Groups []string // sorted
}

// classKey identifies a set of groups.
func classKey(groups []string) string {
	sorted := slices.Sorted(slices.Values(groups))
	return strings.Join(sorted, ",")
}

// classTable numbers the sets of groups of a VPC's ENIs, from 1 on in order of their keys.
func classTable(enis []network.ENI) map[string]class {
	table := map[string]class{}
	for _, e := range enis {
		table[classKey(e.SecurityGroups)] = class{}
	}
	var n uint32
	for _, key := range slices.Sorted(maps.Keys(table)) {
		n++
		table[key] = class{ID: n, Groups: strings.Split(key, ",")}
	}
	return table
}

// routerRuleset renders the table of one VPC's router. enis are the VPC's; hostAddr is the host's end of the uplink,
// invalid if there is none.
func routerRuleset(s network.State, vpcID string, enis []network.ENI, table map[string]class, hostAddr netip.Addr) ruleset {
	r := ruleset{Table: routerTable}
	r.Sets = routerSets(s, vpcID, enis, table)
	r.Chains = routerChains(hostAddr)
	for _, g := range sortedGroups(s, vpcID) {
		r.Chains = append(r.Chains, groupChains(g)...)
	}
	for _, c := range sortedClasses(table) {
		r.Chains = append(r.Chains, classChains(c)...)
	}
	return r
}

func sortedGroups(s network.State, vpcID string) []network.SecurityGroup {
	var groups []network.SecurityGroup
	for _, g := range s.SecurityGroups {
		if g.VPC == vpcID {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b network.SecurityGroup) int { return cmp.Compare(a.ID, b.ID) })
	return groups
}

func sortedClasses(table map[string]class) []class {
	return slices.SortedFunc(maps.Values(table), func(a, b class) int { return cmp.Compare(a.ID, b.ID) })
}

func routerSets(s network.State, vpcID string, enis []network.ENI, table map[string]class) []set {
	sets := []set{
		{Name: sourceSet, Kind: sources}, {Name: publicSet, Kind: addrs}, {Name: endpointSet, Kind: addrs},
		{Name: classSet, Kind: classes}, {Name: egressMap, Kind: verdicts}, {Name: ingressMap, Kind: verdicts},
	}
	for _, g := range sortedGroups(s, vpcID) {
		sets = append(sets, set{Name: membersSet(g.ID), Kind: addrs})
	}
	index := map[string]int{}
	for i := range sets {
		index[sets[i].Name] = i
	}
	add := func(elements []setElement) {
		for _, e := range elements {
			sets[index[e.Set]].Elements = append(sets[index[e.Set]].Elements, e.element)
		}
	}
	v, _ := s.VPC(vpcID)
	for _, a := range append(network.EndpointAddrs(), v.Resolver()) {
		if !a.IsValid() {
			continue // the VPC is not known yet
		}
		add([]setElement{{Set: endpointSet, element: element{Addr: a}}})
	}
	for _, c := range sortedClasses(table) {
		add(classElements(c))
	}
	for _, e := range enis {
		add(eniElements(e, table[classKey(e.SecurityGroups)]))
	}
	return sets
}

// eniElements returns all that admits an ENI: a handful of set elements, whatever the number of ENIs and rules.
func eniElements(e network.ENI, c class) []setElement {
	list := []setElement{
		{sourceSet, sources, element{Interface: linkName(e.ID), Addr: e.PrivateIPv4, MAC: e.MAC}},
		{classSet, classes, element{Addr: e.PrivateIPv4, Class: c.ID}},
	}
	if e.AssignPublicIP {
		list = append(list, setElement{publicSet, addrs, element{Addr: e.PrivateIPv4}})
	}
	for _, g := range c.Groups {
		list = append(list, setElement{membersSet(g), addrs, element{Addr: e.PrivateIPv4}})
	}
	return list
}

// classElements returns what leads from a class to its chains. The egress chains are left for the one that goes on with
// the receiver; the ingress chains return to it.
func classElements(c class) []setElement {
	return []setElement{
		{egressMap, verdicts, element{Class: c.ID, Verdict: verdict{"goto", c.chain("egress")}}},
		{ingressMap, verdicts, element{Class: c.ID, Verdict: verdict{"jump", c.chain("ingress")}}},
	}
}

// chain returns the name of the chain that holds the rules of all groups of the class.
func (c class) chain(direction string) string {
	if len(c.Groups) == 1 {
		return c.Groups[0] + "-" + direction
	}
	return fmt.Sprintf("class-%d-%s", c.ID, direction)
}

// classChains returns the chains of a class with several groups; a single group's own chains do for the others.
func classChains(c class) []chain {
	if len(c.Groups) == 1 {
		return nil
	}
	var chains []chain
	for _, direction := range []string{"egress", "ingress"} {
		all := chain{Name: c.chain(direction)}
		for _, g := range c.Groups {
			all.Rules = append(all.Rules, rule{verdict{"jump", g + "-" + direction}})
		}
		chains = append(chains, all)
	}
	return chains
}

// routerChains returns the chains that are the same in every router.
func routerChains(hostAddr netip.Addr) []chain {
	prerouting := []rule{{sourceCheck{sourceSet}, accept}}
	input := []rule{{tracked{}, accept}, {iif{"lo"}, accept}}
	forward := []rule{{tracked{}, accept}}
	outward := []rule{{oif{uplinkName}, drop}}
	if hostAddr.IsValid() {
		prerouting = append(prerouting, rule{iif{uplinkName}, accept})
		input = append(input, rule{iif{uplinkName}, drop})
		forward = append(forward,
			rule{iif{uplinkName}, source{netip.PrefixFrom(hostAddr, hostAddr.BitLen())}, accept},
			rule{iif{uplinkName}, drop})
		outward = []rule{{oif{uplinkName}, sourceIn{publicSet}, accept}, {oif{uplinkName}, drop}}
	}
	prerouting = append(prerouting, rule{iif{"lo"}, accept})
	input = append(input, rule{destIn{endpointSet}, accept})
	forward = append(forward, rule{classOf{Source: true}, classVerdict{egressMap}})
	return []chain{
		// Before connection tracking, so that a forged packet leaves no trace in it.
		{Name: "prerouting", Hook: &hook{"filter", "prerouting", -300, true}, Rules: prerouting},
		{Name: "input", Hook: &hook{"filter", "input", 0, true}, Rules: input},
		{Name: "forward", Hook: &hook{"filter", "forward", 0, true}, Rules: forward},
		{Name: admitted, Rules: append(outward, rule{classOf{Source: false}, classVerdict{ingressMap}}, rule{drop})},
	}
}

// groupChains renders the rules of a security group: a packet that an egress rule allows goes on to the receiver's
// groups, one that an ingress rule allows has arrived.
func groupChains(g network.SecurityGroup) []chain {
	egress := chain{Name: g.ID + "-egress"}
	for _, r := range g.Egress {
		egress.Rules = append(egress.Rules, groupRules(r, false, verdict{"goto", admitted})...)
	}
	ingress := chain{Name: g.ID + "-ingress"}
	for _, r := range g.Ingress {
		ingress.Rules = append(ingress.Rules, groupRules(r, true, accept)...)
	}
	return []chain{egress, ingress}
}

// groupRules renders one security group rule, a rule for each peer.
func groupRules(r network.Rule, inbound bool, then verdict) []rule {
	match := protocolMatch(r)
	var rules []rule
	for _, c := range r.CIDRs {
		var peer []statement
		switch {
		case c.Bits() == 0: // every peer
		case inbound:
			peer = []statement{source{c}}
		default:
			peer = []statement{dest{c}}
		}
		rules = append(rules, slices.Concat(rule(peer), match, rule{then}))
	}
	for _, id := range r.Groups {
		var peer statement = destIn{membersSet(id)}
		if inbound {
			peer = sourceIn{membersSet(id)}
		}
		rules = append(rules, slices.Concat(rule{peer}, match, rule{then}))
	}
	return rules
}

func protocolMatch(r network.Rule) rule {
	number, _ := r.Protocol.Number()
	if number < 0 {
		return nil
	}
	match := rule{protocol{uint8(number)}}
	switch {
	case (r.Protocol.Is(network.TCP) || r.Protocol.Is(network.UDP)) && (r.FromPort > 0 || r.ToPort < 65535):
		match = append(match, destPort{uint16(r.FromPort), uint16(r.ToPort)})
	case r.Protocol.Is(network.ICMP) && r.ICMPType != network.AnyICMP:
		match = append(match, icmp{r.ICMPType, r.ICMPCode})
	}
	return match
}

// hostRuleset renders the table in the host's namespace: it lets tasks out and keeps everything else apart.
func hostRuleset(owner string, uplinks []string, blocks []netip.Prefix) ruleset {
	r := ruleset{Table: hostTable(owner), Sets: []set{{Name: uplinkSet, Kind: interfaces}}}
	for _, u := range uplinks {
		r.Sets[0].Elements = append(r.Sets[0].Elements, element{Interface: u})
	}
	nat := chain{Name: "postrouting", Hook: &hook{"nat", "postrouting", 100, false}}
	for _, b := range blocks {
		nat.Rules = append(nat.Rules, rule{source{b}, notOIFIn{uplinkSet}, masquerade{}})
	}
	// What the host itself sends has its own end of the uplink as source, and routers know it by that.
	nat.Rules = append(nat.Rules, rule{oifIn{uplinkSet}, masquerade{}})
	r.Chains = []chain{
		{Name: "input", Hook: &hook{"filter", "input", 0, false}, Rules: []rule{
			{iifIn{uplinkSet}, tracked{}, accept},
			{iifIn{uplinkSet}, drop},
		}},
		{Name: "forward", Hook: &hook{"filter", "forward", 0, false}, Rules: []rule{
			{iifIn{uplinkSet}, oifIn{uplinkSet}, drop},
			{iifIn{uplinkSet}, untracked{}, drop}, // it would leave with its private address
			{oifIn{uplinkSet}, tracked{}, accept},
			{oifIn{uplinkSet}, drop},
		}},
		nat,
	}
	return r
}
