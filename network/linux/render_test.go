package linux

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// renderState has every kind of rule, an ENI with one group and one with two.
func renderState(t testing.TB) network.State {
	t.Helper()
	s := planVPC(t)
	def := s.SecurityGroups[0].ID
	s.SecurityGroups = append(s.SecurityGroups, network.SecurityGroup{
		ID: network.NewID("sg", "web"), VPC: s.VPCs[0].ID, Name: "web", Description: "web",
		Ingress: []network.Rule{
			{Protocol: network.TCP, FromPort: 80, ToPort: 80, CIDRs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
			{Protocol: network.TCP, FromPort: 8000, ToPort: 8999, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/20"), netip.MustParsePrefix("10.1.16.7/32")}, Groups: []string{def}},
			{Protocol: network.UDP, FromPort: 0, ToPort: 65535, Groups: []string{def}},
			{Protocol: network.ICMP, ICMPType: 8, ICMPCode: 0, Groups: []string{def}},
			{Protocol: network.ICMP, ICMPType: 3, ICMPCode: network.AnyICMP, Groups: []string{def}},
			{Protocol: network.ICMP, ICMPType: network.AnyICMP, ICMPCode: network.AnyICMP, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
			{Protocol: "50", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		},
		Egress: []network.Rule{
			{Protocol: network.TCP, FromPort: 443, ToPort: 443, CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			{Protocol: network.AllProtocols, Groups: []string{def}},
		},
	})
	one, two := planENI(s), planENI(s)
	two.ID, two.MAC, two.PrivateIPv4 = network.NewID("eni", "two"), network.NewMAC("two"), netip.MustParseAddr("10.1.0.5")
	two.SecurityGroups = []string{s.SecurityGroups[1].ID, def}
	two.AssignPublicIP = true
	s.ENIs = []network.ENI{one, two}
	if err := network.Validate(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func renderRouter(s network.State) []ruleset {
	v := newView(s, s.VPCs[0].ID)
	ports := v.ports(s.ENIs)
	return routerRulesets(v, ports, nil, classTable(ports), uplinkEnds{IPv4: netip.MustParseAddr("169.254.1.0")})
}

func text(rulesets []ruleset) string {
	var b strings.Builder
	for _, r := range rulesets {
		b.WriteString(r.String())
	}
	return b.String()
}

func renderHost() []ruleset {
	return []ruleset{hostRuleset(hostWants{Owner: "me", Uplinks: []string{"fardel-1", "fardel-2"},
		Blocks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16")},
		Pools:  []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}, Public: []netip.Addr{netip.MustParseAddr("203.0.113.3")}})}
}

func renderEmpty() string {
	return text(routerRulesets(newView(network.State{}, "vpc-0"), nil, nil, nil, uplinkEnds{}))
}

func TestRender(t *testing.T) {
	s := renderState(t)
	golden(t, "router.nft", text(renderRouter(s)))
	golden(t, "host.nft", text(renderHost()))
	golden(t, "empty.nft", renderEmpty())
	golden(t, "connections.nft", text(connectionRulesets(ConnectionLimits{}.withDefaults(0))))
}

// TestRenderOrder checks that what has no order in the state has none in the ruleset.
func TestRenderOrder(t *testing.T) {
	s := renderState(t)
	want := text(renderRouter(s))
	s.ENIs[0], s.ENIs[1] = s.ENIs[1], s.ENIs[0]
	s.SecurityGroups[0], s.SecurityGroups[1] = s.SecurityGroups[1], s.SecurityGroups[0]
	g := s.ENIs[0].SecurityGroups
	s.ENIs[0].SecurityGroups = []string{g[1], g[0]}
	if diff := cmp.Diff(want, text(renderRouter(s))); diff != "" {
		t.Errorf("after a change of order (-want +got):\n%s", diff)
	}
}
