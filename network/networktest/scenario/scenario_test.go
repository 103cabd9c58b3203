package scenario_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/networktest/scenario"
)

const (
	seeds        = 150
	flowsPerSeed = 40
)

// TestStates checks that states are valid, that packets meet every check, and that neither verdict is rare.
func TestStates(t *testing.T) {
	decided := map[network.Check]int{}
	met := map[network.Check]int{}
	allowed, connected, total, features := 0, 0, 0, map[string]int{}
	for seed := range uint64(seeds) {
		g := scenario.New(scenario.Config{Seed: seed})
		s := g.State()
		for range 3 {
			if err := network.Validate(s); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if len(s.ENIs) > 40 {
				t.Errorf("seed %d: %d ENIs", seed, len(s.ENIs))
			}
			count(features, s)
			for _, f := range g.Flows(s, flowsPerSeed) {
				v := network.Evaluate(s, f)
				total++
				if v.Allowed {
					allowed++
					if v.Connects() {
						connected++
					}
				} else {
					decided[v.Decision().Check]++
				}
				for _, h := range v.Path {
					met[h.Check]++
				}
			}
			s = g.Change(s)
		}
	}
	t.Logf("%d of %d packets arrive, %d are answered; others are denied by %v; checks met %v; states have %v", allowed, total, connected, decided, met, features)
	if allowed < total/3 || allowed > total*3/4 || connected == allowed {
		t.Errorf("%d of %d packets arrive and %d are answered", allowed, total, connected)
	}
	for _, c := range []network.Check{network.CheckSource, network.CheckDestination, network.CheckEgress, network.CheckACLEgress, network.CheckRoute,
		network.CheckNAT, network.CheckGateway, network.CheckPeering, network.CheckACLIngress, network.CheckForward, network.CheckIngress, network.CheckPublished} {
		if decided[c] < total/2000 || decided[c] == 0 {
			t.Errorf("the check %s denies only %d of %d packets", c, decided[c], total)
		}
	}
	for name, n := range features {
		if n < seeds/10 {
			t.Errorf("%s in only %d states", name, n)
		}
	}
}

func count(features map[string]int, s network.State) {
	for name, has := range map[string]bool{
		"IPv6": len(s.VPCs[0].IPv6CIDRs) > 0, "secondary CIDRs": len(s.VPCs[0].CIDRs) > 1, "ACLs": len(s.NetworkACLs) > 0,
		"NAT gateways": len(s.NATGateways) > 0, "peering": len(s.VPCPeeringConnections) > 0, "prefix lists": len(s.PrefixLists) > 0,
		"elastic addresses": len(s.Addresses) > 0, "egress-only gateways": len(s.EgressOnlyInternetGateways) > 0,
		"several tables": len(s.RouteTables) > len(s.VPCs), "published ports": slices.ContainsFunc(s.ENIs, func(e network.ENI) bool { return len(e.PublishedPorts) > 0 }), "same addresses": len(s.VPCs) > 1 && s.VPCs[0].CIDRs[0] == s.VPCs[1].CIDRs[0],
	} {
		if has {
			features[name]++
		} else {
			features[name] += 0
		}
	}
}

// TestSeed checks that a seed says everything.
func TestSeed(t *testing.T) {
	one, two := scenario.New(scenario.Config{Seed: 7}), scenario.New(scenario.Config{Seed: 7})
	for range 3 {
		s := one.State()
		if !reflect.DeepEqual(s, two.State()) || !reflect.DeepEqual(one.Flows(s, 20), two.Flows(s, 20)) || !reflect.DeepEqual(one.Change(s), two.Change(s)) {
			t.Fatal("equal seeds give different states or packets")
		}
	}
	if reflect.DeepEqual(scenario.New(scenario.Config{Seed: 8}).State(), scenario.New(scenario.Config{Seed: 7}).State()) {
		t.Error("different seeds give equal states")
	}
}

// TestWithout checks that what is left out does not occur.
func TestWithout(t *testing.T) {
	for seed := range uint64(30) {
		g := scenario.New(scenario.Config{Seed: seed, Without: ^scenario.Feature(0), NoHostFlows: true, MaxENIs: 5})
		s := g.State()
		if n := len(s.NetworkACLs) + len(s.NATGateways) + len(s.VPCPeeringConnections) + len(s.PrefixLists) + len(s.Addresses) + len(s.PublicIPv4Pools); n > 0 {
			t.Errorf("seed %d: %d things that are left out", seed, n)
		}
		if len(s.RouteTables) != len(s.VPCs) || len(s.ENIs) > 5 {
			t.Errorf("seed %d: %d tables, %d VPCs, %d ENIs", seed, len(s.RouteTables), len(s.VPCs), len(s.ENIs))
		}
		for _, f := range g.Flows(s, 30) {
			if f.FromHost || f.ToHost || !f.Destination.Is4() {
				t.Errorf("seed %d: packet %+v", seed, f)
			}
		}
	}
}

// TestShrink drops all that a verdict does not need.
func TestShrink(t *testing.T) {
	for seed := range uint64(12) {
		g := scenario.New(scenario.Config{Seed: seed})
		s := g.State()
		for _, f := range g.Flows(s, 3) {
			want := network.Evaluate(s, f).Decision()
			before, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			calls := 0
			small := scenario.Shrink(s, func(s network.State) bool {
				calls++
				return network.Evaluate(s, f).Decision() == want
			})
			after, err := json.Marshal(s)
			if err != nil || string(before) != string(after) {
				t.Fatalf("Shrink changes its argument: %v", err)
			}
			if network.Validate(small) != nil || network.Evaluate(small, f).Decision() != want {
				t.Errorf("seed %d: the small state is another one: %v", seed, network.Validate(small))
			}
			if len(small.ENIs) > 4 || calls > 2000 {
				t.Errorf("seed %d: %d of %d ENIs left for %+v after %d calls", seed, len(small.ENIs), len(s.ENIs), f, calls)
			}
		}
	}
}

func Example() {
	g := scenario.New(scenario.Config{Seed: 1})
	state := g.State()
	for range 2 {
		for _, f := range g.Flows(state, 50) {
			if v := network.Evaluate(state, f); v.Allowed != v.Decision().Allowed {
				panic(v)
			}
		}
		state = g.Change(state)
	}
	// Output:
}
