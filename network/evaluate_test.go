package network_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/google/go-cmp/cmp"
)

// shop returns a VPC with a load balancer that the outside may reach by name only, web servers behind it and a database
// behind them, and beside it another VPC with the same addresses.
func shop(t testing.TB) network.State {
	t.Helper()
	s := defaultVPC(t)
	v := s.VPCs[0].ID
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	s.SecurityGroups = []network.SecurityGroup{
		{ID: "sg-000000aa", VPC: v, Name: "lb", Description: "lb", Egress: []network.Rule{{Protocol: network.TCP, FromPort: 8080, ToPort: 8080, Groups: []string{"sg-000000bb"}}}},
		{ID: "sg-000000bb", VPC: v, Name: "web", Description: "web",
			Ingress: []network.Rule{
				{Protocol: network.ICMP, ICMPType: 8, ICMPCode: network.AnyICMP, CIDRs: all},
				{Protocol: "6", FromPort: 8000, ToPort: 8099, Groups: []string{"sg-000000aa"}},
			},
			Egress: []network.Rule{{Protocol: network.AllProtocols, CIDRs: all}}},
		{ID: "sg-000000cc", VPC: v, Name: "db", Description: "db", Ingress: []network.Rule{{Protocol: network.TCP, FromPort: 5432, ToPort: 5432, Groups: []string{"sg-000000bb"}}}},
	}
	add := func(id, addr string, public bool, groups ...string) {
		s.ENIs = append(s.ENIs, network.ENI{ID: id, Subnet: s.Subnets[0].ID, PrivateIPv4: netip.MustParseAddr(addr), MAC: network.NewMAC(id),
			SecurityGroups: groups, AssignPublicIP: public})
	}
	add("eni-000000aa", "172.31.0.10", false, "sg-000000aa")
	add("eni-000000bb", "172.31.0.11", true, "sg-000000bb")
	add("eni-000000cc", "172.31.0.12", false, "sg-000000cc")
	add("eni-000000dd", "172.31.0.13", true, "sg-000000cc", "sg-000000bb")
	other, err := network.DefaultVPC("other", netip.MustParsePrefix("172.31.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil {
		t.Fatal(err)
	}
	other.VPCs[0].IsDefault = false
	s.VPCs = append(s.VPCs, other.VPCs...)
	s.Subnets = append(s.Subnets, other.Subnets...)
	s.SecurityGroups = append(s.SecurityGroups, other.SecurityGroups...)
	s.InternetGateways = append(s.InternetGateways, other.InternetGateways...)
	s.RouteTables = append(s.RouteTables, other.RouteTables...)
	s.ENIs = append(s.ENIs, network.ENI{ID: "eni-000000ee", Subnet: other.Subnets[0].ID, PrivateIPv4: netip.MustParseAddr("172.31.0.99"),
		MAC: network.NewMAC("ee"), SecurityGroups: []string{other.SecurityGroups[0].ID}})
	if err := network.Validate(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEvaluate(t *testing.T) {
	s := shop(t)
	addr := netip.MustParseAddr
	tcp := func(from, to string, port uint16) network.Flow {
		return network.Flow{ENI: from, Destination: addr(to), Protocol: network.TCP, DestinationPort: port}
	}
	ping := func(from, to string, kind uint8) network.Flow {
		return network.Flow{ENI: from, Destination: addr(to), Protocol: network.ICMP, ICMPType: kind}
	}
	with := func(f network.Flow, edit func(*network.Flow)) network.Flow { edit(&f); return f }
	tests := []struct {
		name string
		flow network.Flow
		want string // decision: allowed, check, resource, rule
	}{
		{"lb to web", tcp("eni-000000aa", "172.31.0.11", 8080), "true ingress sg-000000bb 1"},
		{"lb to web on another port of its own rule", tcp("eni-000000aa", "172.31.0.11", 8081), "false egress eni-000000aa -1"},
		{"lb to db", tcp("eni-000000aa", "172.31.0.12", 8080), "false egress eni-000000aa -1"},
		{"web to db", tcp("eni-000000bb", "172.31.0.12", 5432), "true ingress sg-000000cc 0"},
		{"web to db by UDP", with(tcp("eni-000000bb", "172.31.0.12", 5432), func(f *network.Flow) { f.Protocol = network.UDP }), "false ingress eni-000000cc -1"},
		{"web to lb", tcp("eni-000000bb", "172.31.0.10", 8080), "false ingress eni-000000aa -1"},
		{"db to web", tcp("eni-000000cc", "172.31.0.11", 8080), "false egress eni-000000cc -1"},
		{"db to web, an answer", with(tcp("eni-000000cc", "172.31.0.11", 8080), func(f *network.Flow) { f.Established = true }), "true state  -1"},
		{"second group of the sender", tcp("eni-000000dd", "172.31.0.12", 5432), "true ingress sg-000000cc 0"},
		{"second group of the receiver", tcp("eni-000000aa", "172.31.0.13", 8080), "true ingress sg-000000bb 1"},
		{"ping", ping("eni-000000dd", "172.31.0.11", 8), "true ingress sg-000000bb 0"},
		{"timestamp", ping("eni-000000dd", "172.31.0.11", 13), "false ingress eni-000000bb -1"},
		{"to oneself", tcp("eni-000000aa", "172.31.0.10", 1), "true destination eni-000000aa -1"},
		{"forged", with(tcp("eni-000000aa", "172.31.0.11", 8080), func(f *network.Flow) { f.Source = addr("172.31.0.13") }), "false source eni-000000aa -1"},
		{"forged, an answer", with(tcp("eni-000000aa", "172.31.0.11", 8080), func(f *network.Flow) { f.Source, f.Established = addr("172.31.0.13"), true }), "false source eni-000000aa -1"},
		{"own source named", with(tcp("eni-000000aa", "172.31.0.11", 8080), func(f *network.Flow) { f.Source = addr("172.31.0.10") }), "true ingress sg-000000bb 1"},
		{"unknown ENI", tcp("eni-0000000f", "172.31.0.11", 8080), "false source eni-0000000f -1"},
		{"nobody's address", tcp("eni-000000bb", "172.31.0.77", 1), "false route " + s.VPCs[0].ID + " -1"},
		{"an address of the other VPC only", tcp("eni-000000bb", "172.31.0.99", 1), "false route " + s.VPCs[0].ID + " -1"},
		{"outside", tcp("eni-000000bb", "198.51.100.7", 443), "true gateway " + s.InternetGateways[0].ID + " -1"},
		{"outside without a public address", with(tcp("eni-000000aa", "198.51.100.7", 443), func(f *network.Flow) { f.ENI = "eni-000000ee" }), "false route " + s.InternetGateways[1].ID + " -1"},
		{"outside against the group", tcp("eni-000000cc", "198.51.100.7", 443), "false egress eni-000000cc -1"},
		{"credentials", tcp("eni-000000cc", "169.254.170.2", 80), "true endpoint  -1"},
		{"instance metadata", tcp("eni-000000bb", "169.254.169.254", 80), "false destination  -1"},
		{"multicast", tcp("eni-000000bb", "224.0.0.1", 80), "false destination  -1"},
		{"broadcast", tcp("eni-000000bb", "255.255.255.255", 80), "false destination  -1"},
		{"loopback", tcp("eni-000000bb", "127.0.0.1", 80), "false destination  -1"},
		{"IPv6", tcp("eni-000000bb", "2001:db8::1", 80), "false source eni-000000bb -1"},
		{"the host", with(tcp("eni-000000bb", "192.0.2.10", 22), func(f *network.Flow) { f.ToHost = true }), "false destination  -1"},
		{"an answer to the host", with(tcp("eni-000000bb", "192.0.2.10", 22), func(f *network.Flow) { f.ToHost, f.Established = true, true }), "true state  -1"},
		{"from the host", network.Flow{FromHost: true, Destination: addr("172.31.0.12"), Protocol: network.TCP, DestinationPort: 1}, "true route eni-000000cc -1"},
		{"from the host to nobody", network.Flow{FromHost: true, Destination: addr("172.31.0.77"), Protocol: network.TCP}, "false route  -1"},
		{"from the outside", network.Flow{Source: addr("198.51.100.7"), Destination: addr("172.31.0.11"), Protocol: network.TCP, DestinationPort: 8080}, "false source  -1"},
		{"from the outside, an answer", network.Flow{Source: addr("198.51.100.7"), Destination: addr("172.31.0.11"), Protocol: network.TCP, Established: true}, "true state  -1"},
		{"nothing", network.Flow{}, "false route  -1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := network.Evaluate(s, tt.flow)
			d := v.Decision()
			if got := fmt.Sprint(v.Allowed, " ", d.Check, " ", d.Resource, " ", d.Rule); got != tt.want {
				t.Errorf("Evaluate = %s, want %s\n%s", got, tt.want, v)
			}
			if d.Allowed != v.Allowed {
				t.Errorf("the last hop and the verdict differ: %+v", v)
			}
		})
	}
}

// TestEvaluateNoRoute checks a table without a way out, and the longest prefix.
func TestEvaluateNoRoute(t *testing.T) {
	s := shop(t)
	f := network.Flow{ENI: "eni-000000bb", Destination: netip.MustParseAddr("198.51.100.7"), Protocol: network.TCP}
	gateway := s.RouteTables[0].Routes[1].Target
	s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, network.Route{Destination: netip.MustParsePrefix("198.51.100.0/24"), Target: gateway})
	v := network.Evaluate(s, f)
	byRoute := func(h network.Hop) bool { return h.Check == network.CheckRoute && h.Rule == 2 }
	if !v.Allowed || !slices.ContainsFunc(v.Path, byRoute) {
		t.Errorf("path %+v, want route 2", v.Path)
	}
	s.RouteTables[0].Routes = s.RouteTables[0].Routes[:1]
	if d := network.Evaluate(s, f).Decision(); d.Allowed || d.Check != network.CheckRoute {
		t.Errorf("decision %+v, want no route", d)
	}
}

// TestStateJSON checks that a state survives being stored.
func TestStateJSON(t *testing.T) {
	want := shop(t)
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got network.State
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	same := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

// FuzzEvaluate checks that Evaluate is total and never lets a forged packet through.
func FuzzEvaluate(f *testing.F) {
	s := shop(f)
	f.Add(uint8(1), []byte{}, []byte{172, 31, 0, 12}, "tcp", uint16(5432), uint8(0), uint8(0))
	f.Add(uint8(9), []byte{198, 51, 100, 7}, []byte{172, 31, 0, 11}, "icmp", uint16(0), uint8(8), uint8(1))
	f.Fuzz(func(t *testing.T, sender uint8, source, to []byte, protocol string, port uint16, kind, flags uint8) {
		fl := network.Flow{Protocol: network.Protocol(protocol), DestinationPort: port, ICMPType: kind,
			FromHost: flags&1 != 0, ToHost: flags&2 != 0, Established: flags&4 != 0}
		fl.Source, _ = netip.AddrFromSlice(source)
		fl.Destination, _ = netip.AddrFromSlice(to)
		var own netip.Addr
		if int(sender) < len(s.ENIs) {
			fl.ENI, own = s.ENIs[sender].ID, s.ENIs[sender].PrivateIPv4
		}
		v := network.Evaluate(s, fl)
		if v.Allowed != v.Decision().Allowed {
			t.Errorf("verdict %+v", v)
		}
		if v.Allowed && fl.ENI != "" && fl.Source.IsValid() && fl.Source != own && fl.Destination != own {
			t.Errorf("forged packet %+v is %s", fl, v)
		}
	})
}

// FuzzValidate checks that Validate, NewAllocator and Evaluate return whatever they are given, and that what they make of
// it survives being stored.
func FuzzValidate(f *testing.F) {
	f.Add([]byte(`{"vpcs":[{"vpcId":"vpc-00000001","cidrBlocks":["10.0.0.0/16"]}],"subnets":[{"cidrBlock":"10.0.0.0/3"}]}`))
	f.Add([]byte(`{"securityGroups":[{"ipPermissions":[{"ipProtocol":"tcp","ipRanges":["::/0",""],"groups":["x"],"prefixListIds":["y"]}]}]}`))
	f.Add([]byte(`{"networkInterfaces":[{"privateIpAddress":"::1","macAddress":"02:00:00:00:00:01","groups":["x","x"]}],"routeTables":[{"routes":[{}]}]}`))
	f.Add([]byte(`{"vpcs":[{"ipv6CidrBlocks":["fe80::%a/64"]}],"networkAcls":[{"entries":[{}]}],"natGateways":[{}],"addresses":[{}],"publicIpv4Pools":[{"cidrBlocks":["0.0.0.0/0"]}]}`))
	if data, err := json.Marshal(campus(f)); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		var s network.State
		if json.Unmarshal(state, &s) != nil {
			return
		}
		network.NewAllocator(s)
		err := network.Validate(s)
		flows := []network.Flow{{Destination: ip("10.0.1.10"), Source: ip("198.51.100.7")}, {Destination: ip("203.0.113.2"), Protocol: network.TCP},
			{FromHost: true, Destination: ip("203.0.113.2")}, {Destination: ip("2001:db8:a:1::10"), Protocol: network.ICMPv6, ICMPType: 128}}
		for _, e := range s.ENIs {
			for _, to := range []netip.Addr{e.PrivateIPv4, e.IPv6, e.PublicIPv4, ip("198.51.100.7"), ip("2001:db8::1"), {}} {
				flows = append(flows, network.Flow{ENI: e.ID, Destination: to, Protocol: network.UDP, DestinationPort: 53})
			}
		}
		for _, flow := range flows[:min(len(flows), 40)] {
			if v := network.Evaluate(s, flow); v.Allowed != v.Decision().Allowed {
				t.Errorf("verdict %+v", v)
			}
		}
		if err != nil {
			return
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("a valid state cannot be stored: %v", err)
		}
		var again network.State
		if err := json.Unmarshal(data, &again); err != nil || network.Validate(again) != nil {
			t.Errorf("a valid state is not after being stored: %v, %v", err, network.Validate(again))
		}
	})
}
