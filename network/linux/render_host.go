package linux

import (
	"net/netip"
	"slices"
)

// hostWants is what the host's table is made of.
type hostWants struct {
	Owner      string
	Uplinks    []string       // names of links
	Blocks     []netip.Prefix // what is behind them, IPv4
	BlocksIPv6 []netip.Prefix // as above
	Pools      []netip.Prefix // public addresses
	Routed     bool           // the outside knows the way to public addresses
	Public     []netip.Addr   // public addresses that are in use
	Publishers []port         // ENIs that publish ports
}

// Names of the sets of published ports, in the host's table.
const (
	publishedSet     = "published"            // where they lead; in routers, too
	publishedMap     = "published-at"         // one address of the host
	publishedPortMap = "published-everywhere" // all of them
)

// publishedElements returns what leads the ports that an ENI publishes to it.
func publishedElements(p port) []setElement {
	list := serviceElements(p, true)
	for _, x := range p.PublishedPorts {
		number, _ := x.Protocol.Number()
		e := element{Addr: x.HostAddress, Protocol: uint8(number), Port: x.HostPort, To: p.PrivateIPv4, ToPort: x.Port}
		if x.HostAddress.IsUnspecified() {
			e.Addr = netip.Addr{}
			list = append(list, setElement{ipv4, publishedPortMap, portServices, e})
		} else {
			list = append(list, setElement{ipv4, publishedMap, addrServices, e})
		}
	}
	return list
}

// serviceElements returns the ports of an ENI that are published, those for the host alone if local is true, too.
func serviceElements(p port, local bool) []setElement {
	var list []setElement
	for _, x := range p.PublishedPorts {
		number, _ := x.Protocol.Number()
		e := setElement{ipv4, publishedSet, services, element{Addr: p.PrivateIPv4, Protocol: uint8(number), Port: x.Port}}
		if (local || !x.HostAddress.IsLoopback()) && !slices.Contains(list, e) { // two ports may lead to one
			list = append(list, e)
		}
	}
	return list
}

// hostRuleset renders the table in the host's namespace: it lets tasks out, what is meant for public addresses in, and
// keeps everything else apart.
func hostRuleset(w hostWants) ruleset {
	r := ruleset{Family: ipv4, Table: hostTable(w.Owner), Sets: []set{{Name: uplinkSet, Kind: interfaces}, {Name: publicSet, Kind: addrs},
		{Name: publishedSet, Kind: services}, {Name: publishedMap, Kind: addrServices}, {Name: publishedPortMap, Kind: portServices}}}
	for _, u := range w.Uplinks {
		r.Sets[0].Elements = append(r.Sets[0].Elements, element{Interface: u})
	}
	for _, a := range w.Public {
		r.Sets[1].Elements = append(r.Sets[1].Elements, element{Addr: a})
	}
	for _, p := range w.Publishers {
		r.fill(publishedElements(p))
	}
	nat := chain{Name: "postrouting", Hook: &hook{"nat", "postrouting", 100, false}, Rules: []rule{
		{oifIn{uplinkSet}, destIn{publicSet}, accept},
		// What the host itself sends has its own end of the uplink as source, and routers know it by that.
		{oifIn{uplinkSet}, fromHere{}, masquerade{}},
		{source{ipv4.reserved()}, notOIFIn{uplinkSet}, masquerade{}},
	}}
	// Routers take what has an address of an uplink for the host's.
	forward := chain{Name: "forward", Hook: &hook{"filter", "forward", 0, false}, Rules: []rule{
		{oifIn{uplinkSet}, notIIFIn{uplinkSet}, source{ipv4.reserved()}, drop}}}
	for _, b := range w.Blocks {
		forward.Rules = append(forward.Rules, rule{oifIn{uplinkSet}, notIIFIn{uplinkSet}, source{b}, drop})
	}
	forward.Rules = append(forward.Rules, []rule{
		{iifIn{uplinkSet}, untracked{}, drop}, // it would leave with an address that only the host knows
		{oifIn{uplinkSet}, tracked{}, accept},
		{oifIn{uplinkSet}, destIn{publicSet}, accept},
		{oifIn{uplinkSet}, translated{}, serviceIn{publishedSet}, accept},
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
	r.Chains = append(r.Chains, publishedChains()...)
	return r
}

// publishedChains lead ports of the host to ENIs: for others than tasks by addresses that are not the loopback's, since a
// packet to one of those that comes from elsewhere is forged; and for the host's own processes.
func publishedChains() []chain {
	in := chain{Name: "publish", Hook: &hook{"nat", "prerouting", -100, false}}
	out := chain{Name: "publish-here", Hook: &hook{"nat", "output", -100, false}}
	for _, to := range []dnatService{{publishedMap, false}, {publishedPortMap, true}} {
		in.Rules = append(in.Rules, rule{notIIFIn{uplinkSet}, notDest{loopbackRange()}, toHere{}, to})
		out.Rules = append(out.Rules, rule{toHere{}, to})
	}
	return []chain{in, out}
}

func loopbackRange() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8) }

// hostRuleset6 renders the same for IPv6, whose addresses are the same inside and outside.
func hostRuleset6(w hostWants) ruleset {
	r := ruleset{Family: ipv6, Table: hostTable(w.Owner), Sets: []set{{Name: uplinkSet, Kind: interfaces}}}
	for _, u := range w.Uplinks {
		r.Sets[0].Elements = append(r.Sets[0].Elements, element{Interface: u})
	}
	forward := chain{Name: "forward", Hook: &hook{"filter", "forward", 0, false}, Rules: []rule{
		{oifIn{uplinkSet}, notIIFIn{uplinkSet}, source{ipv6.reserved()}, drop}}}
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
