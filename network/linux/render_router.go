package linux

import "net/netip"

// uplinkEnds are the addresses of the host's end of a VPC's uplink, by family; invalid ones where there is none.
type uplinkEnds struct {
	IPv4, IPv6 netip.Addr
}

// shared returns the address that stands for those that share one of the host's, until the host puts that in its place.
// Nobody has it, so that it can come back to the router that sent it.
func (u uplinkEnds) shared() netip.Addr { return u.IPv4.Next().Next() }

func (u uplinkEnds) of(f family) netip.Addr {
	if f == ipv6 {
		return u.IPv6
	}
	return u.IPv4
}

// routerChains returns the chains that every packet meets.
func routerChains(v view, f family, host uplinkEnds) []chain {
	up := host.of(f)
	chains := []chain{
		preroutingChain(v, f, up),
		inputChain(f, up),
		forwardChain(f, up),
		filterChain(v),
		statefulChain(v, f, up),
		admittedChain(v, f, up),
		{Name: arriving, Rules: []rule{{tracked{}, accept}, {classOf{Source: false}, classVerdict{ingressMap}}, {drop}}},
	}
	if !up.IsValid() {
		return chains
	}
	chains = append(chains, inwardChain(f), outwardChain(v, f))
	if f == ipv4 {
		chains = append(chains,
			chain{Name: "translate-in", Hook: &hook{"nat", "prerouting", -100, false}, Rules: []rule{{iif{uplinkName}, dnatMap{inboundMap}}}},
			chain{Name: "translate-out", Hook: &hook{"nat", "postrouting", 100, false}, Rules: []rule{
				{oif{uplinkName}, snatMap{outboundMap}},
				{oif{uplinkName}, sourceIn{publicSet}, snat{host.shared()}},
			}})
	}
	return chains
}

// preroutingChain checks who sends. It comes before connection tracking, so that a forged packet leaves no trace in it, and
// before fragments are put together: the kernel does that by addresses and a number alone, so that an ENI could forge a part
// of what another one sends.
// What an ENI sends is marked with the group of its link, which leads to the route table of its subnet.
func preroutingChain(v view, f family, up netip.Addr) chain {
	c := chain{Name: "prerouting", Hook: &hook{"filter", "prerouting", beforeDefrag, true}, Rules: []rule{
		{sourceCheck{sourceSet}, markGroup{}, accept},
		{senderCheck{senderSet}, source{linkLocal(f)}, drop},
		{senderCheck{senderSet}, markGroup{}, accept},
	}}
	if up.IsValid() {
		for _, p := range v.prefixes(f) {
			c.Rules = append(c.Rules, rule{iif{uplinkName}, source{p}, drop})
		}
		c.Rules = append(c.Rules, rule{iif{uplinkName}, accept})
	}
	for _, p := range v.Peerings {
		for _, cidr := range prefixesOf(p.Other, f) {
			c.Rules = append(c.Rules, rule{iif{peeringLink(p.ID)}, source{cidr}, accept})
		}
	}
	c.Rules = append(c.Rules, rule{iif{"lo"}, accept})
	return c
}

func inputChain(f family, up netip.Addr) chain {
	c := chain{Name: "input", Hook: &hook{"filter", "input", 0, true}, Rules: []rule{{tracked{}, accept}, {iif{"lo"}, accept}}}
	if up.IsValid() {
		c.Rules = append(c.Rules, rule{iif{uplinkName}, drop})
	}
	if f == ipv4 {
		c.Rules = append(c.Rules, rule{sourceCheck{sourceSet}, destIn{endpointSet}, accept})
	}
	return c
}

// forwardChain lets pass what the host and ENIs say to each other at their private addresses, unasked.
func forwardChain(f family, up netip.Addr) chain {
	c := chain{Name: "forward", Hook: &hook{"filter", "forward", 0, true}}
	if f == ipv6 {
		c.Rules = append(c.Rules, rule{protocol{58}, icmpTypes{133, 137}, drop}) // neighbor discovery does not leave its link
	}
	if up.IsValid() {
		host := netip.PrefixFrom(up, up.BitLen())
		c.Rules = append(c.Rules, rule{translated{}, follow(filtered)}, rule{iif{uplinkName}, source{host}, accept},
			rule{oif{uplinkName}, dest{host}, tracked{}, accept})
	}
	c.Rules = append(c.Rules, rule{follow(filtered)})
	return c
}

// filterChain asks network ACLs, about every packet that leaves or enters a subnet.
func filterChain(v view) chain {
	c := chain{Name: filtered}
	if v.filters() {
		c.Rules = append(c.Rules, rule{withinGroup{withinSet}, follow(stateful)},
			rule{groupVerdict{true, leavingMap}}, rule{groupVerdict{false, enteringMap}})
	}
	c.Rules = append(c.Rules, rule{follow(stateful)})
	return c
}

// statefulChain lets known connections pass, and else asks the groups of the sender.
func statefulChain(v view, f family, up netip.Addr) chain {
	c := chain{Name: stateful}
	if up.IsValid() {
		c.Rules = append(c.Rules, rule{iif{uplinkName}, follow(inward)})
	}
	c.Rules = append(c.Rules, rule{tracked{}, accept})
	for _, p := range v.Peerings {
		if len(prefixesOf(p.Other, f)) > 0 {
			c.Rules = append(c.Rules, rule{iif{peeringLink(p.ID)}, follow(arriving)})
		}
	}
	c.Rules = append(c.Rules, rule{classOf{Source: true}, classVerdict{egressMap}})
	return c
}

// admittedChain goes on with what the groups of the sender allow.
func admittedChain(v view, f family, up netip.Addr) chain {
	c := chain{Name: admitted}
	if up.IsValid() {
		c.Rules = append(c.Rules, rule{oif{uplinkName}, follow(outward)})
	}
	for _, p := range v.Peerings {
		if len(prefixesOf(p.Other, f)) > 0 {
			c.Rules = append(c.Rules, rule{oif{peeringLink(p.ID)}, follow(overPeering)})
		}
	}
	c.Rules = append(c.Rules, rule{follow(arriving)})
	return c
}

// knownChain lets through what comes from the address of an ENI of the VPC: an ENI without source check may send
// anything, but neither NAT gateways nor peering connections carry that.
func (v view) knownChain(name string, f family) chain {
	c := chain{Name: name}
	for _, g := range v.NATs {
		if f == ipv4 {
			c.Rules = append(c.Rules, rule{source{netip.PrefixFrom(g.PrivateIPv4, 32)}, drop})
		}
	}
	c.Rules = append(c.Rules, rule{known{}, accept}, rule{drop})
	return c
}

// inwardChain takes what comes from outside to public addresses and published ports, into subnets that a gateway serves.
func inwardChain(f family) chain {
	c := chain{Name: inward}
	if f == ipv4 {
		c.Rules = append(c.Rules, rule{tracked{}, groupVerdict{false, openMap}}, rule{translated{}, groupVerdict{false, openMap}},
			rule{serviceIn{publishedSet}, groupVerdict{false, openMap}}) // the host has translated it
	} else {
		c.Rules = append(c.Rules, rule{groupVerdict{false, openMap}})
	}
	c.Rules = append(c.Rules, rule{drop})
	return c
}

// outwardChain lets through what has a public address, to addresses that are nobody's private ones.
func outwardChain(v view, f family) chain {
	c := chain{Name: outward, Rules: []rule{{dest{f.reserved()}, drop}}}
	if f == ipv6 {
		c.Rules = append(c.Rules, rule{known{}, accept}, rule{drop})
		return c
	}
	for _, other := range v.State.VPCs {
		for _, p := range prefixesOf(other, f) {
			c.Rules = append(c.Rules, rule{dest{p}, drop})
		}
	}
	c.Rules = append(c.Rules, rule{untracked{}, drop}) // it cannot be translated
	c.Rules = append(c.Rules, rule{sourceIn{publicSet}, accept}, rule{drop})
	return c
}

// linkLocal is the range of addresses that no packet has which is routed.
func linkLocal(f family) netip.Prefix {
	if f == ipv6 {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80}), 10)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16)
}
