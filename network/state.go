package network

import "net/netip"

// State is everything that is wanted of the network at one moment. The zero value wants nothing. A State that has
// passed [Validate] is complete: every reference in it resolves. What EC2 gives to every VPC without being asked is
// there without being named: a default network ACL that allows everything, a main route table, local routes.
type State struct {
	VPCs                       []VPC                       `json:"vpcs,omitempty"`
	Subnets                    []Subnet                    `json:"subnets,omitempty"`
	SecurityGroups             []SecurityGroup             `json:"securityGroups,omitempty"`
	PrefixLists                []PrefixList                `json:"prefixLists,omitempty"`
	NetworkACLs                []NetworkACL                `json:"networkAcls,omitempty"`
	InternetGateways           []InternetGateway           `json:"internetGateways,omitempty"`
	EgressOnlyInternetGateways []EgressOnlyInternetGateway `json:"egressOnlyInternetGateways,omitempty"`
	NATGateways                []NATGateway                `json:"natGateways,omitempty"`
	VPCPeeringConnections      []VPCPeeringConnection      `json:"vpcPeeringConnections,omitempty"`
	RouteTables                []RouteTable                `json:"routeTables,omitempty"`
	PublicIPv4Pools            []PublicIPv4Pool            `json:"publicIpv4Pools,omitempty"`
	Addresses                  []Address                   `json:"addresses,omitempty"`
	ENIs                       []ENI                       `json:"networkInterfaces,omitempty"`
}

// A VPC is a network of its own: nothing passes between two of them but through a [VPCPeeringConnection], or by their
// public addresses as if they were on two continents. The IPv4 CIDRs of two VPCs may overlap, their IPv6 CIDRs may not.
type VPC struct {
	ID        string            `json:"vpcId"`                    // "vpc-" and 17 hexadecimal digits
	CIDRs     []netip.Prefix    `json:"cidrBlocks"`               // IPv4, /16 to /28, at most 5; the first is the primary one
	IPv6CIDRs []netip.Prefix    `json:"ipv6CidrBlocks,omitempty"` // global or unique local unicast, /44 to /60 in steps of 4, at most 5; EC2's own are /56
	Region    string            `json:"region"`                   // names its hosts: ip-10-0-2-100.<region>.compute.internal
	IsDefault bool              `json:"isDefault"`                // tasks without a network configuration go here; at most one
	Tags      map[string]string `json:"tags,omitempty"`
}

// A Subnet is a part of a VPC's addresses in one availability zone. Packets between two ENIs of one subnet meet
// neither a network ACL nor a route table.
type Subnet struct {
	ID                          string            `json:"subnetId"` // "subnet-" and 17 hexadecimal digits
	VPC                         string            `json:"vpcId"`
	CIDR                        netip.Prefix      `json:"cidrBlock"`                   // IPv4, /16 to /28, inside a CIDR of the VPC
	IPv6CIDR                    netip.Prefix      `json:"ipv6CidrBlock,omitzero"`      // /64 inside an IPv6 CIDR of the VPC; the zero value is none
	AvailabilityZone            string            `json:"availabilityZone"`            // "eu-central-1a"; a name to spread by
	DefaultForAZ                bool              `json:"defaultForAz"`                // at most one for each zone of a VPC
	MapPublicIPOnLaunch         bool              `json:"mapPublicIpOnLaunch"`         // for those who make ENIs: they get a public IPv4 address unless asked otherwise
	AssignIPv6AddressOnCreation bool              `json:"assignIpv6AddressOnCreation"` // for those who make ENIs: they get an IPv6 address unless asked otherwise
	Tags                        map[string]string `json:"tags,omitempty"`
}

// An ENI is the network interface of one task.
//
// Its public IPv4 address is that of the [Address] associated with it, else PublicIPv4, else if AssignPublicIP one of the
// machine's own, which it shares: then it reaches the outside, and cannot be reached. [State.PublicIPv4] tells. Its IPv6
// address is the same inside and outside and needs no other one.
type ENI struct {
	ID                string            `json:"networkInterfaceId"` // "eni-" and 17 hexadecimal digits
	Subnet            string            `json:"subnetId"`
	SecurityGroups    []string          `json:"groups"` // IDs of 1 to 5 groups of the subnet's VPC
	PrivateIPv4       netip.Addr        `json:"privateIpAddress"`
	IPv6              netip.Addr        `json:"ipv6Address,omitzero"` // in the subnet's IPv6 CIDR; the zero value is none
	MAC               MAC               `json:"macAddress"`
	PrivateDNSName    string            `json:"privateDnsName,omitempty"`    // "" means [PrivateDNSName] of its address
	AssignPublicIP    bool              `json:"assignPublicIp"`              // it has a public IPv4 address; without one the internet gateway carries no IPv4 for it
	PublicIPv4        netip.Addr        `json:"publicIp,omitzero"`           // of its own, from a [PublicIPv4Pool]; needs AssignPublicIP
	NoSourceDestCheck bool              `json:"noSourceDestCheck,omitempty"` // it may send from and receive for addresses that are not its own, as routers do
	Bandwidth         Bandwidth         `json:"bandwidth,omitzero"`          // limits; the zero value is none
	PublishedPorts    []PublishedPort   `json:"publishedPorts,omitempty"`    // ports of the machine that lead to it
	Description       string            `json:"description,omitempty"`
	Tags              map[string]string `json:"tags,omitempty"` // such as "taskArn"
}
