package linux

import (
	"cmp"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/network"
)

// view is one VPC of a state, with what its router needs to know of the rest.
type view struct {
	State    network.State
	VPC      network.VPC
	Subnets  []network.Subnet
	Groups   []network.SecurityGroup // in order of their IDs
	Peerings []peering
	NATs     []network.NATGateway
	// Links has the group number of the links of each subnet's ENIs, by the subnet's ID: packets are told by it.
	Links map[string]uint32
	// Foreign are the groups of peered VPCs that rules of this one name.
	Foreign []string
}

// peering is one end of a peering connection.
type peering struct {
	ID    string
	Other network.VPC
	// First says that this end is the requester's.
	First bool
}

// The numbers of groups of links, which are those of route tables and marks, too: clear of the reserved ones.
const (
	firstLinkGroup = 1 << 16
	linkGroups     = 1 << 30
)

// newView takes a VPC out of a state. The zero view results if there is no such VPC.
func newView(s network.State, vpcID string) view {
	v := view{State: s, Links: map[string]uint32{}}
	v.VPC, _ = s.VPC(vpcID)
	for _, n := range s.Subnets {
		if n.VPC == vpcID {
			v.Subnets = append(v.Subnets, n)
		}
	}
	for _, g := range s.SecurityGroups {
		if g.VPC == vpcID {
			v.Groups = append(v.Groups, g)
		}
	}
	slices.SortFunc(v.Groups, func(a, b network.SecurityGroup) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range s.VPCPeeringConnections {
		if id, ok := c.Other(vpcID); ok {
			other, _ := s.VPC(id)
			v.Peerings = append(v.Peerings, peering{c.ID, other, c.Requester == vpcID})
		}
	}
	for _, g := range s.NATGateways {
		if n, ok := s.Subnet(g.Subnet); ok && n.VPC == vpcID {
			v.NATs = append(v.NATs, g)
		}
	}
	v.numberLinks()
	v.Foreign = v.foreignGroups()
	return v
}

// numberLinks gives each subnet a number that depends on its ID, so that it stays the same when others come and go.
func (v view) numberLinks() {
	ids := make([]string, len(v.Subnets))
	for i, n := range v.Subnets {
		ids[i] = n.ID
	}
	slices.Sort(ids)
	taken := map[uint32]bool{}
	for _, id := range ids {
		h := fnv.New32a()
		_, _ = h.Write([]byte(id))
		n := h.Sum32() % linkGroups
		for taken[n] {
			n = (n + 1) % linkGroups
		}
		taken[n] = true
		v.Links[id] = firstLinkGroup + n
	}
}

func (v view) foreignGroups() []string {
	own := map[string]bool{}
	for _, g := range v.Groups {
		own[g.ID] = true
	}
	named := map[string]bool{}
	for _, g := range v.Groups {
		for _, r := range slices.Concat(g.Ingress, g.Egress) {
			for _, id := range r.Groups {
				if !own[id] {
					named[id] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(named))
}

// port is an ENI as a router sees it.
type port struct {
	network.ENI
	Public netip.Addr // its own public address; the zero value if it has none or shares one
	Out    bool       // it has a public address
}

func newPort(s network.State, e network.ENI) port {
	p := port{ENI: e}
	p.Public, p.Out = s.PublicIPv4(e)
	return p
}

// addr returns the ENI's address in a family; the zero value if it has none.
func (p port) addr(f family) netip.Addr {
	if f == ipv6 {
		return p.IPv6
	}
	return p.PrivateIPv4
}

// ports returns the ENIs of the VPC.
func (v view) ports(enis []network.ENI) []port {
	public := map[string]netip.Addr{}
	for _, a := range v.State.Addresses {
		public[a.ENI] = a.PublicIP
	}
	var list []port
	for _, e := range enis {
		if _, ours := v.Links[e.Subnet]; !ours {
			continue
		}
		p := port{ENI: e, Public: e.PublicIPv4, Out: e.AssignPublicIP || e.PublicIPv4.IsValid()}
		if a, elastic := public[e.ID]; elastic {
			p.Public, p.Out = a, true
		}
		list = append(list, p)
	}
	return list
}

// class is a distinct set of security groups that ENIs carry. Packets are looked up by the class of their ENI, and an
// element of a data map adds an ENI; a verdict map keyed by interface would have the kernel walk every chain of the
// table for each new ENI to rule out loops.
type class struct {
	ID     uint32
	Groups []string // sorted
}

// gatewayClass is the class of NAT gateways, which have no groups.
const gatewayClass = 0

// classKey identifies a set of groups.
func classKey(groups []string) string {
	sorted := slices.Sorted(slices.Values(groups))
	return strings.Join(sorted, ",")
}

// classTable numbers the sets of groups of a VPC's ENIs, from 1 on in order of their keys.
func classTable(ports []port) map[string]class {
	table := map[string]class{}
	for _, p := range ports {
		table[classKey(p.SecurityGroups)] = class{}
	}
	var n uint32
	for _, key := range slices.Sorted(maps.Keys(table)) {
		n++
		table[key] = class{ID: n, Groups: strings.Split(key, ",")}
	}
	return table
}

func sortedClasses(table map[string]class) []class {
	return slices.SortedFunc(maps.Values(table), func(a, b class) int { return cmp.Compare(a.ID, b.ID) })
}
