package network_test

import (
	"net/netip"
	"slices"
	"sort"

	"github.com/fardel-io/fardel/network"
)

// oracle is a second opinion on new packets: slow, and written as statements about where a packet may be instead of a walk
// through checks. It knows nothing of Evaluate's code. It says whether a packet arrives, and not why.
type oracle struct {
	s network.State
	f network.Flow
}

// place is a packet somewhere: leaving a subnet of a VPC, or between gateways (vpc is "").
type place struct {
	vpc, subnet string
	source      netip.Addr // the zero value is some address that only rules for everything are about
	dest        netip.Addr
}

// arrives reports whether the packet does.
func (o oracle) arrives() bool {
	f := o.f
	if f.ENI == "" {
		return o.arrivesFromElsewhere()
	}
	var e network.ENI
	for _, x := range o.s.ENIs {
		if x.ID == f.ENI {
			e = x
		}
	}
	vpc := o.vpcOf(e)
	if e.ID == "" {
		return false
	}
	if f.Destination == e.PrivateIPv4 || f.Destination == e.IPv6 && e.IPv6.IsValid() {
		return true
	}
	if !o.plain(f.Destination) || f.Protocol == network.ICMP && f.Destination.Is6() || f.Protocol == network.ICMPv6 && f.Destination.Is4() {
		return false
	}
	own := e.PrivateIPv4
	if f.Destination.Is6() {
		own = e.IPv6
	}
	source := f.Source
	if !source.IsValid() {
		source = own
	}
	routers := []netip.Addr{}
	resolver := netip.Addr{}
	for _, n := range o.s.Subnets {
		if n.VPC == vpc {
			routers = append(routers, n.CIDR.Addr().Next())
		}
	}
	for _, v := range o.s.VPCs {
		if v.ID == vpc {
			resolver = v.CIDRs[0].Addr().Next().Next()
		}
	}
	switch {
	case !source.IsValid():
		return false
	case source != own && !e.NoSourceDestCheck:
		return false
	case source != own && (source.Is4() != f.Destination.Is4() || !o.plain(source) || source.IsLinkLocalUnicast() || slices.Contains(routers, source) || source == resolver):
		return false
	}
	endpoints := []netip.Addr{netip.MustParseAddr("169.254.169.253"), netip.MustParseAddr("169.254.170.2"), resolver}
	switch {
	case slices.Contains(endpoints, f.Destination):
		return source == own
	case f.Destination.IsLinkLocalUnicast():
		return false
	case !o.grouped(e, true, f.Destination):
		return false
	}
	return o.goes(place{vpc, e.Subnet, source, f.Destination}, 0)
}

func (o oracle) plain(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a.String() != "255.255.255.255"
}

func (o oracle) arrivesFromElsewhere() bool {
	f := o.f
	if e, port, ok := o.leads(); ok {
		o.f.DestinationPort = port
		return o.reached(o.vpcOf(e)) && (f.FromHost || o.invited(e))
	}
	pooled := o.pooled(f.Destination)
	holders := 0
	for _, e := range o.s.ENIs {
		if e.PrivateIPv4 == f.Destination || e.IPv6 == f.Destination {
			holders++
		}
	}
	if f.FromHost && !pooled {
		return o.hostReaches(f.Destination)
	}
	if !f.FromHost && !pooled && (holders == 0 || f.Destination.Is4()) {
		return false
	}
	if f.Source.IsValid() && f.Source.Is4() != f.Destination.Is4() || f.Protocol == network.ICMP && f.Destination.Is6() || f.Protocol == network.ICMPv6 && f.Destination.Is4() {
		return false
	}
	return o.comesIn(place{source: f.Source, dest: f.Destination}, false)
}

// leads returns the ENI that publishes the port of the machine that a packet goes to, and the port of the ENI.
func (o oracle) leads() (network.ENI, uint16, bool) {
	for _, e := range o.s.ENIs {
		for _, p := range e.PublishedPorts {
			here := p.HostAddress == o.f.Destination || p.HostAddress.String() == "0.0.0.0"
			if o.f.ToHost && here && p.HostPort == o.f.DestinationPort && number(p.Protocol) == number(o.f.Protocol) {
				return e, p.Port, true
			}
		}
	}
	return network.ENI{}, 0, false
}

// invited reports whether an ENI gets a packet from the outside to a port of the machine that it publishes.
func (o oracle) invited(e network.ENI) bool {
	for _, v := range o.s.VPCs {
		for _, c := range v.CIDRs {
			if c.Contains(o.f.Source) {
				return false
			}
		}
	}
	for _, g := range o.s.InternetGateways {
		if g.VPC == o.vpcOf(e) {
			return o.target(e.Subnet, o.f.Source) == g.ID && o.listed(e.Subnet, false, o.f.Source) && o.grouped(e, false, o.f.Source)
		}
	}
	return false
}

// hostReaches reports whether some ENI has the address, in a VPC that the host has a way to.
func (o oracle) hostReaches(a netip.Addr) bool {
	for _, e := range o.s.ENIs {
		if e.IPv6 == a && a.IsValid() {
			return true
		}
		if e.PrivateIPv4 != a {
			continue
		}
		if o.reached(o.vpcOf(e)) {
			return true
		}
	}
	return false
}

// reached reports whether the host has a way to a VPC: if none before it that has one overlaps.
func (o oracle) reached(vpc string) bool {
	ways := map[string]bool{}
	for i, v := range o.s.VPCs {
		ways[v.ID] = true
		for _, before := range o.s.VPCs[:i] {
			for _, x := range before.CIDRs {
				for _, y := range v.CIDRs {
					if ways[before.ID] && x.Overlaps(y) {
						ways[v.ID] = false
					}
				}
			}
		}
	}
	return ways[vpc]
}

func (o oracle) vpcOf(e network.ENI) string {
	for _, n := range o.s.Subnets {
		if n.ID == e.Subnet {
			return n.VPC
		}
	}
	return ""
}

func (o oracle) pooled(a netip.Addr) bool {
	for _, p := range o.s.PublicIPv4Pools {
		for _, c := range p.CIDRs {
			if c.Contains(a) {
				return true
			}
		}
	}
	return false
}

// about reports whether a prefix is about an address, or about everything of the destination's family if none is known.
func (o oracle) about(c netip.Prefix, a netip.Addr) bool {
	if !a.IsValid() {
		return c.Bits() == 0 && c.Addr().Is4() == o.f.Destination.Is4()
	}
	return c.Contains(a)
}

func number(p network.Protocol) string {
	return map[network.Protocol]string{network.TCP: "6", network.UDP: "17", network.ICMP: "1", network.ICMPv6: "58"}[p] + map[bool]string{true: string(p)}[p[0] != 't' && p[0] != 'u' && p[0] != 'i']
}

func (o oracle) traffic(p network.Protocol, from, to, kind, code int) bool {
	if p == "-1" {
		return true
	}
	if number(p) != number(o.f.Protocol) {
		return false
	}
	switch number(p) {
	case "6", "17":
		return int(o.f.DestinationPort) >= from && int(o.f.DestinationPort) <= to
	case "1", "58":
		return (kind < 0 || kind == int(o.f.ICMPType)) && (code < 0 || code == int(o.f.ICMPCode))
	}
	return true
}

// grouped reports whether any rule of any group of an ENI allows the packet with a peer.
func (o oracle) grouped(e network.ENI, egress bool, peer netip.Addr) bool {
	var rules []network.Rule
	for _, g := range o.s.SecurityGroups {
		if slices.Contains(e.SecurityGroups, g.ID) && egress {
			rules = append(rules, g.Egress...)
		} else if slices.Contains(e.SecurityGroups, g.ID) {
			rules = append(rules, g.Ingress...)
		}
	}
	for _, r := range rules {
		cidrs := slices.Concat(r.CIDRs, r.IPv6CIDRs)
		for _, l := range o.s.PrefixLists {
			for _, entry := range l.Entries {
				if slices.Contains(r.PrefixLists, l.ID) {
					cidrs = append(cidrs, entry.CIDR)
				}
			}
		}
		for _, g := range o.s.SecurityGroups {
			for _, m := range o.s.ENIs {
				if slices.Contains(r.Groups, g.ID) && slices.Contains(m.SecurityGroups, g.ID) {
					cidrs = append(cidrs, netip.PrefixFrom(m.PrivateIPv4, 32))
					if m.IPv6.IsValid() {
						cidrs = append(cidrs, netip.PrefixFrom(m.IPv6, 128))
					}
				}
			}
		}
		for _, c := range cidrs {
			if o.about(c, peer) && o.traffic(r.Protocol, r.FromPort, r.ToPort, r.ICMPType, r.ICMPCode) {
				return true
			}
		}
	}
	return false
}

// listed reports whether the network ACL of a subnet allows the packet.
func (o oracle) listed(subnet string, egress bool, peer netip.Addr) bool {
	vpc := ""
	for _, n := range o.s.Subnets {
		if n.ID == subnet {
			vpc = n.VPC
		}
	}
	var entries []network.NetworkACLEntry
	found := false
	for _, a := range o.s.NetworkACLs {
		if a.VPC == vpc && a.IsDefault {
			entries, found = a.Entries, true
		}
	}
	for _, a := range o.s.NetworkACLs {
		if slices.Contains(a.Subnets, subnet) {
			entries, found = a.Entries, true
		}
	}
	if !found {
		return true
	}
	lowest, allowed := 1<<20, false
	for _, e := range entries {
		if e.Egress == egress && e.RuleNumber < lowest && o.about(e.CIDR, peer) && o.traffic(e.Protocol, e.FromPort, e.ToPort, e.ICMPType, e.ICMPCode) {
			lowest, allowed = e.RuleNumber, e.RuleAction == "allow"
		}
	}
	return allowed
}

// target returns where a subnet sends what goes to an address; "" if nowhere.
func (o oracle) target(subnet string, a netip.Addr) string {
	type way struct {
		bits   int
		cidr   bool
		target string
	}
	var vpc network.VPC
	for _, n := range o.s.Subnets {
		for _, v := range o.s.VPCs {
			if n.ID == subnet && v.ID == n.VPC {
				vpc = v
			}
		}
	}
	var ways []way
	for _, c := range append(slices.Clone(vpc.CIDRs), vpc.IPv6CIDRs...) {
		if o.about(c, a) {
			ways = append(ways, way{c.Bits(), true, "local"})
		}
	}
	var table *network.RouteTable
	for i, t := range o.s.RouteTables {
		if t.VPC == vpc.ID && t.Main && table == nil || slices.Contains(t.Subnets, subnet) {
			table = &o.s.RouteTables[i]
		}
		if slices.Contains(t.Subnets, subnet) {
			break
		}
	}
	if table == nil {
		for _, g := range o.s.InternetGateways {
			if vpc.IsDefault && g.VPC == vpc.ID && o.about(pfx("0.0.0.0/0"), a) {
				ways = append(ways, way{0, true, g.ID})
			}
		}
		table = &network.RouteTable{}
	}
	for _, r := range table.Routes {
		if r.PrefixList == "" && o.about(r.Destination, a) {
			ways = append(ways, way{r.Destination.Bits(), true, r.Target})
		}
		for _, l := range o.s.PrefixLists {
			for _, e := range l.Entries {
				if l.ID == r.PrefixList && o.about(e.CIDR, a) {
					ways = append(ways, way{e.CIDR.Bits(), false, r.Target})
				}
			}
		}
	}
	sort.SliceStable(ways, func(i, j int) bool {
		return ways[i].bits > ways[j].bits || ways[i].bits == ways[j].bits && ways[i].cidr && !ways[j].cidr
	})
	if len(ways) == 0 {
		return ""
	}
	return ways[0].target
}

// holder returns the ENI of a VPC that has an address.
func (o oracle) holder(vpc string, a netip.Addr) (network.ENI, bool) {
	for _, e := range o.s.ENIs {
		if o.vpcOf(e) == vpc && a.IsValid() && (e.PrivateIPv4 == a || e.IPv6 == a) {
			return e, true
		}
	}
	return network.ENI{}, false
}

// request reports whether a gateway can translate the packet.
func (o oracle) request() bool {
	return number(o.f.Protocol) != "1" || slices.Contains([]uint8{8, 13, 15, 17}, o.f.ICMPType)
}

// goes reports whether a packet that leaves a subnet arrives.
func (o oracle) goes(p place, depth int) bool {
	if depth > 10 {
		return false
	}
	subnets := map[string]network.Subnet{}
	for _, n := range o.s.Subnets {
		subnets[n.ID] = n
	}
	mine := subnets[p.subnet]
	target := "local"
	if !mine.CIDR.Contains(p.dest) && !mine.IPv6CIDR.Contains(p.dest) {
		target = o.target(p.subnet, p.dest)
	}
	in := func(n string) bool { return n == p.subnet || o.listed(n, false, p.source) }
	out := func(n string) bool { return n == p.subnet || o.listed(p.subnet, true, p.dest) }
	if target == "local" {
		e, ok := o.holder(p.vpc, p.dest)
		return ok && out(e.Subnet) && in(e.Subnet) && o.grouped(e, false, p.source)
	}
	for _, e := range o.s.ENIs {
		if e.ID == target {
			own := e.PrivateIPv4 == p.dest || e.IPv6 == p.dest
			return out(e.Subnet) && in(e.Subnet) && (own || e.NoSourceDestCheck) && o.grouped(e, false, p.source)
		}
	}
	_, known := o.holder(p.vpc, p.source)
	for _, g := range o.s.NATGateways {
		if g.ID == target {
			carried := slices.Contains([]string{"6", "17", "1"}, number(o.f.Protocol)) && o.request()
			return out(g.Subnet) && in(g.Subnet) && known && carried && o.goes(place{p.vpc, g.Subnet, g.PrivateIPv4, p.dest}, depth+1)
		}
	}
	if !out("") {
		return false
	}
	for _, c := range o.s.VPCPeeringConnections {
		if c.ID == target {
			other := c.Requester
			if other == p.vpc {
				other = c.Accepter
			}
			e, ok := o.holder(other, p.dest)
			return known && ok && o.listed(e.Subnet, false, p.source) && o.grouped(e, false, p.source)
		}
	}
	for _, g := range o.s.EgressOnlyInternetGateways {
		if g.ID == target {
			return known && o.comesIn(place{source: p.source, dest: p.dest}, true)
		}
	}
	for _, g := range o.s.InternetGateways {
		if g.ID != target {
			continue
		}
		if p.dest.Is6() {
			return known && o.comesIn(place{source: p.source, dest: p.dest}, true)
		}
		public, ok := o.publicOf(p.vpc, p.source)
		for _, v := range o.s.VPCs {
			for _, c := range v.CIDRs {
				ok = ok && !c.Contains(p.dest)
			}
		}
		return ok && o.request() && o.comesIn(place{source: public, dest: p.dest}, true)
	}
	return false
}

// publicOf returns the public address of whoever has a private one; the zero value if it is one of the host's.
func (o oracle) publicOf(vpc string, private netip.Addr) (netip.Addr, bool) {
	for _, g := range o.s.NATGateways {
		for _, a := range o.s.Addresses {
			for _, n := range o.s.Subnets {
				if g.PrivateIPv4 == private && n.ID == g.Subnet && n.VPC == vpc && a.AllocationID == g.Allocation {
					return a.PublicIP, true
				}
			}
		}
	}
	e, ok := o.holder(vpc, private)
	if !ok {
		return netip.Addr{}, false
	}
	for _, a := range o.s.Addresses {
		if a.ENI == e.ID {
			return a.PublicIP, true
		}
	}
	return e.PublicIPv4, e.AssignPublicIP
}

// comesIn reports whether a packet between gateways arrives, at an ENI or, if it comes from a VPC, outside.
func (o oracle) comesIn(p place, inside bool) bool {
	if inside && o.f.ToHost {
		return false // the host takes answers only
	}
	for _, v := range o.s.VPCs {
		for _, c := range append(slices.Clone(v.CIDRs), v.IPv6CIDRs...) {
			if c.Contains(p.source) && !(inside && c.Addr().Is6()) {
				return false
			}
		}
	}
	if p.dest.Is4() && !o.pooled(p.dest) {
		return inside
	}
	for _, v := range o.s.VPCs {
		for _, e := range o.s.ENIs {
			if o.vpcOf(e) != v.ID {
				continue
			}
			public, _ := o.publicOf(v.ID, e.PrivateIPv4)
			if p.dest != e.IPv6 && p.dest != public {
				continue
			}
			gateway := ""
			for _, g := range o.s.InternetGateways {
				if g.VPC == v.ID {
					gateway = g.ID
				}
			}
			return gateway != "" && (p.dest.Is6() || o.request()) && o.target(e.Subnet, p.source) == gateway &&
				o.listed(e.Subnet, false, p.source) && o.grouped(e, false, p.source)
		}
		for _, c := range v.IPv6CIDRs {
			if c.Contains(p.dest) {
				return false
			}
		}
	}
	return inside && p.dest.Is6()
}
