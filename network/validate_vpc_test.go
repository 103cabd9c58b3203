package network_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/google/go-cmp/cmp"
)

func TestValidateVPC(t *testing.T) {
	entry := network.NetworkACLEntry{RuleNumber: 100, RuleAction: network.RuleAllow, Protocol: network.AllProtocols, CIDR: pfx("0.0.0.0/0")}
	acl := func(s *network.State, entries ...network.NetworkACLEntry) {
		s.NetworkACLs = []network.NetworkACL{{ID: "acl-0000000a", VPC: "vpc-0000000a", Subnets: []string{"subnet-000000a1"}, Entries: entries}}
	}
	route := func(s *network.State, r network.Route) { s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, r) }
	with := func(edit func(*network.NetworkACLEntry)) network.NetworkACLEntry { e := entry; edit(&e); return e }
	tests := []struct {
		name string
		edit func(*network.State)
		want []string
	}{
		{"as it is", func(*network.State) {}, nil},
		{"IPv6 CIDR of a wrong size", func(s *network.State) { s.VPCs[1].IPv6CIDRs = append(s.VPCs[1].IPv6CIDRs, pfx("2001:db8:ff::/58")) },
			[]string{"vpcs[1].ipv6CidrBlocks[1]: InvalidVpc.Range"}},
		{"IPv6 CIDR of IPv4", func(s *network.State) { s.VPCs[1].IPv6CIDRs = append(s.VPCs[1].IPv6CIDRs, pfx("10.8.0.0/16")) },
			[]string{"vpcs[1].ipv6CidrBlocks[1]: InvalidParameterValue"}},
		{"IPv6 CIDR that is link-local", func(s *network.State) { s.VPCs[1].IPv6CIDRs = append(s.VPCs[1].IPv6CIDRs, pfx("fe80::/48")) },
			[]string{"vpcs[1].ipv6CidrBlocks[1]: InvalidVpc.Range"}},
		{"IPv6 CIDRs of two VPCs overlap", func(s *network.State) { s.VPCs[2].IPv6CIDRs = []netip.Prefix{pfx("2001:db8:a::/48")} },
			[]string{"vpcs[0].ipv6CidrBlocks[0]: InvalidVpc.Conflict"}},
		{"subnet IPv6 CIDR of a wrong size", func(s *network.State) { s.Subnets[2].IPv6CIDR = pfx("2001:db8:a:80::/60") },
			[]string{"subnets[2].ipv6CidrBlock: InvalidSubnet.Range"}},
		{"subnet IPv6 CIDR outside", func(s *network.State) { s.Subnets[2].IPv6CIDR = pfx("2001:db8:ff::/64") }, []string{"subnets[2].ipv6CidrBlock: InvalidSubnet.Range"}},
		{"subnet IPv6 CIDRs overlap", func(s *network.State) { s.Subnets[2].IPv6CIDR = s.Subnets[1].IPv6CIDR }, []string{"subnets[2].ipv6CidrBlock: InvalidSubnet.Conflict"}},
		{"IPv6 addresses without a CIDR", func(s *network.State) { s.Subnets[2].AssignIPv6AddressOnCreation = true }, []string{"subnets[2].assignIpv6AddressOnCreation: InvalidParameterValue"}},
		{"two default subnets of a zone", func(s *network.State) { s.Subnets[0].DefaultForAZ, s.Subnets[1].DefaultForAZ = true, true },
			[]string{"subnets[1].defaultForAz: DefaultSubnetAlreadyExistsInAvailabilityZone"}},

		{"prefix list too long", func(s *network.State) { s.PrefixLists[0].MaxEntries = 1 }, []string{"prefixLists[0].entries: PrefixListMaxEntriesExceeded"}},
		{"prefix list of two families", func(s *network.State) { s.PrefixLists[0].Entries[0].CIDR = pfx("::/0") }, []string{"prefixLists[0].entries[0].cidr: InvalidParameterValue"}},
		{"prefix list of EC2", func(s *network.State) { s.PrefixLists[0].Name = "com.amazonaws.s3" }, []string{"prefixLists[0].prefixListName: InvalidParameterValue"}},
		{"prefix list counts by its maximum", func(s *network.State) { s.PrefixLists[0].MaxEntries = 61 },
			[]string{"securityGroups[2].ipPermissions: RulesPerSecurityGroupLimitExceeded"}},
		{"unknown prefix list", func(s *network.State) { s.PrefixLists = nil }, []string{"securityGroups[2].ipPermissions[0].prefixListIds[0]: InvalidPrefixListID.NotFound"}},
		{"ICMP of the wrong family", func(s *network.State) { s.SecurityGroups[1].Ingress[1].Protocol = network.ICMP }, []string{"securityGroups[1].ipPermissions[1].ipProtocol: InvalidParameterValue"}},
		{"group of a VPC that is not peered", func(s *network.State) { s.SecurityGroups[1].Ingress[0].Groups[0] = "sg-000000c1" },
			[]string{"securityGroups[1].ipPermissions[0].groups[0]: InvalidParameter"}},

		{"ACL rule 0", func(s *network.State) { acl(s, with(func(e *network.NetworkACLEntry) { e.RuleNumber = 0 })) }, []string{"networkAcls[0].entries[0].ruleNumber: InvalidParameterValue"}},
		{"ACL rule 32767", func(s *network.State) { acl(s, with(func(e *network.NetworkACLEntry) { e.RuleNumber = 32767 })) }, []string{"networkAcls[0].entries[0].ruleNumber: InvalidParameterValue"}},
		{"ACL rule twice", func(s *network.State) {
			acl(s, entry, with(func(e *network.NetworkACLEntry) { e.Egress = true }), entry)
		}, []string{"networkAcls[0].entries[2].ruleNumber: NetworkAclEntryAlreadyExists"}},
		{"ACL action", func(s *network.State) { acl(s, with(func(e *network.NetworkACLEntry) { e.RuleAction = "drop" })) }, []string{"networkAcls[0].entries[0].ruleAction: InvalidParameterValue"}},
		{"ACL without CIDR", func(s *network.State) { acl(s, with(func(e *network.NetworkACLEntry) { e.CIDR = netip.Prefix{} })) }, []string{"networkAcls[0].entries[0].cidrBlock: InvalidParameterValue"}},
		{"ACL ports of ICMP", func(s *network.State) {
			acl(s, with(func(e *network.NetworkACLEntry) { e.Protocol, e.ToPort = network.ICMP, 1 }))
		}, []string{"networkAcls[0].entries[0]: InvalidParameterValue"}},
		{"ACL with ICMPv6 for IPv4", func(s *network.State) { acl(s, with(func(e *network.NetworkACLEntry) { e.Protocol = network.ICMPv6 })) }, []string{"networkAcls[0].entries[0].ipProtocol: InvalidParameterValue"}},
		{"ACL too long", func(s *network.State) {
			for n := range 21 {
				e := entry
				e.RuleNumber = n + 1
				acl(s, append(s.NetworkACLs, network.NetworkACL{})[0].Entries...)
				s.NetworkACLs[0].Entries = append(s.NetworkACLs[0].Entries, e)
			}
		}, []string{"networkAcls[0].entries: NetworkAclEntryLimitExceeded"}},
		{"ACL of a subnet elsewhere", func(s *network.State) { acl(s); s.NetworkACLs[0].Subnets[0] = "subnet-000000b1" }, []string{"networkAcls[0].subnetIds[0]: InvalidParameterValue"}},
		{"two ACLs of a subnet, and two default ones", func(s *network.State) {
			acl(s)
			s.NetworkACLs = append(s.NetworkACLs, s.NetworkACLs[0])
			s.NetworkACLs[0].IsDefault, s.NetworkACLs[1].IsDefault, s.NetworkACLs[1].ID = true, true, "acl-0000000b"
		}, []string{"networkAcls[1].isDefault: InvalidParameterValue", "networkAcls[1].subnetIds[0]: Resource.AlreadyAssociated"}},

		{"two tables of a subnet", func(s *network.State) { s.RouteTables[0].Subnets = []string{"subnet-000000a1"} }, []string{"routeTables[1].subnetIds[0]: Resource.AlreadyAssociated", "natGateways[0].subnetId: InvalidSubnet"}},
		{"table of an unknown subnet", func(s *network.State) { s.RouteTables[0].Subnets = []string{"subnet-00000000"} }, []string{"routeTables[0].subnetIds[0]: InvalidSubnetID.NotFound"}},
		{"route to a missing NAT gateway", func(s *network.State) { s.RouteTables[0].Routes[0].Target = "nat-00000000" }, []string{"routeTables[0].routes[0].target: InvalidNatGatewayID.NotFound"}},
		{"route to a missing ENI", func(s *network.State) { s.RouteTables[0].Routes[0].Target = "eni-00000000" }, []string{"routeTables[0].routes[0].target: InvalidNetworkInterfaceID.NotFound"}},
		{"route to a missing peering", func(s *network.State) { s.RouteTables[0].Routes[0].Target = "pcx-00000000" }, []string{"routeTables[0].routes[0].target: InvalidVpcPeeringConnectionID.NotFound"}},
		{"route to nonsense", func(s *network.State) { s.RouteTables[0].Routes[0].Target = "" }, []string{"routeTables[0].routes[0].target: InvalidGatewayID.NotFound"}},
		{"route to a gateway elsewhere", func(s *network.State) { s.RouteTables[0].Routes[0].Target = "igw-0000000b" }, []string{"routeTables[0].routes[0].target: InvalidParameterValue"}},
		{"route to a peering of others", func(s *network.State) { s.RouteTables[3].Routes[0].Target = "pcx-000000ab" }, []string{"routeTables[3].routes[0].target: InvalidParameterValue"}},
		{"IPv6 by NAT gateway", func(s *network.State) { s.RouteTables[0].Routes[1].Target = "nat-0000000a" }, []string{"routeTables[0].routes[1].target: InvalidParameterValue"}},
		{"IPv4 by egress-only gateway", func(s *network.State) { s.RouteTables[0].Routes[0].Target = "eigw-0000000a" }, []string{"routeTables[0].routes[0].target: InvalidParameterValue"}},
		{"route to a subnet by an ENI", func(s *network.State) {
			route(s, network.Route{Destination: pfx("10.0.1.0/24"), Target: "eni-000000a2"})
		}, nil},
		{"route to an IPv6 subnet by an ENI", func(s *network.State) {
			route(s, network.Route{Destination: pfx("2001:db8:a:1::/64"), Target: "eni-000000a2"})
		}, nil},
		{"route to a part of a subnet", func(s *network.State) {
			route(s, network.Route{Destination: pfx("10.0.1.0/25"), Target: "eni-000000a2"})
		},
			[]string{"routeTables[0].routes[4].target: InvalidParameterValue"}},
		{"route to a subnet by a gateway", func(s *network.State) {
			route(s, network.Route{Destination: pfx("10.0.1.0/24"), Target: "igw-0000000a"})
		},
			[]string{"routeTables[0].routes[4].target: InvalidParameterValue"}},
		{"route of a prefix list in the VPC", func(s *network.State) { route(s, network.Route{PrefixList: "pl-00000001", Target: "igw-0000000a"}) },
			[]string{"routeTables[0].routes[4].target: InvalidParameterValue", "routeTables[0].routes[4].target: InvalidParameterValue"}},
		{"route of a prefix list and a CIDR", func(s *network.State) {
			route(s, network.Route{PrefixList: "pl-00000001", Destination: pfx("10.8.0.0/16"), Target: "igw-0000000a"})
		},
			[]string{"routeTables[0].routes[4].destinationPrefixListId: InvalidParameterCombination"}},
		{"51 routes", func(s *network.State) {
			for n := range 48 {
				route(s, network.Route{Destination: pfx(fmt.Sprintf("172.16.%d.0/24", n)), Target: network.TargetBlackhole})
			}
		}, []string{"routeTables[0].routes: RouteLimitExceeded"}},

		{"peering overlaps", func(s *network.State) { s.VPCPeeringConnections[0].Accepter = "vpc-0000000c" },
			[]string{"securityGroups[1].ipPermissions[0].groups[1]: InvalidParameter", "vpcPeeringConnections[0]: InvalidParameterValue", "routeTables[2].routes[2].target: InvalidParameterValue"}},
		{"peering with itself", func(s *network.State) {
			s.VPCPeeringConnections = append(s.VPCPeeringConnections, network.VPCPeeringConnection{ID: "pcx-00000001", Requester: "vpc-0000000a", Accepter: "vpc-0000000a"})
		}, []string{"vpcPeeringConnections[1].accepterVpcId: InvalidParameterValue"}},
		{"peering twice", func(s *network.State) {
			s.VPCPeeringConnections = append(s.VPCPeeringConnections, network.VPCPeeringConnection{ID: "pcx-00000001", Requester: "vpc-0000000b", Accepter: "vpc-0000000a"})
		}, []string{"vpcPeeringConnections[1]: VpcPeeringConnectionAlreadyExists"}},

		{"NAT gateway in a private subnet", func(s *network.State) {
			s.NATGateways[0].Subnet, s.NATGateways[0].PrivateIPv4 = "subnet-000000a2", ip("10.0.2.99")
		},
			[]string{"natGateways[0].subnetId: InvalidSubnet"}},
		{"NAT gateway without a gateway", func(s *network.State) {
			s.InternetGateways, s.RouteTables[1].Routes = s.InternetGateways[1:], nil
			s.Addresses[1].ENI = ""
		}, []string{"natGateways[0].subnetId: Gateway.NotAttached"}},
		{"NAT gateway with an ENI's address", func(s *network.State) { s.NATGateways[0].PrivateIPv4 = ip("10.0.1.10") }, []string{"natGateways[0].privateIp: InvalidIPAddress.InUse"}},
		{"NAT gateway without an address", func(s *network.State) { s.NATGateways[0].Allocation = "eipalloc-00000000" }, []string{"natGateways[0].allocationId: InvalidAllocationID.NotFound"}},
		{"NAT gateway with an address in use", func(s *network.State) { s.NATGateways[0].Allocation = "eipalloc-0000000b" }, []string{"natGateways[0].allocationId: Resource.AlreadyAssociated"}},
		{"two NAT gateways of one address", func(s *network.State) {
			s.NATGateways = append(s.NATGateways, network.NATGateway{ID: "nat-0000000b", Subnet: "subnet-000000a1", PrivateIPv4: ip("10.0.1.201"), Allocation: "eipalloc-0000000a"})
		}, []string{"natGateways[1].allocationId: Resource.AlreadyAssociated"}},

		{"pool in a VPC", func(s *network.State) {
			s.PublicIPv4Pools[0].CIDRs = append(s.PublicIPv4Pools[0].CIDRs, pfx("10.1.0.0/24"))
		}, []string{"publicIpv4Pools[0].cidrBlocks[1]: InvalidParameterValue"}},
		{"pool twice", func(s *network.State) {
			s.PublicIPv4Pools[0].CIDRs = append(s.PublicIPv4Pools[0].CIDRs, pfx("203.0.113.0/25"))
		}, []string{"publicIpv4Pools[0].cidrBlocks[1]: InvalidParameterValue"}},
		{"pool too large", func(s *network.State) { s.PublicIPv4Pools[0].CIDRs[0] = pfx("203.0.0.0/15") }, []string{"publicIpv4Pools[0].cidrBlocks[0]: InvalidParameterValue"}},
		{"pool of loopback", func(s *network.State) {
			s.PublicIPv4Pools[0].CIDRs = append(s.PublicIPv4Pools[0].CIDRs, pfx("127.0.0.0/24"))
		}, []string{"publicIpv4Pools[0].cidrBlocks[1]: InvalidParameterValue"}},
		{"address in no pool", func(s *network.State) { s.Addresses[2].PublicIP = ip("192.0.2.1") }, []string{"addresses[2].publicIp: InvalidParameterValue"}},
		{"address twice", func(s *network.State) { s.Addresses[2].PublicIP = ip("203.0.113.9") }, []string{"addresses[2].publicIp: InvalidIPAddress.InUse"}},
		{"address of a missing ENI", func(s *network.State) { s.Addresses[2].ENI = "eni-00000000" }, []string{"addresses[2].networkInterfaceId: InvalidNetworkInterfaceID.NotFound"}},
		{"two addresses of one ENI", func(s *network.State) { s.Addresses[2].ENI = "eni-000000a1" }, []string{"addresses[2].networkInterfaceId: Resource.AlreadyAssociated"}},
		{"address without a gateway", func(s *network.State) {
			s.InternetGateways = s.InternetGateways[:2]
			s.RouteTables[3].Routes, s.Addresses[2].ENI = nil, "eni-000000c1"
		}, []string{"addresses[2].networkInterfaceId: Gateway.NotAttached"}},

		{"ENI with a public address of no pool", func(s *network.State) { s.ENIs[3].PublicIPv4 = ip("192.0.2.1") }, []string{"networkInterfaces[3].publicIp: InvalidParameterValue"}},
		{"ENI with a public address and without", func(s *network.State) { s.ENIs[3].AssignPublicIP = false }, []string{"networkInterfaces[3].publicIp: InvalidParameterCombination"}},
		{"ENI with IPv6 elsewhere", func(s *network.State) { s.ENIs[0].IPv6 = ip("2001:db8:a:2::99") }, []string{"networkInterfaces[0].ipv6Address: InvalidParameterValue"}},
		{"ENI with reserved IPv6", func(s *network.State) { s.ENIs[0].IPv6 = ip("2001:db8:a:1::3") }, []string{"networkInterfaces[0].ipv6Address: InvalidParameterValue"}},
		{"ENI with the last IPv6", func(s *network.State) { s.ENIs[0].IPv6 = ip("2001:db8:a:1:ffff:ffff:ffff:ffff") }, []string{"networkInterfaces[0].ipv6Address: InvalidParameterValue"}},
		{"ENI with IPv6 in a subnet without", func(s *network.State) { s.ENIs[2].IPv6 = ip("2001:db8:a:1::99") }, []string{"networkInterfaces[2].ipv6Address: InvalidParameterValue"}},
		{"ENIs with one IPv6 address", func(s *network.State) {
			s.ENIs[1].Subnet, s.ENIs[1].PrivateIPv4, s.ENIs[1].IPv6 = "subnet-000000a1", ip("10.0.1.99"), s.ENIs[0].IPv6
		},
			[]string{"networkInterfaces[1].ipv6Address: InvalidIPAddress.InUse"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := campus(t)
			tt.edit(&s)
			err := network.Validate(s)
			if err != nil && !errors.Is(err, network.ErrInvalid) {
				t.Errorf("%v does not match ErrInvalid", err)
			}
			if diff := cmp.Diff(tt.want, problems(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}
