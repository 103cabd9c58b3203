package linux

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// chance makes states and packets that have something to do with each other: few ports, few prefixes, neighbours.
type chance struct {
	*rand.Rand
	v6 bool
	n  int // of names given
}

func one[T any](c *chance, list ...T) T { return list[c.IntN(len(list))] }

func (c *chance) once(in int) bool { return c.IntN(in) == 0 }

func (c *chance) id(prefix string) string {
	c.n++
	return network.NewID(prefix, fmt.Sprint(c.n))
}

// valid returns a valid state: EC2 has more rules than what makes states needs to know.
func (c *chance) valid() network.State {
	for {
		if s := c.state(); network.Validate(s) == nil {
			return s
		}
	}
}

// state returns two or three VPCs with all that they can have.
func (c *chance) state() network.State {
	var s network.State
	pool := network.PublicIPv4Pool{ID: c.id("ipv4pool-ec2"), CIDRs: []netip.Prefix{prefix("203.0.113.0/24")}}
	s.PublicIPv4Pools = []network.PublicIPv4Pool{pool}
	for i := range 2 + c.IntN(2) {
		c.vpc(&s, i)
	}
	c.peer(&s)
	for i := range s.VPCs {
		c.groups(&s, s.VPCs[i])
	}
	total := 3 + c.IntN(28)
	for range total {
		c.eni(&s)
	}
	for i := range s.VPCs {
		c.tables(&s, s.VPCs[i])
		c.acls(&s, s.VPCs[i])
	}
	return s
}

func (c *chance) vpc(s *network.State, i int) {
	v := network.VPC{ID: c.id("vpc"), CIDRs: []netip.Prefix{prefix(fmt.Sprintf("10.%d.0.0/16", i))}, Region: "eu-central-1"}
	if i == 2 && c.once(2) {
		v.CIDRs[0] = prefix("10.0.0.0/16") // that of the first
	}
	if c.once(3) {
		v.CIDRs = append(v.CIDRs, prefix(fmt.Sprintf("10.%d.0.0/20", 100+i)))
	}
	if c.v6 && !c.once(4) {
		v.IPv6CIDRs = []netip.Prefix{prefix(fmt.Sprintf("2001:db8:%x00::/56", i+1))}
	}
	s.VPCs = append(s.VPCs, v)
	for n := range 1 + c.IntN(3) {
		base := v.CIDRs[n%len(v.CIDRs)].Addr().As4()
		base[2] = byte(n + 1)
		sub := network.Subnet{ID: c.id("subnet"), VPC: v.ID, CIDR: netip.PrefixFrom(netip.AddrFrom4(base), 24), AvailabilityZone: "eu-central-1a"}
		if len(v.IPv6CIDRs) > 0 && !c.once(4) {
			b := v.IPv6CIDRs[0].Addr().As16()
			b[7] = byte(n + 1)
			sub.IPv6CIDR = netip.PrefixFrom(netip.AddrFrom16(b), 64)
		}
		s.Subnets = append(s.Subnets, sub)
	}
	if !c.once(5) {
		s.InternetGateways = append(s.InternetGateways, network.InternetGateway{ID: c.id("igw"), VPC: v.ID})
	}
	if len(v.IPv6CIDRs) > 0 && c.once(2) {
		s.EgressOnlyInternetGateways = append(s.EgressOnlyInternetGateways, network.EgressOnlyInternetGateway{ID: c.id("eigw"), VPC: v.ID})
	}
}

func (c *chance) peer(s *network.State) {
	a, b := s.VPCs[0], s.VPCs[1]
	if !c.once(3) {
		s.VPCPeeringConnections = append(s.VPCPeeringConnections, network.VPCPeeringConnection{ID: c.id("pcx"), Requester: a.ID, Accepter: b.ID})
	}
	for n, f := range []network.AddressFamily{network.IPv4, network.IPv6} {
		l := network.PrefixList{ID: c.id("pl"), Name: fmt.Sprint("list ", n), AddressFamily: f, MaxEntries: 5}
		for _, p := range c.prefixes(s, f == network.IPv6) {
			l.Entries = append(l.Entries, network.PrefixListEntry{CIDR: p})
		}
		s.PrefixLists = append(s.PrefixLists, l)
	}
}

// prefixes returns one to three different ones.
func (c *chance) prefixes(s *network.State, v6 bool) []netip.Prefix {
	var list []netip.Prefix
	for range 1 + c.IntN(3) {
		if p := c.prefix(s, v6); !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

func (c *chance) prefix(s *network.State, v6 bool) netip.Prefix {
	n := s.Subnets[c.IntN(len(s.Subnets))]
	v, _ := s.VPC(n.VPC)
	if v6 {
		list := []netip.Prefix{prefix("::/0"), prefix("2001:db8:ffff::/48"), prefix("2001:db8::/33")}
		if n.IPv6CIDR.IsValid() {
			list = append(list, n.IPv6CIDR, v.IPv6CIDRs[0])
		}
		return one(c, list...)
	}
	host, _ := n.CIDR.Addr().Prefix(24)
	return one(c, prefix("0.0.0.0/0"), n.CIDR, n.CIDR, v.CIDRs[0], prefix("198.51.100.0/24"), prefix("203.0.113.0/25"),
		netip.PrefixFrom(host.Addr(), 29).Masked(), prefix("10.0.0.0/8"))
}

func (c *chance) groups(s *network.State, v network.VPC) {
	first := len(s.SecurityGroups)
	for n := range 1 + c.IntN(4) {
		s.SecurityGroups = append(s.SecurityGroups, network.SecurityGroup{ID: c.id("sg"), VPC: v.ID, Name: fmt.Sprint("group ", n), Description: "random"})
	}
	var known []string
	for _, g := range s.SecurityGroups {
		_, peered := c.peered(s, v.ID, g.VPC)
		if g.VPC == v.ID || peered {
			known = append(known, g.ID)
		}
	}
	for i := first; i < len(s.SecurityGroups); i++ {
		g := &s.SecurityGroups[i]
		g.Ingress, g.Egress = c.rules(s, known), c.rules(s, known)
		if !c.once(3) {
			g.Egress = []network.Rule{{Protocol: network.AllProtocols, CIDRs: []netip.Prefix{prefix("0.0.0.0/0")}, IPv6CIDRs: []netip.Prefix{prefix("::/0")}}}
		}
	}
}

func (c *chance) peered(s *network.State, a, b string) (network.VPCPeeringConnection, bool) {
	for _, p := range s.VPCPeeringConnections {
		if other, ok := p.Other(a); ok && other == b {
			return p, true
		}
	}
	return network.VPCPeeringConnection{}, false
}

func (c *chance) rules(s *network.State, groups []string) []network.Rule {
	var rules []network.Rule
	seen := map[string]bool{}
	for range 1 + c.IntN(4) {
		var r network.Rule
		r.Protocol, r.FromPort, r.ToPort, r.ICMPType, r.ICMPCode = c.traffic()
		kind := c.IntN(4)
		if r.Protocol.Is(network.ICMP) || r.Protocol.Is(network.ICMPv6) {
			kind = 0 // of one family only
			if r.Protocol.Is(network.ICMP) && c.once(2) {
				r.CIDRs = c.prefixes(s, false)
			}
			if r.Protocol.Is(network.ICMPv6) && c.once(2) {
				r.IPv6CIDRs = c.prefixes(s, true)
			}
		}
		switch kind {
		case 0:
			r.Groups = []string{one(c, groups...)}
		case 1:
			r.PrefixLists = []string{one(c, s.PrefixLists...).ID}
		default:
			r.CIDRs = c.prefixes(s, false)
			if c.v6 {
				r.IPv6CIDRs = c.prefixes(s, true)
			}
		}
		if key := r.String(); !seen[key] {
			seen[key] = true
			rules = append(rules, r)
		}
	}
	return rules
}

func (c *chance) traffic() (p network.Protocol, from, to, icmpType, icmpCode int) {
	p = one(c, network.TCP, network.UDP, network.ICMP, network.AllProtocols, network.AllProtocols, network.Protocol("253"), network.ICMPv6)
	switch p {
	case network.TCP, network.UDP:
		ports := []int{0, 22, 80, 443, 1024, 20000, 65535}
		i := c.IntN(len(ports))
		from, to = ports[i], ports[i+c.IntN(len(ports)-i)]
	case network.ICMP, network.ICMPv6:
		icmpType, icmpCode = one(c, network.AnyICMP, 0, 8, 128, 129), network.AnyICMP
	}
	return p, from, to, icmpType, icmpCode
}

func (c *chance) eni(s *network.State) {
	n := one(c, s.Subnets...)
	var groups []string
	for _, g := range s.SecurityGroups {
		if g.VPC == n.VPC {
			groups = append(groups, g.ID)
		}
	}
	c.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
	c.n++
	base := n.CIDR.Addr().As4()
	base[3] = byte(4 + len(s.ENIs))
	e := network.ENI{ID: network.NewID("eni", fmt.Sprint(c.n)), Subnet: n.ID, PrivateIPv4: netip.AddrFrom4(base), MAC: network.NewMAC(fmt.Sprint(c.n)),
		SecurityGroups: groups[:1+c.IntN(len(groups))], AssignPublicIP: c.once(2), NoSourceDestCheck: c.once(6)}
	if n.IPv6CIDR.IsValid() && !c.once(4) {
		b := n.IPv6CIDR.Addr().As16()
		b[15] = base[3]
		e.IPv6 = netip.AddrFrom16(b)
	}
	public := netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + len(s.ENIs))})
	switch {
	case e.AssignPublicIP && c.once(2):
		e.PublicIPv4 = public
	case c.once(3) && slices.ContainsFunc(s.InternetGateways, func(g network.InternetGateway) bool { return g.VPC == n.VPC }):
		s.Addresses = append(s.Addresses, network.Address{AllocationID: c.id("eipalloc"), PublicIP: public, ENI: e.ID})
	}
	s.ENIs = append(s.ENIs, e)
}

// tables gives some subnets route tables of their own, and NAT gateways to those that are public.
func (c *chance) tables(s *network.State, v network.VPC) {
	gateway, public := one(c, ""), false
	for _, g := range s.InternetGateways {
		if g.VPC == v.ID {
			gateway, public = g.ID, true
		}
	}
	main := network.RouteTable{ID: c.id("rtb"), VPC: v.ID, Main: true}
	for _, p := range slices.Concat(v.CIDRs, v.IPv6CIDRs) {
		main.Routes = append(main.Routes, network.Route{Destination: p, Target: network.TargetLocal})
	}
	tables := []network.RouteTable{main}
	for _, n := range s.Subnets {
		if n.VPC == v.ID && c.once(2) {
			t := network.RouteTable{ID: c.id("rtb"), VPC: v.ID, Subnets: []string{n.ID}, Routes: slices.Clone(main.Routes)}
			tables = append(tables, t)
		}
	}
	if public && !c.once(4) {
		tables[0].Routes = append(tables[0].Routes, network.Route{Destination: prefix("0.0.0.0/0"), Target: gateway})
		for _, n := range s.Subnets {
			own := slices.ContainsFunc(tables, func(t network.RouteTable) bool { return slices.Contains(t.Subnets, n.ID) })
			if n.VPC == v.ID && !own && c.once(2) {
				base := n.CIDR.Addr().As4()
				base[3] = 200
				a := network.Address{AllocationID: c.id("eipalloc"), PublicIP: netip.AddrFrom4([4]byte{203, 0, 113, byte(200 + len(s.NATGateways))})}
				s.Addresses = append(s.Addresses, a)
				s.NATGateways = append(s.NATGateways, network.NATGateway{ID: c.id("nat"), Subnet: n.ID, PrivateIPv4: netip.AddrFrom4(base), Allocation: a.AllocationID})
			}
		}
	}
	for i := range tables {
		c.routes(s, v, &tables[i])
	}
	s.RouteTables = append(s.RouteTables, tables...)
}

func (c *chance) routes(s *network.State, v network.VPC, t *network.RouteTable) {
	targets := []string{network.TargetBlackhole}
	for _, g := range s.InternetGateways {
		if g.VPC == v.ID {
			targets = append(targets, g.ID, g.ID)
		}
	}
	for _, g := range s.NATGateways {
		if n, _ := s.Subnet(g.Subnet); n.VPC == v.ID {
			targets = append(targets, g.ID, g.ID, g.ID)
		}
	}
	for _, e := range s.ENIs {
		if n, _ := s.Subnet(e.Subnet); n.VPC == v.ID && (e.NoSourceDestCheck || c.once(6)) {
			targets = append(targets, e.ID)
		}
	}
	var peers []string
	for _, p := range s.VPCPeeringConnections {
		if other, ok := p.Other(v.ID); ok {
			o, _ := s.VPC(other)
			peers = append(peers, p.ID)
			for _, cidr := range slices.Concat(o.CIDRs, o.IPv6CIDRs) {
				if familyOf(cidr.Addr()) == ipv6 && len(v.IPv6CIDRs) == 0 {
					continue
				}
				if !c.once(4) {
					c.route(v, t, network.Route{Destination: cidr, Target: p.ID})
				}
			}
		}
	}
	targets = append(targets, peers...)
	for _, to := range []string{"0.0.0.0/0", "198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "10.0.0.0/8"} {
		if to == "0.0.0.0/0" || c.once(3) {
			c.route(v, t, network.Route{Destination: prefix(to), Target: one(c, targets...)})
		}
	}
	for _, n := range s.Subnets {
		if n.VPC == v.ID && c.once(5) {
			c.route(v, t, network.Route{Destination: n.CIDR, Target: one(c, targets...)})
		}
	}
	if len(v.IPv6CIDRs) > 0 {
		for _, g := range s.EgressOnlyInternetGateways {
			if g.VPC == v.ID {
				targets = append(targets, g.ID, g.ID)
			}
		}
		for _, to := range []string{"::/0", "2001:db8:ffff::/48"} {
			c.route(v, t, network.Route{Destination: prefix(to), Target: one(c, targets...)})
		}
	}
}

// route appends a route if the whole state is still valid with it as far as that can be told from here: the kinds of
// targets that EC2 refuses for a destination are left out.
func (c *chance) route(v network.VPC, t *network.RouteTable, r network.Route) {
	for _, have := range t.Routes {
		if have.Destination == r.Destination {
			return
		}
	}
	inside := slices.ContainsFunc(v.CIDRs, func(p netip.Prefix) bool { return p.Overlaps(r.Destination) && p.Bits() < r.Destination.Bits() })
	kind, _, _ := cutID(r.Target)
	if inside && kind != "eni" && kind != "nat" || r.Destination.Addr().Is6() && kind == "nat" {
		return
	}
	t.Routes = append(t.Routes, r)
}

func cutID(id string) (kind, rest string, ok bool) {
	for i := range id {
		if id[i] == '-' {
			return id[:i], id[i+1:], true
		}
	}
	return id, "", false
}

func (c *chance) acls(s *network.State, v network.VPC) {
	for _, n := range s.Subnets {
		if n.VPC != v.ID || !c.once(2) {
			continue
		}
		acl := network.NetworkACL{ID: c.id("acl"), VPC: v.ID, Subnets: []string{n.ID}}
		for _, egress := range []bool{false, true} {
			for i := range c.IntN(4) {
				e := network.NetworkACLEntry{RuleNumber: 10 * (i + 1), Egress: egress, RuleAction: one(c, network.RuleAllow, network.RuleDeny), CIDR: c.prefix(s, c.v6 && c.once(3))}
				e.Protocol, e.FromPort, e.ToPort, e.ICMPType, e.ICMPCode = c.traffic()
				if e.Protocol.Is(network.ICMP) && e.CIDR.Addr().Is6() || e.Protocol.Is(network.ICMPv6) && e.CIDR.Addr().Is4() {
					e.Protocol, e.ICMPType, e.ICMPCode = network.AllProtocols, 0, 0
				}
				acl.Entries = append(acl.Entries, e)
			}
			if !c.once(4) {
				acl.Entries = append(acl.Entries,
					network.NetworkACLEntry{RuleNumber: 100, Egress: egress, RuleAction: network.RuleAllow, Protocol: network.AllProtocols, CIDR: prefix("0.0.0.0/0")},
					network.NetworkACLEntry{RuleNumber: 101, Egress: egress, RuleAction: network.RuleAllow, Protocol: network.AllProtocols, CIDR: prefix("::/0")})
			}
		}
		s.NetworkACLs = append(s.NetworkACLs, acl)
	}
}

// flow returns a packet from anywhere to anywhere.
func (c *chance) flow(s network.State, host, outside netip.Addr, outside6 netip.Addr) network.Flow {
	f := network.Flow{Protocol: one(c, network.TCP, network.TCP, network.UDP, network.UDP, network.ICMP, network.ICMP, "253"),
		DestinationPort: one[uint16](c, 1, 22, 80, 443, 1024, 20000, 65535), SourcePort: one[uint16](c, 1, 22, 1023, 1024, 20001, 40000, 65535)}
	e, to := one(c, s.ENIs...), one(c, s.ENIs...)
	v6 := c.v6 && c.once(3) && e.IPv6.IsValid()
	f.ENI, f.Destination = e.ID, to.PrivateIPv4
	if c.once(2) { // more often to who is near
		near := slices.DeleteFunc(slices.Clone(s.ENIs), func(o network.ENI) bool { return o.Subnet != e.Subnet })
		f.Destination = one(c, near...).PrivateIPv4
		to = one(c, near...)
	}
	if a, ok := s.PublicIPv4(to); ok && a.IsValid() && c.once(2) {
		f.Destination = a
	}
	switch c.IntN(12) {
	case 0, 1:
		f.Destination = outside
	case 2:
		f.Destination = one(c, append(network.EndpointAddrs(), host, netip.MustParseAddr("203.0.113.99"), netip.MustParseAddr("169.254.169.254"))...)
		f.ToHost = f.Destination == host
	case 3:
		f.ENI, f.FromHost = "", true
		f.Source = one(c, netip.Addr{}, host)
	case 4, 5:
		f.ENI, f.Source = "", outside
		if a, ok := s.PublicIPv4(to); ok && a.IsValid() {
			f.Destination = a
		}
	}
	if len(s.NATGateways) > 0 && c.once(20) {
		f.Destination = one(c, s.NATGateways...).PrivateIPv4
	}
	if len(s.Addresses) > 0 && c.once(15) {
		f.Destination = one(c, s.Addresses...).PublicIP
		f.ToHost = false
	}
	if v6 {
		f.Destination, f.ToHost = outside6, false
		if to.IPv6.IsValid() && !c.once(3) {
			f.Destination = to.IPv6
		}
		if f.Source = (netip.Addr{}); f.ENI == "" && !f.FromHost {
			f.Source = outside6
		}
	}
	if f.ENI != "" && c.once(10) {
		f.Source = one(c, one(c, s.ENIs...).PrivateIPv4, netip.MustParseAddr("192.0.2.77"), host)
		if v6 {
			f.Source = one(c, outside6, one(c, s.ENIs...).IPv6)
		}
	}
	if f.SourcePort == f.DestinationPort {
		f.SourcePort++ // to one's own public address that would be both directions at once
	}
	if f.Protocol == network.ICMP {
		f.ICMPType = one[uint8](c, 8, 8, 8, 13, 0)
		f.SourcePort, f.DestinationPort = 0, 0
		if f.FromHost {
			f.ICMPType = 8 // what nobody asked for has no connection that could have the host's end as source
		}
		if f.Destination.Is6() {
			f.Protocol, f.ICMPType = network.ICMPv6, 128
		}
	}
	return f
}
