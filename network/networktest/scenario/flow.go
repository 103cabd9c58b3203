package scenario

import (
	"net/netip"

	"github.com/fardel-io/fardel/network"
)

// firstPort is the source port of the first packet of a list; each has its own, so that no packet belongs to the
// connection of another.
const firstPort = 20000

// attempts is how often a packet is made anew if it is not allowed. About half of the packets are then.
const attempts = 4

// Flows returns n packets for a state, at most 40000, each new and of its own. An ENI that sends to its own public address
// is not among them.
func (g *Generator) Flows(s network.State, n int) []network.Flow {
	flows := make([]network.Flow, n)
	for i := range flows {
		for range attempts {
			flows[i] = g.flow(s)
			flows[i].SourcePort = uint16(firstPort + i)
			if g.sensible(s, flows[i]) && network.Evaluate(s, flows[i]).Allowed {
				break
			}
		}
		for !g.sensible(s, flows[i]) {
			flows[i] = g.flow(s)
			flows[i].SourcePort = uint16(firstPort + i)
		}
	}
	return flows
}

func (g *Generator) sensible(s network.State, f network.Flow) bool {
	e, ok := s.ENI(f.ENI)
	if !ok {
		return f.Destination.IsValid()
	}
	own, _ := s.PublicIPv4(e)
	return f.Destination.IsValid() && f.Destination != own && f.Destination != e.PrivateIPv4 && f.Destination != e.IPv6
}

func (g *Generator) flow(s network.State) network.Flow {
	f := network.Flow{Protocol: pick(g, network.TCP, network.TCP, network.UDP, network.ICMP, "253"), DestinationPort: pick[uint16](g, 1, 22, 80, 81, 443, 8080, 65535)}
	from := pick(g, s.ENIs...)
	f.ENI = from.ID
	six := from.IPv6.IsValid() && g.chance(3)
	switch kind := g.IntN(44); {
	case kind < 18:
		f.Destination = g.neighbour(s, from, six)
	case kind < 22:
		f.Destination = address(pick(g, s.ENIs...), six)
	case kind < 27:
		f.Destination = g.outside(six)
	case kind < 30 && !six:
		f.Destination = g.public(s)
	case kind < 35:
		g.inward(s, &f, six)
	case kind < 37 && !g.cfg.NoHostFlows:
		g.host(s, &f, six)
	case kind < 38:
		f.Destination = pick(g, append(network.EndpointAddrs(), s.VPCs[0].Resolver())...)
	case kind < 39:
		f.Destination = pick(g, addr("169.254.169.254"), addr("10.0.0.1"), addr("10.0.0.250"), addr("224.0.0.251"), addr("10.200.0.1"))
	case kind < 43 && !g.cfg.NoHostFlows:
		g.toPublished(s, &f)
		return f
	default:
		f.Destination = g.neighbour(s, from, six)
		f.Source = pick(g, address(pick(g, s.ENIs...), six), pick(g, s.ENIs...).PrivateIPv4, addr("10.0.0.250"))
	}
	g.protocol(&f)
	return f
}

// protocol fits the protocol to the version of IP.
func (g *Generator) protocol(f *network.Flow) {
	switch {
	case f.Protocol != network.ICMP:
		if f.Protocol == "253" {
			f.DestinationPort = 0
		}
	case f.Destination.Is4():
		f.DestinationPort, f.ICMPType = 0, pick[uint8](g, 8, 8, 8, 13, 0)
	default:
		f.Protocol, f.DestinationPort, f.ICMPType = network.ICMPv6, 0, pick[uint8](g, 128, 128, 128, 129)
	}
}

func address(e network.ENI, six bool) netip.Addr {
	if six {
		return e.IPv6
	}
	return e.PrivateIPv4
}

// neighbour returns the address of an ENI of the same VPC, or of one peered with it.
func (g *Generator) neighbour(s network.State, from network.ENI, six bool) netip.Addr {
	mine, _ := s.Subnet(from.Subnet)
	near := map[string]bool{mine.VPC: true}
	for _, c := range s.VPCPeeringConnections {
		if other, ok := c.Other(mine.VPC); ok && g.chance(2) {
			near[other] = true
		}
	}
	var all []netip.Addr
	for _, e := range s.ENIs {
		n, _ := s.Subnet(e.Subnet)
		if a := address(e, six); near[n.VPC] && e.ID != from.ID && a.IsValid() {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return g.outside(six)
	}
	return pick(g, all...)
}

// outside returns an address of a machine outside; the zero value if there is none of the family.
func (g *Generator) outside(six bool) netip.Addr {
	var all []netip.Addr
	for _, a := range g.cfg.Outside {
		if a.Is4() != six {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return netip.Addr{}
	}
	return pick(g, all...)
}

// public returns a public address of the state, or one of the pool that nobody has.
func (g *Generator) public(s network.State) netip.Addr {
	if !g.has(PublicAddresses) {
		return netip.Addr{}
	}
	var all []netip.Addr
	for _, a := range s.Addresses {
		all = append(all, a.PublicIP)
	}
	for _, e := range s.ENIs {
		if a, _ := s.PublicIPv4(e); a.IsValid() {
			all = append(all, a, a)
		}
	}
	if len(all) == 0 || g.chance(10) {
		last := g.cfg.PublicPool.Addr().As4()
		last[3] |= 0xfa
		return netip.AddrFrom4(last)
	}
	return pick(g, all...)
}

// inward makes a packet from the outside, seldom to a private address.
func (g *Generator) inward(s network.State, f *network.Flow, six bool) {
	f.ENI, f.Source = "", g.outside(six)
	switch {
	case !f.Source.IsValid():
		f.Destination = netip.Addr{}
	case six || g.chance(6):
		f.Destination = address(pick(g, s.ENIs...), six)
	default:
		f.Destination = g.public(s)
	}
}

// host makes a packet from the machine or to it.
func (g *Generator) host(s network.State, f *network.Flow, six bool) {
	if !six && g.chance(4) {
		f.Destination, f.ToHost = pick(g, g.cfg.HostAddrs...), true
		return
	}
	f.ENI, f.FromHost = "", true
	f.Destination = address(pick(g, s.ENIs...), six)
	if !six {
		f.Source = pick(g, netip.Addr{}, pick(g, g.cfg.HostAddrs...))
		if g.chance(2) {
			f.Destination = g.public(s)
		}
	}
}
