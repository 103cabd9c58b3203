package network

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestWithoutInterfaces(t *testing.T) {
	s, err := DefaultVPC("test", netip.MustParsePrefix("10.9.0.0/16"), "us-east-1", []string{"us-east-1a", "us-east-1b"})
	if err != nil {
		t.Fatal(err)
	}
	gone, stays := NewID("eni", "gone"), NewID("eni", "stays")
	s.PublicIPv4Pools = []PublicIPv4Pool{{ID: NewID("ipv4pool-ec2", "a"), CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/29")}}}
	for i, id := range []string{gone, stays} {
		s.ENIs = append(s.ENIs, ENI{ID: id, Subnet: s.Subnets[0].ID, SecurityGroups: []string{s.SecurityGroups[0].ID},
			PrivateIPv4: offset(s.Subnets[0].CIDR.Addr(), 10+i), MAC: NewMAC(id)})
		s.Addresses = append(s.Addresses, Address{AllocationID: NewID("eipalloc", id), ENI: id,
			PublicIP: offset(netip.MustParseAddr("203.0.113.0"), i)})
	}
	table := &s.RouteTables[0]
	table.Routes = append(table.Routes, Route{Destination: netip.MustParsePrefix("192.0.2.0/24"), Target: gone},
		Route{Destination: s.Subnets[1].CIDR, Target: gone}, Route{Destination: netip.MustParsePrefix("198.51.100.0/24"), Target: stays})
	if err := Validate(s); err != nil {
		t.Fatal(err)
	}
	before := s.Addresses[0]
	left, changed := s.WithoutInterfaces(func(id string) bool { return id == gone })
	if err := Validate(left); err != nil || !changed {
		t.Errorf("what is left: changed %t, %v", changed, err)
	}
	targets := func(s State) (all []string) {
		for _, r := range s.RouteTables[0].Routes {
			all = append(all, r.Target)
		}
		return all
	}
	igw := s.InternetGateways[0].ID
	if diff := cmp.Diff([]string{TargetLocal, igw, TargetBlackhole, TargetBlackhole, stays}, targets(left)); diff != "" {
		t.Errorf("routes: -want +got\n%s", diff)
	}
	if left.Addresses[0].ENI != "" || left.Addresses[1].ENI != stays || len(left.ENIs) != 1 {
		t.Errorf("addresses %+v, interfaces %+v", left.Addresses, left.ENIs)
	}
	if diff := cmp.Diff(before, s.Addresses[0], cmpopts.EquateComparable(netip.Addr{})); diff != "" || targets(s)[2] != gone || len(s.ENIs) != 2 {
		t.Errorf("the state itself has changed: %s, %v", diff, targets(s))
	}
	again, changed := left.WithoutInterfaces(func(id string) bool { return id == gone })
	if changed || len(again.ENIs) != 1 {
		t.Errorf("the second time: changed %t", changed)
	}
}
