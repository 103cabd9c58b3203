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
	p := &planner{observed: o, wanted: w, uplinks: map[string]bool{}}
	p.planUplinks()
	for _, v := range w.State.VPCs {
		p.planRouter(v)
	}
	p.planENIs()
	p.planLeftovers()
	p.planHostTable()
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
	uplinks   map[string]bool // VPCs that have or get an uplink
	steps     []step
	conflicts []error
}

func (p *planner) add(s step) { p.steps = append(p.steps, s) }

// planUplinks decides which VPCs have an uplink. One that is there stays, whatever the host has routed since.
func (p *planner) planUplinks() {
	if p.Isolated {
		return
	}
	var blocks []netip.Prefix
	for _, v := range p.State.VPCs {
		if p.uplinkStands(v.ID) {
			p.uplinks[v.ID] = true
			blocks = append(blocks, v.CIDRs...)
		}
	}
	for _, v := range p.State.VPCs {
		if p.uplinks[v.ID] {
			continue
		}
		if err := overlap(v, p.HostRoutes, "a route of the host"); err != nil {
			p.conflicts = append(p.conflicts, err)
		} else if err := overlap(v, blocks, "another VPC"); err != nil {
			p.conflicts = append(p.conflicts, err)
		} else {
			p.uplinks[v.ID] = true
			blocks = append(blocks, v.CIDRs...)
			p.add(step{Do: discardUplink, VPC: v.ID})
			p.add(step{Do: makeUplink, VPC: v.ID})
		}
	}
}

// overlap reports a CIDR of v that overlaps one of the prefixes.
func overlap(v network.VPC, prefixes []netip.Prefix, what string) error {
	for _, c := range v.CIDRs {
		for _, q := range prefixes {
			if q.Overlaps(c) {
				return fmt.Errorf("uplink of %s: %w: its CIDR %s overlaps %s, %s: give the VPC another CIDR", v.ID, network.ErrConflict, c, what, q)
			}
		}
	}
	return nil
}

// uplinkStands reports whether both ends of a VPC's uplink are in place.
func (p *planner) uplinkStands(vpc string) bool {
	r, ok := p.Routers[vpc]
	if !ok || !r.Uplink.IsValid() {
		return false
	}
	for _, l := range p.HostLinks {
		if l.VPC == vpc && l.Addr.IsValid() {
			return true
		}
	}
	return false
}

func (p *planner) planRouter(v network.VPC) {
	r, exists := p.Routers[v.ID]
	if !exists {
		p.add(step{Do: makeRouter, VPC: v.ID})
	}
	p.add(step{Do: setRuleset, VPC: v.ID})
	wantAddrs, wantRoutes := routerAddrs(p.State, v), routerRoutes(p.State, v, p.uplinks[v.ID])
	for _, a := range wantAddrs {
		if !r.Addrs[a] {
			p.add(step{Do: addAddr, VPC: v.ID, Addr: a})
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(r.Addrs), netip.Addr.Compare) {
		if !slices.Contains(wantAddrs, a) {
			p.add(step{Do: dropAddr, VPC: v.ID, Addr: a})
		}
	}
	for _, to := range wantRoutes {
		if !r.Routes[to] {
			p.add(step{Do: addRoute, VPC: v.ID, Route: to})
		}
	}
	for _, to := range slices.SortedFunc(maps.Keys(r.Routes), compareRoutes) {
		// A route to a prefix that stays wanted by another way was replaced when that was added.
		stays := slices.ContainsFunc(wantRoutes, func(q route) bool { return q.To == to.To })
		if ours := to.Link == "" || to.Link == uplinkName; ours && !stays { // those to ENIs go with their links
			p.add(step{Do: dropRoute, VPC: v.ID, Route: to})
		}
	}
	p.planHostRoutes(v)
}

func compareRoutes(a, b route) int {
	return cmp.Or(a.To.Addr().Compare(b.To.Addr()), cmp.Compare(a.To.Bits(), b.To.Bits()), cmp.Compare(a.Link, b.Link))
}

// planHostRoutes leads a VPC's CIDRs into its uplink.
func (p *planner) planHostRoutes(v network.VPC) {
	var have map[netip.Prefix]bool
	if p.uplinkStands(v.ID) {
		for _, l := range p.HostLinks {
			if l.VPC == v.ID {
				have = l.Routes
			}
		}
	}
	if p.uplinks[v.ID] {
		for _, c := range v.CIDRs {
			if !have[c] {
				p.add(step{Do: addHostRoute, VPC: v.ID, Prefix: c})
			}
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(have), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }) {
		if !slices.Contains(v.CIDRs, c) {
			p.add(step{Do: dropHostRoute, VPC: v.ID, Prefix: c})
		}
	}
}

// routerAddrs returns the addresses that a VPC's router has itself: the endpoints, the name server, and its own one in each subnet.
func routerAddrs(s network.State, v network.VPC) []netip.Addr {
	all := append(network.EndpointAddrs(), v.Resolver())
	for _, n := range s.Subnets {
		if n.VPC == v.ID {
			all = append(all, n.Gateway())
		}
	}
	return all
}

// routerRoutes returns the routes of a VPC's router but those to ENIs: what nobody has goes into nothing, silently.
func routerRoutes(s network.State, v network.VPC, uplink bool) []route {
	everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	routes := []route{{To: netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16)}}
	outside := false
	table, _ := s.MainRouteTable(v.ID)
	for _, r := range table.Routes {
		switch {
		case r.Target == network.TargetLocal:
			routes = append(routes, route{To: r.Destination})
		case uplink:
			routes = append(routes, route{To: r.Destination, Link: uplinkName})
			outside = outside || r.Destination == everywhere
		}
	}
	if !outside {
		routes = append(routes, route{To: everywhere})
	}
	return routes
}

func (p *planner) planENIs() {
	for _, e := range p.State.ENIs {
		n, _ := p.State.Subnet(e.Subnet)
		v, _ := p.State.VPC(n.VPC)
		want := record{Version: recordVersion, VPC: v.ID, ENI: e, Attachment: attachment(v, n, e, "", p.DNS)}
		have, complete := p.Records[e.ID]
		want.Attachment.NetNS = have.Attachment.NetNS
		r := p.Routers[v.ID]
		complete = complete && p.Namespaces[e.ID] && r.Links[linkName(e.ID)] && sameENI(have, want)
		if !complete {
			if p.traces(e.ID) {
				p.add(step{Do: discardENI, ENI: e.ID, VPC: have.VPC})
			}
			p.add(step{Do: makeENI, ENI: e.ID, VPC: v.ID})
			continue
		}
		if to := eniRoute(e); !r.Routes[to] {
			p.add(step{Do: addRoute, VPC: v.ID, Route: to})
		}
		if at := eniNeighbor(e); !r.Neighbors[at] {
			p.add(step{Do: addNeighbor, VPC: v.ID, Neighbor: at})
		}
		if !sameRecord(have, want) {
			p.add(step{Do: writeRecord, ENI: e.ID, VPC: v.ID})
		}
	}
}

// traces reports whether anything is left of an ENI.
func (p *planner) traces(id string) bool {
	_, namespace := p.Namespaces[id]
	_, recorded := p.Records[id]
	if namespace || recorded || p.Partial[id] {
		return true
	}
	for _, r := range p.Routers {
		if r.Links[linkName(id)] {
			return true
		}
	}
	return false
}

func eniRoute(e network.ENI) route {
	return route{To: netip.PrefixFrom(e.PrivateIPv4, 32), Link: linkName(e.ID)}
}

func eniNeighbor(e network.ENI) neighbor {
	return neighbor{Link: linkName(e.ID), Addr: e.PrivateIPv4, MAC: e.MAC}
}

// planLeftovers removes what is there and not wanted.
func (p *planner) planLeftovers() {
	vpcs, enis, links := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, v := range p.State.VPCs {
		vpcs[v.ID] = true
	}
	for _, e := range p.State.ENIs {
		enis[e.ID], links[linkName(e.ID)] = true, true
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
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		if gone[id] {
			links[linkName(id)] = true
			p.add(step{Do: removeENI, ENI: id, VPC: p.Records[id].VPC})
		}
	}
	for _, vpc := range slices.Sorted(maps.Keys(p.Routers)) {
		for _, link := range slices.Sorted(maps.Keys(p.Routers[vpc].Links)) {
			if vpcs[vpc] && !links[link] {
				p.add(step{Do: removeLink, VPC: vpc, Link: link})
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
	var names []string
	var blocks []netip.Prefix
	public := false
	for _, v := range p.State.VPCs {
		if p.uplinks[v.ID] {
			names = append(names, hostLinkName(p.Owner, v.ID))
			blocks = append(blocks, v.CIDRs...)
			public = public || p.public(v.ID)
		}
	}
	all := slices.Concat(names, slices.Collect(maps.Keys(p.HostLinks)))
	slices.Sort(all)
	all = slices.Compact(all)
	switch {
	case len(names) > 0:
		p.add(step{Do: setHostTable, Uplinks: all, Blocks: blocks})
		if len(all) > len(names) {
			p.add(step{Do: trimHostTable, Uplinks: names, Blocks: blocks})
		}
	case p.HostTable:
		p.add(step{Do: dropHostTable})
	}
	if public && p.Outside {
		p.add(step{Do: startForward})
	}
}

// public reports whether a VPC has a way to the outside and an ENI that may use it.
func (p *planner) public(vpc string) bool {
	return leadsOutside(p.State, vpc) && slices.ContainsFunc(p.State.ENIs, func(e network.ENI) bool {
		n, _ := p.State.Subnet(e.Subnet)
		return e.AssignPublicIP && n.VPC == vpc
	})
}

// leadsOutside reports whether a VPC has a route to an internet gateway.
func leadsOutside(s network.State, vpc string) bool {
	table, _ := s.MainRouteTable(vpc)
	return slices.ContainsFunc(table.Routes, func(r network.Route) bool { return r.Target != network.TargetLocal })
}
