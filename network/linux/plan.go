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

// plan returns the steps from what there is to what is wanted: it adds what is missing, then changes, then removes. It
// is pure. A VPC that cannot have its uplink because the host uses its addresses is made without, and conflicts says
// so.
func plan(o observed, w wanted) (steps []step, conflicts []error) {
	p := &planner{observed: o, wanted: w, views: map[string]view{}, ports: map[string][]port{}, uplinks: map[string]bool{}, hosted: map[string]bool{}}
	for _, v := range w.State.VPCs {
		p.views[v.ID] = newView(w.State, v.ID)
		p.ports[v.ID] = p.views[v.ID].ports(w.State.ENIs)
	}
	p.planUplinks()
	for _, v := range w.State.VPCs {
		p.planRouter(v)
	}
	p.planENIs()
	p.planLeftovers()
	p.planHostTable()
	p.planProxies()
	rank := map[action]int{}
	for i, a := range order() {
		rank[a] = i
	}
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(rank[a.Do], rank[b.Do]) })
	return p.steps, p.conflicts
}

type planner struct {
	observed
	wanted
	views     map[string]view
	ports     map[string][]port // of each VPC
	uplinks   map[string]bool   // VPCs that have or get an uplink
	hosted    map[string]bool   // those that the host reaches at private addresses
	steps     []step
	conflicts []error
}

func (p *planner) add(s step) { p.steps = append(p.steps, s) }

// planUplinks decides which VPCs have an uplink, and which of them the host knows by their own addresses. A VPC that is
// known stays so, whatever the host has routed since.
func (p *planner) planUplinks() {
	if p.Isolated {
		return
	}
	var blocks []netip.Prefix
	for _, v := range p.State.VPCs {
		if p.known(v) {
			p.hosted[v.ID] = true
			blocks = append(blocks, v.CIDRs...)
		}
	}
	for _, v := range p.State.VPCs {
		p.uplinks[v.ID] = true
		if !p.uplinkStands(v.ID) {
			p.add(step{Do: discardUplink, VPC: v.ID})
			p.add(step{Do: makeUplink, VPC: v.ID})
		}
		if p.hosted[v.ID] {
			continue
		}
		if err := overlap(v, p.HostRoutes, "a route of the host"); err != nil {
			p.conflicts = append(p.conflicts, err)
		} else if err := overlap(v, blocks, "another VPC"); err != nil {
			p.conflicts = append(p.conflicts, err)
		} else {
			p.hosted[v.ID] = true
			blocks = append(blocks, v.CIDRs...)
		}
	}
}

// known reports whether the host has a route to one of a VPC's CIDRs by its uplink.
func (p *planner) known(v network.VPC) bool {
	if !p.uplinkStands(v.ID) {
		return false
	}
	for _, l := range p.HostLinks {
		if l.VPC == v.ID && slices.ContainsFunc(v.CIDRs, func(c netip.Prefix) bool { return l.Routes[c] }) {
			return true
		}
	}
	return false
}

// overlap reports a CIDR of v that overlaps one of the prefixes.
func overlap(v network.VPC, prefixes []netip.Prefix, what string) error {
	for _, c := range v.CIDRs {
		for _, q := range prefixes {
			if q.Overlaps(c) {
				return fmt.Errorf("routes of the host to %s: %w: its CIDR %s overlaps %s, %s: give the VPC another CIDR", v.ID, network.ErrConflict, c, what, q)
			}
		}
	}
	return nil
}

// uplinkStands reports whether both ends of a VPC's uplink are in place.
func (p *planner) uplinkStands(vpc string) bool {
	r, ok := p.Routers[vpc]
	if v := p.views[vpc].VPC; !ok || !r.Uplink.IsValid() || len(v.IPv6CIDRs) > 0 && !r.UplinkIPv6 {
		return false
	}
	for _, l := range p.HostLinks {
		if l.VPC == vpc && l.Addr.IsValid() {
			return true
		}
	}
	return false
}

func (p *planner) planRouter(vpc network.VPC) {
	v := p.views[vpc.ID]
	r, exists := p.Routers[vpc.ID]
	if !exists {
		p.add(step{Do: makeRouter, VPC: vpc.ID})
	}
	if r.Connections != p.Connections {
		p.add(step{Do: limitConns, VPC: vpc.ID})
	}
	p.add(step{Do: setRuleset, VPC: vpc.ID})
	wantAddrs := v.addrs()
	for _, a := range wantAddrs {
		if !r.Addrs[a] {
			p.add(step{Do: addAddr, VPC: vpc.ID, Addr: a})
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(r.Addrs), netip.Addr.Compare) {
		if !slices.Contains(wantAddrs, a) {
			p.add(step{Do: dropAddr, VPC: vpc.ID, Addr: a})
		}
	}
	r = p.without(r, p.remade(v, r))
	p.planRoutes(v, r)
	p.planGateways(v, r)
	p.planHostRoutes(v)
}

// remade are the links of a router that do not stand and are made from the beginning.
func (p *planner) remade(v view, r observedRouter) map[string]bool {
	links := map[string]bool{uplinkName: !p.uplinkStands(v.VPC.ID)}
	for _, g := range v.NATs {
		links[natLink(g)] = !p.natStands(g, r)
	}
	for _, c := range v.Peerings {
		links[peeringLink(c.ID)] = !p.peeringStands(c, r)
	}
	for _, e := range p.ports[v.VPC.ID] {
		links[linkName(e.ENI.ID)] = !p.eniStands(e.ENI)
	}
	return links
}

// without is a router without what goes with links.
func (p *planner) without(r observedRouter, links map[string]bool) observedRouter {
	r.Routes, r.Neighbors = maps.Clone(r.Routes), maps.Clone(r.Neighbors)
	maps.DeleteFunc(r.Routes, func(to route, _ bool) bool { return links[to.Link] })
	maps.DeleteFunc(r.Neighbors, func(at neighbor, _ bool) bool { return links[at.Link] })
	return r
}

func (p *planner) natStands(g network.NATGateway, r observedRouter) bool {
	return r.Finished[natLink(g)] && p.Namespaces[g.ID]
}

// peeringStands reports whether both ends of a link are there. The requester's is marked.
func (p *planner) peeringStands(c peering, r observedRouter) bool {
	link, other := peeringLink(c.ID), p.Routers[c.Other.ID]
	if !c.First {
		r, other = other, r
	}
	return r.Finished[link] && other.has(link)
}

// planRoutes sets the route tables of a router, and which packets have which.
func (p *planner) planRoutes(v view, r observedRouter) {
	var want []route
	rules := map[tableRule]bool{}
	for _, f := range families() {
		want = append(want, v.mainRoutes(f, p.uplinks[v.VPC.ID])...)
		for _, n := range v.Subnets {
			if !hasTable(n, f) {
				continue
			}
			want = append(want, v.tableRoutes(n, f, p.uplinks[v.VPC.ID])...)
			rule := tableRule{f, v.Links[n.ID]}
			if rules[rule] = true; !r.Tables[rule] {
				p.add(step{Do: addTable, VPC: v.VPC.ID, Rule: rule})
			}
		}
	}
	stays := map[route]bool{}
	for _, to := range want {
		stays[to.key()] = true
		if !r.Routes[to] {
			p.add(step{Do: addRoute, VPC: v.VPC.ID, Route: to})
		}
	}
	for _, e := range p.ports[v.VPC.ID] { // with their links
		for _, to := range portRoutes(e.ENI) {
			stays[to.key()] = true
		}
	}
	for _, to := range slices.SortedFunc(maps.Keys(r.Routes), compareRoutes) {
		// A route to a prefix that stays wanted by another way was replaced when that was added, and those to ENIs go
		// with their links.
		if byLink := to.Table == 0 && to.Link != "" && to.Link != uplinkName; !byLink && !stays[to.key()] {
			p.add(step{Do: dropRoute, VPC: v.VPC.ID, Route: to})
		}
	}
	for _, rule := range slices.SortedFunc(maps.Keys(r.Tables), compareTables) {
		if !rules[rule] {
			p.add(step{Do: dropTable, VPC: v.VPC.ID, Rule: rule})
		}
	}
}

func compareRoutes(a, b route) int {
	fallback := func(r route) int {
		if r.Fallback {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Table, b.Table), a.To.Addr().Compare(b.To.Addr()), cmp.Compare(a.To.Bits(), b.To.Bits()),
		cmp.Compare(fallback(a), fallback(b)), cmp.Compare(a.Link, b.Link))
}

func compareTables(a, b tableRule) int {
	return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Table, b.Table))
}

// planGateways makes what else has links in a router.
func (p *planner) planGateways(v view, r observedRouter) {
	for _, g := range v.NATs {
		link := natLink(g)
		if !p.natStands(g, r) {
			p.add(step{Do: makeNAT, VPC: v.VPC.ID, ENI: g.ID})
		} else if at := v.Links[g.Subnet]; r.Links[link] != at {
			p.add(step{Do: setLinkGroup, VPC: v.VPC.ID, Link: link, Group: at})
		}
	}
	for _, c := range v.Peerings {
		if c.First && !p.peeringStands(c, r) {
			p.add(step{Do: makePeering, VPC: v.VPC.ID, ENI: c.ID})
		}
	}
	for _, at := range v.gatewayNeighbors() {
		if !r.Neighbors[at] {
			p.add(step{Do: addNeighbor, VPC: v.VPC.ID, Neighbor: at})
		}
	}
}

// planHostRoutes leads a VPC's CIDRs, and the public addresses that its ENIs have, into its uplink.
func (p *planner) planHostRoutes(v view) {
	var have map[netip.Prefix]bool
	if p.uplinks[v.VPC.ID] && p.uplinkStands(v.VPC.ID) {
		for _, l := range p.HostLinks {
			if l.VPC == v.VPC.ID {
				have = l.Routes
			}
		}
	}
	var want []netip.Prefix
	if p.hosted[v.VPC.ID] {
		want = slices.Clone(v.VPC.CIDRs)
	}
	if p.uplinks[v.VPC.ID] {
		want = append(want, v.VPC.IPv6CIDRs...)
	}
	for _, l := range p.HostLinks {
		if have != nil && l.VPC == v.VPC.ID {
			want = append(want, sharedRoute(l.Addr)) // made with the uplink
		}
	}
	for _, a := range p.announced(v) {
		want = append(want, netip.PrefixFrom(a, a.BitLen()))
	}
	if p.uplinks[v.VPC.ID] {
		for _, c := range want {
			if !have[c] {
				p.add(step{Do: addHostRoute, VPC: v.VPC.ID, Prefix: c})
			}
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(have), func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	}) {
		if !slices.Contains(want, c) {
			p.add(step{Do: dropHostRoute, VPC: v.VPC.ID, Prefix: c})
		}
	}
}

// announced returns the addresses of a VPC that the host routes one by one: public ones, and those of IPv6 for which it
// answers.
func (p *planner) announced(v view) []netip.Addr {
	list := v.publicAddrs(p.ports[v.VPC.ID])
	for _, e := range p.ports[v.VPC.ID] {
		if p.Link != "" && e.IPv6.IsValid() {
			list = append(list, e.IPv6)
		}
	}
	return list
}

// planProxies has the host answer for the addresses that are wanted of it, and for no others.
func (p *planner) planProxies() {
	want := map[proxy]bool{}
	for _, vpc := range p.State.VPCs {
		for _, a := range p.announced(p.views[vpc.ID]) {
			x := proxy{p.Link, a}
			if want[x] = p.Link != "" && p.uplinks[vpc.ID]; want[x] && !p.Proxies[x] {
				p.add(step{Do: addProxy, Proxy: x})
			}
		}
	}
	for _, x := range slices.SortedFunc(maps.Keys(p.Proxies), func(a, b proxy) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), a.Addr.Compare(b.Addr))
	}) {
		if !want[x] {
			p.add(step{Do: dropProxy, Proxy: x})
		}
	}
}

// sharedRoute is what leads back to those that share an address of the host.
func sharedRoute(host netip.Addr) netip.Prefix {
	return netip.PrefixFrom(uplinkEnds{IPv4: host}.shared(), 32)
}

// publicAddrs returns the public addresses that are in use in a VPC.
func (v view) publicAddrs(ports []port) []netip.Addr {
	var list []netip.Addr
	for _, p := range ports {
		if p.Public.IsValid() {
			list = append(list, p.Public)
		}
	}
	for _, g := range v.NATs {
		if a, ok := v.State.Address(g.Allocation); ok {
			list = append(list, a.PublicIP)
		}
	}
	return list
}

func (p *planner) planENIs() {
	for _, e := range p.State.ENIs {
		n, _ := p.State.Subnet(e.Subnet)
		v, _ := p.State.VPC(n.VPC)
		have, want := p.records(e)
		r := p.Routers[v.ID]
		if !p.eniStands(e) {
			if p.traces(e.ID) {
				p.add(step{Do: discardENI, ENI: e.ID, VPC: have.VPC})
			}
			p.add(step{Do: makeENI, ENI: e.ID, VPC: v.ID})
			continue
		}
		for _, to := range portRoutes(e) {
			if !r.Routes[to] {
				p.add(step{Do: addRoute, VPC: v.ID, Route: to})
			}
		}
		for _, at := range portNeighbors(e) {
			if !r.Neighbors[at] {
				p.add(step{Do: addNeighbor, VPC: v.ID, Neighbor: at})
			}
		}
		if name := limitTable(e); name != "" && !r.Limits[name] {
			p.add(step{Do: setLimit, VPC: v.ID, ENI: e.ID})
		}
		if at := p.views[v.ID].Links[e.Subnet]; r.Links[linkName(e.ID)] != at {
			p.add(step{Do: setLinkGroup, VPC: v.ID, Link: linkName(e.ID), Group: at})
		}
		if !sameRecord(have, want) {
			p.add(step{Do: writeRecord, ENI: e.ID, VPC: v.ID})
		}
	}
}

// records are an ENI's as it is, the zero value if it is in no record, and as it is to be.
func (p *planner) records(e network.ENI) (have, want record) {
	n, _ := p.State.Subnet(e.Subnet)
	v, _ := p.State.VPC(n.VPC)
	have = p.Records[e.ID]
	want = record{Version: recordVersion, VPC: v.ID, ENI: e, Attachment: attachment(v, n, e, "", p.DNS)}
	want.Attachment.NetNS = have.Attachment.NetNS
	return have, want
}

// eniStands reports whether an ENI was attached completely and is still.
func (p *planner) eniStands(e network.ENI) bool {
	_, recorded := p.Records[e.ID]
	have, want := p.records(e)
	return recorded && p.Namespaces[e.ID] && p.Routers[want.VPC].has(linkName(e.ID)) && sameENI(have, want)
}

// traces reports whether anything is left of an ENI.
func (p *planner) traces(id string) bool {
	_, namespace := p.Namespaces[id]
	_, recorded := p.Records[id]
	if namespace || recorded || p.Partial[id] {
		return true
	}
	for _, r := range p.Routers {
		if r.has(linkName(id)) {
			return true
		}
	}
	return false
}

// planLeftovers removes what is there and not wanted.
func (p *planner) planLeftovers() {
	vpcs, enis, links, limits := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, v := range p.State.VPCs {
		vpcs[v.ID] = true
	}
	for _, e := range p.State.ENIs {
		enis[e.ID], links[linkName(e.ID)], limits[limitTable(e)] = true, true, true
	}
	for _, g := range p.State.NATGateways {
		enis[g.ID], links[natLink(g)] = true, true
	}
	for _, c := range p.State.VPCPeeringConnections {
		links[peeringLink(c.ID)] = true
	}
	gone := map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(p.Namespaces)) {
		switch {
		case strings.HasPrefix(id, "vpc-") && !vpcs[id]:
			p.add(step{Do: removeRouter, VPC: id})
		case !strings.HasPrefix(id, "vpc-") && !enis[id]:
			gone[id] = true
		}
	}
	for id := range p.Records {
		gone[id] = gone[id] || !enis[id]
	}
	for id := range p.Partial {
		gone[id] = gone[id] || !enis[id]
	}
	wanted := map[holding]bool{}
	for vpc, ports := range p.ports {
		for _, e := range ports {
			for _, h := range holdings(vpc, e.ENI) {
				wanted[h] = true
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		if !gone[id] {
			continue
		}
		links[linkName(id)] = true
		do := removeENI
		rec, recorded := p.Records[id]
		if recorded && slices.ContainsFunc(holdings(rec.VPC, rec.ENI), func(h holding) bool { return wanted[h] }) ||
			slices.ContainsFunc(p.State.ENIs, func(e network.ENI) bool { return conflicting(rec.ENI, e) }) {
			do = discardENI // another one gets its address or a port
		}
		p.add(step{Do: do, ENI: id, VPC: rec.VPC})
	}
	for _, vpc := range slices.Sorted(maps.Keys(p.Routers)) {
		for _, link := range slices.Sorted(maps.Keys(p.Routers[vpc].Links)) {
			if vpcs[vpc] && !links[link] {
				p.add(step{Do: removeLink, VPC: vpc, Link: link})
			}
		}
		for _, table := range slices.Sorted(maps.Keys(p.Routers[vpc].Limits)) {
			if vpcs[vpc] && !limits[table] {
				p.add(step{Do: dropLimit, VPC: vpc, Limit: table})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.HostLinks)) {
		if vpc := p.HostLinks[name].VPC; !vpcs[vpc] || p.Isolated {
			p.add(step{Do: removeUplink, VPC: vpc, Link: name})
		}
	}
}

// planHostTable keeps the host's table in step with uplinks: it names a new one before it is made and an old one until
// it is gone.
func (p *planner) planHostTable() {
	want := hostWants{Owner: p.Owner, Routed: p.Routed}
	outside, published := false, false
	for _, pool := range p.State.PublicIPv4Pools {
		want.Pools = append(want.Pools, pool.CIDRs...)
	}
	for _, vpc := range p.State.VPCs {
		publishers, beyond := p.publishers(vpc.ID)
		want.Publishers, published = append(want.Publishers, publishers...), published || beyond
		if v := p.views[vpc.ID]; p.uplinks[vpc.ID] {
			want.Uplinks = append(want.Uplinks, hostLinkName(p.Owner, vpc.ID))
			want.Blocks = append(want.Blocks, vpc.CIDRs...)
			want.BlocksIPv6 = append(want.BlocksIPv6, vpc.IPv6CIDRs...)
			want.Public = append(want.Public, v.publicAddrs(p.ports[vpc.ID])...)
			outside = outside || v.leadsOutside() && (len(v.NATs) > 0 || slices.ContainsFunc(p.ports[vpc.ID], func(e port) bool { return e.Out }))
		}
	}
	all := want
	all.Uplinks = slices.Concat(want.Uplinks, slices.Collect(maps.Keys(p.HostLinks)))
	slices.Sort(all.Uplinks)
	all.Uplinks = slices.Compact(all.Uplinks)
	switch {
	case len(want.Uplinks) > 0:
		p.add(step{Do: setHostTable, Host: all})
		if len(want.Publishers) > 0 {
			p.add(step{Do: publishPorts, Host: all})
		}
		if len(all.Uplinks) > len(want.Uplinks) {
			p.add(step{Do: trimHostTable, Host: want})
		}
	case p.HostTable:
		p.add(step{Do: dropHostTable})
	}
	if outside && (p.Outside || p.Link != "") || published {
		p.add(step{Do: startForward})
	}
}

// publishers returns the ENIs of a VPC that publish ports, and whether others than the host reach one.
func (p *planner) publishers(vpc string) (list []port, beyond bool) {
	for _, e := range p.ports[vpc] {
		if len(e.PublishedPorts) == 0 {
			continue
		}
		if !p.hosted[vpc] {
			p.conflicts = append(p.conflicts, cannotPublish(e.ENI, vpc, p.Isolated))
			continue
		}
		list, beyond = append(list, e), beyond || publishes(e.ENI)
	}
	return list, beyond
}

// leadsOutside reports whether a VPC has a route to an internet gateway.
func (v view) leadsOutside() bool {
	return slices.ContainsFunc(v.Subnets, func(n network.Subnet) bool { return v.isOpen(n, ipv4) })
}
