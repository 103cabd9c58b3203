package network

import (
	"fmt"
	"net/netip"
	"slices"
)

func (v *validator) checkGateways() {
	attached := map[string]string{}
	for i, g := range v.state.InternetGateways {
		path := fmt.Sprintf("internetGateways[%d]", i)
		v.id(path+".internetGatewayId", "igw", "InternetGatewayID", g.ID)
		v.vpc(path+".vpcId", g.VPC)
		if other, taken := attached[g.VPC]; taken {
			v.add(path+".vpcId", "InvalidParameterValue", "Network %s already has an internet gateway attached: %s", g.VPC, other)
		}
		attached[g.VPC] = g.ID
	}
	for i, g := range v.state.EgressOnlyInternetGateways {
		path := fmt.Sprintf("egressOnlyInternetGateways[%d]", i)
		v.id(path+".egressOnlyInternetGatewayId", "eigw", "EgressOnlyInternetGatewayId", g.ID)
		v.vpc(path+".vpcId", g.VPC)
	}
}

func (v *validator) checkPeering() {
	first := map[[2]string]string{}
	for i, c := range v.state.VPCPeeringConnections {
		path := fmt.Sprintf("vpcPeeringConnections[%d]", i)
		v.id(path+".vpcPeeringConnectionId", "pcx", "VpcPeeringConnectionId", c.ID)
		one, ok := v.vpc(path+".requesterVpcId", c.Requester)
		two, also := v.vpc(path+".accepterVpcId", c.Accepter)
		pair := [2]string{min(c.Requester, c.Accepter), max(c.Requester, c.Accepter)}
		switch other := first[pair]; {
		case !ok || !also:
		case c.Requester == c.Accepter:
			v.add(path+".accepterVpcId", "InvalidParameterValue", "A VPC cannot be peered with itself: %s", c.Accepter)
		case other != "":
			v.add(path, "VpcPeeringConnectionAlreadyExists", "%s and %s are peered by %s already", c.Requester, c.Accepter, other)
		default:
			first[pair] = c.ID
			v.checkPeers(path, one, two)
		}
	}
}

// checkPeers reports CIDRs that overlap; EC2's text is that of the connection's status, which is failed then. IPv6 CIDRs
// of VPCs never overlap.
func (v *validator) checkPeers(path string, one, two VPC) {
	for _, a := range one.CIDRs {
		for _, b := range two.CIDRs {
			if a.IsValid() && b.IsValid() && a.Overlaps(b) {
				v.add(path, "InvalidParameterValue", "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range: %s of %s and %s of %s",
					a, one.ID, b, two.ID)
			}
		}
	}
}

func (v *validator) checkNATGateways() {
	for i, g := range v.state.NATGateways {
		path := fmt.Sprintf("natGateways[%d]", i)
		v.id(path+".natGatewayId", "nat", "NatGatewayID", g.ID)
		n, ok := v.subnets[g.Subnet]
		if !ok {
			v.add(path+".subnetId", "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", g.Subnet)
		} else {
			v.checkAddress(path+".privateIp", n, g.PrivateIPv4)
			v.take(path+".privateIp", n.VPC, g.PrivateIPv4, g.ID)
			v.checkPublicSubnet(path, n)
		}
		a, ok := v.addresses[g.Allocation]
		switch {
		case !ok:
			v.add(path+".allocationId", "InvalidAllocationID.NotFound", "The allocation ID '%s' does not exist", g.Allocation)
		case a.ENI != "":
			v.add(path+".allocationId", "Resource.AlreadyAssociated", "elastic-ip %s is already associated with %s", g.Allocation, a.ENI)
		}
		for j, other := range v.state.NATGateways[:i] {
			if other.Allocation == g.Allocation && ok {
				v.add(path+".allocationId", "Resource.AlreadyAssociated", "elastic-ip %s is already associated with natGateways[%d]", g.Allocation, j)
			}
		}
	}
}

// checkPublicSubnet checks that a NAT gateway's subnet leads to the internet.
func (v *validator) checkPublicSubnet(path string, n Subnet) {
	if !v.attached[n.VPC] {
		v.add(path+".subnetId", "Gateway.NotAttached", "Network %s has no Internet gateway attached", n.VPC)
		return
	}
	table, _ := v.state.SubnetRouteTable(n.ID)
	if !slices.ContainsFunc(table.Routes, func(r Route) bool { _, is := v.gateways[r.Target]; return is }) {
		v.add(path+".subnetId", "InvalidSubnet", "%s is not a public subnet: its route table has no route to an internet gateway", n.ID)
	}
}

func (v *validator) checkPools() {
	var all []placed
	for _, n := range v.state.VPCs {
		for _, c := range n.CIDRs {
			if c.IsValid() {
				all = append(all, placed{"", n.ID, c})
			}
		}
	}
	vpcs := len(all)
	for i, p := range v.state.PublicIPv4Pools {
		path := fmt.Sprintf("publicIpv4Pools[%d]", i)
		v.id(path+".poolId", "ipv4pool-ec2", "PublicIpv4PoolID", p.ID)
		if len(p.CIDRs) == 0 {
			v.add(path+".cidrBlocks", "MissingParameter", "The pool needs a CIDR block")
		}
		for j, c := range p.CIDRs {
			at := fmt.Sprintf("%s.cidrBlocks[%d]", path, j)
			if !v.checkCIDR(at, c, IPv4) {
				continue
			}
			if c.Bits() < minPrefix {
				v.add(at, "InvalidParameterValue", "The CIDR '%s' is invalid: a block is /%d to /32", c, minPrefix)
			}
			v.usable(at, "InvalidParameterValue", c)
			for _, other := range all[:vpcs] {
				if other.cidr.Overlaps(c) {
					v.add(at, "InvalidParameterValue", "The CIDR '%s' conflicts with %s, %s", c, other.id, other.cidr)
				}
			}
			all = append(all, placed{at, p.ID, c})
		}
	}
	v.checkOverlaps(all[vpcs:], "InvalidParameterValue", "another pool")
}

// pooled checks that a public address comes from a pool.
func (v *validator) pooled(path string, a netip.Addr) {
	if !slices.ContainsFunc(v.state.PublicIPv4Pools, func(p PublicIPv4Pool) bool {
		return slices.ContainsFunc(p.CIDRs, func(c netip.Prefix) bool { return c.Contains(a) })
	}) {
		v.add(path, "InvalidParameterValue", "Address %s is in no pool of public addresses", a)
	}
}

// take notes who has an address and reports whether it had one before.
func (v *validator) take(path, vpc string, a netip.Addr, id string) {
	if !a.IsValid() {
		return
	}
	if other, taken := v.holders[holder{vpc, a}]; taken {
		v.add(path, "InvalidIPAddress.InUse", "Address %s is in use by %s.", a, other)
	}
	v.holders[holder{vpc, a}] = id
}

func (v *validator) checkAddresses() {
	associated := map[string]string{}
	for i, a := range v.state.Addresses {
		path := fmt.Sprintf("addresses[%d]", i)
		v.id(path+".allocationId", "eipalloc", "AllocationID", a.AllocationID)
		v.pooled(path+".publicIp", a.PublicIP)
		v.take(path+".publicIp", "", a.PublicIP, a.AllocationID)
		if a.ENI == "" {
			continue
		}
		e, ok := v.enis[a.ENI]
		n := v.subnets[e.Subnet]
		other, taken := associated[a.ENI]
		switch {
		case !ok:
			v.add(path+".networkInterfaceId", "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist", a.ENI)
		case taken:
			v.add(path+".networkInterfaceId", "Resource.AlreadyAssociated", "resource %s is already associated with %s", a.ENI, other)
		case !v.attached[n.VPC] && n.VPC != "":
			v.add(path+".networkInterfaceId", "Gateway.NotAttached", "Network %s is not attached to any internet gateway", n.VPC)
		}
		associated[a.ENI] = a.AllocationID
	}
}
