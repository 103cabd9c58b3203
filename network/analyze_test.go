package network_test

import (
	"fmt"
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

// TestAnalyzeExplains checks on random packets that what does not connect is explained, and the rest is not.
func TestAnalyzeExplains(t *testing.T) {
	for seed := range uint64(20) {
		g := scenario.New(scenario.Config{Seed: seed})
		s := g.State()
		for _, f := range g.Flows(s, 40) {
			p := network.NetworkInsightsPath{Source: f.ENI, SourceIP: f.Source, DestinationIP: f.Destination, Protocol: f.Protocol,
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
