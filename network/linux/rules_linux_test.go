package linux

import (
	"testing"

	"github.com/fardel-io/fardel/network"
)

// TestApplyRules changes rules and nothing else, which touches nothing else, and is in force at once.
func TestApplyRules(t *testing.T) {
	m := newMachine(t, "rules")
	f := m.Open(t).(*Fabric)
	s := testVPC(t, "rules", "10.1.0.0/16")
	everything := network.NetworkACL{ID: network.NewID("acl", "rules"), VPC: s.VPCs[0].ID, Subnets: []string{s.Subnets[0].ID},
		Entries: network.DefaultNetworkACLEntries()}
	everything.Entries = append(everything.Entries, network.NetworkACLEntry{RuleNumber: 50, Egress: true, RuleAction: network.RuleDeny,
		Protocol: network.TCP, CIDR: prefix("0.0.0.0/0"), FromPort: 1, ToPort: 1})
	s.NetworkACLs = []network.NetworkACL{everything}
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1), testENI(s, 2)}
	s.ENIs[2].Subnet, s.ENIs[2].PrivateIPv4 = s.Subnets[1].ID, prefix("10.1.16.9/32").Addr()
	s.ENIs[0].AssignPublicIP = true
	must(t, f.Apply(t.Context(), s))
	checkTraffic(t, m, s)
	if done, err := f.applyRules(s); done || err != nil {
		t.Errorf("the same state: %t, %v", done, err)
	}
	apply := func(what string) {
		t.Helper()
		if done, err := f.applyRules(s); !done || err != nil {
			t.Errorf("%s: %t, %v", what, done, err)
		}
		checkTraffic(t, m, s)
	}
	s.SecurityGroups = []network.SecurityGroup{s.SecurityGroups[0]}
	s.SecurityGroups[0].Ingress = nil
	apply("no ingress")
	s.SecurityGroups[0].Ingress = []network.Rule{{Protocol: network.UDP, FromPort: 9, ToPort: 9, CIDRs: prefixes("0.0.0.0/0")}}
	apply("one port")
	s.NetworkACLs = []network.NetworkACL{everything}
	s.NetworkACLs[0].Entries = append(network.DefaultNetworkACLEntries(), network.NetworkACLEntry{RuleNumber: 50, Egress: true,
		RuleAction: network.RuleDeny, Protocol: network.UDP, CIDR: prefix("0.0.0.0/0"), FromPort: 9, ToPort: 9})
	apply("network ACL")
	s.ENIs = s.ENIs[:2]
	if done, err := f.applyRules(s); done || err != nil {
		t.Errorf("one ENI less: %t, %v", done, err)
	}
	must(t, f.Apply(t.Context(), s))
	checkTraffic(t, m, s)
	must(t, f.Close())
}
