package network

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

func (v *validator) checkVPCs() {
	var standard string
	tables := map[string]int{}
	for _, t := range v.state.RouteTables {
		if t.Main {
			tables[t.VPC]++
		}
	}
	var six []placed
	for i, n := range v.state.VPCs {
		path := fmt.Sprintf("vpcs[%d]", i)
		v.id(path+".vpcId", "vpc", "VpcID", n.ID)
		if n.Region == "" {
			v.add(path+".region", "MissingParameter", "The VPC needs the name of a region")
		} else if !isDNSLabel(n.Region) {
			v.add(path+".region", "InvalidParameterValue", "'%s' must be a DNS label, such as eu-central-1", n.Region)
		}
		if n.IsDefault && standard != "" {
			v.add(path+".isDefault", "DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region: %s", standard)
		} else if n.IsDefault {
			standard = n.ID
		}
		v.checkVPCBlocks(path, n)
		six = append(six, v.checkVPCIPv6Blocks(path, n)...)
		if tables[n.ID] > 1 {
			v.add(path, "InvalidVpc.MainRouteTable", "The VPC has one main route table, and %d are given", tables[n.ID])
		}
	}
	v.checkOverlaps(six, "InvalidVpc.Conflict", "another IPv6 CIDR")
}

func (v *validator) checkVPCBlocks(path string, n VPC) {
	if len(n.CIDRs) == 0 {
		v.add(path+".cidrBlocks", "MissingParameter", "The VPC needs a CIDR block")
	}
	if len(n.CIDRs) > maxCIDRsPerVPC {
		v.add(path+".cidrBlocks", "CidrLimitExceeded", "The VPC has %d CIDR blocks, the limit is %d", len(n.CIDRs), maxCIDRsPerVPC)
	}
	for i, c := range n.CIDRs {
		at := fmt.Sprintf("%s.cidrBlocks[%d]", path, i)
		if !v.block(at, "InvalidVpc.Range", c) {
			continue
		}
		v.usable(at, "InvalidVpc.Range", c)
		for j, other := range n.CIDRs[:i] {
			if other.IsValid() && other.Overlaps(c) {
				v.add(at, "InvalidVpc.Conflict", "The CIDR '%s' conflicts with cidrBlocks[%d], %s", c, j, other)
			}
		}
	}
}

// checkVPCIPv6Blocks checks a VPC's IPv6 CIDRs, and returns those whose form is right.
func (v *validator) checkVPCIPv6Blocks(path string, n VPC) (good []placed) {
	if len(n.IPv6CIDRs) > maxCIDRsPerVPC {
		v.add(path+".ipv6CidrBlocks", "CidrLimitExceeded", "The VPC has %d IPv6 CIDR blocks, the limit is %d", len(n.IPv6CIDRs), maxCIDRsPerVPC)
	}
	for i, c := range n.IPv6CIDRs {
		at := fmt.Sprintf("%s.ipv6CidrBlocks[%d]", path, i)
		switch {
		case !c.IsValid():
			v.add(at, "InvalidParameterValue", "The IPv6 CIDR block is missing or malformed")
		case !c.Addr().Is6() || c.Addr().Is4In6():
			v.add(at, "InvalidParameterValue", "The CIDR '%s' is not IPv6", c)
		case c != c.Masked():
			v.add(at, "InvalidVpc.Range", "The CIDR '%s' is invalid: its network is %s", c, c.Masked())
		case c.Bits() < minIPv6Prefix || c.Bits() > maxIPv6Prefix || c.Bits()%4 != 0:
			v.add(at, "InvalidVpc.Range", "The CIDR '%s' is invalid: a block is /%d to /%d in steps of 4", c, minIPv6Prefix, maxIPv6Prefix)
		case !globalIPv6().Contains(c.Addr()) && !localIPv6().Contains(c.Addr()):
			v.add(at, "InvalidVpc.Range", "The CIDR '%s' is invalid: it is neither global unicast (%s) nor unique local (%s)", c, globalIPv6(), localIPv6())
		default:
			good = append(good, placed{at, n.ID, c})
		}
	}
	return good
}

func globalIPv6() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20}), 3) }
func localIPv6() netip.Prefix  { return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfc}), 7) }

// unusable returns the ranges that are no network: this host, loopback, link-local, multicast and reserved.
func unusable() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{0}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 3),
	}
}

func (v *validator) usable(path, code string, c netip.Prefix) {
	for _, r := range unusable() {
		if r.Overlaps(c) {
			v.add(path, code, "The CIDR '%s' is invalid: %s is not for networks", c, r)
		}
	}
}

// block checks the form and size of a VPC's or subnet's CIDR.
func (v *validator) block(path, code string, c netip.Prefix) bool {
	switch {
	case !c.IsValid():
		v.add(path, "InvalidParameterValue", "The CIDR block is missing or malformed")
	case !c.Addr().Is4():
		v.add(path, "InvalidParameterValue", "The CIDR '%s' is not IPv4", c)
	case c != c.Masked():
		v.add(path, code, "The CIDR '%s' is invalid: its network is %s", c, c.Masked())
	case c.Bits() < minPrefix || c.Bits() > maxPrefix:
		v.add(path, code, "The CIDR '%s' is invalid: a block is /%d to /%d", c, minPrefix, maxPrefix)
	default:
		return true
	}
	return false
}

// placed is a prefix with its path and the ID of what has it.
type placed struct {
	path string
	id   string
	cidr netip.Prefix
}

// checkOverlaps reports the prefixes that overlap another one of the list.
func (v *validator) checkOverlaps(list []placed, code, what string) {
	slices.SortStableFunc(list, func(a, b placed) int {
		return cmp.Or(a.cidr.Addr().Compare(b.cidr.Addr()), cmp.Compare(a.cidr.Bits(), b.cidr.Bits()))
	})
	for i, outer := 1, 0; i < len(list); i++ {
		if a, b := list[outer], list[i]; a.cidr.Overlaps(b.cidr) {
			v.add(b.path, code, "The CIDR '%s' conflicts with %s: %s, %s", b.cidr, what, a.id, a.cidr)
		} else {
			outer = i
		}
	}
}

func (v *validator) checkSubnets() {
	four, six := map[string][]placed{}, map[string][]placed{}
	zones := map[[2]string]string{}
	for i, n := range v.state.Subnets {
		path := fmt.Sprintf("subnets[%d]", i)
		v.id(path+".subnetId", "subnet", "SubnetID", n.ID)
		if n.AvailabilityZone == "" {
			v.add(path+".availabilityZone", "MissingParameter", "The subnet needs an availability zone")
		}
		if zone := [2]string{n.VPC, n.AvailabilityZone}; n.DefaultForAZ && zones[zone] != "" {
			v.add(path+".defaultForAz", "DefaultSubnetAlreadyExistsInAvailabilityZone", "'%s' is already the default subnet in %s.", zones[zone], n.AvailabilityZone)
		} else if n.DefaultForAZ {
			zones[zone] = n.ID
		}
		vpc, known := v.vpc(path+".vpcId", n.VPC)
		if v.block(path+".cidrBlock", "InvalidSubnet.Range", n.CIDR) && known {
			four[n.VPC] = append(four[n.VPC], placed{path + ".cidrBlock", n.ID, n.CIDR})
			v.inside(path+".cidrBlock", n.CIDR, vpc.CIDRs, vpc.ID)
		}
		if v.subnetIPv6(path, n) && known {
			six[n.VPC] = append(six[n.VPC], placed{path + ".ipv6CidrBlock", n.ID, n.IPv6CIDR})
			v.inside(path+".ipv6CidrBlock", n.IPv6CIDR, vpc.IPv6CIDRs, vpc.ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.vpcs)) {
		v.checkOverlaps(four[id], "InvalidSubnet.Conflict", "another subnet")
		v.checkOverlaps(six[id], "InvalidSubnet.Conflict", "another subnet")
	}
}

func (v *validator) inside(path string, c netip.Prefix, blocks []netip.Prefix, vpc string) {
	if !slices.ContainsFunc(blocks, func(block netip.Prefix) bool { return contains(block, c) }) {
		v.add(path, "InvalidSubnet.Range", "The CIDR '%s' is invalid: it is not inside %s", c, vpc)
	}
}

// subnetIPv6 checks the form of a subnet's IPv6 CIDR and reports whether it has a good one.
func (v *validator) subnetIPv6(path string, n Subnet) bool {
	c := n.IPv6CIDR
	switch {
	case c == netip.Prefix{}:
		if n.AssignIPv6AddressOnCreation {
			v.add(path+".assignIpv6AddressOnCreation", "InvalidParameterValue", "%s has no IPv6 CIDR block", n.ID)
		}
	case !c.IsValid() || !c.Addr().Is6() || c.Addr().Is4In6():
		v.add(path+".ipv6CidrBlock", "InvalidParameterValue", "The CIDR '%s' is not IPv6", c)
	case c != c.Masked() || c.Bits() != subnetIPv6Prefix:
		v.add(path+".ipv6CidrBlock", "InvalidSubnet.Range", "The CIDR '%s' is invalid: a subnet is a /%d", c, subnetIPv6Prefix)
	default:
		return true
	}
	return false
}
