package network_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/google/go-cmp/cmp"
)

// withENI returns the default VPC with a group "web" and one ENI.
func withENI(t testing.TB) network.State {
	t.Helper()
	s := defaultVPC(t)
	s.SecurityGroups = append(s.SecurityGroups, network.SecurityGroup{
		ID: network.NewID("sg", "web"), VPC: s.VPCs[0].ID, Name: "web", Description: "web servers",
		Ingress: []network.Rule{{Protocol: network.TCP, FromPort: 80, ToPort: 80, CIDRs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}},
	})
	s.ENIs = []network.ENI{{ID: network.NewID("eni", "1"), Subnet: s.Subnets[0].ID, MAC: network.NewMAC("1"),
		PrivateIPv4: netip.MustParseAddr("172.31.0.4"), SecurityGroups: []string{s.SecurityGroups[1].ID}}}
	return s
}

// problems returns "path: code" of every problem.
func problems(err error) []string {
	var all []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, problems(e)...)
		}
		return all
	}
	var v *network.ValidationError
	if errors.As(err, &v) {
		all = append(all, v.Path+": "+v.Code)
	}
	return all
}

func TestValidateAccepts(t *testing.T) {
	if err := network.Validate(network.State{}); err != nil {
		t.Errorf("empty state: %v", err)
	}
	if err := network.Validate(withENI(t)); err != nil {
		t.Errorf("default VPC with an ENI: %v", err)
	}
}

func TestValidate(t *testing.T) {
	cidr := netip.MustParsePrefix
	web := func(s *network.State) *network.SecurityGroup { return &s.SecurityGroups[1] }
	rule := func(s *network.State) *network.Rule { return &s.SecurityGroups[1].Ingress[0] }
	tests := []struct {
		name string
		edit func(*network.State)
		want []string
	}{
		{"VPC ID", func(s *network.State) {
			s.InternetGateways = append(s.InternetGateways, network.InternetGateway{ID: "igw-1", VPC: "vpc-9"})
		},
			[]string{"internetGateways[1].internetGatewayId: InvalidInternetGatewayID.Malformed", "internetGateways[1].vpcId: InvalidVpcID.NotFound"}},
		{"two gateways", func(s *network.State) {
			s.InternetGateways = append(s.InternetGateways, network.InternetGateway{ID: "igw-00000001", VPC: s.VPCs[0].ID})
		}, []string{"internetGateways[1].vpcId: InvalidParameterValue"}},
		{"VPC too large", func(s *network.State) { s.VPCs[0].CIDRs = append(s.VPCs[0].CIDRs, cidr("10.0.0.0/8")) },
			[]string{"vpcs[0].cidrBlocks[1]: InvalidVpc.Range"}},
		{"VPC overlaps itself", func(s *network.State) {
			s.VPCs[0].CIDRs = append(s.VPCs[0].CIDRs, cidr("172.31.16.0/20"))
			s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, network.Route{Destination: cidr("172.31.16.0/20"), Target: network.TargetLocal})
		}, []string{"vpcs[0].cidrBlocks[1]: InvalidVpc.Conflict"}},
		{"VPC of loopback", func(s *network.State) {
			s.VPCs[0].CIDRs = append(s.VPCs[0].CIDRs, cidr("127.1.0.0/16"))
			s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, network.Route{Destination: cidr("127.1.0.0/16"), Target: network.TargetLocal})
		}, []string{"vpcs[0].cidrBlocks[1]: InvalidVpc.Range"}},
		{"region", func(s *network.State) { s.VPCs[0].Region = "Frankfurt am Main" }, []string{"vpcs[0].region: InvalidParameterValue"}},
		{"two VPCs of one ID", func(s *network.State) { s.VPCs = append(s.VPCs, s.VPCs[0]) },
			[]string{"vpcs[1].vpcId: InvalidVpcID.Duplicate", "vpcs[1].isDefault: DefaultVpcAlreadyExists"}},
		{"no main table", func(s *network.State) { s.RouteTables = nil }, nil},
		{"two main tables", func(s *network.State) {
			s.RouteTables = append(s.RouteTables, network.RouteTable{ID: "rtb-00000001", VPC: s.VPCs[0].ID, Main: true})
		}, []string{"vpcs[0]: InvalidVpc.MainRouteTable"}},
		{"a table that is not the main one", func(s *network.State) {
			s.RouteTables = append(s.RouteTables, network.RouteTable{ID: "rtb-00000001", VPC: s.VPCs[0].ID, Routes: s.RouteTables[0].Routes})
		}, nil},
		{"subnet outside", func(s *network.State) { s.Subnets[1].CIDR = cidr("10.0.0.0/20") }, []string{"subnets[1].cidrBlock: InvalidSubnet.Range"}},
		{"subnet too small", func(s *network.State) { s.Subnets[1].CIDR = cidr("172.31.16.0/29") }, []string{"subnets[1].cidrBlock: InvalidSubnet.Range"}},
		{"subnet unmasked", func(s *network.State) { s.Subnets[1].CIDR = cidr("172.31.16.1/20") }, []string{"subnets[1].cidrBlock: InvalidSubnet.Range"}},
		{"subnet of IPv6", func(s *network.State) { s.Subnets[1].CIDR = cidr("fd00::/64") }, []string{"subnets[1].cidrBlock: InvalidParameterValue"}},
		{"subnets overlap", func(s *network.State) { s.Subnets[1].CIDR = cidr("172.31.8.0/24") }, []string{"subnets[1].cidrBlock: InvalidSubnet.Conflict"}},
		{"subnet without zone", func(s *network.State) { s.Subnets[1].AvailabilityZone = "" }, []string{"subnets[1].availabilityZone: MissingParameter"}},
		{"group of no VPC", func(s *network.State) { web(s).VPC = "vpc-00000000" },
			[]string{"securityGroups[1].vpcId: InvalidVpcID.NotFound", "networkInterfaces[0].groups[0]: InvalidParameter"}},
		{"group name taken", func(s *network.State) { web(s).Name = "default" }, []string{"securityGroups[1].groupName: InvalidGroup.Duplicate"}},
		{"group name like an ID", func(s *network.State) { web(s).Name = "sg-web" }, []string{"securityGroups[1].groupName: InvalidParameterValue"}},
		{"group name too long", func(s *network.State) { web(s).Name = strings.Repeat("a", 256) }, []string{"securityGroups[1].groupName: InvalidParameterValue"}},
		{"group text", func(s *network.State) { web(s).Description = "naïve" }, []string{"securityGroups[1].description: InvalidParameterValue"}},
		{"group without text", func(s *network.State) { web(s).Description = "" }, []string{"securityGroups[1].description: MissingParameter"}},
		{"unknown protocol", func(s *network.State) { rule(s).Protocol = "sctp" }, []string{"securityGroups[1].ipPermissions[0].ipProtocol: InvalidParameterValue"}},
		{"protocol 256", func(s *network.State) { rule(s).Protocol = "256" }, []string{"securityGroups[1].ipPermissions[0].ipProtocol: InvalidParameterValue"}},
		{"protocol +6", func(s *network.State) { rule(s).Protocol = "+6" }, []string{"securityGroups[1].ipPermissions[0].ipProtocol: InvalidParameterValue"}},
		{"ICMP of IPv6", func(s *network.State) { *rule(s) = network.Rule{Protocol: "58", CIDRs: rule(s).CIDRs} },
			[]string{"securityGroups[1].ipPermissions[0].ipProtocol: InvalidParameterValue"}},
		{"port 65536", func(s *network.State) { rule(s).ToPort = 65536 }, []string{"securityGroups[1].ipPermissions[0].toPort: InvalidParameterValue"}},
		{"ports the wrong way round", func(s *network.State) { rule(s).FromPort = 81 }, []string{"securityGroups[1].ipPermissions[0]: InvalidParameterValue"}},
		{"ports without use", func(s *network.State) { rule(s).Protocol = network.AllProtocols }, []string{"securityGroups[1].ipPermissions[0]: InvalidParameterValue"}},
		{"ICMP type without use", func(s *network.State) { rule(s).ICMPType = 8 }, []string{"securityGroups[1].ipPermissions[0]: InvalidParameterValue"}},
		{"ICMP type 256", func(s *network.State) {
			*rule(s) = network.Rule{Protocol: network.ICMP, ICMPType: 256, ICMPCode: network.AnyICMP, CIDRs: rule(s).CIDRs}
		}, []string{"securityGroups[1].ipPermissions[0].icmpType: InvalidParameterValue"}},
		{"ICMP code of any type", func(s *network.State) {
			*rule(s) = network.Rule{Protocol: network.ICMP, ICMPType: network.AnyICMP, CIDRs: rule(s).CIDRs}
		}, []string{"securityGroups[1].ipPermissions[0].icmpCode: InvalidParameterValue"}},
		{"rule for nobody", func(s *network.State) { rule(s).CIDRs = nil }, []string{"securityGroups[1].ipPermissions[0]: MissingParameter"}},
		{"rule CIDR unmasked", func(s *network.State) { rule(s).CIDRs[0] = cidr("10.0.0.1/8") }, []string{"securityGroups[1].ipPermissions[0].ipRanges[0]: InvalidParameterValue"}},
		{"rule CIDR of IPv6", func(s *network.State) { rule(s).CIDRs[0] = cidr("::/0") }, []string{"securityGroups[1].ipPermissions[0].ipRanges[0]: InvalidParameterValue"}},
		{"rule for an unknown group", func(s *network.State) { rule(s).Groups = []string{"sg-00000000"} }, []string{"securityGroups[1].ipPermissions[0].groups[0]: InvalidGroup.NotFound"}},
		{"rule twice, once as a number", func(s *network.State) {
			again := *rule(s)
			again.Protocol = "6"
			web(s).Ingress = append(web(s).Ingress, again)
		}, []string{"securityGroups[1].ipPermissions[1]: InvalidPermission.Duplicate"}},
		{"61 rules", func(s *network.State) {
			for n := range 60 {
				web(s).Egress = append(web(s).Egress, network.Rule{Protocol: network.TCP, FromPort: n, ToPort: n, CIDRs: rule(s).CIDRs})
			}
			web(s).Egress[7].CIDRs = []netip.Prefix{cidr("10.0.0.0/8"), cidr("11.0.0.0/8")}
		}, []string{"securityGroups[1].ipPermissionsEgress: RulesPerSecurityGroupLimitExceeded"}},
		{"route twice", func(s *network.State) {
			s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, s.RouteTables[0].Routes[1])
		},
			[]string{"routeTables[0].routes[2].destinationCidrBlock: RouteAlreadyExists"}},
		{"route to no gateway", func(s *network.State) { s.RouteTables[0].Routes[1].Target = "igw-00000000" },
			[]string{"routeTables[0].routes[1].target: InvalidInternetGatewayID.NotFound"}},
		{"local route elsewhere", func(s *network.State) { s.RouteTables[0].Routes[1].Target = network.TargetLocal },
			[]string{"routeTables[0].routes[1].target: InvalidParameterValue"}},
		{"no local route", func(s *network.State) { s.RouteTables[0].Routes = s.RouteTables[0].Routes[1:] }, nil},
		{"route into the VPC", func(s *network.State) {
			s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, network.Route{Destination: cidr("172.31.16.0/20"), Target: s.InternetGateways[0].ID})
		}, []string{"routeTables[0].routes[2].target: InvalidParameterValue"}},
		{"route to link-local", func(s *network.State) {
			s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, network.Route{Destination: cidr("169.254.168.0/22"), Target: s.InternetGateways[0].ID})
		}, []string{"routeTables[0].routes[2].destinationCidrBlock: InvalidParameterValue"}},
		{"ENI in no subnet", func(s *network.State) { s.ENIs[0].Subnet = "subnet-00000000" }, []string{"networkInterfaces[0].subnetId: InvalidSubnetID.NotFound"}},
		{"ENI with a reserved address", func(s *network.State) { s.ENIs[0].PrivateIPv4 = netip.MustParseAddr("172.31.15.255") },
			[]string{"networkInterfaces[0].privateIpAddress: InvalidParameterValue"}},
		{"ENI with six groups", func(s *network.State) {
			for n := range 5 {
				g := *web(s)
				g.ID, g.Name = network.NewID("sg", fmt.Sprint(n)), fmt.Sprint(n)
				s.SecurityGroups = append(s.SecurityGroups, g)
				s.ENIs[0].SecurityGroups = append(s.ENIs[0].SecurityGroups, g.ID)
			}
		}, []string{"networkInterfaces[0].groups: SecurityGroupsPerInterfaceLimitExceeded"}},
		{"ENI with a group twice", func(s *network.State) { s.ENIs[0].SecurityGroups = append(s.ENIs[0].SecurityGroups, web(s).ID) },
			[]string{"networkInterfaces[0].groups[1]: InvalidParameterValue"}},
		{"ENI with a multicast MAC", func(s *network.State) { s.ENIs[0].MAC[0] |= 1 }, []string{"networkInterfaces[0].macAddress: InvalidParameterValue"}},
		{"ENI with a bad name", func(s *network.State) { s.ENIs[0].PrivateDNSName = "a..b" }, []string{"networkInterfaces[0].privateDnsName: InvalidParameterValue"}},
		{"ENIs with one address and MAC", func(s *network.State) {
			again := s.ENIs[0]
			again.ID = network.NewID("eni", "2")
			s.ENIs = append(s.ENIs, again)
		}, []string{"networkInterfaces[1].privateIpAddress: InvalidIPAddress.InUse", "networkInterfaces[1].macAddress: InvalidParameterValue"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := withENI(t)
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

// TestValidateENI checks that one more ENI is judged as Validate would.
func TestValidateENI(t *testing.T) {
	s := withENI(t)
	e := s.ENIs[0]
	s.ENIs = nil
	if err := network.ValidateENI(s, e); err != nil {
		t.Errorf("good ENI: %v", err)
	}
	e.SecurityGroups, e.PrivateIPv4, e.MAC, e.Bandwidth = nil, netip.Addr{}, network.MAC{}, network.Bandwidth{Ingress: -1, Egress: 64_000}
	if got := len(problems(network.ValidateENI(s, e))); got != 4 {
		t.Errorf("%d problems, want 4: %v", got, network.ValidateENI(s, e))
	}
}

func TestDefaultVPC(t *testing.T) {
	s := defaultVPC(t)
	var cidrs []string
	for _, n := range s.Subnets {
		cidrs = append(cidrs, n.CIDR.String()+" "+n.AvailabilityZone)
	}
	if diff := cmp.Diff([]string{"172.31.0.0/20 eu-central-1a", "172.31.16.0/20 eu-central-1b"}, cidrs); diff != "" {
		t.Errorf("subnets (-want +got):\n%s", diff)
	}
	if n := s.Subnets[0]; n.Size() != 4091 || n.Gateway() != netip.MustParseAddr("172.31.0.1") { // as EC2 says of a /20
		t.Errorf("size %d, gateway %s", n.Size(), n.Gateway())
	}
	other, err := network.DefaultVPC("other", netip.MustParsePrefix("172.31.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil || other.VPCs[0].ID == s.VPCs[0].ID || other.Subnets[0].ID == s.Subnets[0].ID {
		t.Errorf("another seed gives the IDs %s, %s: %v", other.VPCs[0].ID, other.Subnets[0].ID, err)
	}
	for _, bad := range []string{"10.0.0.0/8", "10.0.0.0/25", "10.0.0.1/16", "fd00::/16"} {
		if _, err := network.DefaultVPC("x", netip.MustParsePrefix(bad), "eu-central-1", []string{"a"}); !errors.Is(err, network.ErrInvalid) {
			t.Errorf("DefaultVPC(%s): %v", bad, err)
		}
	}
	for _, zones := range [][]string{nil, slices.Repeat([]string{"a"}, 17), {"a", "a"}} {
		if _, err := network.DefaultVPC("x", netip.MustParsePrefix("10.0.0.0/16"), "eu-central-1", zones); !errors.Is(err, network.ErrInvalid) {
			t.Errorf("DefaultVPC with zones %v: %v", zones, err)
		}
	}
}

func TestFreeCIDR(t *testing.T) {
	tests := []struct {
		taken string
		want  string
	}{
		{"", "172.31.0.0/16"},
		{"0.0.0.0/0 192.0.2.0/24 172.17.0.0/16", "172.31.0.0/16"},
		{"172.31.5.0/24", "172.30.0.0/16"},
		{"172.16.0.0/12", "10.255.0.0/16"},
		{"172.16.0.0/12 10.128.0.0/9", "10.127.0.0/16"},
		{"172.16.0.0/12 10.0.0.0/8", ""},
	}
	for _, tt := range tests {
		var taken []netip.Prefix
		for f := range strings.FieldsSeq(tt.taken) {
			taken = append(taken, netip.MustParsePrefix(f))
		}
		got, err := network.FreeCIDR(taken)
		if tt.want == "" {
			if !errors.Is(err, network.ErrConflict) {
				t.Errorf("FreeCIDR(%s) = %s, %v", tt.taken, got, err)
			}
		} else if err != nil || got.String() != tt.want {
			t.Errorf("FreeCIDR(%s) = %s, %v, want %s", tt.taken, got, err, tt.want)
		}
	}
}
