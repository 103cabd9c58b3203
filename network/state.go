package network

import "net/netip"

// State is everything that is wanted of the network at one moment. The zero value wants nothing. A State that has
// passed [Validate] is complete: every reference in it resolves.
type State struct {
	VPCs             []VPC             `json:"vpcs,omitempty"`
	Subnets          []Subnet          `json:"subnets,omitempty"`
	SecurityGroups   []SecurityGroup   `json:"securityGroups,omitempty"`
	InternetGateways []InternetGateway `json:"internetGateways,omitempty"`
	RouteTables      []RouteTable      `json:"routeTables,omitempty"`
	ENIs             []ENI             `json:"networkInterfaces,omitempty"`
}

// A VPC is a network of its own: nothing passes between two of them.
type VPC struct {
	ID        string            `json:"vpcId"`      // "vpc-" and 17 hexadecimal digits
	CIDRs     []netip.Prefix    `json:"cidrBlocks"` // IPv4, /16 to /28, at most 5; the first is the primary one
	Region    string            `json:"region"`     // names its hosts: ip-10-0-2-100.<region>.compute.internal
	IsDefault bool              `json:"isDefault"`  // tasks without a network configuration go here; at most one
	Tags      map[string]string `json:"tags,omitempty"`
}

// A Subnet is a part of a VPC's addresses in one availability zone.
type Subnet struct {
	ID               string            `json:"subnetId"` // "subnet-" and 17 hexadecimal digits
	VPC              string            `json:"vpcId"`
	CIDR             netip.Prefix      `json:"cidrBlock"`        // IPv4, /16 to /28, inside a CIDR of the VPC
	AvailabilityZone string            `json:"availabilityZone"` // "eu-central-1a"; a name to spread by
	DefaultForAZ     bool              `json:"defaultForAz"`
	Tags             map[string]string `json:"tags,omitempty"`
}

// An InternetGateway is the way to the outside of one VPC.
type InternetGateway struct {
	ID   string            `json:"internetGatewayId"` // "igw-" and 17 hexadecimal digits
	VPC  string            `json:"vpcId"`             // the VPC it is attached to
	Tags map[string]string `json:"tags,omitempty"`
}

// A RouteTable decides where packets go that leave an ENI. The main route table of a VPC, the only one it has, serves
// all its subnets.
type RouteTable struct {
	ID     string            `json:"routeTableId"` // "rtb-" and 17 hexadecimal digits
	VPC    string            `json:"vpcId"`
	Main   bool              `json:"main"`
	Routes []Route           `json:"routes"` // the longest matching prefix wins
	Tags   map[string]string `json:"tags,omitempty"`
}

// TargetLocal is the target of the routes to a VPC's own CIDRs.
const TargetLocal = "local"

// A Route sends what goes to Destination to Target.
type Route struct {
	Destination netip.Prefix `json:"destinationCidrBlock"`
	Target      string       `json:"target"` // [TargetLocal] or the ID of an internet gateway
}

// An ENI is the network interface of one task.
type ENI struct {
	ID             string            `json:"networkInterfaceId"` // "eni-" and 17 hexadecimal digits
	Subnet         string            `json:"subnetId"`
	SecurityGroups []string          `json:"groups"` // IDs of 1 to 5 groups of the subnet's VPC
	PrivateIPv4    netip.Addr        `json:"privateIpAddress"`
	MAC            MAC               `json:"macAddress"`
	PrivateDNSName string            `json:"privateDnsName,omitempty"` // "" means [PrivateDNSName] of its address
	AssignPublicIP bool              `json:"assignPublicIp"`           // it has a public address; without one the internet gateway carries nothing for it
	Description    string            `json:"description,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"` // such as "taskArn"
}
