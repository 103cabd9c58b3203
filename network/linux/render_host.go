package linux

import "net/netip"

// hostWants is what the host's table is made of.
type hostWants struct {
	Owner      string
	Uplinks    []string       // names of links
	Blocks     []netip.Prefix // what is behind them, IPv4
	BlocksIPv6 []netip.Prefix // as above
	Pools      []netip.Prefix // public addresses
	Routed     bool           // the outside knows the way to public addresses
	Public     []netip.Addr   // public addresses that are in use
}

// hostRuleset renders the table in the host's namespace: it lets tasks out, what is meant for public addresses in, and
// keeps everything else apart.
func hostRuleset(w hostWants) ruleset {
	r := ruleset{Family: ipv4, Table: hostTable(w.Owner), Sets: []set{{Name: uplinkSet, Kind: interfaces}, {Name: publicSet, Kind: addrs}}}
	for _, u := range w.Uplinks {
		r.Sets[0].Elements = append(r.Sets[0].Elements, element{Interface: u})
	}
	for _, a := range w.Public {
		r.Sets[1].Elements = append(r.Sets[1].Elements, element{Addr: a})
	}
	nat := chain{Name: "postrouting", Hook: &hook{"nat", "postrouting", 100, false}, Rules: []rule{
		{oifIn{uplinkSet}, destIn{publicSet}, accept},
		// What the host itself sends has its own end of the uplink as source, and routers know it by that.
		{oifIn{uplinkSet}, fromHere{}, masquerade{}},
		{source{ipv4.reserved()}, notOIFIn{uplinkSet}, masquerade{}},
	}}
	forward := chain{Name: "forward", Hook: &hook{"filter", "forward", 0, false}}
	for _, b := range w.Blocks {
		forward.Rules = append(forward.Rules, rule{oifIn{uplinkSet}, notIIFIn{uplinkSet}, source{b}, drop})
	}
	forward.Rules = append(forward.Rules, []rule{
		{iifIn{uplinkSet}, untracked{}, drop}, // it would leave with an address that only the host knows
		{oifIn{uplinkSet}, tracked{}, accept},
		{oifIn{uplinkSet}, destIn{publicSet}, accept},
		{oifIn{uplinkSet}, drop},
	}...)
	output := chain{Name: "output", Hook: &hook{"filter", "output", 0, false}}
	for _, p := range w.Pools {
		// An address that nobody has would come back by the default route.
		nobody := rule{dest{p}, notOIFIn{uplinkSet}, drop}
		forward.Rules = append(forward.Rules, nobody)
		output.Rules = append(output.Rules, nobody)
		if !w.Routed {
			nat.Rules = append(nat.Rules, rule{source{p}, notOIFIn{uplinkSet}, masquerade{}})
		}
	}
	r.Chains = []chain{
		{Name: "input", Hook: &hook{"filter", "input", 0, false}, Rules: []rule{
			{iifIn{uplinkSet}, tracked{}, accept},
			{iifIn{uplinkSet}, drop},
		}},
		forward, output, nat,
	}
	return r
}

// hostRuleset6 renders the same for IPv6, whose addresses are the same inside and outside.
func hostRuleset6(w hostWants) ruleset {
	r := ruleset{Family: ipv6, Table: hostTable(w.Owner), Sets: []set{{Name: uplinkSet, Kind: interfaces}}}
	for _, u := range w.Uplinks {
		r.Sets[0].Elements = append(r.Sets[0].Elements, element{Interface: u})
	}
	forward := chain{Name: "forward", Hook: &hook{"filter", "forward", 0, false}}
	for _, b := range w.BlocksIPv6 {
		forward.Rules = append(forward.Rules, rule{oifIn{uplinkSet}, notIIFIn{uplinkSet}, source{b}, drop})
	}
	forward.Rules = append(forward.Rules, rule{oifIn{uplinkSet}, tracked{}, accept})
	nat := chain{Name: "postrouting", Hook: &hook{"nat", "postrouting", 100, false}, Rules: []rule{{oifIn{uplinkSet}, fromHere{}, masquerade{}}}}
	for _, b := range w.BlocksIPv6 {
		forward.Rules = append(forward.Rules, rule{oifIn{uplinkSet}, dest{b}, accept})
		if !w.Routed {
			nat.Rules = append(nat.Rules, rule{source{b}, notOIFIn{uplinkSet}, masquerade{}})
		}
	}
	forward.Rules = append(forward.Rules, rule{oifIn{uplinkSet}, drop})
	r.Chains = []chain{
		{Name: "input", Hook: &hook{"filter", "input", 0, false}, Rules: []rule{
			{iifIn{uplinkSet}, tracked{}, accept},
			{iifIn{uplinkSet}, drop},
		}},
		forward, nat,
	}
	return r
}
