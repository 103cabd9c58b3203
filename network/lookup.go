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

// MainRouteTable returns the main route table of a VPC.
func (s State) MainRouteTable(vpc string) (RouteTable, bool) {
	return find(s.RouteTables, func(t RouteTable) bool { return t.VPC == vpc && t.Main })
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
