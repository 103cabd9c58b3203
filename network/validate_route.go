package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func (v *validator) checkRouteTables() {
	associated := map[string]string{}
	for i, t := range v.state.RouteTables {
		path := fmt.Sprintf("routeTables[%d]", i)
		v.id(path+".routeTableId", "rtb", "RouteTableID", t.ID)
		vpc, ok := v.vpc(path+".vpcId", t.VPC)
		v.checkAssociations(path, t.ID, t.VPC, t.Subnets, associated)
		if ok {
			v.checkRoutes(path, vpc, t)
		}
	}
}

func (v *validator) checkRoutes(path string, vpc VPC, t RouteTable) {
	seen := map[string]bool{}
	count := map[AddressFamily]int{}
	for i, r := range t.Routes {
		at := fmt.Sprintf("%s.routes[%d]", path, i)
		to, family, n, ok := v.checkDestination(at, r)
		if !ok {
			continue
		}
		count[family] += n
		if seen[to] {
			v.add(at+".destinationCidrBlock", "RouteAlreadyExists", "The route identified by %s already exists.", to)
		}
		seen[to] = true
		v.checkRoute(at, vpc, r, family)
	}
	for _, family := range []AddressFamily{IPv4, IPv6} {
		if count[family] > maxRoutesPerTable {
			v.add(path+".routes", "RouteLimitExceeded", "The table has %d routes for %s, the limit is %d", count[family], family, maxRoutesPerTable)
		}
	}
}

// checkDestination checks what a route is for, and returns that in writing and how many routes it counts for.
func (v *validator) checkDestination(path string, r Route) (to string, family AddressFamily, count int, ok bool) {
	d := r.Destination
	if r.PrefixList != "" {
		l, ok := v.lists[r.PrefixList]
		switch {
		case d != netip.Prefix{}:
			v.add(path+".destinationPrefixListId", "InvalidParameterCombination", "The route has a CIDR block and a prefix list")
			return "", "", 0, false
		case !ok:
			v.add(path+".destinationPrefixListId", "InvalidPrefixListID.NotFound", "The prefix list ID '%s' does not exist", r.PrefixList)
		}
		return r.PrefixList, l.AddressFamily, l.MaxEntries, ok
	}
	if !d.IsValid() || d.Addr().Is4In6() || d != d.Masked() {
		v.add(path+".destinationCidrBlock", "InvalidParameterValue", "Value (%s) for parameter destinationCidrBlock is invalid. "+
			"This is not a valid CIDR block.", d)
		return "", "", 0, false
	}
	if d.Addr().Is4() {
		return d.String(), IPv4, 1, true
	}
	return d.String(), IPv6, 1, true
}

func (v *validator) checkRoute(path string, vpc VPC, r Route, family AddressFamily) {
	blocks := slices.Concat(vpc.CIDRs, vpc.IPv6CIDRs)
	if r.Target == TargetLocal {
		if r.PrefixList != "" || !slices.Contains(blocks, r.Destination) {
			v.add(path+".target", "InvalidParameterValue", "%s%s is not a CIDR of %s, so no route to it is local", r.Destination, r.PrefixList, vpc.ID)
		}
		return
	}
	destinations := []netip.Prefix{r.Destination}
	if r.PrefixList != "" {
		destinations = v.lists[r.PrefixList].CIDRs()
	}
	for _, d := range destinations {
		v.checkBeside(path, vpc, r.Target, d, blocks)
	}
	v.checkTarget(path, vpc, r.Target, family)
}

// checkBeside checks a destination of a route that is not local.
func (v *validator) checkBeside(path string, vpc VPC, target string, d netip.Prefix, blocks []netip.Prefix) {
	_, nat := v.nats[target]
	_, eni := v.enis[target]
	switch {
	case !d.IsValid():
	case slices.ContainsFunc(blocks, func(c netip.Prefix) bool { return contains(c, d) }):
		if slices.Contains(blocks, d) {
			v.add(path+".target", "InvalidParameterValue", "%s is a CIDR of %s, so the route to it must be local", d, vpc.ID)
		} else if !v.blocks[vpc.ID][d] || !nat && !eni && target != TargetBlackhole {
			v.add(path+".target", "InvalidParameterValue", "%s is inside %s, so the route to it must be to all of a subnet, and to an ENI or a NAT gateway", d, vpc.ID)
		}
	case linkLocal().Overlaps(d) && d.Bits() > linkLocal().Bits(), linkLocalIPv6().Overlaps(d) && d.Bits() > linkLocalIPv6().Bits():
		v.add(path+".destinationCidrBlock", "InvalidParameterValue", "%s is link-local and not routed", d)
	}
}

// checkTarget checks that a route's target exists, in the table's VPC, and carries its version of IP.
func (v *validator) checkTarget(path string, vpc VPC, target string, family AddressFamily) {
	path += ".target"
	gateway, isGateway := v.gateways[target]
	only, isOnly := v.only[target]
	nat, isNAT := v.nats[target]
	eni, isENI := v.enis[target]
	peering, isPeering := v.peerings[target]
	var at string
	switch {
	case target == TargetBlackhole:
		return
	case isGateway:
		at = gateway.VPC
	case isOnly:
		at = only.VPC
	case isNAT:
		at = v.subnets[nat.Subnet].VPC
	case isENI:
		at = v.subnets[eni.Subnet].VPC
	case isPeering:
		if _, ok := peering.Other(vpc.ID); ok {
			at = vpc.ID
		}
	default:
		code, kind := targetKind(target)
		v.add(path, code, "The %s ID '%s' does not exist", kind, target)
		return
	}
	switch {
	case at != vpc.ID:
		v.add(path, "InvalidParameterValue", "route table %s and network gateway %s belong to different networks", vpc.ID, target)
	case isOnly && family != IPv6, isNAT && family != IPv4:
		v.add(path, "InvalidParameterValue", "%s carries no %s", target, family)
	}
}

// targetKind returns the code and name that EC2 has for a target that does not exist.
func targetKind(target string) (code, kind string) {
	switch prefix, _, _ := strings.Cut(target, "-"); prefix {
	case "nat":
		return "InvalidNatGatewayID.NotFound", "natGateway"
	case "eni":
		return "InvalidNetworkInterfaceID.NotFound", "networkInterface"
	case "pcx":
		return "InvalidVpcPeeringConnectionID.NotFound", "vpcPeeringConnection"
	case "eigw":
		return "InvalidGatewayID.NotFound", "egressOnlyInternetGateway"
	case "igw":
		return "InvalidInternetGatewayID.NotFound", "internetGateway"
	}
	return "InvalidGatewayID.NotFound", "gateway"
}

// linkLocal is the range whose packets stay on their link; EC2 allows no routes into the part it uses, 169.254.168.0/22.
func linkLocal() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16)
}

func linkLocalIPv6() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80}), 10)
}
