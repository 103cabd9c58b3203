package linux

import (
	"github.com/fardel-io/fardel/network"
)

// enforceable returns a [*network.UnsupportedError] if s has something that this fabric does not put into the kernel:
// rather no network than one that lets through what its owner has forbidden.
func enforceable(s network.State) error {
	lacks := func(feature string) error {
		return &network.UnsupportedError{Feature: feature, Needs: "a fabric that enforces them; leave them out of the state"}
	}
	for _, t := range s.RouteTables {
		if !t.Main || len(t.Subnets) > 0 {
			return lacks("route tables of subnets")
		}
		for _, r := range t.Routes {
			if _, isGateway := s.InternetGateway(r.Target); !isGateway && r.Target != network.TargetLocal || r.PrefixList != "" {
				return lacks("routes but local ones and those to internet gateways")
			}
		}
	}
	for _, v := range s.VPCs {
		if len(v.IPv6CIDRs) > 0 {
			return lacks("IPv6 CIDRs")
		}
	}
	for _, e := range s.ENIs {
		if err := enforceableENI(e); err != nil {
			return err
		}
	}
	for feature, n := range map[string]int{
		"prefix lists": len(s.PrefixLists), "network ACLs": len(s.NetworkACLs), "NAT gateways": len(s.NATGateways),
		"egress-only internet gateways": len(s.EgressOnlyInternetGateways), "VPC peering connections": len(s.VPCPeeringConnections),
		"elastic addresses": len(s.Addresses), "pools of public addresses": len(s.PublicIPv4Pools),
	} {
		if n > 0 {
			return lacks(feature)
		}
	}
	return nil
}

// enforceableENI is enforceable for one more ENI.
func enforceableENI(e network.ENI) error {
	if e.IPv6.IsValid() || e.PublicIPv4.IsValid() || e.NoSourceDestCheck {
		return &network.UnsupportedError{Feature: "ENIs with IPv6, a public address of their own or no source/destination check",
			Needs: "a fabric that enforces them; leave it out"}
	}
	return nil
}
