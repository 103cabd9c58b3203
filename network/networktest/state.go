package networktest

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/fardel-io/fardel/network"
)

// vpc returns a default VPC of two zones in 10.<n>.0.0/16.
func vpc(t testing.TB, n int) network.State {
	t.Helper()
	cidr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n)}), 16)
	s, err := network.DefaultVPC(fmt.Sprint("networktest ", n), cidr, "eu-central-1", []string{"eu-central-1a", "eu-central-1b"})
	if err != nil {
		t.Fatal(err)
	}
	s.VPCs[0].IsDefault = false
	return s
}

// join returns the union of states.
func join(states ...network.State) network.State {
	var all network.State
	for _, s := range states {
		all.VPCs = append(all.VPCs, s.VPCs...)
		all.Subnets = append(all.Subnets, s.Subnets...)
		all.SecurityGroups = append(all.SecurityGroups, s.SecurityGroups...)
		all.InternetGateways = append(all.InternetGateways, s.InternetGateways...)
		all.RouteTables = append(all.RouteTables, s.RouteTables...)
		all.ENIs = append(all.ENIs, s.ENIs...)
	}
	return all
}

// eni returns the n-th ENI of a VPC, in its subnets by turns, with the given groups or else the default one.
func eni(s network.State, n int, groups ...string) network.ENI {
	subnet := s.Subnets[n%len(s.Subnets)]
	b := subnet.CIDR.Addr().As4()
	b[2] += byte((n + 10) / 200)
	b[3] = byte(10 + n%200)
	if len(groups) == 0 {
		groups = []string{s.DefaultSecurityGroup(subnet.VPC)}
	}
	seed := fmt.Sprint(subnet.VPC, " ", n)
	return network.ENI{ID: network.NewID("eni", seed), Subnet: subnet.ID, PrivateIPv4: netip.AddrFrom4(b), MAC: network.NewMAC(seed),
		SecurityGroups: groups, Tags: map[string]string{"taskArn": fmt.Sprint("task ", n)}}
}

// group returns a group of the state's first VPC. Like a new group in EC2 it lets nothing in and everything out.
func group(s network.State, name string, ingress ...network.Rule) network.SecurityGroup {
	v := s.VPCs[0].ID
	return network.SecurityGroup{ID: network.NewID("sg", v, name), VPC: v, Name: name, Description: name, Ingress: ingress,
		Egress: []network.Rule{{Protocol: network.AllProtocols, CIDRs: everywhere()}}}
}

func everywhere() []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)} }

func tcp(from, to int, cidrs ...netip.Prefix) network.Rule {
	return network.Rule{Protocol: network.TCP, FromPort: from, ToPort: to, CIDRs: cidrs}
}

// flow returns a packet of TCP from an ENI.
func flow(from network.ENI, to netip.Addr, port uint16) network.Flow {
	return network.Flow{ENI: from.ID, Destination: to, Protocol: network.TCP, SourcePort: 40000, DestinationPort: port}
}
