package network_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/networktest/scenario"
)

func TestAnalyze(t *testing.T) {
	const web, app, db = "eni-000000a1", "eni-000000a2", "eni-000000a9"
	tests := []struct {
		name string
		path network.NetworkInsightsPath
		edit func(*network.State)
		want string // addresses tried, and the checks that deny on each
	}{
		{"all addresses", network.NetworkInsightsPath{Source: app, Destination: web, DestinationPort: 443}, nil,
			"true 10.0.1.10[] 2001:db8:a:1::10[] 203.0.113.2[]"},
		{"one group", network.NetworkInsightsPath{Source: web, Destination: db, DestinationPort: 5432}, nil, "false 10.9.0.10[ingress]"},
		{"everything at once", network.NetworkInsightsPath{Source: web, Destination: db, DestinationPort: 5432}, func(s *network.State) {
			s.SecurityGroups[0].Egress = nil
			s.NetworkACLs = []network.NetworkACL{{ID: "acl-0000000a", VPC: "vpc-0000000a", Subnets: []string{"subnet-000000a9"}}}
		}, "false 10.9.0.10[egress acl-ingress ingress acl-egress]"},
		{"no route is the end", network.NetworkInsightsPath{Source: db, DestinationIP: ip("198.51.100.200")}, func(s *network.State) {
			s.SecurityGroups[2].Egress = nil
		}, "false 198.51.100.200[egress route]"},
		{"the answer is denied", network.NetworkInsightsPath{Source: "igw-0000000a", SourceIP: ip("198.51.100.7"), Destination: web, DestinationPort: 443}, func(s *network.State) {
			s.NetworkACLs = []network.NetworkACL{{ID: "acl-0000000a", VPC: "vpc-0000000a", Subnets: []string{"subnet-000000a1"}, Entries: network.DefaultNetworkACLEntries()[:1]}}
		}, "false 2001:db8:a:1::10[acl-ingress acl-egress] 203.0.113.2[acl-egress]"},
		{"from the outside to what is private", network.NetworkInsightsPath{Source: "igw-0000000a", Destination: db, DestinationPort: 5432}, nil, "false"},
		{"from the host", network.NetworkInsightsPath{Destination: db, DestinationPort: 1}, nil, "true 10.9.0.10[]"},
		{"ping has one version", network.NetworkInsightsPath{Source: app, Destination: web, Protocol: network.ICMP, ICMPType: 8}, nil, "true 10.0.1.10[] 203.0.113.2[]"},
		{"from the outside to published ports", network.NetworkInsightsPath{Source: "igw-0000000a", SourceIP: ip("198.51.100.7"), Destination: web, DestinationPort: 443}, publishing,
			"true 2001:db8:a:1::10[] 203.0.113.2[] 0.0.0.0[] 192.0.2.10[]"},
		{"from the host to published ports", network.NetworkInsightsPath{Destination: web, DestinationPort: 443}, publishing,
			"true 10.0.1.10[] 2001:db8:a:1::10[] 203.0.113.2[] 0.0.0.0[] 127.0.0.1[] 192.0.2.10[]"},
		{"to a published port that the group does not allow", network.NetworkInsightsPath{Source: "igw-0000000a", SourceIP: ip("198.51.100.7"), DestinationIP: ip("192.0.2.10"), ToHost: true, DestinationPort: 8083}, publishing,
			"false 192.0.2.10[ingress]"},
		{"to a published port of a private subnet", network.NetworkInsightsPath{Source: "igw-0000000a", SourceIP: ip("198.51.100.7"), Destination: db, DestinationPort: 5432}, publishing,
			"false 0.0.0.0[route]"},
		{"to a published port over UDP", network.NetworkInsightsPath{Source: "igw-0000000a", SourceIP: ip("198.51.100.7"), DestinationIP: ip("192.0.2.10"), ToHost: true, Protocol: network.UDP, DestinationPort: 8080}, publishing,
			"false 192.0.2.10[route]"},
		{"from an ENI, for which ports of the machine are not", network.NetworkInsightsPath{Source: app, Destination: web, DestinationPort: 443}, publishing,
			"true 10.0.1.10[] 2001:db8:a:1::10[] 203.0.113.2[]"},
		{"from an ENI to a port of the machine", network.NetworkInsightsPath{Source: web, DestinationIP: ip("192.0.2.10"), ToHost: true, DestinationPort: 8080}, publishing,
			"false 192.0.2.10[destination]"},
		{"nobody", network.NetworkInsightsPath{Source: "eni-00000000", Destination: "eni-00000001"}, nil, "false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := campus(t)
			if tt.edit != nil {
				tt.edit(&s)
			}
			a := network.Analyze(s, tt.path)
			got := fmt.Sprint(a.NetworkPathFound)
			for _, p := range a.Paths {
				var checks []string
				for _, h := range p.Explanations {
					checks = append(checks, string(h.Check))
				}
				got += fmt.Sprintf(" %s%v", p.Flow.Destination, checks)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s\n%s", got, tt.want, a)
			}
		})
	}
}

// publishing has two ENIs publish ports.
func publishing(s *network.State) {
	port := func(at string, host, port uint16) network.PublishedPort {
		return network.PublishedPort{HostAddress: ip(at), HostPort: host, Protocol: network.TCP, Port: port}
	}
	s.ENIs[0].PublishedPorts = []network.PublishedPort{port("0.0.0.0", 8080, 443), port("127.0.0.1", 8081, 443), port("192.0.2.10", 8082, 443), port("0.0.0.0", 8083, 80)}
	s.ENIs[2].PublishedPorts = []network.PublishedPort{port("0.0.0.0", 9000, 5432)}
}

// TestAnalyzedPathNamesTheMachine checks how ports of the machine are told from addresses of ENIs.
func TestAnalyzedPathNamesTheMachine(t *testing.T) {
	s := campus(t)
	publishing(&s)
	got := network.Analyze(s, network.NetworkInsightsPath{Source: "igw-0000000a", SourceIP: ip("198.51.100.7"), Destination: s.ENIs[0].ID, DestinationPort: 443}).String()
	for _, want := range []string{"tcp 8080 to the machine: allowed\n", "tcp 8082 to 192.0.2.10 of the machine: allowed\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s in it", got, want)
		}
	}
}

// TestAnalyzeExplains checks on random packets that what does not connect is explained, and the rest is not.
func TestAnalyzeExplains(t *testing.T) {
	for seed := range uint64(20) {
		g := scenario.New(scenario.Config{Seed: seed})
		s := g.State()
		for _, f := range g.Flows(s, 40) {
			p := network.NetworkInsightsPath{Source: f.ENI, SourceIP: f.Source, DestinationIP: f.Destination, ToHost: f.ToHost, Protocol: f.Protocol,
				SourcePort: f.SourcePort, DestinationPort: f.DestinationPort, ICMPType: f.ICMPType}
			for _, path := range network.Analyze(s, p).Paths {
				first := path.Verdict.Decision()
				switch explained := len(path.Explanations) > 0; {
				case explained == path.Verdict.Connects():
					t.Errorf("seed %d: %+v is explained = %t:\n%s", seed, f, explained, path)
				case explained && !path.Verdict.Allowed && path.Explanations[0] != first:
					t.Errorf("seed %d: %+v is explained by %+v first:\n%s", seed, f, path.Explanations[0], path)
				}
			}
		}
	}
}

func ExampleAnalyze() {
	state := campus(nil)
	analysis := network.Analyze(state, network.NetworkInsightsPath{Source: "eni-000000a1", Destination: "eni-000000a9", DestinationPort: 5432})
	fmt.Print(analysis)
	// Output:
	// not reachable
	// tcp 5432 to 10.9.0.10: denied
	//   + source      10.0.1.10 is the address of eni-000000a1
	//   + egress      sg-000000a1 of eni-000000a1 allows all with 0.0.0.0/0, ::/0
	//   + acl-egress  the default network ACL of subnet-000000a1 decides: 100 allow all to 0.0.0.0/0
	//   + route       route 10.9.0.0/16 is local
	//   + acl-ingress the default network ACL of subnet-000000a9 decides: 100 allow all from 0.0.0.0/0
	//   - ingress     no ingress rule of eni-000000a9 allows it
	//   to change:
	//     ingress: no ingress rule of eni-000000a9 allows it
}
