package cni

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// supported reports everything in a valid state that a network of this kind cannot do.
func (n *netConfig) supported(s network.State) error {
	var errs []error
	refuse := func(bad bool, path, feature, needs string) {
		if bad {
			errs = append(errs, fmt.Errorf("%s: %w", path, &network.UnsupportedError{Feature: feature, Needs: needs}))
		}
	}
	const linux = "the fabric of package network/linux"
	refuse(len(s.VPCs) > 1, "vpcs", "a second VPC", "a fabric for each CNI network")
	refuse(len(s.NetworkACLs) > 0, "networkAcls", "a network ACL", linux)
	refuse(len(s.PrefixLists) > 0, "prefixLists", "a prefix list", linux)
	refuse(len(s.InternetGateways) > 0, "internetGateways", "an internet gateway", linux)
	refuse(len(s.EgressOnlyInternetGateways) > 0, "egressOnlyInternetGateways", "an egress-only internet gateway", linux)
	refuse(len(s.NATGateways) > 0, "natGateways", "a NAT gateway", linux)
	refuse(len(s.VPCPeeringConnections) > 0, "vpcPeeringConnections", "a peering connection", linux)
	refuse(len(s.PublicIPv4Pools) > 0, "publicIpv4Pools", "a pool of public addresses", linux)
	refuse(len(s.Addresses) > 0, "addresses", "an elastic address", linux)
	for i, v := range s.VPCs {
		refuse(len(v.IPv6CIDRs) > 0, fmt.Sprintf("vpcs[%d].ipv6CidrBlocks", i), "IPv6", linux)
	}
	for i, sub := range s.Subnets {
		if !n.contains(sub.CIDR) {
			refuse(true, fmt.Sprintf("subnets[%d].cidrBlock", i), "a subnet "+sub.CIDR.String(),
				fmt.Sprintf("a range of the network %q that holds it; it has %v", n.list.Name, n.ranges))
		}
	}
	for i, g := range s.SecurityGroups {
		refuse(!allowsAll(g), fmt.Sprintf("securityGroups[%d]", i), "a security group that does not allow everything both ways", linux)
	}
	for i, t := range s.RouteTables {
		for j, r := range t.Routes {
			refuse(r.Target != network.TargetLocal, fmt.Sprintf("routeTables[%d].routes[%d]", i, j), "a route to "+r.Target, linux)
		}
	}
	for i, e := range s.ENIs {
		if err := n.supportedENI(e); err != nil {
			errs = append(errs, fmt.Errorf("networkInterfaces[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// supportedENI reports what a network of this kind cannot do for an ENI.
func (n *netConfig) supportedENI(e network.ENI) error {
	switch {
	case e.AssignPublicIP || e.PublicIPv4.IsValid():
		return &network.UnsupportedError{Feature: "a public address", Needs: "the fabric of package network/linux"}
	case e.IPv6.IsValid():
		return &network.UnsupportedError{Feature: "IPv6", Needs: "the fabric of package network/linux"}
	case e.Bandwidth != network.Bandwidth{}:
		return &network.UnsupportedError{Feature: "a limit of bandwidth", Needs: "the fabric of package network/linux, or the plugin bandwidth with Config.CapabilityArgs"}
	case len(e.PublishedPorts) > 0:
		return &network.UnsupportedError{Feature: "a published port", Needs: "the fabric of package network/linux, or the plugin portmap with Config.CapabilityArgs"}
	case !n.address:
		return &network.UnsupportedError{Feature: "a private address that is chosen before",
			Needs: fmt.Sprintf("the IPAM plugin host-local or the capability \"ips\" in the network %q", n.list.Name)}
	}
	return nil
}

// contains reports whether the network has a range for all of a subnet. One whose ranges are not known has.
func (n *netConfig) contains(subnet netip.Prefix) bool {
	return len(n.ranges) == 0 || slices.ContainsFunc(n.ranges, func(p netip.Prefix) bool {
		return p.Bits() <= subnet.Bits() && p.Contains(subnet.Addr())
	})
}

// allowsAll reports whether a group lets everything in and out.
func allowsAll(g network.SecurityGroup) bool { return anyRule(g.Ingress) && anyRule(g.Egress) }

func anyRule(rules []network.Rule) bool {
	everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	return slices.ContainsFunc(rules, func(r network.Rule) bool {
		return r.Protocol.Is(network.AllProtocols) && slices.Contains(r.CIDRs, everywhere)
	})
}

// State returns a VPC that the network can be: its CIDR and one subnet are the first IPv4 range of the IPAM plugin
// host-local, /16 to /28, and its one security group allows everything. The error matches [network.ErrInvalid], or
// [network.ErrUnsupported] if there is no such range.
func (f *Fabric) State(region string) (network.State, error) {
	n, err := f.cfg.load()
	if err != nil {
		return network.State{}, err
	}
	i := slices.IndexFunc(n.ranges, func(p netip.Prefix) bool { return p.Bits() >= 16 && p.Bits() <= 28 })
	if i < 0 {
		return network.State{}, &network.UnsupportedError{Feature: "a VPC for the network " + n.list.Name,
			Needs: "a range of /16 to /28 of the IPAM plugin host-local"}
	}
	return stateFor(f.cfg.Owner+" "+n.list.Name, n.ranges[i], region), nil
}

// stateFor returns the VPC of a range. All IDs are digests of seed.
func stateFor(seed string, cidr netip.Prefix, region string) network.State {
	vpc, table := network.NewID("vpc", seed), network.NewID("rtb", seed)
	all := []network.Rule{{Protocol: network.AllProtocols, CIDRs: []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)}}}
	zone := region + "a"
	return network.State{
		VPCs:    []network.VPC{{ID: vpc, CIDRs: []netip.Prefix{cidr}, Region: region, IsDefault: true}},
		Subnets: []network.Subnet{{ID: network.NewID("subnet", seed, zone), VPC: vpc, CIDR: cidr, AvailabilityZone: zone, DefaultForAZ: true}},
		SecurityGroups: []network.SecurityGroup{{ID: network.NewID("sg", seed), VPC: vpc, Name: network.DefaultGroupName,
			Description: "allows everything: the CNI network decides", Ingress: all, Egress: all}},
		RouteTables: []network.RouteTable{{ID: table, VPC: vpc, Main: true,
			Routes: []network.Route{{Destination: cidr, Target: network.TargetLocal}}}},
	}
}
