package network

import (
	"net/netip"
	"slices"
)

// A RouteTable decides where packets go that leave a subnet. A subnet has one, that which names it or else the main one
// of its VPC. A VPC without a main table has one that is not named: local, and in the default VPC 0.0.0.0/0 to its
// internet gateway, as in EC2.
//
// The longest prefix that contains the destination wins; of two equal ones a route that was given as a CIDR before one
// of a prefix list, then the one named first. Nothing is routed without a match.
type RouteTable struct {
	ID      string            `json:"routeTableId"` // "rtb-" and 17 hexadecimal digits
	VPC     string            `json:"vpcId"`
	Main    bool              `json:"main"`
	Subnets []string          `json:"subnetIds,omitempty"` // those associated explicitly, each with one table
	Routes  []Route           `json:"routes"`              // those to the VPC's own CIDRs need not be named
	Tags    map[string]string `json:"tags,omitempty"`
}

// Targets of routes that are no resources.
const (
	TargetLocal     = "local"     // of the routes to a VPC's own CIDRs: whoever has the address
	TargetBlackhole = "blackhole" // dropped: what EC2 makes of a route whose target is gone
)

// A Route sends what goes to Destination, or to an entry of PrefixList, to Target: [TargetLocal], [TargetBlackhole], or
// the ID of
//
//   - an internet gateway of the VPC;
//   - an egress-only internet gateway of the VPC, for IPv6;
//   - a NAT gateway of the VPC, for IPv4;
//   - an ENI of the VPC, to which the packet is given as it is. It is dropped unless that has NoSourceDestCheck, and
//     counts as arrived there otherwise: what the task makes of it is another packet;
//   - a peering connection of the VPC.
//
// Inside the VPC's CIDRs a destination is a whole CIDR with the target local, or all of one subnet's CIDR with an ENI or
// a NAT gateway as target, or [TargetBlackhole] since that is gone. Packets within a subnet are not routed by any.
type Route struct {
	Destination netip.Prefix `json:"destinationCidrBlock,omitzero"`     // IPv4 or IPv6
	PrefixList  string       `json:"destinationPrefixListId,omitempty"` // instead of Destination
	Target      string       `json:"target"`
}

// MainRouteTable returns the main route table of a VPC, complete: with the local routes that it does not name after
// those that it does, and with the ID "" if the state has none. ok is false if there is no such VPC.
func (s State) MainRouteTable(vpc string) (table RouteTable, ok bool) {
	v, ok := s.VPC(vpc)
	if !ok {
		return RouteTable{}, false
	}
	table, named := find(s.RouteTables, func(t RouteTable) bool { return t.VPC == vpc && t.Main })
	if !named {
		table = RouteTable{VPC: vpc, Main: true}
	}
	table = table.complete(v)
	gateway, attached := find(s.InternetGateways, func(g InternetGateway) bool { return g.VPC == vpc })
	if !named && v.IsDefault && attached {
		table.Routes = append(table.Routes, Route{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Target: gateway.ID})
	}
	return table, true
}

// SubnetRouteTable returns the route table that serves a subnet, complete as [State.MainRouteTable] has it. ok is false
// if there is no such subnet.
func (s State) SubnetRouteTable(subnet string) (table RouteTable, ok bool) {
	n, ok := s.Subnet(subnet)
	if !ok {
		return RouteTable{}, false
	}
	if t, explicit := find(s.RouteTables, func(t RouteTable) bool { return slices.Contains(t.Subnets, subnet) }); explicit {
		v, ok := s.VPC(n.VPC)
		return t.complete(v), ok
	}
	return s.MainRouteTable(n.VPC)
}

// complete appends the local routes that the table does not name. A route to a CIDR of the VPC that names another
// target is a mistake and does not replace the local one.
func (t RouteTable) complete(v VPC) RouteTable {
	t.Routes = slices.Clip(t.Routes)
	for _, c := range slices.Concat(v.CIDRs, v.IPv6CIDRs) {
		local := Route{Destination: c, Target: TargetLocal}
		if !slices.Contains(t.Routes, local) {
			t.Routes = append(t.Routes, local)
		}
	}
	return t
}
