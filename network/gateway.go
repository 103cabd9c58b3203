package network

import "net/netip"

// An InternetGateway is the way to the outside of one VPC, and from it.
//
// Outwards it translates the private source address of an IPv4 packet to the public one of its ENI or NAT gateway, 1 to
// 1 and for every protocol, and drops what has none. Inwards it translates the destination back. IPv6 passes unchanged.
// It carries packets inwards only to subnets whose route table sends the answer, that is what goes to the packet's
// source, through it: others are not public. It carries nothing to the private addresses of any VPC.
type InternetGateway struct {
	ID   string            `json:"internetGatewayId"` // "igw-" and 17 hexadecimal digits
	VPC  string            `json:"vpcId"`             // the VPC it is attached to
	Tags map[string]string `json:"tags,omitempty"`
}

// An EgressOnlyInternetGateway is the way of one VPC's IPv6 packets to the outside. Inwards it carries what belongs to
// a connection that began inside.
type EgressOnlyInternetGateway struct {
	ID   string            `json:"egressOnlyInternetGatewayId"` // "eigw-" and 17 hexadecimal digits
	VPC  string            `json:"vpcId"`                       // the VPC it is attached to
	Tags map[string]string `json:"tags,omitempty"`
}

// A NATGateway lets ENIs without public addresses reach the outside. It is routed to as the target of a route, takes
// TCP, UDP and ICMP of IPv4, puts its own private address and a port from 1024 up in the place of the source, and sends
// the packet on by the route table of its own subnet, where the internet gateway turns the private address into the
// public one of its elastic address. No security groups, but both network ACLs of its subnet apply to it: to what comes
// from other subnets before it translates, to what it sends on after. Nobody reaches the gateway itself: neither its
// private nor its public address answers.
type NATGateway struct {
	ID          string            `json:"natGatewayId"` // "nat-" and 17 hexadecimal digits
	Subnet      string            `json:"subnetId"`     // a public one: its route table leads to an internet gateway
	PrivateIPv4 netip.Addr        `json:"privateIp"`    // in the subnet, taken like that of an ENI
	Allocation  string            `json:"allocationId"` // ID of an [Address] that no ENI and no other gateway has
	Tags        map[string]string `json:"tags,omitempty"`
}

// A VPCPeeringConnection carries packets between the private addresses of two VPCs whose CIDRs do not overlap, in the
// subnets whose route tables name it as a target, on both sides: the answer is routed like any other packet. It is not
// transitive: source and destination must be addresses of ENIs in the two VPCs, so no gateway of one serves the other.
// Security groups of either side can name groups of the other.
type VPCPeeringConnection struct {
	ID        string            `json:"vpcPeeringConnectionId"` // "pcx-" and 17 hexadecimal digits
	Requester string            `json:"requesterVpcId"`
	Accepter  string            `json:"accepterVpcId"` // another VPC
	Tags      map[string]string `json:"tags,omitempty"`
}

// Other returns the VPC at the other end; ok is false if vpc is at neither.
func (c VPCPeeringConnection) Other(vpc string) (other string, ok bool) {
	switch vpc {
	case c.Requester:
		return c.Accepter, true
	case c.Accepter:
		return c.Requester, true
	}
	return "", false
}
