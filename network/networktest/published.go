package networktest

import (
	"net/netip"
	"testing"

	"github.com/fardel-io/fardel/network"
)

// Addresses of the machine: all, and one that it alone reaches.
func anywhere() netip.Addr { return netip.IPv4Unspecified() }
func here() netip.Addr     { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// publish returns a port of the machine that leads to port 80.
func publish(at netip.Addr, port uint16, protocol network.Protocol) network.PublishedPort {
	return network.PublishedPort{HostAddress: at, HostPort: port, Protocol: protocol, Port: 80}
}

// publishedPorts attaches ENIs that want the same port of the machine.
func publishedPorts(t *testing.T, s *rig) {
	state := vpc(t, 1)
	first, second := eni(state, 0), eni(state, 1)
	first.PublishedPorts = []network.PublishedPort{publish(anywhere(), 8080, network.TCP), publish(here(), 8081, network.TCP)}
	second.PublishedPorts = []network.PublishedPort{publish(here(), 8080, network.UDP), publish(s.HostAddr(), 8081, network.TCP)}
	state.ENIs = []network.ENI{first, second}
	s.mustApply(t, state)
	list := s.list(t)
	for _, p := range []network.PublishedPort{publish(here(), 8080, network.TCP), publish(anywhere(), 8081, network.TCP), publish(anywhere(), 8080, "17")} {
		third := eni(state, 2)
		third.PublishedPorts = []network.PublishedPort{p}
		_, err := s.Attach(t.Context(), third)
		wantError(t, "Attach with a port that another ENI has: "+p.String(), err, network.ErrAddressInUse)
		broken := state
		broken.ENIs = append([]network.ENI{third}, state.ENIs...)
		wantError(t, "Apply with a port that another ENI has: "+p.String(), s.Apply(t.Context(), broken), network.ErrInvalid)
	}
	for _, p := range []network.PublishedPort{{}, publish(netip.IPv6Loopback(), 1, network.TCP), publish(here(), 0, network.TCP), publish(here(), 1, network.ICMP)} {
		third := eni(state, 2)
		third.PublishedPorts = []network.PublishedPort{p}
		_, err := s.Attach(t.Context(), third)
		wantError(t, "Attach with a port that is none: "+p.String(), err, network.ErrInvalid)
	}
	same(t, "attachments", s.list(t), list)

	// A port goes from one to another: by a change, by Detach, and in one Apply.
	taken := first.PublishedPorts[0]
	first.PublishedPorts = nil
	s.mustAttach(t, first)
	second.PublishedPorts = []network.PublishedPort{taken}
	s.mustAttach(t, second)
	if err := s.Detach(t.Context(), second.ID); err != nil {
		t.Fatal(err)
	}
	first.PublishedPorts, second.PublishedPorts = second.PublishedPorts, nil
	s.mustAttach(t, first)
	s.reopen(t)
	state.ENIs = []network.ENI{second, first}
	state.ENIs[0].PublishedPorts, state.ENIs[1].PublishedPorts = first.PublishedPorts, nil
	s.mustApply(t, state)
	third := eni(state, 2)
	third.PublishedPorts = state.ENIs[0].PublishedPorts
	state.ENIs = []network.ENI{third, first}
	state.ENIs[1].PublishedPorts = nil
	s.mustApply(t, state)
	s.compare(t, state, []network.Flow{{FromHost: true, ToHost: true, Destination: s.HostAddr(), Protocol: network.TCP, SourcePort: 40000, DestinationPort: 8080}})
}

// packetsPublished sends to ports of the machine: its own packets, and those from the outside.
func packetsPublished(t *testing.T, s *rig) {
	state := vpc(t, 1)
	web := group(state, "web", tcp(80, 80, netip.PrefixFrom(s.OutsideAddr(), 32)), network.Rule{Protocol: network.UDP, FromPort: 81, ToPort: 90, CIDRs: everywhere()})
	web.Egress = nil
	state.SecurityGroups = append(state.SecurityGroups, web)
	private := network.RouteTable{ID: network.NewID("rtb", "private"), VPC: state.VPCs[0].ID, Subnets: []string{state.Subnets[1].ID},
		Routes: []network.Route{{Destination: state.VPCs[0].CIDRs[0], Target: network.TargetLocal}}}
	state.RouteTables = append(state.RouteTables, private)
	state.ENIs = []network.ENI{eni(state, 0, web.ID), eni(state, 1, web.ID), eni(state, 2), eni(state, 4, web.ID)} // the second one's subnet is private
	state.ENIs[3].AssignPublicIP = true
	var flows []network.Flow
	add := func(port uint16, protocol network.Protocol, to ...netip.Addr) {
		for _, a := range to {
			f := network.Flow{ToHost: true, Destination: a, Protocol: protocol, SourcePort: 40000, DestinationPort: port}
			f.FromHost = true
			flows = append(flows, f)
			if f.FromHost = false; a != here() {
				f.Source = s.OutsideAddr()
				flows = append(flows, f)
			}
		}
	}
	for i := range state.ENIs {
		base := uint16(8000 + 10*i)
		state.ENIs[i].PublishedPorts = []network.PublishedPort{publish(anywhere(), base, network.TCP), publish(s.HostAddr(), base+1, network.TCP),
			publish(here(), base+2, network.TCP), publish(anywhere(), base, network.UDP), {HostAddress: anywhere(), HostPort: base + 3, Protocol: network.TCP, Port: 81},
			{HostAddress: anywhere(), HostPort: base + 4, Protocol: network.UDP, Port: 81}}
		add(base, network.TCP, s.HostAddr(), here())
		add(base+1, network.TCP, s.HostAddr())
		add(base+2, network.TCP, here())
		add(base, network.UDP, s.HostAddr(), here())
		add(base+3, network.TCP, s.HostAddr())
		add(base+4, network.UDP, s.HostAddr())
	}
	for _, e := range state.ENIs { // not for other ENIs
		f := flow(e, s.HostAddr(), 8000)
		f.ToHost = true
		flows = append(flows, f)
	}
	s.mustApply(t, state)
	s.compare(t, state, flows)
	s.reopen(t)
	s.mustApply(t, state)
	s.compare(t, state, flows)
	state.ENIs[2].SecurityGroups = []string{web.ID}
	s.mustAttach(t, state.ENIs[2])
	s.compare(t, state, flows)
}
