package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// DefaultVPC returns the state of a region in which nobody has changed anything: one VPC with a subnet in each
// availability zone, a default security group, a default network ACL, an internet gateway and a main route table, as EC2
// makes it. The default ACL, which allows everything, is the one that a VPC has without its being named, so it is not:
// see [DefaultNetworkACLEntries]. ENIs in the subnets get public IPv4 addresses unless asked otherwise. zones are
// the names of 1 to 16 availability zones. The subnets are sixteenths of the CIDR, /20 in EC2's own 172.31.0.0/16, so
// that zones can be added later; cidr must be /16 to /24. All IDs are digests of seed, see [NewID].
func DefaultVPC(seed string, cidr netip.Prefix, region string, zones []string) (State, error) {
	if !cidr.IsValid() || !cidr.Addr().Is4() || cidr.Bits() < 16 || cidr.Bits() > 24 || cidr != cidr.Masked() {
		return State{}, fmt.Errorf("default VPC: %w: the CIDR '%s' must be an IPv4 prefix of /16 to /24", ErrInvalid, cidr)
	}
	if len(zones) == 0 || len(zones) > 16 {
		return State{}, fmt.Errorf("default VPC: %w: %d availability zones, must be 1 to 16", ErrInvalid, len(zones))
	}
	vpc := VPC{ID: NewID("vpc", seed), CIDRs: []netip.Prefix{cidr}, Region: region, IsDefault: true}
	group := NewID("sg", seed)
	gateway := NewID("igw", seed)
	everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	s := State{
		VPCs: []VPC{vpc},
		SecurityGroups: []SecurityGroup{{
			ID: group, VPC: vpc.ID, Name: DefaultGroupName, Description: "default VPC security group",
			Ingress: []Rule{{Protocol: AllProtocols, Groups: []string{group}}},
			Egress:  []Rule{{Protocol: AllProtocols, CIDRs: []netip.Prefix{everywhere}}},
		}},
		InternetGateways: []InternetGateway{{ID: gateway, VPC: vpc.ID}},
		RouteTables: []RouteTable{{ID: NewID("rtb", seed), VPC: vpc.ID, Main: true, Routes: []Route{
			{Destination: cidr, Target: TargetLocal},
			{Destination: everywhere, Target: gateway},
		}}},
	}
	for i, zone := range zones {
		s.Subnets = append(s.Subnets, Subnet{
			ID: NewID("subnet", seed, zone), VPC: vpc.ID, CIDR: part(cidr, cidr.Bits()+4, i),
			AvailabilityZone: zone, DefaultForAZ: true, MapPublicIPOnLaunch: true,
		})
	}
	if err := Validate(s); err != nil {
		return State{}, fmt.Errorf("default VPC: %w", err)
	}
	return s, nil
}

// part returns the n-th prefix of the given length in p.
func part(p netip.Prefix, bits, n int) netip.Prefix {
	return netip.PrefixFrom(offset(p.Addr(), n<<(32-bits)), bits)
}

// offset returns the IPv4 address n after a.
func offset(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n))
	return netip.AddrFrom4(b)
}

// distance returns how many addresses b is after a, both IPv4.
func distance(a, b netip.Addr) int {
	x, y := a.As4(), b.As4()
	return int(binary.BigEndian.Uint32(y[:])) - int(binary.BigEndian.Uint32(x[:]))
}
