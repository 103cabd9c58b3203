package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Quotas of EC2, at their defaults.
const (
	maxCIDRsPerVPC    = 5
	maxRulesPerGroup  = 60 // per direction; each CIDR and each group of a Rule counts as one
	maxGroupsPerENI   = 5  // also the most that ECS takes in an awsvpcConfiguration
	maxRoutesPerTable = 50
	minPrefix         = 16 // of VPCs and subnets
	maxPrefix         = 28
)

// Validate reports everything that is wrong in s, joined, each as a [*ValidationError] with the path to it. Codes and
// texts are those of EC2 where they are known. It returns nil for the zero State. Its cost grows with the size of s,
// not with its square.
func Validate(s State) error {
	v := &validator{state: s, vpcs: map[string]VPC{}, subnets: map[string]Subnet{}, groups: map[string]SecurityGroup{},
		gateways: map[string]InternetGateway{}, ids: map[string]string{}}
	for _, n := range s.VPCs {
		v.vpcs[n.ID] = n
	}
	for _, n := range s.Subnets {
		v.subnets[n.ID] = n
	}
	for _, g := range s.SecurityGroups {
		v.groups[g.ID] = g
	}
	for _, g := range s.InternetGateways {
		v.gateways[g.ID] = g
	}
	v.checkVPCs()
	v.checkSubnets()
	v.checkGroups()
	v.checkGateways()
	v.checkRouteTables()
	v.checkENIs()
	return errors.Join(v.problems...)
}

// ValidateENI reports everything that is wrong with one more ENI in a state that is valid, as [Validate] would with e
// appended. Its cost grows with the number of subnets and groups, and not with that of ENIs: whether another ENI has
// the ID or the address is for the caller to know.
func ValidateENI(s State, e ENI) error {
	s.ENIs = nil
	v := &validator{state: s, subnets: map[string]Subnet{}, groups: map[string]SecurityGroup{}, ids: map[string]string{}}
	if n, ok := s.Subnet(e.Subnet); ok {
		v.subnets[n.ID] = n
	}
	for _, id := range e.SecurityGroups {
		if g, ok := s.SecurityGroup(id); ok {
			v.groups[g.ID] = g
		}
	}
	v.checkENI("eni "+e.ID, e)
	return errors.Join(v.problems...)
}

type validator struct {
	state    State
	vpcs     map[string]VPC
	subnets  map[string]Subnet
	groups   map[string]SecurityGroup
	gateways map[string]InternetGateway
	ids      map[string]string // ID → path of its first use
	problems []error
}

func (v *validator) add(path, code, format string, args ...any) {
	v.problems = append(v.problems, &ValidationError{Path: path, Code: code, Reason: fmt.Sprintf(format, args...)})
}

// id checks the form of an ID and that it is the only one. kind is what EC2 calls it in its codes: "VpcID".
func (v *validator) id(path, prefix, kind, id string) {
	if !validID(prefix, id) {
		v.add(path, "Invalid"+kind+".Malformed", "Invalid id: \"%s\" (expecting \"%s-...\" and 8 or 17 hexadecimal digits)", id, prefix)
	}
	if first, taken := v.ids[id]; taken {
		v.add(path, "Invalid"+kind+".Duplicate", "The ID '%s' is that of %s", id, first)
		return
	}
	v.ids[id] = path
}

func (v *validator) vpc(path, id string) (VPC, bool) {
	n, ok := v.vpcs[id]
	if !ok {
		v.add(path, "InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", id)
	}
	return n, ok
}

func (v *validator) checkVPCs() {
	var standard string
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
		tables := 0
		for _, t := range v.state.RouteTables {
			if t.VPC == n.ID && t.Main {
				tables++
			}
		}
		if tables != 1 {
			v.add(path, "InvalidVpc.MainRouteTable", "The VPC must have exactly one main route table, and has %d", tables)
		}
	}
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
		for _, r := range unusable() {
			if r.Overlaps(c) {
				v.add(at, "InvalidVpc.Range", "The CIDR '%s' is invalid: %s is not for private networks", c, r)
			}
		}
		for j, other := range n.CIDRs[:i] {
			if other.IsValid() && other.Overlaps(c) {
				v.add(at, "InvalidVpc.Conflict", "The CIDR '%s' conflicts with cidrBlocks[%d], %s", c, j, other)
			}
		}
	}
}

// unusable returns the ranges that are no private network: this host, loopback, link-local, multicast and reserved.
func unusable() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{0}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 3),
	}
}

// block checks the form and size of a VPC's or subnet's CIDR.
func (v *validator) block(path, code string, c netip.Prefix) bool {
	switch {
	case !c.IsValid():
		v.add(path, "InvalidParameterValue", "The CIDR block is missing or malformed")
	case !c.Addr().Is4():
		v.add(path, "InvalidParameterValue", "The CIDR '%s' is not IPv4, and fardel has no other", c)
	case c != c.Masked():
		v.add(path, code, "The CIDR '%s' is invalid: its network is %s", c, c.Masked())
	case c.Bits() < minPrefix || c.Bits() > maxPrefix:
		v.add(path, code, "The CIDR '%s' is invalid: a block is /%d to /%d", c, minPrefix, maxPrefix)
	default:
		return true
	}
	return false
}

func (v *validator) checkSubnets() {
	type placed struct {
		path string
		Subnet
	}
	byVPC := map[string][]placed{}
	var order []string
	for i, n := range v.state.Subnets {
		path := fmt.Sprintf("subnets[%d]", i)
		v.id(path+".subnetId", "subnet", "SubnetID", n.ID)
		if n.AvailabilityZone == "" {
			v.add(path+".availabilityZone", "MissingParameter", "The subnet needs an availability zone")
		}
		vpc, ok := v.vpc(path+".vpcId", n.VPC)
		if !v.block(path+".cidrBlock", "InvalidSubnet.Range", n.CIDR) || !ok {
			continue
		}
		if !slices.ContainsFunc(vpc.CIDRs, func(c netip.Prefix) bool { return contains(c, n.CIDR) }) {
			v.add(path+".cidrBlock", "InvalidSubnet.Range", "The CIDR '%s' is invalid: it is not inside %s", n.CIDR, vpc.ID)
		}
		if byVPC[n.VPC] == nil {
			order = append(order, n.VPC)
		}
		byVPC[n.VPC] = append(byVPC[n.VPC], placed{path, n})
	}
	for _, id := range order {
		subnets := byVPC[id]
		slices.SortStableFunc(subnets, func(a, b placed) int { return a.CIDR.Addr().Compare(b.CIDR.Addr()) })
		for i := 1; i < len(subnets); i++ {
			if a, b := subnets[i-1], subnets[i]; a.CIDR.Overlaps(b.CIDR) {
				v.add(b.path+".cidrBlock", "InvalidSubnet.Conflict", "The CIDR '%s' conflicts with another subnet: %s, %s", b.CIDR, a.ID, a.CIDR)
			}
		}
	}
}

// contains reports whether inner lies in outer.
func contains(outer, inner netip.Prefix) bool {
	return outer.IsValid() && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

func isDNSLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
