package network_test

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/networktest/scenario"
)

// TestChanges edits a state in one way each time. undo is what leads back.
func TestChanges(t *testing.T) {
	tagged := map[string]string{"team": "red"}
	for _, tt := range []struct {
		name       string
		edit       func(s *network.State)
		want, undo []string
	}{
		{"nothing", func(*network.State) {}, nil, nil},
		{"an ENI, which is a task's", func(s *network.State) { s.ENIs = nil }, nil, nil},
		{"a VPC", func(s *network.State) {
			s.VPCs = append(s.VPCs, network.VPC{ID: "vpc-0000000d", CIDRs: []netip.Prefix{pfx("10.5.0.0/16")}})
		}, []string{"ec2:CreateVpc vpc/*"}, []string{"ec2:DeleteVpc vpc/vpc-0000000d"}},
		{"the default VPC", func(s *network.State) {
			s.VPCs = append(s.VPCs, network.VPC{ID: "vpc-0000000d", IsDefault: true, CIDRs: []netip.Prefix{pfx("10.5.0.0/16"), pfx("10.6.0.0/16")}})
		}, []string{"ec2:CreateDefaultVpc vpc/*", "ec2:AssociateVpcCidrBlock vpc/vpc-0000000d"}, []string{"ec2:DeleteVpc vpc/vpc-0000000d"}},
		{"a secondary CIDR", func(s *network.State) { s.VPCs[1].CIDRs = append(s.VPCs[1].CIDRs, pfx("10.6.0.0/16")) },
			[]string{"ec2:AssociateVpcCidrBlock vpc/vpc-0000000b"}, []string{"ec2:DisassociateVpcCidrBlock vpc/vpc-0000000b"}},
		{"a primary CIDR", func(s *network.State) { s.VPCs[1].CIDRs = []netip.Prefix{pfx("10.7.0.0/16")} },
			[]string{"ec2:DeleteVpc vpc/vpc-0000000b", "ec2:CreateVpc vpc/*", "ec2:AssociateVpcCidrBlock vpc/vpc-0000000b"},
			[]string{"ec2:DeleteVpc vpc/vpc-0000000b", "ec2:CreateVpc vpc/*", "ec2:AssociateVpcCidrBlock vpc/vpc-0000000b"}},
		{"the order of VPCs", func(s *network.State) { s.VPCs[0], s.VPCs[2] = s.VPCs[2], s.VPCs[0] },
			[]string{"ec2:ModifyVpcAttribute vpc/vpc-0000000c", "ec2:ModifyVpcAttribute vpc/vpc-0000000b", "ec2:ModifyVpcAttribute vpc/vpc-0000000a"},
			[]string{"ec2:ModifyVpcAttribute vpc/vpc-0000000a", "ec2:ModifyVpcAttribute vpc/vpc-0000000b", "ec2:ModifyVpcAttribute vpc/vpc-0000000c"}},
		{"the order of VPCs under another change", func(s *network.State) {
			s.VPCs = []network.VPC{s.VPCs[1], s.VPCs[0]}
		}, []string{"ec2:DeleteVpc vpc/vpc-0000000c", "ec2:ModifyVpcAttribute vpc/vpc-0000000b", "ec2:ModifyVpcAttribute vpc/vpc-0000000a"},
			[]string{"ec2:CreateVpc vpc/*", "ec2:ModifyVpcAttribute vpc/vpc-0000000a", "ec2:ModifyVpcAttribute vpc/vpc-0000000b", "ec2:ModifyVpcAttribute vpc/vpc-0000000c"}},
		{"routes to prefix lists", func(s *network.State) {
			s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, network.Route{PrefixList: "pl-00000001", Target: network.TargetBlackhole})
			s.RouteTables[1].Routes = append([]network.Route{{PrefixList: "pl-00000001", Target: network.TargetBlackhole}}, s.RouteTables[1].Routes...)
		}, []string{"ec2:CreateRoute route-table/rtb-000000a0", "ec2:CreateRoute route-table/rtb-000000a1"}, []string{"ec2:DeleteRoute route-table/rtb-000000a0", "ec2:DeleteRoute route-table/rtb-000000a1"}},
		{"a tag", func(s *network.State) { s.Subnets[0].Tags = tagged }, []string{"ec2:CreateTags subnet/subnet-000000a1"}, []string{"ec2:DeleteTags subnet/subnet-000000a1"}},
		{"a subnet", func(s *network.State) {
			s.Subnets = append(s.Subnets, network.Subnet{ID: "subnet-000000c2", VPC: "vpc-0000000c", CIDR: pfx("10.0.7.0/24"), AvailabilityZone: "a"})
		}, []string{"ec2:CreateSubnet subnet/*", "ec2:CreateSubnet vpc/vpc-0000000c"}, []string{"ec2:DeleteSubnet subnet/subnet-000000c2"}},
		{"a subnet's attribute", func(s *network.State) { s.Subnets[1].MapPublicIPOnLaunch = true },
			[]string{"ec2:ModifySubnetAttribute subnet/subnet-000000a2"}, []string{"ec2:ModifySubnetAttribute subnet/subnet-000000a2"}},
		{"a subnet's IPv6 CIDR", func(s *network.State) { s.Subnets[2].IPv6CIDR = pfx("2001:db8:a:9::/64") },
			[]string{"ec2:AssociateSubnetCidrBlock subnet/subnet-000000a9"}, []string{"ec2:DisassociateSubnetCidrBlock subnet/subnet-000000a9"}},
		{"a group", func(s *network.State) {
			s.SecurityGroups = append(s.SecurityGroups, network.SecurityGroup{ID: "sg-000000d1", VPC: "vpc-0000000a", Name: "new", Description: "new",
				Ingress: []network.Rule{{Protocol: network.AllProtocols, Groups: []string{"sg-000000d1"}}}, Egress: []network.Rule{{Protocol: network.AllProtocols, CIDRs: []netip.Prefix{pfx("0.0.0.0/0")}}}})
		}, []string{"ec2:CreateSecurityGroup security-group/*", "ec2:CreateSecurityGroup vpc/vpc-0000000a", "ec2:AuthorizeSecurityGroupIngress security-group/sg-000000d1"},
			[]string{"ec2:DeleteSecurityGroup security-group/sg-000000d1"}},
		{"a peer of an ingress rule", func(s *network.State) {
			r := &s.SecurityGroups[0].Ingress[0]
			r.CIDRs = append(r.CIDRs, pfx("10.0.0.0/8"))
		}, []string{"ec2:AuthorizeSecurityGroupIngress security-group/sg-000000a1"}, []string{"ec2:RevokeSecurityGroupIngress security-group/sg-000000a1"}},
		{"an egress rule's port", func(s *network.State) {
			s.SecurityGroups[0].Egress = []network.Rule{{Protocol: network.TCP, FromPort: 1, ToPort: 2, CIDRs: []netip.Prefix{pfx("0.0.0.0/0")}}}
		}, []string{"ec2:AuthorizeSecurityGroupEgress security-group/sg-000000a1", "ec2:RevokeSecurityGroupEgress security-group/sg-000000a1"},
			[]string{"ec2:AuthorizeSecurityGroupEgress security-group/sg-000000a1", "ec2:RevokeSecurityGroupEgress security-group/sg-000000a1"}},
		{"a rule's description", func(s *network.State) { s.SecurityGroups[0].Ingress[0].Description = "web" },
			[]string{"ec2:UpdateSecurityGroupRuleDescriptionsIngress security-group/sg-000000a1"}, []string{"ec2:UpdateSecurityGroupRuleDescriptionsIngress security-group/sg-000000a1"}},
		{"a prefix list", func(s *network.State) {
			s.PrefixLists = append(s.PrefixLists, network.PrefixList{ID: "pl-00000002", Name: "x", AddressFamily: network.IPv4, MaxEntries: 1})
		}, []string{"ec2:CreateManagedPrefixList prefix-list/*"}, []string{"ec2:DeleteManagedPrefixList prefix-list/pl-00000002"}},
		{"a prefix list's entries", func(s *network.State) { s.PrefixLists[0].Entries = s.PrefixLists[0].Entries[:1] },
			[]string{"ec2:ModifyManagedPrefixList prefix-list/pl-00000001"}, []string{"ec2:ModifyManagedPrefixList prefix-list/pl-00000001"}},
		{"an ACL", func(s *network.State) {
			s.NetworkACLs = []network.NetworkACL{{ID: "acl-0000000a", VPC: "vpc-0000000a", Subnets: []string{"subnet-000000a1"}, Entries: network.DefaultNetworkACLEntries()}}
		}, []string{"ec2:CreateNetworkAcl network-acl/*", "ec2:CreateNetworkAcl vpc/vpc-0000000a", "ec2:CreateNetworkAclEntry network-acl/acl-0000000a", "ec2:ReplaceNetworkAclAssociation network-acl/acl-0000000a"},
			[]string{"ec2:ReplaceNetworkAclAssociation network-acl/acl-0000000a", "ec2:DeleteNetworkAcl network-acl/acl-0000000a"}},
		{"an internet gateway", func(s *network.State) {
			s.VPCs = append(s.VPCs, network.VPC{ID: "vpc-0000000d", CIDRs: []netip.Prefix{pfx("10.5.0.0/16")}})
			s.InternetGateways[2].VPC = "vpc-0000000d"
		}, []string{"ec2:CreateVpc vpc/*", "ec2:DetachInternetGateway internet-gateway/igw-0000000c", "ec2:DetachInternetGateway vpc/vpc-0000000c",
			"ec2:AttachInternetGateway internet-gateway/igw-0000000c", "ec2:AttachInternetGateway vpc/vpc-0000000d"},
			[]string{"ec2:DeleteVpc vpc/vpc-0000000d", "ec2:DetachInternetGateway internet-gateway/igw-0000000c", "ec2:DetachInternetGateway vpc/vpc-0000000d",
				"ec2:AttachInternetGateway internet-gateway/igw-0000000c", "ec2:AttachInternetGateway vpc/vpc-0000000c"}},
		{"no internet gateway", func(s *network.State) { s.InternetGateways = s.InternetGateways[:2] },
			[]string{"ec2:DetachInternetGateway internet-gateway/igw-0000000c", "ec2:DetachInternetGateway vpc/vpc-0000000c", "ec2:DeleteInternetGateway internet-gateway/igw-0000000c"},
			[]string{"ec2:CreateInternetGateway internet-gateway/*", "ec2:AttachInternetGateway internet-gateway/igw-0000000c", "ec2:AttachInternetGateway vpc/vpc-0000000c"}},
		{"no gateways of other kinds, and no peering", func(s *network.State) {
			s.EgressOnlyInternetGateways, s.NATGateways, s.VPCPeeringConnections = nil, nil, nil
		},
			[]string{"ec2:DeleteEgressOnlyInternetGateway egress-only-internet-gateway/eigw-0000000a", "ec2:DeleteNatGateway natgateway/nat-0000000a",
				"ec2:DeleteVpcPeeringConnection vpc-peering-connection/pcx-000000ab"},
			[]string{"ec2:CreateEgressOnlyInternetGateway egress-only-internet-gateway/*", "ec2:CreateEgressOnlyInternetGateway vpc/vpc-0000000a",
				"ec2:CreateNatGateway natgateway/*", "ec2:CreateNatGateway subnet/subnet-000000a1", "ec2:CreateNatGateway elastic-ip/eipalloc-0000000a",
				"ec2:CreateVpcPeeringConnection vpc-peering-connection/*", "ec2:CreateVpcPeeringConnection vpc/vpc-0000000a",
				"ec2:AcceptVpcPeeringConnection vpc-peering-connection/pcx-000000ab", "ec2:AcceptVpcPeeringConnection vpc/vpc-0000000b"}},
		{"a route", func(s *network.State) {
			s.RouteTables[1].Routes = append(s.RouteTables[1].Routes, network.Route{Destination: pfx("192.0.2.0/24"), Target: network.TargetBlackhole})
		}, []string{"ec2:CreateRoute route-table/rtb-000000a1"}, []string{"ec2:DeleteRoute route-table/rtb-000000a1"}},
		{"a route's target", func(s *network.State) { s.RouteTables[0].Routes[0].Target = "igw-0000000a" },
			[]string{"ec2:ReplaceRoute route-table/rtb-000000a0"}, []string{"ec2:ReplaceRoute route-table/rtb-000000a0"}},
		{"a table's subnet", func(s *network.State) { s.RouteTables[0].Subnets = []string{"subnet-000000a2"} },
			[]string{"ec2:AssociateRouteTable route-table/rtb-000000a0", "ec2:AssociateRouteTable subnet/subnet-000000a2"}, []string{"ec2:DisassociateRouteTable route-table/rtb-000000a0"}},
		{"a subnet's table", func(s *network.State) {
			s.RouteTables[0].Subnets, s.RouteTables[1].Subnets = []string{"subnet-000000a1"}, nil
		},
			[]string{"ec2:ReplaceRouteTableAssociation route-table/rtb-000000a0"}, []string{"ec2:ReplaceRouteTableAssociation route-table/rtb-000000a1"}},
		{"no table", func(s *network.State) { s.RouteTables = slices.Delete(s.RouteTables, 1, 2) },
			[]string{"ec2:DisassociateRouteTable route-table/rtb-000000a1", "ec2:DeleteRouteTable route-table/rtb-000000a1"},
			[]string{"ec2:CreateRouteTable route-table/*", "ec2:CreateRouteTable vpc/vpc-0000000a", "ec2:CreateRoute route-table/rtb-000000a1",
				"ec2:AssociateRouteTable route-table/rtb-000000a1", "ec2:AssociateRouteTable subnet/subnet-000000a1"}},
		{"an elastic address", func(s *network.State) { s.Addresses = s.Addresses[:2] },
			[]string{"ec2:ReleaseAddress elastic-ip/eipalloc-0000000c"}, []string{"ec2:AllocateAddress elastic-ip/*", "ec2:AllocateAddress ipv4pool-ec2/ipv4pool-ec2-00000001"}},
		{"who has an elastic address", func(s *network.State) { s.Addresses[1].ENI = "" },
			[]string{"ec2:DisassociateAddress elastic-ip/eipalloc-0000000b", "ec2:DisassociateAddress network-interface/eni-000000a1"},
			[]string{"ec2:AssociateAddress elastic-ip/eipalloc-0000000b", "ec2:AssociateAddress network-interface/eni-000000a1"}},
		{"a pool", func(s *network.State) { s.Addresses, s.PublicIPv4Pools = nil, nil },
			[]string{"ec2:DeletePublicIpv4Pool ipv4pool-ec2/ipv4pool-ec2-00000001", "ec2:ReleaseAddress elastic-ip/eipalloc-0000000a",
				"ec2:DisassociateAddress elastic-ip/eipalloc-0000000b", "ec2:DisassociateAddress network-interface/eni-000000a1", "ec2:ReleaseAddress elastic-ip/eipalloc-0000000b", "ec2:ReleaseAddress elastic-ip/eipalloc-0000000c"},
			[]string{"ec2:CreatePublicIpv4Pool ipv4pool-ec2/*", "ec2:ProvisionPublicIpv4PoolCidr ipv4pool-ec2/ipv4pool-ec2-00000001",
				"ec2:AllocateAddress elastic-ip/*", "ec2:AllocateAddress ipv4pool-ec2/ipv4pool-ec2-00000001",
				"ec2:AssociateAddress elastic-ip/eipalloc-0000000b", "ec2:AssociateAddress network-interface/eni-000000a1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, after := campus(t), campus(t)
			tt.edit(&after)
			if diff := cmp.Diff(tt.want, spelled(network.Changes(before, after))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if diff := cmp.Diff(tt.undo, spelled(network.Changes(after, before))); diff != "" {
				t.Errorf("back: -want +got\n%s", diff)
			}
		})
	}
}

// TestChangesOfRouteOrder swaps two routes of which the first counts where they overlap.
func TestChangesOfRouteOrder(t *testing.T) {
	before, after := campus(t), campus(t)
	first, second := network.Route{PrefixList: "pl-00000001", Target: network.TargetBlackhole}, network.Route{PrefixList: "pl-00000002", Target: "igw-0000000a"}
	before.RouteTables[1].Routes = append(before.RouteTables[1].Routes, first, second)
	after.RouteTables[1].Routes = append(after.RouteTables[1].Routes, second, first)
	if got, want := spelled(network.Changes(before, after)), []string{"ec2:ReplaceRoute route-table/rtb-000000a1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func spelled(changes []network.Change) (list []string) {
	for _, c := range changes {
		list = append(list, c.Action+" "+c.Resource)
	}
	return list
}

// TestPropertyChanges compares random states, and each with every change that an operator makes.
func TestPropertyChanges(t *testing.T) {
	for seed := range uint64(80) {
		g := scenario.New(scenario.Config{Seed: seed, MaxENIs: 6})
		s := g.State()
		for range 10 {
			other := g.Change(s)
			for _, pair := range [][2]network.State{{s, s.Clone()}, {s, other}, {other, s}, {network.State{}, s}, {s, network.State{}}} {
				before, after := pair[0], pair[1]
				before.ENIs, after.ENIs = nil, nil
				same, changes := reflect.DeepEqual(before, after), network.Changes(pair[0], pair[1])
				if same != (len(changes) == 0) {
					t.Fatalf("seed %d: the same is %t, and the changes are %v\nfrom %+v\nto %+v", seed, same, changes, before, after)
				}
				if again := network.Changes(pair[0], pair[1]); !slices.Equal(changes, again) {
					t.Fatalf("seed %d: the changes are %v and then %v", seed, changes, again)
				}
			}
			s = other
		}
	}
}
