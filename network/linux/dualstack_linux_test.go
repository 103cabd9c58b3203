package linux

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// dualStack gives the n-th VPC of a state IPv6, in the subnets and for the ENIs that it has, and a way out by its internet
// gateway.
func dualStack(s network.State, n int) network.State {
	cidr := prefix(fmt.Sprintf("2001:db8:%d::/56", n+1))
	s.VPCs, s.Subnets, s.ENIs, s.RouteTables = slices.Clone(s.VPCs), slices.Clone(s.Subnets), slices.Clone(s.ENIs), slices.Clone(s.RouteTables)
	vpc := s.VPCs[n].ID
	s.VPCs[n].IPv6CIDRs = []netip.Prefix{cidr}
	of := map[string]netip.Prefix{}
	for i := range s.Subnets {
		if s.Subnets[i].VPC != vpc {
			continue
		}
		b := cidr.Addr().As16()
		b[7] = byte(i)
		s.Subnets[i].IPv6CIDR = netip.PrefixFrom(netip.AddrFrom16(b), 64)
		of[s.Subnets[i].ID] = s.Subnets[i].IPv6CIDR
	}
	for i, e := range s.ENIs {
		if p, ok := of[e.Subnet]; ok {
			b := p.Addr().As16()
			copy(b[12:], e.PrivateIPv4.AsSlice())
			s.ENIs[i].IPv6 = netip.AddrFrom16(b)
		}
	}
	s.SecurityGroups = slices.Clone(s.SecurityGroups)
	for i, g := range s.SecurityGroups {
		if g.VPC == vpc {
			s.SecurityGroups[i].Egress = append(slices.Clone(g.Egress), network.Rule{Protocol: network.AllProtocols, IPv6CIDRs: []netip.Prefix{ipv6.everywhere()}})
		}
	}
	for i, table := range s.RouteTables {
		if table.VPC != vpc {
			continue
		}
		s.RouteTables[i].Routes = append(slices.Clone(table.Routes), network.Route{Destination: cidr, Target: network.TargetLocal})
		if table.Main {
			s.RouteTables[i].Routes = append(s.RouteTables[i].Routes, network.Route{Destination: ipv6.everywhere(), Target: s.InternetGateways[n].ID})
		}
	}
	return s
}

// heardIPv6 reports whether a datagram of UDP gets from one ENI to another. It waits long for one that should.
func heardIPv6(t *testing.T, from, to string, addr netip.Addr, expected bool) bool {
	t.Helper()
	var l *net.UDPConn
	in(t, to, func() (err error) {
		l, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	})
	defer func() { _ = l.Close() }()
	patience := 100 * time.Millisecond
	if expected {
		patience = time.Minute
	}
	must(t, l.SetReadDeadline(time.Now().Add(patience)))
	in(t, from, func() error {
		c, err := net.Dial("udp6", l.LocalAddr().String())
		if err != nil {
			return nil // it has no way there
		}
		defer func() { _ = c.Close() }()
		_, err = io.WriteString(c, "x")
		return err
	})
	_, _, err := l.ReadFrom(make([]byte, 1))
	return err == nil
}

// checkIPv6 compares a packet of IPv6 between any two ENIs that have it with what Evaluate says.
func checkIPv6(t *testing.T, m *machine, s network.State) {
	t.Helper()
	arrived := 0
	defer func() {
		if arrived == 0 && len(s.ENIs) > 0 {
			t.Error("no packet of IPv6 arrived anywhere")
		}
	}()
	for _, a := range s.ENIs {
		for _, b := range s.ENIs {
			if a.ID == b.ID || !a.IPv6.IsValid() || !b.IPv6.IsValid() {
				continue
			}
			want := network.Evaluate(s, network.Flow{ENI: a.ID, Destination: b.IPv6, Protocol: network.UDP, SourcePort: 9, DestinationPort: 9})
			if got := heardIPv6(t, m.cfg.namespacePath(a.ID), m.cfg.namespacePath(b.ID), b.IPv6, want.Allowed); got != want.Allowed {
				t.Errorf("packet from %s to %s: arrived = %t, but it is %s", a.IPv6, b.IPv6, got, want)
			} else if got {
				arrived++
			}
		}
	}
}

// sendNDP announces from a namespace that an address is at a MAC: as an answer, unasked, to the router and to all, and as
// a question from that address.
func sendNDP(t testing.TB, path string, mac network.MAC, own, addr netip.Addr) {
	t.Helper()
	in(t, path, func() error {
		eth0, err := net.InterfaceByName(eniName)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		allNodes := netip.MustParseAddr("ff02::1")
		for _, from := range []netip.Addr{own, addr, netip.MustParseAddr("fe80::2")} {
			for to, at := range map[netip.Addr]network.MAC{allNodes: {0x33, 0x33, 0, 0, 0, 1}, network.IPv6Gateway(): routerMAC()} {
				for kind, option := range map[byte]byte{135: 1, 136: 2} { // solicitation with its source, advertisement with its target
					body := slices.Concat([]byte{kind, 0, 0, 0, 0x20, 0, 0, 0}, addr.AsSlice(), []byte{option, 1}, mac[:]) // override
					head := []byte{0x60, 0, 0, 0, 0, byte(len(body)), 58, 255}
					pseudo := slices.Concat(from.AsSlice(), to.AsSlice(), []byte{0, 0, 0, byte(len(body)), 0, 0, 0, 58})
					binary.BigEndian.PutUint16(body[2:], checksum(pseudo, body))
					frame := slices.Concat(at[:], mac[:], []byte{0x86, 0xdd}, head, from.AsSlice(), to.AsSlice(), body)
					if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: eth0.Index, Halen: 6}); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// TestForgedNDP has a task that tells everybody that a neighbour's IPv6 address, and the router's, is at its own MAC: it
// changes nothing, neither what the router knows nor where packets go.
func TestForgedNDP(t *testing.T) {
	m := newMachine(t, "ndp")
	f := m.Open(t).(*Fabric)
	s := testVPC(t, "ndp", "10.1.0.0/16")
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1), testENI(s, 2)}
	s = dualStack(s, 0)
	must(t, f.Apply(t.Context(), s))
	r := f.router(s.VPCs[0].ID)
	neighbors := func() map[string]string {
		list, err := r.handle.NeighList(0, unix.AF_INET6)
		must(t, err)
		all := map[string]string{}
		for _, n := range list {
			if !n.IP.IsMulticast() {
				all[fmt.Sprint(n.LinkIndex, " ", n.IP)] = n.HardwareAddr.String()
			}
		}
		return all
	}
	before := neighbors()
	forger, victim := s.ENIs[0], s.ENIs[1]
	sendNDP(t, m.cfg.namespacePath(forger.ID), forger.MAC, forger.IPv6, victim.IPv6)
	sendNDP(t, m.cfg.namespacePath(forger.ID), forger.MAC, forger.IPv6, network.IPv6Gateway())
	checkIPv6(t, m, s) // what comes after them on the same links shows that they have been taken note of
	for at, mac := range neighbors() {
		if before[at] != mac {
			t.Errorf("the router believes that %s is at %s, was %q", at, mac, before[at])
		}
	}
	if len(neighbors()) < len(before) {
		t.Errorf("the router knows %v, and knew %v", neighbors(), before)
	}
	must(t, f.Close())
}
