package networktest

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/fardel-io/fardel/network"
)

// variants returns a packet in the protocols that matter: TCP, UDP, ping and one that has neither ports nor types.
func variants(f network.Flow) []network.Flow {
	udp, ping, other := f, f, f
	udp.Protocol = network.UDP
	ping.Protocol, ping.SourcePort, ping.DestinationPort, ping.ICMPType = network.ICMP, 0, 0, 8
	other.Protocol, other.SourcePort, other.DestinationPort = "253", 0, 0
	return []network.Flow{f, udp, ping, other}
}

// pairs returns packets between all ENIs, to themselves too.
func pairs(enis []network.ENI, port uint16) []network.Flow {
	var flows []network.Flow
	for _, a := range enis {
		for _, b := range enis {
			flows = append(flows, variants(flow(a, b.PrivateIPv4, port))...)
		}
	}
	return flows
}

func packetsDefault(t *testing.T, s *rig) {
	state := vpc(t, 1)
	alone := group(state, "alone")
	state.SecurityGroups = append(state.SecurityGroups, alone)
	state.ENIs = []network.ENI{eni(state, 0), eni(state, 1), eni(state, 2), eni(state, 3, alone.ID)}
	s.mustApply(t, state)
	s.compare(t, state, pairs(state.ENIs, 80))
}

func packetsGroups(t *testing.T, s *rig) {
	state := vpc(t, 1)
	lb := group(state, "lb", tcp(443, 443, everywhere()...))
	web := group(state, "web",
		network.Rule{Protocol: network.TCP, FromPort: 8080, ToPort: 8090, Groups: []string{lb.ID}},
		network.Rule{Protocol: network.ICMP, ICMPType: 8, ICMPCode: network.AnyICMP, CIDRs: everywhere()})
	db := group(state, "db",
		network.Rule{Protocol: network.TCP, FromPort: 5432, ToPort: 5432, Groups: []string{web.ID}},
		network.Rule{Protocol: network.UDP, FromPort: 53, ToPort: 53, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.1.16.0/20")}})
	db.Egress = []network.Rule{tcp(443, 443, netip.MustParsePrefix("10.1.0.10/32"))}
	state.SecurityGroups = append(state.SecurityGroups, lb, web, db)
	state.ENIs = []network.ENI{eni(state, 0, lb.ID), eni(state, 1, web.ID), eni(state, 2, db.ID), eni(state, 3, lb.ID, web.ID), eni(state, 4, db.ID, web.ID)}
	s.mustApply(t, state)
	var flows []network.Flow
	for _, port := range []uint16{53, 443, 5432, 8079, 8080, 8085, 8090, 8091} {
		flows = append(flows, pairs(state.ENIs, port)...)
	}
	s.compare(t, state, flows)
}

func packetsChange(t *testing.T, s *rig) {
	state := vpc(t, 1)
	open, shut := group(state, "open", tcp(0, 65535, everywhere()...)), group(state, "shut")
	member := group(state, "member", network.Rule{Protocol: network.AllProtocols, Groups: []string{open.ID}})
	state.SecurityGroups = append(state.SecurityGroups, open, shut, member)
	s.mustApply(t, state)
	state.ENIs = []network.ENI{eni(state, 0, open.ID), eni(state, 1, shut.ID), eni(state, 2, member.ID)}
	for _, e := range state.ENIs {
		s.mustAttach(t, e)
	}
	s.compare(t, state, pairs(state.ENIs, 80))
	for _, groups := range [][]string{{shut.ID}, {shut.ID, member.ID}, {open.ID, shut.ID, member.ID}, {open.ID}} {
		state.ENIs[0].SecurityGroups = groups
		s.mustAttach(t, state.ENIs[0])
		s.compare(t, state, pairs(state.ENIs, 80))
	}
	state.ENIs[0].SecurityGroups, state.ENIs[1].SecurityGroups = []string{member.ID}, []string{open.ID}
	s.mustApply(t, state)
	s.compare(t, state, pairs(state.ENIs, 80))
}

func packetsRules(t *testing.T, s *rig) {
	state := vpc(t, 1)
	web := group(state, "web", tcp(80, 80, everywhere()...))
	state.SecurityGroups = append(state.SecurityGroups, web)
	state.ENIs = []network.ENI{eni(state, 0, web.ID), eni(state, 1, web.ID)}
	s.mustApply(t, state)
	both := append(pairs(state.ENIs, 80), pairs(state.ENIs, 81)...)
	s.compare(t, state, both)
	last := len(state.SecurityGroups) - 1
	state.SecurityGroups[last].Ingress = []network.Rule{tcp(81, 90, everywhere()...)}
	s.mustApply(t, state)
	s.compare(t, state, both)
	state.SecurityGroups[last].Ingress[0].FromPort = 80 // what was applied is not seen by the fabric before it is applied again
	s.mustApply(t, state)
	s.compare(t, state, both)
	state.SecurityGroups[last].Egress = nil
	s.mustApply(t, state)
	s.compare(t, state, both)
}

func packetsDetached(t *testing.T, s *rig) {
	state := vpc(t, 1)
	state.ENIs = []network.ENI{eni(state, 0), eni(state, 1)}
	s.mustApply(t, state)
	gone := state.ENIs[1]
	s.compare(t, state, pairs(state.ENIs, 80))
	if err := s.Detach(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	state.ENIs = state.ENIs[:1]
	s.compare(t, state, append(variants(flow(state.ENIs[0], gone.PrivateIPv4, 80)),
		network.Flow{FromHost: true, Destination: gone.PrivateIPv4, Protocol: network.UDP, SourcePort: 1, DestinationPort: 80}))
}

func packetsForged(t *testing.T, s *rig) {
	state := vpc(t, 1)
	state.ENIs = []network.ENI{eni(state, 0), eni(state, 1), eni(state, 2)}
	state.ENIs[0].AssignPublicIP = true
	s.mustApply(t, state)
	var flows []network.Flow
	sources := []netip.Addr{state.ENIs[2].PrivateIPv4, netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.99"),
		netip.MustParseAddr("192.0.2.77"), s.HostAddr(), s.OutsideAddr()}
	for _, source := range sources {
		for _, to := range []netip.Addr{state.ENIs[1].PrivateIPv4, state.ENIs[2].PrivateIPv4, s.OutsideAddr(), network.CredentialsAddr()} {
			f := flow(state.ENIs[0], to, 80)
			f.Source = source
			if source != to {
				flows = append(flows, variants(f)...)
			}
		}
	}
	s.compare(t, state, flows)
}

func packetsHost(t *testing.T, s *rig) {
	state := vpc(t, 1)
	shut := group(state, "shut")
	state.SecurityGroups = append(state.SecurityGroups, shut)
	state.ENIs = []network.ENI{eni(state, 0), eni(state, 1, shut.ID)}
	state.ENIs[0].AssignPublicIP = true
	s.mustApply(t, state)
	var flows []network.Flow
	for _, e := range state.ENIs {
		for _, source := range []netip.Addr{{}, s.HostAddr()} {
			flows = append(flows, variants(network.Flow{FromHost: true, Source: source, Destination: e.PrivateIPv4,
				Protocol: network.TCP, SourcePort: 40000, DestinationPort: 80})...)
		}
		to := flow(e, s.HostAddr(), 22)
		to.ToHost = true
		flows = append(flows, variants(to)...)
	}
	s.compare(t, state, flows)
}

func packetsOutside(t *testing.T, s *rig) {
	state := vpc(t, 1)
	quiet := group(state, "quiet")
	quiet.Egress = []network.Rule{tcp(443, 443, everywhere()...)}
	state.SecurityGroups = append(state.SecurityGroups, quiet)
	state.ENIs = []network.ENI{eni(state, 0), eni(state, 1), eni(state, 2, quiet.ID)}
	state.ENIs[1].AssignPublicIP, state.ENIs[2].AssignPublicIP = true, true
	s.mustApply(t, state)
	var flows []network.Flow
	for _, e := range state.ENIs {
		flows = append(flows, variants(flow(e, s.OutsideAddr(), 80))...)
		flows = append(flows, flow(e, s.OutsideAddr(), 443))
		flows = append(flows, variants(network.Flow{Source: s.OutsideAddr(), Destination: e.PrivateIPv4, Protocol: network.TCP,
			SourcePort: 40000, DestinationPort: 80})...)
	}
	s.compare(t, state, flows)

	// One that gets a public address while it is attached, and a VPC that loses its way out.
	state.ENIs[0].AssignPublicIP = true
	s.mustAttach(t, state.ENIs[0])
	s.compare(t, state, variants(flow(state.ENIs[0], s.OutsideAddr(), 80)))
	state.RouteTables[0].Routes = slices.DeleteFunc(state.RouteTables[0].Routes, func(r network.Route) bool { return r.Target != network.TargetLocal })
	s.mustApply(t, state)
	s.compare(t, state, variants(flow(state.ENIs[0], s.OutsideAddr(), 80)))
}

func packetsVPCs(t *testing.T, s *rig) {
	one, two := vpc(t, 1), vpc(t, 2)
	state := join(one, two)
	state.ENIs = []network.ENI{eni(one, 0), eni(one, 1), eni(two, 0), eni(two, 1)}
	state.ENIs[0].AssignPublicIP, state.ENIs[2].AssignPublicIP = true, true
	s.mustApply(t, state)
	s.compare(t, state, pairs(state.ENIs, 80))
}

func packetsNowhere(t *testing.T, s *rig) {
	state := vpc(t, 1)
	state.ENIs = []network.ENI{eni(state, 0), eni(state, 1)}
	state.ENIs[0].AssignPublicIP = true
	s.mustApply(t, state)
	var flows []network.Flow
	for _, to := range []string{
		"10.1.0.1", "10.1.0.2", "10.1.0.99", "10.1.15.255", "10.1.255.255", // the router, the resolver's place, nobody, broadcast
		"169.254.169.254", "169.254.170.2", "169.254.169.253", "169.254.1.1",
		"224.0.0.251", "255.255.255.255", "10.2.0.10",
	} {
		for _, e := range state.ENIs {
			flows = append(flows, variants(flow(e, netip.MustParseAddr(to), 80))...)
		}
	}
	s.compare(t, state, slices.DeleteFunc(flows, func(f network.Flow) bool {
		// Behind the gateway nobody has this address, and who could tell where the packet went.
		return f.ENI == state.ENIs[0].ID && f.Destination == netip.MustParseAddr("10.2.0.10")
	}))
}
