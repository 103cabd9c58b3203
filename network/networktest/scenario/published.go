package scenario

import (
	"net/netip"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// published has about every third ENI publish ports, in VPCs that the machine does not reach, too.
func (b *builder) published() {
	for i := range b.s.ENIs {
		if b.chance(3) {
			b.s.ENIs[i].PublishedPorts = b.hostPorts()
		}
	}
}

// hostPorts returns one to three ports of the machine that no ENI of the state publishes; fewer if most are taken.
func (b *builder) hostPorts() []network.PublishedPort {
	var taken, list []network.PublishedPort
	for _, e := range b.s.ENIs {
		taken = append(taken, e.PublishedPorts...)
	}
	for range 1 + b.IntN(3) {
		p := network.PublishedPort{
			HostAddress: pick(b.Generator, append(b.machine4(), netip.IPv4Unspecified(), netip.IPv4Unspecified(), loopback())...),
			HostPort:    uint16(9000 + b.IntN(20)),
			Protocol:    pick(b.Generator, network.TCP, network.TCP, network.UDP, "6", "17"),
			Port:        pick[uint16](b.Generator, 1, 22, 80, 443, 8080, 65535),
		}
		if !slices.ContainsFunc(taken, p.Conflicts) {
			taken, list = append(taken, p), append(list, p)
		}
	}
	return list
}

func loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// machine4 returns the machine's IPv4 addresses.
func (g *Generator) machine4() []netip.Addr {
	return slices.DeleteFunc(slices.Clone(g.cfg.HostAddrs), func(a netip.Addr) bool { return !a.Is4() })
}

// toPublished makes a packet of the machine, the outside or, in vain, an ENI to a port that is published; seldom to one
// beside it. It has no destination if there is none.
func (g *Generator) toPublished(s network.State, f *network.Flow) {
	var all []network.PublishedPort
	for _, e := range s.ENIs {
		all = append(all, e.PublishedPorts...)
	}
	from := g.IntN(10)
	if len(all) == 0 || len(g.machine4()) == 0 || from > 4 && !g.outside(false).IsValid() {
		return
	}
	p := pick(g, all...)
	f.ToHost, f.Destination, f.Protocol, f.DestinationPort = true, p.HostAddress, p.Protocol, p.HostPort
	if g.chance(10) {
		f.Protocol, f.DestinationPort = pick(g, network.TCP, network.UDP), f.DestinationPort^1
	}
	reached := g.machine4()
	if from < 4 {
		reached = append(reached, loopback())
	}
	if p.HostAddress.IsUnspecified() || g.chance(6) || from >= 4 && p.HostAddress.IsLoopback() {
		f.Destination = pick(g, reached...)
	}
	switch {
	case from < 4:
		f.ENI, f.FromHost = "", true
		if !f.Destination.IsLoopback() {
			f.Source = pick(g, netip.Addr{}, pick(g, g.machine4()...))
		}
	case from > 4:
		f.ENI, f.Source = "", g.outside(false)
		if g.chance(8) {
			f.Source = pick(g, s.ENIs...).PrivateIPv4
		}
	}
}
