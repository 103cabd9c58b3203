package network_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func ip(s string) netip.Addr    { return netip.MustParseAddr(s) }

// campus returns EC2's documented example of a VPC with public and private subnets, dual-stack, with a peer and an
// unrelated VPC of the same addresses:
//
//	vpc a 10.0.0.0/16, 10.9.0.0/16: public subnet (web, nat), private subnets (app; db without IPv6), igw, eigw
//	vpc b 10.1.0.0/16: one subnet (peer), igw, peered with a
//	vpc c 10.0.0.0/16: one subnet (twin), igw
func campus(t testing.TB) network.State {
	if t != nil { // not in an example
		t.Helper()
	}
	all4, all6 := pfx("0.0.0.0/0"), pfx("::/0")
	anything := network.Rule{Protocol: network.AllProtocols, CIDRs: []netip.Prefix{all4}, IPv6CIDRs: []netip.Prefix{all6}}
	group := func(id, vpc, name string, ingress ...network.Rule) network.SecurityGroup {
		return network.SecurityGroup{ID: id, VPC: vpc, Name: name, Description: name, Ingress: ingress, Egress: []network.Rule{anything}}
	}
	eni := func(id, subnet, addr, addr6 string, groups ...string) network.ENI {
		e := network.ENI{ID: id, Subnet: subnet, PrivateIPv4: ip(addr), MAC: network.NewMAC(id), SecurityGroups: groups}
		if addr6 != "" {
			e.IPv6 = ip(addr6)
		}
		return e
	}
	s := network.State{
		VPCs: []network.VPC{
			{ID: "vpc-0000000a", CIDRs: []netip.Prefix{pfx("10.0.0.0/16"), pfx("10.9.0.0/16")}, IPv6CIDRs: []netip.Prefix{pfx("2001:db8:a::/56")}, Region: "eu-central-1"},
			{ID: "vpc-0000000b", CIDRs: []netip.Prefix{pfx("10.1.0.0/16")}, IPv6CIDRs: []netip.Prefix{pfx("2001:db8:b::/56")}, Region: "eu-central-1"},
			{ID: "vpc-0000000c", CIDRs: []netip.Prefix{pfx("10.0.0.0/16")}, Region: "eu-central-1"},
		},
		Subnets: []network.Subnet{
			{ID: "subnet-000000a1", VPC: "vpc-0000000a", CIDR: pfx("10.0.1.0/24"), IPv6CIDR: pfx("2001:db8:a:1::/64"), AvailabilityZone: "eu-central-1a", MapPublicIPOnLaunch: true},
			{ID: "subnet-000000a2", VPC: "vpc-0000000a", CIDR: pfx("10.0.2.0/24"), IPv6CIDR: pfx("2001:db8:a:2::/64"), AvailabilityZone: "eu-central-1a"},
			{ID: "subnet-000000a9", VPC: "vpc-0000000a", CIDR: pfx("10.9.0.0/24"), AvailabilityZone: "eu-central-1b"},
			{ID: "subnet-000000b1", VPC: "vpc-0000000b", CIDR: pfx("10.1.1.0/24"), IPv6CIDR: pfx("2001:db8:b:1::/64"), AvailabilityZone: "eu-central-1a"},
			{ID: "subnet-000000c1", VPC: "vpc-0000000c", CIDR: pfx("10.0.1.0/24"), AvailabilityZone: "eu-central-1a"},
		},
		SecurityGroups: []network.SecurityGroup{
			group("sg-000000a1", "vpc-0000000a", "web", network.Rule{Protocol: network.TCP, FromPort: 443, ToPort: 443, CIDRs: []netip.Prefix{all4}, IPv6CIDRs: []netip.Prefix{all6}},
				network.Rule{Protocol: network.ICMP, ICMPType: 8, ICMPCode: network.AnyICMP, CIDRs: []netip.Prefix{all4}}),
			group("sg-000000a2", "vpc-0000000a", "app", network.Rule{Protocol: network.TCP, FromPort: 8080, ToPort: 8080, Groups: []string{"sg-000000a1", "sg-000000b1"}},
				network.Rule{Protocol: network.ICMPv6, ICMPType: 128, ICMPCode: 0, IPv6CIDRs: []netip.Prefix{pfx("2001:db8:a::/56")}}),
			group("sg-000000a9", "vpc-0000000a", "db", network.Rule{Protocol: network.TCP, FromPort: 5432, ToPort: 5432, PrefixLists: []string{"pl-00000001"}}),
			group("sg-000000b1", "vpc-0000000b", "peer", network.Rule{Protocol: network.TCP, FromPort: 22, ToPort: 22, CIDRs: []netip.Prefix{pfx("10.0.0.0/16")}}),
			group("sg-000000c1", "vpc-0000000c", "twin", anything),
		},
		PrefixLists: []network.PrefixList{{ID: "pl-00000001", Name: "apps", AddressFamily: network.IPv4, MaxEntries: 4,
			Entries: []network.PrefixListEntry{{CIDR: pfx("10.0.2.0/24")}, {CIDR: pfx("10.0.1.128/25")}}}},
		InternetGateways:           []network.InternetGateway{{ID: "igw-0000000a", VPC: "vpc-0000000a"}, {ID: "igw-0000000b", VPC: "vpc-0000000b"}, {ID: "igw-0000000c", VPC: "vpc-0000000c"}},
		EgressOnlyInternetGateways: []network.EgressOnlyInternetGateway{{ID: "eigw-0000000a", VPC: "vpc-0000000a"}},
		NATGateways:                []network.NATGateway{{ID: "nat-0000000a", Subnet: "subnet-000000a1", PrivateIPv4: ip("10.0.1.200"), Allocation: "eipalloc-0000000a"}},
		VPCPeeringConnections:      []network.VPCPeeringConnection{{ID: "pcx-000000ab", Requester: "vpc-0000000a", Accepter: "vpc-0000000b"}},
		PublicIPv4Pools:            []network.PublicIPv4Pool{{ID: "ipv4pool-ec2-00000001", CIDRs: []netip.Prefix{pfx("203.0.113.0/24")}}},
		Addresses: []network.Address{
			{AllocationID: "eipalloc-0000000a", PublicIP: ip("203.0.113.1")},
			{AllocationID: "eipalloc-0000000b", PublicIP: ip("203.0.113.2"), ENI: "eni-000000a1"},
			{AllocationID: "eipalloc-0000000c", PublicIP: ip("203.0.113.3")},
		},
		RouteTables: []network.RouteTable{
			{ID: "rtb-000000a0", VPC: "vpc-0000000a", Main: true, Routes: []network.Route{
				{Destination: all4, Target: "nat-0000000a"}, {Destination: all6, Target: "eigw-0000000a"},
				{Destination: pfx("10.1.0.0/16"), Target: "pcx-000000ab"}, {Destination: pfx("198.51.100.128/25"), Target: network.TargetBlackhole},
			}},
			{ID: "rtb-000000a1", VPC: "vpc-0000000a", Subnets: []string{"subnet-000000a1"}, Routes: []network.Route{
				{Destination: all4, Target: "igw-0000000a"}, {Destination: all6, Target: "igw-0000000a"},
			}},
			{ID: "rtb-000000b0", VPC: "vpc-0000000b", Main: true, Routes: []network.Route{
				{Destination: all4, Target: "igw-0000000b"}, {Destination: all6, Target: "igw-0000000b"}, {Destination: pfx("10.0.2.0/24"), Target: "pcx-000000ab"},
			}},
			{ID: "rtb-000000c0", VPC: "vpc-0000000c", Main: true, Routes: []network.Route{{Destination: all4, Target: "igw-0000000c"}}},
		},
		ENIs: []network.ENI{
			eni("eni-000000a1", "subnet-000000a1", "10.0.1.10", "2001:db8:a:1::10", "sg-000000a1"),
			eni("eni-000000a2", "subnet-000000a2", "10.0.2.10", "2001:db8:a:2::10", "sg-000000a2"),
			eni("eni-000000a9", "subnet-000000a9", "10.9.0.10", "", "sg-000000a9"),
			eni("eni-000000b1", "subnet-000000b1", "10.1.1.10", "2001:db8:b:1::10", "sg-000000b1"),
			eni("eni-000000c1", "subnet-000000c1", "10.0.1.10", "", "sg-000000c1"),
		},
	}
	s.ENIs[3].AssignPublicIP, s.ENIs[3].PublicIPv4 = true, ip("203.0.113.9")
	s.ENIs[4].AssignPublicIP = true
	if err := network.Validate(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// way writes a verdict as the checks on its path, and those of the reply after a bar.
func way(v network.Verdict) string {
	var words []string
	for _, h := range v.Path {
		word := string(h.Check)
		if !h.Allowed {
			word = "!" + word
		}
		words = append(words, word)
	}
	s := strings.Join(words, " ")
	if v.Allowed && v.Arrival.Outside {
		s += " (outside from " + v.Arrival.Source.String() + ")"
	}
	if v.Reply != nil {
		s += " | " + way(*v.Reply)
	}
	return s
}

// TestEvaluateNeighborDiscovery: no group lets it from one ENI to another, or to the outside.
func TestEvaluateNeighborDiscovery(t *testing.T) {
	s, err := network.DefaultVPC("ndp", netip.MustParsePrefix("10.1.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil {
		t.Fatal(err)
	}
	s.VPCs[0].IPv6CIDRs = []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/56")}
	s.Subnets[0].IPv6CIDR = netip.MustParsePrefix("2001:db8:1::/64")
	for n := range 2 {
		s.ENIs = append(s.ENIs, network.ENI{ID: network.NewID("eni", fmt.Sprint(n)), Subnet: s.Subnets[0].ID, MAC: network.NewMAC(fmt.Sprint(n)),
			PrivateIPv4: netip.AddrFrom4([4]byte{10, 1, 0, byte(10 + n)}), IPv6: netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%d", 10+n)),
			SecurityGroups: []string{s.SecurityGroups[0].ID}})
	}
	s.SecurityGroups[0].Egress = append(s.SecurityGroups[0].Egress, network.Rule{Protocol: network.AllProtocols, IPv6CIDRs: []netip.Prefix{netip.MustParsePrefix("::/0")}})
	for kind := range 256 {
		f := network.Flow{ENI: s.ENIs[0].ID, Destination: s.ENIs[1].IPv6, Protocol: network.ICMPv6, ICMPType: uint8(kind)}
		if got, want := network.Evaluate(s, f).Allowed, kind < 133 || kind > 137; got != want {
			t.Errorf("type %d: allowed %t, want %t", kind, got, want)
		}
	}
}

func TestEvaluateVPC(t *testing.T) {
	s := campus(t)
	tcp := func(from, to string, port uint16) network.Flow {
		return network.Flow{ENI: from, Destination: ip(to), Protocol: network.TCP, SourcePort: 40000, DestinationPort: port}
	}
	ping := func(from, to string, p network.Protocol, kind uint8) network.Flow {
		return network.Flow{ENI: from, Destination: ip(to), Protocol: p, ICMPType: kind}
	}
	outside := func(f network.Flow) network.Flow { f.Source = ip("198.51.100.7"); return f }
	const (
		web, app, db, peer, twin = "eni-000000a1", "eni-000000a2", "eni-000000a9", "eni-000000b1", "eni-000000c1"
		across                   = "source egress acl-egress route acl-ingress ingress | source state acl-egress route acl-ingress state"
	)
	tests := []struct {
		name string
		flow network.Flow
		want string
	}{
		{"across subnets by group", tcp(web, "10.0.2.10", 8080), across},
		{"across subnets by group, IPv6", tcp(web, "2001:db8:a:2::10", 8080), across},
		{"across subnets, wrong port", tcp(web, "10.0.2.10", 8081), "source egress acl-egress route acl-ingress !ingress"},
		{"secondary CIDR by prefix list", tcp(app, "10.9.0.10", 5432), across},
		{"not in the prefix list", tcp(web, "10.9.0.10", 5432), "source egress acl-egress route acl-ingress !ingress"},
		{"IPv6 without an address", tcp(db, "2001:db8:a:1::10", 443), "!source"},
		{"ping IPv6", ping(web, "2001:db8:a:2::10", network.ICMPv6, 128), across},
		{"ping IPv6 of another type", ping(web, "2001:db8:a:2::10", network.ICMPv6, 1), "source egress acl-egress route acl-ingress !ingress"},
		{"ICMP of the other version", ping(web, "2001:db8:a:2::10", network.ICMP, 8), "source !destination"},
		{"the resolver", tcp(db, "10.0.0.2", 53), "source endpoint"},
		{"the other VPC's resolver", tcp(db, "10.1.0.2", 53), "source egress acl-egress route !peering"},

		{"elastic address to the outside", tcp(web, "198.51.100.7", 443), "source egress acl-egress route gateway (outside from 203.0.113.2) | source gateway route acl-ingress state"},
		{"IPv6 to the outside", tcp(web, "2001:db8:ffff::1", 443), "source egress acl-egress route gateway (outside from 2001:db8:a:1::10) | source gateway route acl-ingress state"},
		{"by egress-only gateway", tcp(app, "2001:db8:ffff::1", 443), "source egress acl-egress route gateway (outside from 2001:db8:a:2::10) | source gateway route acl-ingress state"},
		{"by NAT gateway", tcp(app, "198.51.100.7", 443), "source egress acl-egress route acl-ingress nat acl-egress route gateway (outside from 203.0.113.1) | " +
			"source gateway acl-ingress nat acl-egress route acl-ingress state"},
		{"ping by NAT gateway", ping(app, "198.51.100.7", network.ICMP, 8), "source egress acl-egress route acl-ingress nat acl-egress route gateway (outside from 203.0.113.1) | " +
			"source gateway acl-ingress nat acl-egress route acl-ingress state"},
		{"an answer to nothing by NAT gateway", ping(app, "198.51.100.7", network.ICMP, 0), "source egress acl-egress route acl-ingress !nat"},
		{"GRE by NAT gateway", network.Flow{ENI: app, Destination: ip("198.51.100.7"), Protocol: "47"}, "source egress acl-egress route acl-ingress !nat"},
		{"blackhole", tcp(app, "198.51.100.200", 443), "source egress acl-egress !route"},
		{"shared address to the outside", tcp(twin, "198.51.100.7", 443), "source egress acl-egress route gateway (outside from invalid IP) | source gateway route acl-ingress state"},

		{"from the outside", outside(tcp("", "203.0.113.2", 443)), "source gateway route acl-ingress ingress | source state acl-egress route gateway (outside from 203.0.113.2)"},
		{"from the outside, IPv6", network.Flow{Source: ip("2001:db8:ffff::1"), Destination: ip("2001:db8:a:1::10"), Protocol: network.TCP, DestinationPort: 443},
			"source gateway route acl-ingress ingress | source state acl-egress route gateway (outside from 2001:db8:a:1::10)"},
		{"from the outside to a private subnet, IPv6", network.Flow{Source: ip("2001:db8:ffff::1"), Destination: ip("2001:db8:a:2::10"), Protocol: network.TCP, DestinationPort: 443}, "source gateway !route"},
		{"from the outside against the group", outside(tcp("", "203.0.113.2", 80)), "source gateway route acl-ingress !ingress"},
		{"from the outside to the NAT gateway", outside(tcp("", "203.0.113.1", 80)), "source !nat"},
		{"from the outside to an idle address", outside(tcp("", "203.0.113.3", 80)), "source !gateway"},
		{"from the outside to nobody", outside(tcp("", "203.0.113.77", 80)), "source !gateway"},
		{"from the outside, forged", network.Flow{Source: ip("10.1.1.10"), Destination: ip("203.0.113.2"), Protocol: network.TCP, DestinationPort: 443}, "source !source"},
		{"from the outside, an unasked answer", outside(ping("", "203.0.113.2", network.ICMP, 0)), "source !gateway"},
		{"from the outside, ping", outside(ping("", "203.0.113.2", network.ICMP, 8)), "source gateway route acl-ingress ingress | source state acl-egress route gateway (outside from 203.0.113.2)"},
		{"from the host to a public address", network.Flow{FromHost: true, Destination: ip("203.0.113.2"), Protocol: network.TCP, DestinationPort: 80}, "source gateway route acl-ingress !ingress"},
		{"from somewhere outside", network.Flow{Destination: ip("203.0.113.2"), Protocol: network.TCP, DestinationPort: 443}, "source gateway route acl-ingress ingress | source state acl-egress route gateway (outside from 203.0.113.2)"},
		{"from the host to a public address, allowed", network.Flow{FromHost: true, Destination: ip("203.0.113.2"), Protocol: network.TCP, DestinationPort: 443}, "source gateway route acl-ingress ingress | source state acl-egress route gateway"},
		{"from an address of the other version", network.Flow{Source: ip("2001:db8:ffff::1"), Destination: ip("203.0.113.2"), Protocol: network.TCP, DestinationPort: 443}, "source !destination"},
		{"from the host to a private address", network.Flow{FromHost: true, Destination: ip("10.0.2.10"), Protocol: network.TCP, DestinationPort: 80}, "source route"},
		{"from the host to IPv6", network.Flow{FromHost: true, Destination: ip("2001:db8:a:2::10"), Protocol: network.TCP, DestinationPort: 80}, "source route"},

		{"public address of a neighbour VPC", tcp(web, "203.0.113.9", 22), "source egress acl-egress route gateway gateway route acl-ingress !ingress"},
		{"public address in the same VPC by NAT", tcp(app, "203.0.113.2", 443), "source egress acl-egress route acl-ingress nat acl-egress route gateway gateway route acl-ingress ingress | " +
			"source state acl-egress route gateway gateway acl-ingress nat acl-egress route acl-ingress state"},
		{"public address, the group does not count", tcp(peer, "203.0.113.2", 8080), "source egress acl-egress route gateway gateway route acl-ingress !ingress"},
		{"IPv6 of another VPC", tcp(peer, "2001:db8:a:1::10", 443), "source egress acl-egress route gateway gateway route acl-ingress ingress | " +
			"source state acl-egress route gateway gateway route acl-ingress state"},

		{"peering", tcp(app, "10.1.1.10", 22), "source egress acl-egress route peering acl-ingress ingress | source state acl-egress route peering acl-ingress state"},
		{"peering by group", tcp(peer, "10.0.2.10", 8080), "source egress acl-egress route peering acl-ingress ingress | source state acl-egress route peering acl-ingress state"},
		{"peering without a way back", tcp(db, "10.1.1.10", 22), "source egress acl-egress route peering acl-ingress !ingress"},
		{"peer without a route", tcp(peer, "10.9.0.10", 5432), "source egress acl-egress route !route"},
		{"an address of a VPC that is not peered", tcp(twin, "10.1.1.10", 22), "source egress acl-egress route !route"},
		{"own addresses of an overlapping VPC", tcp(twin, "10.0.2.10", 8080), "source egress acl-egress route !route"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := network.Evaluate(s, tt.flow)
			if got := way(v); got != tt.want {
				t.Errorf("way\n%s, want\n%s\n%s", got, tt.want, v)
			}
		})
	}
}

// TestEvaluateACL has the custom network ACL of EC2's documentation: the web's port in, ephemeral ports out.
func TestEvaluateACL(t *testing.T) {
	entry := func(number int, egress bool, action network.RuleAction, from, to int, cidr string) network.NetworkACLEntry {
		return network.NetworkACLEntry{RuleNumber: number, Egress: egress, RuleAction: action, Protocol: network.TCP, FromPort: from, ToPort: to, CIDR: pfx(cidr)}
	}
	s := campus(t)
	s.NetworkACLs = []network.NetworkACL{{ID: "acl-0000000a", VPC: "vpc-0000000a", Subnets: []string{"subnet-000000a1"}, Entries: []network.NetworkACLEntry{
		entry(200, false, network.RuleAllow, 443, 443, "0.0.0.0/0"), // out of order
		entry(100, false, network.RuleDeny, 443, 443, "198.51.100.66/32"),
		entry(300, false, network.RuleAllow, 32768, 65535, "0.0.0.0/0"),
		entry(110, true, network.RuleAllow, 32768, 65535, "0.0.0.0/0"),
		entry(120, true, network.RuleAllow, 80, 80, "0.0.0.0/0"),
	}}}
	if err := network.Validate(s); err != nil {
		t.Fatal(err)
	}
	from := func(addr string, source uint16) network.Flow {
		return network.Flow{Source: ip(addr), Destination: ip("203.0.113.2"), Protocol: network.TCP, SourcePort: source, DestinationPort: 443}
	}
	tests := []struct {
		name string
		flow network.Flow
		want string
	}{
		{"allowed", from("198.51.100.7", 40000), "true ingress 0 true"},
		{"denied by number", from("198.51.100.66", 40000), "false acl-ingress 100 true"},
		{"the answer does not pass", from("198.51.100.7", 2000), "true ingress 0 false"},
		{"IPv6 has no entry", network.Flow{Source: ip("2001:db8:ffff::1"), Destination: ip("2001:db8:a:1::10"), Protocol: network.TCP, DestinationPort: 443}, "false acl-ingress -1 true"},
		{"ICMP has no entry", network.Flow{Source: ip("198.51.100.7"), Destination: ip("203.0.113.2"), Protocol: network.ICMP, ICMPType: 8}, "false acl-ingress -1 true"},
		{"out", network.Flow{ENI: "eni-000000a1", Destination: ip("198.51.100.7"), Protocol: network.TCP, SourcePort: 40000, DestinationPort: 80}, "true gateway -1 true"},
		{"out to another port", network.Flow{ENI: "eni-000000a1", Destination: ip("198.51.100.7"), Protocol: network.TCP, SourcePort: 40000, DestinationPort: 81}, "false acl-egress -1 true"},
		{"an answer to an outside client's port", network.Flow{ENI: "eni-000000a1", Destination: ip("198.51.100.7"), Protocol: network.TCP, SourcePort: 443, DestinationPort: 2000, Established: true}, "false acl-egress -1 true"},
		{"through the NAT gateway of the subnet", network.Flow{ENI: "eni-000000a2", Destination: ip("198.51.100.7"), Protocol: network.TCP, SourcePort: 40000, DestinationPort: 80}, "false acl-ingress -1 true"},
		{"to the resolver", network.Flow{ENI: "eni-000000a1", Destination: ip("169.254.169.253"), Protocol: network.UDP, DestinationPort: 53}, "true endpoint -1 true"},
		{"from the host", network.Flow{FromHost: true, Destination: ip("10.0.1.10"), Protocol: network.UDP, DestinationPort: 53}, "true route -1 true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := network.Evaluate(s, tt.flow)
			d := v.Decision()
			if got := fmt.Sprint(v.Allowed, " ", d.Check, " ", d.Rule, " ", v.Reply == nil || v.Reply.Allowed); got != tt.want {
				t.Errorf("got %s, want %s\n%s\n%s", got, tt.want, v, way(v))
			}
		})
	}

	// Between two ENIs of the subnet no ACL is asked.
	neighbour := s.ENIs[0]
	neighbour.ID, neighbour.PrivateIPv4, neighbour.IPv6, neighbour.MAC = "eni-0000000d", ip("10.0.1.11"), netip.Addr{}, network.NewMAC("d")
	s.ENIs = append(s.ENIs, neighbour)
	got := way(network.Evaluate(s, network.Flow{ENI: "eni-0000000d", Destination: ip("10.0.1.10"), Protocol: network.ICMP, ICMPType: 8}))
	if want := "source egress route ingress | source state route state"; got != want {
		t.Errorf("within the subnet: %s, want %s", got, want)
	}
}

// TestEvaluateMiddlebox leads one subnet's traffic to another through an ENI that forwards, as EC2's middlebox routing.
func TestEvaluateMiddlebox(t *testing.T) {
	s := campus(t)
	s.RouteTables[1].Routes = append(s.RouteTables[1].Routes, network.Route{Destination: pfx("10.0.2.0/24"), Target: "eni-000000a9"})
	f := network.Flow{ENI: "eni-000000a1", Destination: ip("10.0.2.10"), Protocol: network.TCP, SourcePort: 40000, DestinationPort: 5432}
	check := func(name, want string) {
		t.Helper()
		if got := way(network.Evaluate(s, f)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	check("with the check", "source egress acl-egress route acl-ingress !forward")
	s.ENIs[2].NoSourceDestCheck = true
	check("against its group", "source egress acl-egress route acl-ingress forward !ingress")
	s.PrefixLists[0].Entries[1].CIDR = pfx("10.0.1.0/24")
	check("without the check", "source egress acl-egress route acl-ingress forward ingress")
	if a := network.Evaluate(s, f).Arrival; a.ENI != "eni-000000a9" || a.Destination != f.Destination {
		t.Errorf("arrives at %+v", a)
	}
	f.ENI, f.Source, f.DestinationPort = "eni-000000a9", ip("10.0.1.10"), 8080
	check("what it sends on", "source egress acl-egress route acl-ingress ingress | source state acl-egress route acl-ingress state")
	f.Destination = network.CredentialsAddr()
	check("no credentials of others", "source !source")
	f.Source, f.Destination = ip("10.0.1.1"), ip("10.0.2.10")
	check("not as the router", "!source")
}

// TestEvaluateTwoPeers has a VPC with two peers of the same addresses: its route table can lead to one of them only, so
// the answers to the other one get lost.
func TestEvaluateTwoPeers(t *testing.T) {
	s := campus(t)
	s.VPCPeeringConnections = append(s.VPCPeeringConnections, network.VPCPeeringConnection{ID: "pcx-000000bc", Requester: "vpc-0000000b", Accepter: "vpc-0000000c"})
	s.RouteTables[3].Routes = append(s.RouteTables[3].Routes, network.Route{Destination: pfx("10.1.0.0/16"), Target: "pcx-000000bc"})
	s.RouteTables[2].Routes = append(s.RouteTables[2].Routes, network.Route{Destination: pfx("10.0.1.0/24"), Target: "pcx-000000ab"})
	if err := network.Validate(s); err != nil {
		t.Fatal(err)
	}
	v := network.Evaluate(s, network.Flow{ENI: "eni-000000c1", Destination: ip("10.1.1.10"), Protocol: network.TCP, DestinationPort: 22})
	if want := "source egress acl-egress route peering acl-ingress ingress | source state acl-egress route peering acl-ingress state !route"; way(v) != want || v.Connects() {
		t.Errorf("way %s, want %s", way(v), want)
	}
}

// TestEvaluatePrefixListRoute checks which of two routes to the same prefix decides.
func TestEvaluatePrefixListRoute(t *testing.T) {
	list := network.PrefixList{ID: "pl-00000002", Name: "outside", AddressFamily: network.IPv4, MaxEntries: 2,
		Entries: []network.PrefixListEntry{{CIDR: pfx("198.51.100.0/24")}, {CIDR: pfx("192.0.2.0/24")}}}
	byList := network.Route{PrefixList: list.ID, Target: network.TargetBlackhole}
	for _, tt := range []struct {
		name   string
		routes []network.Route
		to     string
		want   bool
	}{
		{"longer than the default route", []network.Route{byList, {Destination: pfx("0.0.0.0/0"), Target: "igw-0000000c"}}, "192.0.2.1", false},
		{"not in the list", []network.Route{byList, {Destination: pfx("0.0.0.0/0"), Target: "igw-0000000c"}}, "192.0.3.1", true},
		{"a CIDR before a list", []network.Route{{Destination: pfx("198.51.100.0/24"), Target: "igw-0000000c"}, byList}, "198.51.100.7", true},
		{"a CIDR after a list", []network.Route{byList, {Destination: pfx("198.51.100.0/24"), Target: "igw-0000000c"}}, "198.51.100.7", true},
		{"longer than a CIDR", []network.Route{{Destination: pfx("198.51.0.0/16"), Target: "igw-0000000c"}, byList}, "198.51.100.7", false},
	} {
		s := campus(t)
		s.PrefixLists = append(s.PrefixLists, list)
		s.RouteTables[3].Routes = tt.routes
		if err := network.Validate(s); err != nil {
			t.Fatal(err)
		}
		f := network.Flow{ENI: "eni-000000c1", Destination: ip(tt.to), Protocol: network.TCP, DestinationPort: 443}
		if v := network.Evaluate(s, f); v.Allowed != tt.want {
			t.Errorf("%s: %s", tt.name, v)
		}
	}
}
