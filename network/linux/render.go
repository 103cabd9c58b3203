package linux

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// Names of sets and chains in a router.
const (
	sourceSet   = "sources"
	senderSet   = "senders" // of ENIs without source check
	publicSet   = "public"
	inboundMap  = "inbound"  // public address → private one
	outboundMap = "outbound" // and back
	endpointSet = "endpoints"
	classSet    = "classes"
	egressMap   = "egress"
	ingressMap  = "ingress"
	withinSet   = "within"
	leavingMap  = "leaving"  // network ACLs, by subnet
	enteringMap = "entering" // as above
	openMap     = "open"     // subnets that an internet gateway reaches
	filtered    = "filtered"
	stateful    = "stateful"
	overPeering = "over-peering"
	overNAT     = "over-nat"
	admitted    = "admitted"
	arriving    = "arriving"
	inward      = "inward"
	outward     = "outward"
	uplinkSet   = "uplinks"
)

func membersSet(group string) string { return "members-" + group }
func prefixSet(list string) string   { return "prefixes-" + list }

var (
	accept = verdict{Kind: "accept"}
	drop   = verdict{Kind: "drop"}
)

func jump(chain string) verdict   { return verdict{"jump", chain} }
func follow(chain string) verdict { return verdict{"goto", chain} }

// routerRulesets renders the tables of one VPC's router, one for each family and one for ARP. ports are the ENIs of the VPC that exist,
// foreign those of others; hostAddr is the host's end of the uplink, invalid if there is none.
func routerRulesets(v view, ports, foreign []port, table map[string]class, host uplinkEnds) []ruleset {
	var all []ruleset
	for _, f := range families() {
		r := routerFrame(v, f, host)
		for _, c := range sortedClasses(table) {
			r.Chains = append(r.Chains, classChains(c)...)
		}
		r.fill(routerElements(v, f, ports, foreign, table))
		all = append(all, r)
	}
	return append(all, arpRuleset(ports))
}

// arpRuleset renders the table of ARP: an ENI speaks for its own address alone. Whatever else it said would change nothing
// of where packets go, but the kernel takes note of it, in a table of neighbors whose size is one for the host and all
// namespaces.
func arpRuleset(ports []port) ruleset {
	r := ruleset{Family: arp, Table: routerTable, Sets: []set{{Name: sourceSet, Kind: sources}}, Chains: []chain{
		{Name: "input", Hook: &hook{"filter", "input", 0, false}, Rules: []rule{
			{arpCheck{sourceSet}, accept},
			{iifHead{eniLinkHead}, drop},
		}}}}
	for _, p := range ports {
		r.fill(portElements(p, class{}, arp))
	}
	return r
}

// routerFrame renders the part of a router's table that does not depend on ENIs.
func routerFrame(v view, f family, host uplinkEnds) ruleset {
	r := ruleset{Family: f, Table: routerTable, Sets: routerSets(v, f), Chains: routerChains(v, f, host)}
	for _, g := range v.Groups {
		r.Chains = append(r.Chains, v.groupChains(g, f)...)
	}
	if len(v.Peerings) > 0 {
		r.Chains = append(r.Chains, v.knownChain(overPeering, f))
	}
	if len(v.NATs) > 0 && f == ipv4 {
		r.Chains = append(r.Chains, v.knownChain(overNAT, f))
	}
	r.Chains = append(r.Chains, v.aclChains(f)...)
	r.Chains = append(r.Chains, v.openChains(f)...)
	r.fill(v.frameElements(f))
	return r
}

// routerSets returns the sets of a router's table, empty but for prefix lists.
func routerSets(v view, f family) []set {
	sets := []set{
		{Name: sourceSet, Kind: sources}, {Name: senderSet, Kind: hardwares},
		{Name: classSet, Kind: classes}, {Name: egressMap, Kind: verdicts}, {Name: ingressMap, Kind: verdicts},
		{Name: withinSet, Kind: groupPairs}, {Name: leavingMap, Kind: groupVerdicts}, {Name: enteringMap, Kind: groupVerdicts},
		{Name: openMap, Kind: groupVerdicts},
	}
	if f == ipv4 {
		sets = append(sets, set{Name: publicSet, Kind: addrs}, set{Name: inboundMap, Kind: translations},
			set{Name: outboundMap, Kind: translations}, set{Name: endpointSet, Kind: addrs}, set{Name: publishedSet, Kind: services})
	}
	for _, g := range v.Groups {
		sets = append(sets, set{Name: membersSet(g.ID), Kind: addrs})
	}
	for _, id := range v.Foreign {
		sets = append(sets, set{Name: membersSet(id), Kind: addrs})
	}
	for _, l := range v.prefixLists(f) {
		s := set{Name: prefixSet(l.ID), Kind: ranges}
		for _, p := range l.CIDRs() {
			s.Elements = append(s.Elements, element{Prefix: p})
		}
		sets = append(sets, s)
	}
	return sets
}

// fill puts elements into the sets they belong to.
func (r *ruleset) fill(elements []setElement) {
	index := map[string]int{}
	for i := range r.Sets {
		index[r.Sets[i].Name] = i
	}
	for _, e := range elements {
		if i, ok := index[e.Set]; ok && e.Family == r.Family {
			r.Sets[i].Elements = append(r.Sets[i].Elements, e.element)
		}
	}
}

// prefixLists returns the lists that rules of the VPC's groups name.
func (v view) prefixLists(f family) []network.PrefixList {
	var lists []network.PrefixList
	for _, l := range v.State.PrefixLists {
		if isOf(l, f) && slices.ContainsFunc(v.Groups, func(g network.SecurityGroup) bool {
			return slices.ContainsFunc(slices.Concat(g.Ingress, g.Egress), func(r network.Rule) bool { return slices.Contains(r.PrefixLists, l.ID) })
		}) {
			lists = append(lists, l)
		}
	}
	return lists
}

func isOf(l network.PrefixList, f family) bool {
	return (l.AddressFamily == network.IPv6) == (f == ipv6)
}

// frameElements returns the elements that do not depend on ENIs.
func (v view) frameElements(f family) []setElement {
	var list []setElement
	for _, n := range v.Subnets {
		at := v.Links[n.ID]
		list = append(list, setElement{f, withinSet, groupPairs, element{Group: at}})
		list = append(list, v.aclElements(n, f)...)
		if v.isOpen(n, f) {
			list = append(list, setElement{f, openMap, groupVerdicts, element{Group: at, Verdict: follow(openChain(n.ID))}})
		}
	}
	if f != ipv4 {
		return list
	}
	for _, a := range v.endpoints() {
		list = append(list, setElement{f, endpointSet, addrs, element{Addr: a}})
	}
	if len(v.NATs) > 0 {
		list = append(list, setElement{f, egressMap, verdicts, element{Class: gatewayClass, Verdict: follow(admitted)}},
			setElement{f, ingressMap, verdicts, element{Class: gatewayClass, Verdict: jump(overNAT)}})
	}
	for _, g := range v.NATs {
		link := natLink(g)
		list = append(list, setElement{f, senderSet, hardwares, element{Interface: link, MAC: natMAC(g)}},
			setElement{f, classSet, classes, element{Interface: link, Class: gatewayClass}},
			setElement{f, publicSet, addrs, element{Addr: g.PrivateIPv4}})
		if a, ok := v.State.Address(g.Allocation); ok {
			list = append(list, setElement{f, outboundMap, translations, element{Addr: g.PrivateIPv4, To: a.PublicIP}})
		}
	}
	return list
}

// endpoints returns the addresses at which the router itself answers.
func (v view) endpoints() []netip.Addr {
	all := network.EndpointAddrs()
	if a := v.VPC.Resolver(); a.IsValid() {
		all = append(all, a)
	}
	return all
}

// routerElements returns the elements for ENIs and their classes.
func routerElements(v view, f family, ports, foreign []port, table map[string]class) []setElement {
	var list []setElement
	for _, c := range sortedClasses(table) {
		list = append(list, classElements(c, f)...)
	}
	for _, p := range ports {
		list = append(list, portElements(p, table[classKey(p.SecurityGroups)], f)...)
	}
	for _, p := range foreign {
		list = append(list, memberElements(p, p.SecurityGroups, f)...)
	}
	return list
}

// portElements returns all that admits an ENI: a handful of set elements, whatever the number of ENIs and rules.
func portElements(p port, c class, f family) []setElement {
	if f == arp {
		return []setElement{{arp, sourceSet, sources, element{Interface: linkName(p.ID), Addr: p.PrivateIPv4, MAC: p.MAC}}}
	}
	addr := p.addr(f)
	if !addr.IsValid() {
		return nil
	}
	link := linkName(p.ID)
	list := []setElement{
		{f, sourceSet, sources, element{Interface: link, Addr: addr, MAC: p.MAC}},
		{f, classSet, classes, element{Interface: link, Class: c.ID}},
	}
	if p.NoSourceDestCheck {
		list = append(list, setElement{f, senderSet, hardwares, element{Interface: link, MAC: p.MAC}})
	}
	if f == ipv4 && p.Out {
		list = append(list, setElement{f, publicSet, addrs, element{Addr: addr}})
	}
	if f == ipv4 && p.Public.IsValid() {
		list = append(list, setElement{f, inboundMap, translations, element{Addr: p.Public, To: addr}},
			setElement{f, outboundMap, translations, element{Addr: addr, To: p.Public}})
	}
	if f == ipv4 {
		list = append(list, serviceElements(p, false)...)
	}
	return append(list, memberElements(p, c.Groups, f)...)
}

// memberElements makes an ENI's address a member of groups.
func memberElements(p port, groups []string, f family) []setElement {
	var list []setElement
	if addr := p.addr(f); addr.IsValid() {
		for _, g := range groups {
			list = append(list, setElement{f, membersSet(g), addrs, element{Addr: addr}})
		}
	}
	return list
}

// classElements returns what leads from a class to its chains. The egress chains are left for the one that goes on with
// the receiver; the ingress chains return to it.
func classElements(c class, f family) []setElement {
	return []setElement{
		{f, egressMap, verdicts, element{Class: c.ID, Verdict: follow(c.chain("egress"))}},
		{f, ingressMap, verdicts, element{Class: c.ID, Verdict: jump(c.chain("ingress"))}},
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
			all.Rules = append(all.Rules, rule{jump(g + "-" + direction)})
		}
		chains = append(chains, all)
	}
	return chains
}

// groupChains renders the rules of a security group: a packet that an egress rule allows goes on to the receiver's
// groups, one that an ingress rule allows has arrived.
func (v view) groupChains(g network.SecurityGroup, f family) []chain {
	egress := chain{Name: g.ID + "-egress"}
	for _, r := range g.Egress {
		egress.Rules = append(egress.Rules, v.groupRules(r, f, false, follow(admitted))...)
	}
	ingress := chain{Name: g.ID + "-ingress"}
	for _, r := range g.Ingress {
		ingress.Rules = append(ingress.Rules, v.groupRules(r, f, true, accept)...)
	}
	return []chain{egress, ingress}
}

// groupRules renders one security group rule, a rule for each peer.
func (v view) groupRules(r network.Rule, f family, inbound bool, then verdict) []rule {
	match := protocolMatch(r.Protocol, r.FromPort, r.ToPort, r.ICMPType, r.ICMPCode)
	var rules []rule
	for _, c := range f.only(slices.Concat(r.CIDRs, r.IPv6CIDRs)) {
		rules = append(rules, slices.Concat(peerPrefix(c, inbound), match, rule{then}))
	}
	for _, id := range r.PrefixLists {
		if l, ok := v.State.PrefixList(id); ok && isOf(l, f) {
			rules = append(rules, slices.Concat(peerIn(prefixSet(id), inbound), match, rule{then}))
		}
	}
	for _, id := range r.Groups {
		rules = append(rules, slices.Concat(peerIn(membersSet(id), inbound), match, rule{then}))
	}
	return rules
}

// peerPrefix matches packets whose other side is in a prefix.
func peerPrefix(c netip.Prefix, inbound bool) rule {
	switch {
	case c.Bits() == 0:
		return nil // every peer
	case inbound:
		return rule{source{c}}
	}
	return rule{dest{c}}
}

func peerIn(set string, inbound bool) rule {
	if inbound {
		return rule{sourceIn{set}}
	}
	return rule{destIn{set}}
}

func protocolMatch(p network.Protocol, from, to, icmpType, icmpCode int) rule {
	number, _ := p.Number()
	if number < 0 {
		return nil
	}
	match := rule{protocol{uint8(number)}}
	switch {
	case (p.Is(network.TCP) || p.Is(network.UDP)) && (from > 0 || to < 65535):
		match = append(match, destPort{uint16(from), uint16(to)})
	case (p.Is(network.ICMP) || p.Is(network.ICMPv6)) && icmpType != network.AnyICMP:
		match = append(match, icmp{icmpType, icmpCode})
	}
	return match
}
