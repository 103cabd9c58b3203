package networktest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/fardel-io/fardel/network"
)

// Size of the random check: a few hundred packets in a few states.
const (
	randomStates = 4
	randomFlows  = 120
)

// packetsRandom compares packets in random states with Evaluate. The seed is in the test's log; states follow one
// another in one fabric, so changes are tried, too.
func packetsRandom(t *testing.T, s *rig) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := random{rand.New(rand.NewPCG(seed, 0))}
	for range randomStates {
		state := r.state(t)
		if err := network.Validate(state); err != nil {
			t.Fatalf("the random state is invalid: %v", err)
		}
		s.mustApply(t, state)
		flows := make([]network.Flow, randomFlows)
		for i := range flows {
			flows[i] = r.flow(state, s)
			flows[i].SourcePort = 20000 + uint16(i)
		}
		s.compare(t, state, flows)
		if t.Failed() {
			t.Fatalf("in state %+v", state)
		}
	}
}

// random makes states and packets that have something to do with each other: few ports, few prefixes.
type random struct{ *rand.Rand }

func pick[T any](r random, list ...T) T { return list[r.IntN(len(list))] }

func (r random) state(t testing.TB) network.State {
	one, two := vpc(t, 1), vpc(t, 2)
	groups := map[string][]string{}
	for _, s := range []*network.State{&one, &two} {
		id := s.VPCs[0].ID
		for n := range 1 + r.IntN(4) {
			s.SecurityGroups = append(s.SecurityGroups, group(*s, fmt.Sprint("group ", n)))
		}
		for _, g := range s.SecurityGroups {
			groups[id] = append(groups[id], g.ID)
		}
		for i := range s.SecurityGroups[1:] {
			g := &s.SecurityGroups[i+1]
			g.Ingress, g.Egress = r.rules(*s, groups[id]), r.rules(*s, groups[id])
			if r.IntN(2) == 0 {
				g.Egress = []network.Rule{{Protocol: network.AllProtocols, CIDRs: everywhere()}}
			}
		}
		if r.IntN(4) == 0 {
			s.RouteTables[0].Routes = s.RouteTables[0].Routes[:1] // local only
		}
		for n := range 2 + r.IntN(5) {
			e := eni(*s, n, r.some(groups[id])...)
			e.AssignPublicIP = r.IntN(2) == 0
			s.ENIs = append(s.ENIs, e)
		}
	}
	return join(one, two)
}

// some returns 1 to 5 of the list, in random order.
func (r random) some(list []string) []string {
	n := 1 + r.IntN(min(5, len(list)))
	var out []string
	for _, i := range r.Perm(len(list))[:n] {
		out = append(out, list[i])
	}
	return out
}

func (r random) rules(s network.State, groups []string) []network.Rule {
	var rules []network.Rule
	seen := map[string]bool{}
	for range r.IntN(5) {
		rule := r.rule(s, groups)
		same := rule // tcp and 6 are one rule to EC2
		if same.Protocol.Is(network.TCP) {
			same.Protocol = network.TCP
		}
		if key := same.String(); !seen[key] {
			seen[key] = true
			rules = append(rules, rule)
		}
	}
	return rules
}

func (r random) rule(s network.State, groups []string) network.Rule {
	var rule network.Rule
	switch rule.Protocol = pick(r, network.TCP, network.TCP, network.UDP, network.ICMP, network.AllProtocols, "253", "6"); {
	case rule.Protocol.Is(network.TCP), rule.Protocol.Is(network.UDP):
		ports := []int{0, 22, 80, 443, 8080, 65535}
		from := r.IntN(len(ports))
		rule.FromPort, rule.ToPort = ports[from], ports[from+r.IntN(len(ports)-from)]
	case rule.Protocol.Is(network.ICMP):
		rule.ICMPType = pick(r, network.AnyICMP, 0, 8, 13)
		rule.ICMPCode = network.AnyICMP
		if rule.ICMPType >= 0 && r.IntN(2) == 0 {
			rule.ICMPCode = 0
		}
	}
	if r.IntN(3) == 0 {
		rule.Groups = []string{pick(r, groups...)}
		return rule
	}
	base := s.VPCs[0].CIDRs[0].Addr()
	subnet := s.Subnets[r.IntN(len(s.Subnets))].CIDR
	rule.CIDRs = []netip.Prefix{pick(r, everywhere()[0], subnet, s.VPCs[0].CIDRs[0], netip.PrefixFrom(base, 8).Masked(),
		netip.PrefixFrom(eni(s, r.IntN(6)).PrivateIPv4, 32), netip.PrefixFrom(eni(s, r.IntN(6)).PrivateIPv4, 31).Masked())}
	return rule
}

func (r random) flow(state network.State, s *rig) network.Flow {
	f := network.Flow{Protocol: pick(r, network.TCP, network.TCP, network.UDP, network.ICMP, "253"),
		DestinationPort: pick[uint16](r, 1, 22, 80, 81, 443, 8080, 65535)}
	if f.Protocol == network.ICMP {
		f.ICMPType = pick[uint8](r, 8, 8, 13, 0)
	}
	f.Destination = pick(r, state.ENIs...).PrivateIPv4
	to := r.IntN(10)
	if to <= 2 && f.ICMPType == 0 && f.Protocol == network.ICMP {
		f.ICMPType = 8 // an answer that nobody asked for cannot be translated, so it does not cross the host
	}
	switch to {
	case 0:
		f.FromHost = true
		f.Source = pick(r, netip.Addr{}, s.HostAddr())
		return f
	case 1:
		f.Source = s.OutsideAddr()
		return f
	case 2:
		f.Destination = s.OutsideAddr()
	case 3:
		f.Destination, f.ToHost = s.HostAddr(), true
	case 4:
		f.Destination = pick(r, network.EndpointAddrs()...)
	}
	e := pick(r, state.ENIs...)
	f.ENI = e.ID
	if r.IntN(10) == 0 {
		f.Source = pick(r, pick(r, state.ENIs...).PrivateIPv4, s.HostAddr(), netip.MustParseAddr("10.1.0.1"))
	}
	return f
}
