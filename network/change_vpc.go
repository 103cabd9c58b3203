package network

import (
	"net/netip"
	"slices"
)

func (d *difference) vpcs() {
	arn := func(v VPC) string { return "vpc/" + v.ID }
	diff(d.before.VPCs, d.after.VPCs, kind[VPC]{
		id: func(v VPC) string { return v.ID },
		fixed: func(v VPC) any {
			primary := netip.Prefix{}
			if len(v.CIDRs) > 0 {
				primary = v.CIDRs[0]
			}
			return [3]any{primary, v.Region, v.IsDefault}
		},
		made: func(v VPC) {
			d.doIf(v.IsDefault, "CreateDefaultVpc", "vpc/*")
			d.doIf(!v.IsDefault, "CreateVpc", "vpc/*")
		},
		fresh: func(v VPC) VPC { return VPC{CIDRs: v.CIDRs[:min(1, len(v.CIDRs))]} },
		gone:  func(v VPC) { d.do("DeleteVpc", arn(v)) },
		change: func(was, is VPC) {
			d.doIf(missing(was.CIDRs, is.CIDRs) || missing(was.IPv6CIDRs, is.IPv6CIDRs), "AssociateVpcCidrBlock", arn(is))
			d.doIf(missing(is.CIDRs, was.CIDRs) || missing(is.IPv6CIDRs, was.IPv6CIDRs), "DisassociateVpcCidrBlock", arn(is))
			d.tags(arn(is), was.Tags, is.Tags)
		},
	})
}

func (d *difference) subnets() {
	arn := func(n Subnet) string { return "subnet/" + n.ID }
	diff(d.before.Subnets, d.after.Subnets, kind[Subnet]{
		id: func(n Subnet) string { return n.ID },
		fixed: func(n Subnet) any {
			return [4]any{n.VPC, n.CIDR, n.AvailabilityZone, n.DefaultForAZ}
		},
		made: func(n Subnet) {
			d.doIf(n.DefaultForAZ, "CreateDefaultSubnet", "subnet/*")
			d.doIf(!n.DefaultForAZ, "CreateSubnet", "subnet/*", "vpc/"+n.VPC)
		},
		fresh: func(n Subnet) Subnet { return Subnet{MapPublicIPOnLaunch: n.DefaultForAZ} },
		gone:  func(n Subnet) { d.do("DeleteSubnet", arn(n)) },
		change: func(was, is Subnet) {
			d.doIf(is.IPv6CIDR.IsValid() && is.IPv6CIDR != was.IPv6CIDR, "AssociateSubnetCidrBlock", arn(is))
			d.doIf(was.IPv6CIDR.IsValid() && is.IPv6CIDR != was.IPv6CIDR, "DisassociateSubnetCidrBlock", arn(is))
			d.doIf(was.MapPublicIPOnLaunch != is.MapPublicIPOnLaunch || was.AssignIPv6AddressOnCreation != is.AssignIPv6AddressOnCreation,
				"ModifySubnetAttribute", arn(is))
			d.tags(arn(is), was.Tags, is.Tags)
		},
	})
}

func (d *difference) gateways() {
	internet := func(g InternetGateway) string { return "internet-gateway/" + g.ID }
	diff(d.before.InternetGateways, d.after.InternetGateways, kind[InternetGateway]{
		id:    func(g InternetGateway) string { return g.ID },
		fixed: func(InternetGateway) any { return nil },
		made:  func(InternetGateway) { d.do("CreateInternetGateway", "internet-gateway/*") },
		fresh: func(InternetGateway) InternetGateway { return InternetGateway{} },
		gone: func(g InternetGateway) {
			d.do("DetachInternetGateway", internet(g), "vpc/"+g.VPC)
			d.do("DeleteInternetGateway", internet(g))
		},
		change: func(was, is InternetGateway) {
			d.doIf(was.VPC != "" && was.VPC != is.VPC, "DetachInternetGateway", internet(is), "vpc/"+was.VPC)
			d.doIf(was.VPC != is.VPC, "AttachInternetGateway", internet(is), "vpc/"+is.VPC)
			d.tags(internet(is), was.Tags, is.Tags)
		},
	})
	egress := func(g EgressOnlyInternetGateway) string { return "egress-only-internet-gateway/" + g.ID }
	diff(d.before.EgressOnlyInternetGateways, d.after.EgressOnlyInternetGateways, kind[EgressOnlyInternetGateway]{
		id:    func(g EgressOnlyInternetGateway) string { return g.ID },
		fixed: func(g EgressOnlyInternetGateway) any { return g.VPC },
		made: func(g EgressOnlyInternetGateway) {
			d.do("CreateEgressOnlyInternetGateway", "egress-only-internet-gateway/*", "vpc/"+g.VPC)
		},
		fresh:  func(EgressOnlyInternetGateway) EgressOnlyInternetGateway { return EgressOnlyInternetGateway{} },
		gone:   func(g EgressOnlyInternetGateway) { d.do("DeleteEgressOnlyInternetGateway", egress(g)) },
		change: func(was, is EgressOnlyInternetGateway) { d.tags(egress(is), was.Tags, is.Tags) },
	})
	nat := func(g NATGateway) string { return "natgateway/" + g.ID }
	diff(d.before.NATGateways, d.after.NATGateways, kind[NATGateway]{
		id:    func(g NATGateway) string { return g.ID },
		fixed: func(g NATGateway) any { return [3]any{g.Subnet, g.PrivateIPv4, g.Allocation} },
		made: func(g NATGateway) {
			d.do("CreateNatGateway", "natgateway/*", "subnet/"+g.Subnet, "elastic-ip/"+g.Allocation)
		},
		fresh:  func(NATGateway) NATGateway { return NATGateway{} },
		gone:   func(g NATGateway) { d.do("DeleteNatGateway", nat(g)) },
		change: func(was, is NATGateway) { d.tags(nat(is), was.Tags, is.Tags) },
	})
	peering := func(c VPCPeeringConnection) string { return "vpc-peering-connection/" + c.ID }
	diff(d.before.VPCPeeringConnections, d.after.VPCPeeringConnections, kind[VPCPeeringConnection]{
		id:    func(c VPCPeeringConnection) string { return c.ID },
		fixed: func(c VPCPeeringConnection) any { return [2]string{c.Requester, c.Accepter} },
		made: func(c VPCPeeringConnection) {
			d.do("CreateVpcPeeringConnection", "vpc-peering-connection/*", "vpc/"+c.Requester)
			d.do("AcceptVpcPeeringConnection", peering(c), "vpc/"+c.Accepter)
		},
		fresh:  func(VPCPeeringConnection) VPCPeeringConnection { return VPCPeeringConnection{} },
		gone:   func(c VPCPeeringConnection) { d.do("DeleteVpcPeeringConnection", peering(c)) },
		change: func(was, is VPCPeeringConnection) { d.tags(peering(is), was.Tags, is.Tags) },
	})
}

func (d *difference) addresses() {
	pool := func(p PublicIPv4Pool) string { return "ipv4pool-ec2/" + p.ID }
	diff(d.before.PublicIPv4Pools, d.after.PublicIPv4Pools, kind[PublicIPv4Pool]{
		id:    func(p PublicIPv4Pool) string { return p.ID },
		fixed: func(p PublicIPv4Pool) any { return p.Description },
		made:  func(PublicIPv4Pool) { d.do("CreatePublicIpv4Pool", "ipv4pool-ec2/*") },
		fresh: func(PublicIPv4Pool) PublicIPv4Pool { return PublicIPv4Pool{} },
		gone:  func(p PublicIPv4Pool) { d.do("DeletePublicIpv4Pool", pool(p)) },
		change: func(was, is PublicIPv4Pool) {
			d.doIf(missing(was.CIDRs, is.CIDRs), "ProvisionPublicIpv4PoolCidr", pool(is))
			d.doIf(missing(is.CIDRs, was.CIDRs), "DeprovisionPublicIpv4PoolCidr", pool(is))
			d.tags(pool(is), was.Tags, is.Tags)
		},
	})
	elastic := func(a Address) string { return "elastic-ip/" + a.AllocationID }
	diff(d.before.Addresses, d.after.Addresses, kind[Address]{
		id:    func(a Address) string { return a.AllocationID },
		fixed: func(a Address) any { return a.PublicIP },
		made: func(a Address) {
			d.do("AllocateAddress", "elastic-ip/*")
			for _, p := range d.after.PublicIPv4Pools {
				d.doIf(slices.ContainsFunc(p.CIDRs, func(c netip.Prefix) bool { return c.Contains(a.PublicIP) }), "AllocateAddress", pool(p))
			}
		},
		fresh: func(Address) Address { return Address{} },
		gone: func(a Address) {
			d.doIf(a.ENI != "", "DisassociateAddress", elastic(a), "network-interface/"+a.ENI)
			d.do("ReleaseAddress", elastic(a))
		},
		change: func(was, is Address) {
			d.doIf(was.ENI != "" && is.ENI == "", "DisassociateAddress", elastic(is), "network-interface/"+was.ENI)
			d.doIf(is.ENI != "" && was.ENI != is.ENI, "AssociateAddress", elastic(is), "network-interface/"+is.ENI)
			d.tags(elastic(is), was.Tags, is.Tags)
		},
	})
}
