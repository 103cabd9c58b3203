package network_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/networktest/scenario"
)

// Size of the property tests: some thousand packets, in a second or two.
const (
	propertySeeds = 60
	propertyFlows = 60
)

// property calls check with random states and packets. If it reports a difference, that is shown in the smallest state
// that has it.
func property(t *testing.T, check func(r *rand.Rand, s network.State, f network.Flow) string) {
	t.Helper()
	for seed := range uint64(propertySeeds) {
		g := scenario.New(scenario.Config{Seed: seed, MaxENIs: 15})
		s := g.State()
		for i, f := range g.Flows(s, propertyFlows) {
			again := func(s network.State) string { return check(rand.New(rand.NewPCG(seed, uint64(i))), s, f) }
			if again(s) == "" {
				continue
			}
			small := scenario.Shrink(s, func(s network.State) bool { return again(s) != "" })
			t.Fatalf("seed %d, packet %+v: %s\nin %+v\nits way: %+v", seed, f, again(small), small, network.Evaluate(small, f).Path)
		}
	}
}

// TestPropertyOracle compares Evaluate with a second implementation.
func TestPropertyOracle(t *testing.T) {
	property(t, func(_ *rand.Rand, s network.State, f network.Flow) string {
		if v := network.Evaluate(s, f); v.Allowed != (oracle{s, f}).arrives() {
			return "the oracle does not agree: " + v.String()
		}
		return ""
	})
}

// edited returns s with lists that can be changed.
func edited(s network.State) network.State {
	s.SecurityGroups = slices.Clone(s.SecurityGroups)
	s.NetworkACLs = slices.Clone(s.NetworkACLs)
	s.RouteTables = slices.Clone(s.RouteTables)
	s.ENIs = slices.Clone(s.ENIs)
	return s
}

// TestPropertyOrder shuffles everything whose order has no meaning.
func TestPropertyOrder(t *testing.T) {
	property(t, func(r *rand.Rand, s network.State, f network.Flow) string {
		before := network.Evaluate(s, f)
		o := edited(s)
		for i := range o.SecurityGroups {
			o.SecurityGroups[i].Ingress = shuffled(r, o.SecurityGroups[i].Ingress)
			o.SecurityGroups[i].Egress = shuffled(r, o.SecurityGroups[i].Egress)
		}
		for i := range o.NetworkACLs {
			o.NetworkACLs[i].Entries = shuffled(r, o.NetworkACLs[i].Entries)
		}
		for i := range o.RouteTables {
			lists := 0
			for _, route := range o.RouteTables[i].Routes {
				if route.PrefixList != "" {
					lists++
				}
			}
			if lists < 2 { // of two that overlap the first counts
				o.RouteTables[i].Routes = shuffled(r, o.RouteTables[i].Routes)
			}
		}
		for i := range o.ENIs {
			o.ENIs[i].SecurityGroups = shuffled(r, o.ENIs[i].SecurityGroups)
		}
		o.ENIs, o.Subnets, o.SecurityGroups, o.RouteTables = shuffled(r, o.ENIs), shuffled(r, o.Subnets), shuffled(r, o.SecurityGroups), shuffled(r, o.RouteTables)
		if after := network.Evaluate(o, f); after.Allowed != before.Allowed || after.Connects() != before.Connects() {
			return "in another order: " + after.String()
		}
		return ""
	})
}

func shuffled[T any](r *rand.Rand, list []T) []T {
	list = slices.Clone(list)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// TestPropertyMoreRules adds rules that allow, and takes away ACL entries that deny: what arrived arrives.
func TestPropertyMoreRules(t *testing.T) {
	everything := network.Rule{Protocol: network.AllProtocols, CIDRs: []netip.Prefix{pfx("0.0.0.0/0")}, IPv6CIDRs: []netip.Prefix{pfx("::/0")}}
	property(t, func(r *rand.Rand, s network.State, f network.Flow) string {
		before := network.Evaluate(s, f)
		if !before.Allowed {
			return ""
		}
		o := edited(s)
		if i := r.IntN(len(o.SecurityGroups)); r.IntN(2) == 0 {
			o.SecurityGroups[i].Ingress = append(slices.Clone(o.SecurityGroups[i].Ingress), everything)
		} else {
			o.SecurityGroups[i].Egress = append(slices.Clone(o.SecurityGroups[i].Egress), everything)
		}
		for i := range o.NetworkACLs {
			o.NetworkACLs[i].Entries = slices.DeleteFunc(slices.Clone(o.NetworkACLs[i].Entries), func(e network.NetworkACLEntry) bool {
				return e.RuleAction == network.RuleDeny && r.IntN(2) == 0
			})
			o.NetworkACLs[i].Entries = append(o.NetworkACLs[i].Entries, network.NetworkACLEntry{RuleNumber: 32766, Egress: r.IntN(2) == 0,
				RuleAction: network.RuleAllow, Protocol: network.AllProtocols, CIDR: pfx("0.0.0.0/0")})
		}
		if after := network.Evaluate(o, f); !after.Allowed || before.Connects() && !after.Connects() {
			return "with more rules that allow: " + after.String()
		}
		return ""
	})
}

// TestPropertyACL has an ACL that denies everything before all else: nothing that the ACLs are asked about arrives. With
// the same entry after one that allows everything nothing is denied by ACLs.
func TestPropertyACL(t *testing.T) {
	entries := func(first, second network.RuleAction) (all []network.NetworkACLEntry) {
		for i, c := range []netip.Prefix{pfx("0.0.0.0/0"), pfx("::/0")} {
			for _, egress := range []bool{false, true} {
				all = append(all, network.NetworkACLEntry{RuleNumber: 10 + i, Egress: egress, RuleAction: first, Protocol: network.AllProtocols, CIDR: c},
					network.NetworkACLEntry{RuleNumber: 5 + i, Egress: egress, RuleAction: second, Protocol: network.AllProtocols, CIDR: c})
			}
		}
		return all
	}
	isACL := func(h network.Hop) bool {
		return h.Check == network.CheckACLEgress || h.Check == network.CheckACLIngress
	}
	property(t, func(_ *rand.Rand, s network.State, f network.Flow) string {
		set := func(first, second network.RuleAction) network.Verdict {
			o := edited(s)
			o.NetworkACLs = nil
			for _, v := range s.VPCs {
				o.NetworkACLs = append(o.NetworkACLs, network.NetworkACL{ID: network.NewID("acl", v.ID), VPC: v.ID, IsDefault: true, Entries: entries(first, second)})
			}
			return network.Evaluate(o, f)
		}
		open, shut := set(network.RuleDeny, network.RuleAllow), set(network.RuleAllow, network.RuleDeny)
		if isACL(open.Decision()) && !open.Allowed {
			return "an ACL that allows everything first: " + open.String()
		}
		if asked := slices.ContainsFunc(open.Path, isACL); asked && shut.Allowed || !asked && shut.Allowed != open.Allowed {
			return "an ACL that denies everything first: " + shut.String()
		}
		return ""
	})
}

// TestPropertyReply checks that what is answered without ACLs and with local routes only is, and that the answer to a
// packet that arrives goes where it came from.
func TestPropertyReply(t *testing.T) {
	property(t, func(_ *rand.Rand, s network.State, f network.Flow) string {
		v := network.Evaluate(s, f)
		if established := f; v.Allowed && f.ENI != "" {
			established.Established = true
			if after := network.Evaluate(s, established); !after.Allowed {
				return "the second packet of the connection: " + after.String()
			}
		}
		if !v.Allowed || v.Reply == nil || !v.Reply.Allowed {
			return ""
		}
		back := v.Reply.Arrival
		switch {
		case f.ENI != "" && f.Source.IsValid():
			return "" // sent for another one, to which the answer goes
		case f.ENI != "" && back.ENI != f.ENI:
			if box, _ := s.ENI(back.ENI); box.NoSourceDestCheck {
				return "" // routed back through an ENI that forwards
			}
			return "the answer arrives elsewhere"
		case f.FromHost && !back.Host, f.ENI == "" && !f.FromHost && !back.Outside:
			return "the answer arrives elsewhere"
		case v.Arrival.Source.IsValid() && f.ENI == "" && back.Source != f.Destination && back.Destination != f.Source:
			return "the answer comes from elsewhere"
		}
		return ""
	})
}

// TestPropertyStrangers takes away ENIs that have nothing to do with a packet.
func TestPropertyStrangers(t *testing.T) {
	property(t, func(r *rand.Rand, s network.State, f network.Flow) string {
		before := network.Evaluate(s, f)
		concerned := map[string]bool{f.ENI: true}
		for _, table := range s.RouteTables {
			for _, route := range table.Routes {
				concerned[route.Target] = true
			}
		}
		sender, _ := s.ENI(f.ENI)
		for _, e := range s.ENIs {
			public, _ := s.PublicIPv4(e)
			concerned[e.ID] = slices.ContainsFunc(e.PublishedPorts, func(p network.PublishedPort) bool {
				return p.Takes(f.Protocol, netip.AddrPortFrom(f.Destination, f.DestinationPort))
			}) || concerned[e.ID]
			// One with the sender's address in another VPC counts: rules that name groups of peers go by addresses.
			for _, a := range []netip.Addr{f.Source, f.Destination, sender.PrivateIPv4, sender.IPv6} {
				concerned[e.ID] = concerned[e.ID] || a.IsValid() && (a == e.PrivateIPv4 || a == e.IPv6 || a == public)
			}
		}
		o := edited(s)
		o.ENIs = slices.DeleteFunc(o.ENIs, func(e network.ENI) bool { return !concerned[e.ID] && r.IntN(2) == 0 })
		if after := network.Evaluate(o, f); after.Allowed != before.Allowed {
			return "without ENIs that have nothing to do with it: " + after.String()
		}
		return ""
	})
}

// TestPropertyRequestIsTotal evaluates the reply of every packet that arrives as a packet of its own, which must not fail.
func TestPropertyRequestIsTotal(t *testing.T) {
	property(t, func(_ *rand.Rand, s network.State, f network.Flow) string {
		v := network.Evaluate(s, f)
		if v.Allowed != v.Decision().Allowed {
			return "verdict and decision differ"
		}
		if v.Allowed && v.Arrival == (network.Arrival{}) {
			return "it arrives nowhere"
		}
		back := network.Flow{ENI: v.Arrival.ENI, Source: v.Arrival.Destination, Destination: v.Arrival.Source, Protocol: f.Protocol, Established: true}
		network.Evaluate(s, back)
		return ""
	})
}
