package scenario

import (
	"net/netip"

	"github.com/fardel-io/fardel/network"
)

// ports are those that rules begin and end with and that packets go to.
func ports() []uint16 { return []uint16{0, 22, 80, 443, 8080, 65535} }

// traffic returns a protocol with its ports or types, for IPv6 if six.
func (g *Generator) traffic(six bool) (p network.Protocol, from, to, kind, code int) {
	p = pick(g, network.TCP, network.TCP, network.UDP, network.ICMP, network.AllProtocols, network.AllProtocols, "253", "6")
	if six && p == network.ICMP {
		p = network.ICMPv6
	}
	switch {
	case p.Is(network.TCP), p.Is(network.UDP):
		i := g.IntN(len(ports()))
		from, to = int(ports()[i]), int(ports()[i+g.IntN(len(ports())-i)])
	case p.Is(network.ICMP), p.Is(network.ICMPv6):
		kind = pick(g, network.AnyICMP, 8, 13, 0)
		if six {
			kind = pick(g, network.AnyICMP, 128, 129, 1)
		}
		code = network.AnyICMP
		if kind >= 0 && g.chance(2) {
			code = 0
		}
	}
	return p, from, to, kind, code
}

// rules returns up to five rules for a group, no two of them equal.
func (b *builder) rules(g network.SecurityGroup) []network.Rule {
	var rules []network.Rule
	seen := map[string]bool{}
	for range b.IntN(6) {
		r := b.rule(g)
		named := r
		if named.Protocol == "6" {
			named.Protocol = network.TCP
		}
		if key := named.String(); !seen[key] {
			seen[key] = true
			rules = append(rules, r)
		}
	}
	return rules
}

// rule returns a rule with one kind of peer, so that it is for one family, or for groups.
func (b *builder) rule(g network.SecurityGroup) network.Rule {
	var r network.Rule
	six := b.has(IPv6) && b.chance(3)
	r.Protocol, r.FromPort, r.ToPort, r.ICMPType, r.ICMPCode = b.traffic(six)
	switch kind := b.IntN(6); {
	case kind <= 1:
		r.Groups = []string{pick(b.Generator, b.reachable(g)...)}
	case kind == 2 && len(b.s.PrefixLists) > 0:
		l := pick(b.Generator, b.s.PrefixLists...)
		r.PrefixLists = []string{l.ID}
		if r.Protocol.Is(network.ICMP) || r.Protocol.Is(network.ICMPv6) {
			r.Protocol, r.ICMPType, r.ICMPCode = network.AllProtocols, 0, 0
		}
	case six:
		r.IPv6CIDRs = []netip.Prefix{b.peer6(g.VPC)}
	default:
		r.CIDRs = []netip.Prefix{b.peer4(g.VPC)}
	}
	return r
}

// reachable returns the groups that a rule of g may name.
func (b *builder) reachable(g network.SecurityGroup) []string {
	ids := b.groupsOf(g.VPC)
	for _, c := range b.s.VPCPeeringConnections {
		if other, ok := c.Other(g.VPC); ok {
			ids = append(ids, b.groupsOf(other)...)
		}
	}
	return ids
}

// peer4 returns a prefix that packets of a VPC may come from or go to.
func (b *builder) peer4(vpc string) netip.Prefix {
	v, _ := b.s.VPC(vpc)
	candidates := []netip.Prefix{all4(), all4(), v.CIDRs[0], prefix("10.0.0.0/8"), prefix("198.51.100.0/24"), prefix("192.0.2.0/24"), b.cfg.PublicPool}
	for _, n := range b.s.Subnets {
		candidates = append(candidates, n.CIDR)
	}
	for range 3 {
		if len(b.s.ENIs) > 0 {
			e := pick(b.Generator, b.s.ENIs...)
			candidates = append(candidates, netip.PrefixFrom(e.PrivateIPv4, pick(b.Generator, 32, 31)).Masked())
			if a, _ := b.s.PublicIPv4(e); a.IsValid() {
				candidates = append(candidates, netip.PrefixFrom(a, 32))
			}
		}
	}
	return pick(b.Generator, candidates...)
}

func (b *builder) peer6(vpc string) netip.Prefix {
	v, _ := b.s.VPC(vpc)
	candidates := append([]netip.Prefix{all6(), all6(), prefix("fd00:0:0:ffff::/64")}, v.IPv6CIDRs...)
	for _, n := range b.s.Subnets {
		if n.IPv6CIDR.IsValid() {
			candidates = append(candidates, n.IPv6CIDR)
		}
	}
	for _, e := range b.s.ENIs {
		if e.IPv6.IsValid() && b.chance(4) {
			candidates = append(candidates, netip.PrefixFrom(e.IPv6, 128))
		}
	}
	return pick(b.Generator, candidates...)
}

// acls adds up to two network ACLs to a VPC, one perhaps the default one.
func (b *builder) acls(v network.VPC) {
	var free []string
	for _, n := range b.s.Subnets {
		if n.VPC == v.ID {
			free = append(free, n.ID)
		}
	}
	for i := range b.IntN(3) {
		a := network.NetworkACL{ID: b.id("acl"), VPC: v.ID, IsDefault: i == 0 && b.chance(2), Entries: b.entries(v.ID)}
		if len(free) > 0 && (!a.IsDefault || b.chance(2)) {
			a.Subnets, free = free[:1], free[1:]
		}
		b.s.NetworkACLs = append(b.s.NetworkACLs, a)
	}
}

// entries returns the entries of an ACL: some that decide about a part of the packets, then mostly one that allows the
// rest.
func (b *builder) entries(vpc string) []network.NetworkACLEntry {
	var all []network.NetworkACLEntry
	for _, egress := range []bool{false, true} {
		for _, n := range b.Perm(40)[:b.IntN(5)] {
			six := b.has(IPv6) && b.chance(3)
			e := network.NetworkACLEntry{RuleNumber: 1 + n, Egress: egress, RuleAction: pick(b.Generator, network.RuleAllow, network.RuleDeny), CIDR: b.peer4(vpc)}
			e.Protocol, e.FromPort, e.ToPort, e.ICMPType, e.ICMPCode = b.traffic(six)
			if six {
				e.CIDR = b.peer6(vpc)
			}
			all = append(all, e)
		}
		for i, c := range []netip.Prefix{all4(), all6()} {
			if b.chance(4) || i == 1 && !b.has(IPv6) {
				continue
			}
			e := network.NetworkACLEntry{RuleNumber: 100 + i, Egress: egress, RuleAction: network.RuleAllow, Protocol: network.AllProtocols, CIDR: c}
			if b.chance(4) { // only the ports of servers, or only those of clients
				e.Protocol, e.FromPort, e.ToPort = network.TCP, pick(b.Generator, 0, 1024), pick(b.Generator, 1023, 65535)
				e.FromPort, e.ToPort = min(e.FromPort, e.ToPort), max(e.FromPort, e.ToPort)
			}
			all = append(all, e)
		}
	}
	b.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}
