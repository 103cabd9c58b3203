package network

import (
	"fmt"
	"net/netip"
)

func (v *validator) checkGateways() {
	attached := map[string]string{}
	for i, g := range v.state.InternetGateways {
		path := fmt.Sprintf("internetGateways[%d]", i)
		v.id(path+".internetGatewayId", "igw", "InternetGatewayID", g.ID)
		v.vpc(path+".vpcId", g.VPC)
		if other, taken := attached[g.VPC]; taken {
			v.add(path+".vpcId", "InvalidParameterValue", "Network %s already has an internet gateway attached: %s", g.VPC, other)
		}
		attached[g.VPC] = g.ID
	}
}

func (v *validator) checkRouteTables() {
	for i, t := range v.state.RouteTables {
		path := fmt.Sprintf("routeTables[%d]", i)
		v.id(path+".routeTableId", "rtb", "RouteTableID", t.ID)
		if !t.Main {
			v.add(path+".main", "InvalidParameterValue", "fardel has no route tables but the main one of each VPC")
		}
		vpc, ok := v.vpc(path+".vpcId", t.VPC)
		if len(t.Routes) > maxRoutesPerTable {
			v.add(path+".routes", "RouteLimitExceeded", "The table has %d routes, the limit is %d", len(t.Routes), maxRoutesPerTable)
		}
		if ok {
			v.checkRoutes(path, vpc, t)
		}
	}
}

func (v *validator) checkRoutes(path string, vpc VPC, t RouteTable) {
	local := map[netip.Prefix]bool{}
	seen := map[netip.Prefix]bool{}
	for i, r := range t.Routes {
		at := fmt.Sprintf("%s.routes[%d]", path, i)
		d := r.Destination
		if !d.IsValid() || !d.Addr().Is4() || d != d.Masked() {
			v.add(at+".destinationCidrBlock", "InvalidParameterValue", "Value (%s) for parameter destinationCidrBlock is invalid. "+
				"This is not a valid CIDR block.", d)
			continue
		}
		if seen[d] {
			v.add(at+".destinationCidrBlock", "RouteAlreadyExists", "The route identified by %s already exists.", d)
		}
		seen[d] = true
		if r.Target == TargetLocal {
			local[d] = true
		}
		v.checkRoute(at, vpc, r)
	}
	for _, c := range vpc.CIDRs {
		if c.IsValid() && !local[c] {
			v.add(path+".routes", "InvalidParameterValue", "The local route for %s is missing", c)
		}
	}
}

func (v *validator) checkRoute(path string, vpc VPC, r Route) {
	inside, partly := false, false
	for _, c := range vpc.CIDRs {
		inside = inside || c == r.Destination
		partly = partly || contains(c, r.Destination)
	}
	g, ok := v.gateways[r.Target]
	switch {
	case r.Target == TargetLocal && !inside:
		v.add(path+".target", "InvalidParameterValue", "%s is not a CIDR of %s, so no route to it is local", r.Destination, vpc.ID)
	case r.Target == TargetLocal:
	case partly:
		v.add(path+".target", "InvalidParameterValue", "%s is inside %s, so the route to it must be local", r.Destination, vpc.ID)
	case !ok:
		v.add(path+".target", "InvalidInternetGatewayID.NotFound", "The internetGateway ID '%s' does not exist", r.Target)
	case g.VPC != vpc.ID:
		v.add(path+".target", "InvalidParameterValue", "route table %s and network gateway %s belong to different networks", vpc.ID, g.ID)
	case linkLocal().Overlaps(r.Destination) && r.Destination.Bits() > linkLocal().Bits():
		v.add(path+".destinationCidrBlock", "InvalidParameterValue", "%s is link-local and not routed", r.Destination)
	}
}

// linkLocal is the range whose packets stay on their link; EC2 allows no routes into the part it uses, 169.254.168.0/22.
func linkLocal() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16)
}
