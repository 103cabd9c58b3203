package network

import "slices"

// DefaultGroupName is the name of the group that an ENI has when none is asked for. Every VPC of EC2 has one.
const DefaultGroupName = "default"

// VPC returns the VPC with an ID.
func (s State) VPC(id string) (VPC, bool) {
	return find(s.VPCs, func(v VPC) bool { return v.ID == id })
}

// Subnet returns the subnet with an ID.
func (s State) Subnet(id string) (Subnet, bool) {
	return find(s.Subnets, func(n Subnet) bool { return n.ID == id })
}

// SecurityGroup returns the security group with an ID.
func (s State) SecurityGroup(id string) (SecurityGroup, bool) {
	return find(s.SecurityGroups, func(g SecurityGroup) bool { return g.ID == id })
}

// ENI returns the ENI with an ID.
func (s State) ENI(id string) (ENI, bool) {
	return find(s.ENIs, func(e ENI) bool { return e.ID == id })
}

// NetworkACL returns the network ACL with an ID.
func (s State) NetworkACL(id string) (NetworkACL, bool) {
	return find(s.NetworkACLs, func(a NetworkACL) bool { return a.ID == id })
}

// RouteTable returns the route table with an ID, as the state names it. See [State.SubnetRouteTable].
func (s State) RouteTable(id string) (RouteTable, bool) {
	return find(s.RouteTables, func(t RouteTable) bool { return t.ID == id })
}

// InternetGateway returns the internet gateway with an ID.
func (s State) InternetGateway(id string) (InternetGateway, bool) {
	return find(s.InternetGateways, func(g InternetGateway) bool { return g.ID == id })
}

// EgressOnlyInternetGateway returns the egress-only internet gateway with an ID.
func (s State) EgressOnlyInternetGateway(id string) (EgressOnlyInternetGateway, bool) {
	return find(s.EgressOnlyInternetGateways, func(g EgressOnlyInternetGateway) bool { return g.ID == id })
}

// NATGateway returns the NAT gateway with an ID.
func (s State) NATGateway(id string) (NATGateway, bool) {
	return find(s.NATGateways, func(g NATGateway) bool { return g.ID == id })
}

// VPCPeeringConnection returns the peering connection with an ID.
func (s State) VPCPeeringConnection(id string) (VPCPeeringConnection, bool) {
	return find(s.VPCPeeringConnections, func(c VPCPeeringConnection) bool { return c.ID == id })
}

// Address returns the elastic address with an allocation ID.
func (s State) Address(allocationID string) (Address, bool) {
	return find(s.Addresses, func(a Address) bool { return a.AllocationID == allocationID })
}

// SubnetIDs returns the IDs of all subnets, in the order of the state.
func (s State) SubnetIDs() []string {
	ids := make([]string, len(s.Subnets))
	for i, n := range s.Subnets {
		ids[i] = n.ID
	}
	return ids
}

// DefaultSecurityGroup returns the ID of a VPC's default group, "" if it has none.
func (s State) DefaultSecurityGroup(vpc string) string {
	g, _ := find(s.SecurityGroups, func(g SecurityGroup) bool { return g.VPC == vpc && g.Name == DefaultGroupName })
	return g.ID
}

func find[T any](all []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], true
	}
	var none T
	return none, false
}
