package linux

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// attack is what a task puts on its link in the hope that it gets to somebody, or changes what somebody believes.
type attack struct {
	name   string
	frames [][]byte
}

func broadcastMAC() network.MAC { return network.MAC{255, 255, 255, 255, 255, 255} }

// multicastMAC is where packets to a group go: RFC 1112 and RFC 2464.
func multicastMAC(group netip.Addr) network.MAC {
	b := group.AsSlice()
	if group.Is4() {
		return network.MAC{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	return network.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

func macBytes(m network.MAC) []byte { return m[:] }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// toAll are datagrams to groups and broadcast addresses, each to its own hardware address, to all and to the router.
func (h *hostileNet) toAll() (list []attack) {
	for _, to := range []struct {
		name, addr string
		port       uint16
	}{
		{"a broadcast", "255.255.255.255", 9}, {"an offer of DHCP", "255.255.255.255", 68}, {"a broadcast to the subnet", "10.1.15.255", 9},
		{"a broadcast to the VPC", "10.1.255.255", 9}, {"all hosts", "224.0.0.1", 9}, {"mDNS", "224.0.0.251", 5353},
		{"SSDP", "239.255.255.250", 1900}, {"a group of the organization", "239.1.2.3", openPort},
		{"all nodes", "ff02::1", 9}, {"all routers", "ff02::2", 9}, {"mDNS by IPv6", "ff02::fb", 5353}, {"a DHCPv6 server", "ff02::1:2", 547},
		{"a group of the site", "ff05::2", 9}, {"a group of the world", "ff0e::1234", openPort},
	} {
		a := attack{name: to.name}
		dst := addr(to.addr)
		from, kind := h.attacker.PrivateIPv4, uint16(unix.ETH_P_IP)
		at := multicastMAC(dst)
		if dst.Is6() {
			from, kind = h.attacker.IPv6, unix.ETH_P_IPV6
		} else if !dst.IsMulticast() {
			at = broadcastMAC()
		}
		for _, mac := range []network.MAC{at, broadcastMAC(), routerMAC()} {
			a.frames = append(a.frames, frameOf(mac, h.attacker.MAC, kind, datagramOf(from, dst, to.port, to.port, magic)))
		}
		list = append(list, a)
	}
	return list
}

// inAnothersName are packets that the attacker's link may not send.
func (h *hostileNet) inAnothersName() (list []attack) {
	for _, from := range []struct {
		name string
		addr netip.Addr
	}{
		{"a neighbour", h.bystander.PrivateIPv4}, {"the victim itself", h.victim.PrivateIPv4}, {"the gateway", addr("10.1.0.1")},
		{"the name server", network.ResolverAddr()}, {"the credentials endpoint", network.CredentialsAddr()},
		{"the host's end of the uplink", h.fabric.router(h.state.VPCs[0].ID).hostAddr}, {"the loopback", addr("127.0.0.1")},
		{"nobody", addr("0.0.0.0")}, {"all", addr("255.255.255.255")}, {"a group", addr("224.0.0.1")}, {"the outside", h.OutsideAddr()},
		{"another VPC", h.stranger.PrivateIPv4}, {"a neighbour by IPv6", h.bystander.IPv6}, {"the gateway by IPv6", network.IPv6Gateway()},
		{"a link-local address", addr("fe80::1")}, {"the loopback by IPv6", addr("::1")}, {"nobody by IPv6", addr("::")},
		{"a mapped address", addr("::ffff:10.1.0.6")}, {"the host's end by IPv6", mapUplink(h.fabric.router(h.state.VPCs[0].ID).hostAddr)},
	} {
		to := h.victim.PrivateIPv4
		if from.addr.Is6() {
			to = h.victim.IPv6
		}
		packet := datagramOf(from.addr, to, 9, openPort, magic)
		list = append(list, attack{"in the name of " + from.name, [][]byte{h.own(packet), h.framed(h.bystander.MAC, packet), h.framed(routerMAC(), packet)}})
	}
	packet := datagramOf(h.attacker.PrivateIPv4, h.victim.PrivateIPv4, 9, openPort, magic)
	return append(list, attack{"with another hardware address", [][]byte{h.framed(h.bystander.MAC, packet), h.framed(routerMAC(), packet), h.framed(broadcastMAC(), packet)}})
}

// pastGroups are packets to a port, or of a protocol, that the victim's groups do not let in, dressed as others.
func (h *hostileNet) pastGroups() (list []attack) {
	from, to := h.attacker.PrivateIPv4, h.victim.PrivateIPv4
	body := udp(from, to, 9, closedPort, []byte(strings.Repeat(magic, 4)))
	allowed := udp(from, to, 9, openPort, []byte(strings.Repeat(magic, 4)))
	number := byte(unix.IPPROTO_UDP)
	option := func(kind byte, hops ...netip.Addr) []byte {
		o := []byte{kind, byte(3 + 4*len(hops)), 4}
		for _, a := range hops {
			o = append(o, a.AsSlice()...)
		}
		return o
	}
	v4 := func(name string, packets ...[]byte) {
		a := attack{name: name}
		for _, p := range packets {
			a.frames = append(a.frames, h.own(p))
		}
		list = append(list, a)
	}
	v4("a port that is closed", ip4(from, to, number, 0, 0, nil, body))
	v4("a loose source route", ip4(from, h.bystander.PrivateIPv4, number, 0, 0, option(131, to), body), ip4(from, addr("10.1.0.1"), number, 0, 0, option(131, to), allowed))
	v4("a strict source route", ip4(from, addr("10.1.0.1"), number, 0, 0, option(137, to), allowed), ip4(from, to, number, 0, 0, option(137, to), body))
	v4("a source route to another VPC", ip4(from, addr("10.1.0.1"), number, 0, 0, option(131, h.stranger.PrivateIPv4), allowed),
		ip4(from, h.bystander.PrivateIPv4, number, 0, 0, option(131, h.stranger.PrivateIPv4), allowed))
	v4("options that end beyond the header", ip4(from, to, number, 0, 0, []byte{7, 255, 4, 1}, body), ip4(from, to, number, 0, 0, []byte{148, 0, 0, 0}, body))
	v4("a tiny first fragment", ip4(from, to, number, 1, 0x2000, nil, body[:8]), ip4(from, to, number, 1, 1, nil, body[8:]))
	v4("fragments in the wrong order", ip4(from, to, number, 2, 1, nil, body[8:]), ip4(from, to, number, 2, 0x2000, nil, body[:8]))
	v4("a second fragment that overwrites the ports", ip4(from, to, number, 3, 0x2000, nil, allowed[:16]), ip4(from, to, number, 3, 0x2000, nil, body[:16]), ip4(from, to, number, 3, 2, nil, body[16:]))
	v4("a second fragment that overlaps the first", ip4(from, to, number, 4, 0x2000, nil, allowed[:24]), ip4(from, to, number, 4, 1, nil, body[8:]))
	v4("a last fragment alone", ip4(from, to, number, 5, 2, nil, body[16:]))
	v4("a fragment beyond the longest packet", ip4(from, to, number, 6, 0x1fff, nil, body))
	for n, name := range map[byte]string{4: "IPv4 in IPv4", 33: "DCCP", 41: "IPv6 in IPv4", 47: "GRE", 50: "ESP", 103: "PIM", 112: "VRRP", 132: "SCTP", 136: "UDP-Lite", 2: "IGMP", 0: "protocol 0", 255: "protocol 255"} {
		inner := datagramOf(h.bystander.PrivateIPv4, to, 9, openPort, magic)
		if n == 41 {
			inner = datagramOf(h.bystander.IPv6, h.victim.IPv6, 9, openPort, magic)
		}
		if n == 47 {
			inner = append([]byte{0, 0, 8, 0}, inner...)
		}
		v4(name, ip4(from, to, n, 0, 0, nil, inner), ip4(from, to, n, 0, 0, nil, slices.Clone(allowed)))
	}
	v4("an error about what it never sent", ip4(from, to, 1, 0, 0, nil, icmpMessage(from, to, 3, 3, 0, datagramOf(to, from, openPort, 4242, magic))))
	v4("an error about a neighbour's packet", ip4(from, to, 1, 0, 0, nil, icmpMessage(from, to, 3, 3, 0, datagramOf(to, h.bystander.PrivateIPv4, openPort, 9, magic))))
	v4("a ping", ip4(from, to, 1, 0, 0, nil, icmpMessage(from, to, 8, 0, 1, []byte(magic))))
	v4("an answer to no ping", ip4(from, to, 1, 0, 0, nil, icmpMessage(from, to, 0, 0, 1, []byte(magic))))
	v4("a segment of no connection", ip4(from, to, 6, 0, 0, nil, tcpSYN(from, to, 9, closedPort, []byte(magic))))
	return append(list, h.pastGroups6()...)
}

func (h *hostileNet) pastGroups6() (list []attack) {
	from, to := h.attacker.IPv6, h.victim.IPv6
	body, allowed := udp(from, to, 9, closedPort, []byte(strings.Repeat(magic, 4))), udp(from, to, 9, openPort, []byte(strings.Repeat(magic, 4)))
	pad := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} } // an extension header with nothing in it
	part := func(next byte, offset uint16, more byte, id uint32, data []byte) []byte {
		return append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{next, 0}, offset<<3|uint16(more)), id), data...)
	}
	route := func(kind byte, via netip.Addr) []byte {
		return slices.Concat([]byte{unix.IPPROTO_UDP, 2, kind, 1, 0, 0, 0, 0}, via.AsSlice())
	}
	v6 := func(name string, packets ...[]byte) {
		a := attack{name: name + " by IPv6"}
		for _, p := range packets {
			a.frames = append(a.frames, h.own(p))
		}
		list = append(list, a)
	}
	v6("a port that is closed", ip6(from, to, 17, 64, body))
	v6("a hop-by-hop header", ip6(from, to, 0, 64, append(pad(17), body...)))
	v6("destination options", ip6(from, to, 60, 64, append(pad(17), body...)), ip6(from, to, 60, 64, slices.Concat(pad(60), pad(60), pad(60), pad(17), body)))
	v6("headers in the wrong order", ip6(from, to, 60, 64, slices.Concat(pad(0), pad(17), body)))
	v6("a routing header of type 0", ip6(from, h.bystander.IPv6, 43, 64, append(route(0, to), allowed...)), ip6(from, network.IPv6Gateway(), 43, 64, append(route(0, to), allowed...)))
	v6("a routing header of segments", ip6(from, h.bystander.IPv6, 43, 64, append(route(4, to), allowed...)), ip6(from, to, 43, 64, append(route(4, h.stranger.IPv6), body...)))
	v6("an atomic fragment", ip6(from, to, 44, 64, part(17, 0, 0, 1, body)))
	v6("a tiny first fragment", ip6(from, to, 44, 64, part(17, 0, 1, 2, body[:8])), ip6(from, to, 44, 64, part(17, 1, 0, 2, body[8:])))
	v6("a first fragment without ports", ip6(from, to, 44, 64, part(60, 0, 1, 3, pad(17))), ip6(from, to, 44, 64, part(60, 1, 0, 3, body)))
	v6("a second fragment that overlaps the first", ip6(from, to, 44, 64, part(17, 0, 1, 4, allowed[:24])), ip6(from, to, 44, 64, part(17, 1, 0, 4, body[8:])))
	v6("a last fragment alone", ip6(from, to, 44, 64, part(17, 2, 0, 5, body[16:])))
	v6("fragments in fragments", ip6(from, to, 44, 64, part(44, 0, 0, 6, part(17, 0, 0, 7, body))))
	for n, name := range map[byte]string{4: "IPv4 in IPv6", 41: "IPv6 in IPv6", 47: "GRE", 50: "ESP", 59: "no next header", 132: "SCTP", 136: "UDP-Lite", 140: "protocol 140"} {
		v6(name, ip6(from, to, n, 64, datagramOf(h.bystander.IPv6, to, 9, openPort, magic)), ip6(from, to, n, 64, allowed))
	}
	v6("a ping", ip6(from, to, 58, 64, icmpMessage(from, to, 128, 0, 1, []byte(magic))))
	v6("an error about a neighbour's packet", ip6(from, to, 58, 64, icmpMessage(from, to, 1, 4, 0, datagramOf(to, h.bystander.IPv6, openPort, 9, magic))))
	return list
}

// asRouter are router advertisements, redirects and forged neighbors.
func (h *hostileNet) asRouter() (list []attack) {
	option := slices.Concat([]byte{253, 2}, []byte(magic), make([]byte, 14-len(magic))) // nobody's, for experiments
	prefix := slices.Concat([]byte{3, 4, 64, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, addr("2001:db8:bad::").AsSlice())
	for _, from := range []netip.Addr{h.attacker.IPv6, network.IPv6Gateway(), addr("fe80::bad")} {
		a := attack{name: "router advertisements from " + from.String()}
		for _, to := range []netip.Addr{addr("ff02::1"), h.victim.IPv6, h.bystander.IPv6, h.stranger.IPv6} {
			body := slices.Concat([]byte{64, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{1, 1}, h.attacker.MAC[:], prefix, option)
			message := icmpMessage(from, to, 134, 0, binary.BigEndian.Uint32(body), body[4:])
			for _, mac := range []network.MAC{multicastMAC(addr("ff02::1")), routerMAC()} {
				a.frames = append(a.frames, frameOf(mac, h.attacker.MAC, unix.ETH_P_IPV6, ip6(from, to, 58, 255, message)))
			}
		}
		list = append(list, a)
		a = attack{name: "redirects from " + from.String()}
		for _, to := range []netip.Addr{h.victim.IPv6, h.bystander.IPv6} {
			message := icmpMessage(from, to, 137, 0, 0, slices.Concat(h.attacker.IPv6.AsSlice(), h.OutsideAddr6().AsSlice(), option))
			a.frames = append(a.frames, h.own(ip6(from, to, 58, 255, message)))
		}
		list = append(list, a)
		a = attack{name: "neighbors from " + from.String()}
		for _, to := range []netip.Addr{addr("ff02::1"), h.victim.IPv6, h.bystander.IPv6} {
			for _, kind := range []byte{135, 136} {
				body := slices.Concat(network.IPv6Gateway().AsSlice(), []byte{kind - 134, 1}, h.attacker.MAC[:], option)
				for _, mac := range []network.MAC{multicastMAC(addr("ff02::1")), routerMAC()} {
					a.frames = append(a.frames, frameOf(mac, h.attacker.MAC, unix.ETH_P_IPV6, ip6(from, to, 58, 255, icmpMessage(from, to, kind, 0, 0x20000000, body))))
				}
			}
		}
		list = append(list, a)
	}
	redirects := attack{name: "redirects of IPv4"}
	for _, from := range []netip.Addr{h.attacker.PrivateIPv4, addr("10.1.0.1")} {
		inner := datagramOf(h.victim.PrivateIPv4, h.OutsideAddr(), openPort, 9, magic)
		message := icmpMessage(from, h.victim.PrivateIPv4, 5, 1, binary.BigEndian.Uint32(h.attacker.PrivateIPv4.AsSlice()), inner)
		redirects.frames = append(redirects.frames, h.own(ip4(from, h.victim.PrivateIPv4, 1, 0, 0, nil, message)))
	}
	return append(list, redirects)
}

// OutsideAddr6 is an address that nobody in the VPCs has.
func (h *hostileNet) OutsideAddr6() netip.Addr { return addr("2001:db8:ffff::7") }

// strangeFrames are those that are neither of IP nor of ARP, or hide that they are.
func (h *hostileNet) strangeFrames() (list []attack) {
	closed := datagramOf(h.attacker.PrivateIPv4, h.victim.PrivateIPv4, 9, closedPort, magic)
	forged := datagramOf(h.bystander.PrivateIPv4, h.victim.PrivateIPv4, 9, openPort, magic)
	tag := func(id uint16, kind uint16, data []byte) []byte {
		return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, id), kind), data...)
	}
	each := func(name string, kind uint16, data ...[]byte) {
		a := attack{name: name}
		for _, d := range data {
			for _, to := range []network.MAC{routerMAC(), h.victim.MAC, h.bystander.MAC, broadcastMAC()} {
				a.frames = append(a.frames, frameOf(to, h.attacker.MAC, kind, d), frameOf(to, h.bystander.MAC, kind, d))
			}
		}
		list = append(list, a)
	}
	for _, packet := range [][]byte{closed, forged} {
		what := map[bool]string{true: "a forged packet", false: "a refused packet"}[&packet[0] == &forged[0]]
		each(what+" with a VLAN tag", unix.ETH_P_8021Q, tag(5, unix.ETH_P_IP, packet), tag(0, unix.ETH_P_IP, packet))
		each(what+" with two VLAN tags", unix.ETH_P_8021AD, tag(5, unix.ETH_P_8021Q, tag(6, unix.ETH_P_IP, packet)), tag(0, unix.ETH_P_8021Q, tag(0, unix.ETH_P_IP, packet)))
		each(what+" in MPLS", unix.ETH_P_MPLS_UC, append([]byte{0, 0x01, 0x01, 64}, packet...))
		each(what+" in PPPoE", unix.ETH_P_PPP_SES, slices.Concat([]byte{0x11, 0, 0, 1, 0, byte(len(packet) + 2), 0, 0x21}, packet))
		each(what+" to others' hardware addresses", unix.ETH_P_IP, packet)
	}
	bytesOf := []byte(strings.Repeat(magic, 6))
	for name, kind := range map[string]uint16{"LLDP": 0x88cc, "a pause frame": 0x8808, "loopback": 0x9000, "EAPOL": 0x888e, "an experiment": 0x88b5, "ARCNET": 0x0201,
		"a length in place of a type": 66, "AppleTalk": 0x809b, "RARP": 0x8035, "MACsec": 0x88e5, "type 0": 0} {
		each("a frame of "+name, kind, bytesOf)
	}
	each("a spanning tree", 38, slices.Concat([]byte{0x42, 0x42, 3}, bytesOf))
	list = append(list, attack{"a jumbo frame", [][]byte{h.own(datagramOf(h.attacker.PrivateIPv4, h.victim.PrivateIPv4, 9, openPort, strings.Repeat(magic, 800)))}})
	arps := attack{name: "ARP for others"}
	for _, a := range []netip.Addr{addr("10.1.0.1"), h.victim.PrivateIPv4, h.bystander.PrivateIPv4} {
		for _, op := range []uint16{1, 2} {
			frame := slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, byte(op)}, h.attacker.MAC[:], a.AsSlice(), macBytes(routerMAC()), a.AsSlice(), []byte(magic))
			for _, to := range []network.MAC{routerMAC(), h.victim.MAC, broadcastMAC()} {
				arps.frames = append(arps.frames, frameOf(to, h.attacker.MAC, unix.ETH_P_ARP, frame))
			}
		}
	}
	return append(list, arps)
}

// TestHostileFrames has a task with CAP_NET_RAW put all of these on its link. Nothing of any gets to another ENI, of its VPC
// or another one, and no kernel believes anything else than before.
func TestHostileFrames(t *testing.T) {
	h := newHostileNet(t, "frames", ConnectionLimits{})
	attacker, bystander := openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.bystander))
	witnesses := map[string]*pipe{"the victim": openPipe(t, h.path(h.victim)), "the bystander": bystander, "another VPC's": openPipe(t, h.path(h.stranger))}
	beliefs := h.beliefs(t)
	sets := [][]attack{h.toAll(), h.inAnothersName(), h.pastGroups(), h.asRouter(), h.strangeFrames()}
	for _, a := range slices.Concat(sets...) {
		attacker.send(t, a.frames...)
		// What comes after them on the same link shows that they have been dealt with.
		seen := map[string][][]byte{}
		var passed bool
		if seen["the victim"], passed = h.until(t, attacker, witnesses["the victim"], h.attacker, ipv4, time.Minute); !passed {
			t.Fatalf("%s: what is allowed does not pass after it", a.name)
		}
		var got []string
		for who, p := range witnesses {
			if who != "the victim" {
				seen[who], _ = p.receive(t, nil, 0)
			}
			for _, frame := range seen[who] {
				if strange := network.MAC(frame[6:12]) != routerMAC() || bytes.Contains(frame, []byte(magic)); strange && !h.admitted(who, frame, seen[who]) {
					got = append(got, fmt.Sprintf("%s: %x", who, frame[:min(len(frame), 60)]))
				}
			}
		}
		hostiletest.Report(t, "a task sends "+a.name, len(got) > 0, fmt.Sprintf("%d frames, of which others got %d %v", len(a.frames), len(got), got))
		if now := h.beliefs(t); now != beliefs {
			hostiletest.Report(t, "a task changes what others believe: "+a.name, true, "before:\n"+beliefs+"after:\n"+now)
			beliefs = now
		}
	}
	hostiletest.Report(t, "a task changes what others believe of neighbors, routes and addresses", false, fmt.Sprintf("%d bytes of tables are as before", len(beliefs)))
	if !h.passes(t, bystander, witnesses["the victim"], h.bystander, ipv4, time.Minute) || !h.passes(t, bystander, witnesses["the victim"], h.bystander, ipv6, time.Minute) {
		t.Error("what a neighbour may send does not pass any more")
	}
}

// admitted reports whether groups let a frame in that somebody got beside others: a datagram from the attacker's own address
// that the victim's groups allow, or a part of one whose first part is there, or what the bystander's group, which is the
// attacker's own, allows.
func (h *hostileNet) admitted(who string, frame []byte, others [][]byte) bool {
	if network.MAC(frame[6:12]) != routerMAC() || len(frame) < 54 {
		return false
	}
	switch kind := binary.BigEndian.Uint16(frame[12:]); {
	case kind == unix.ETH_P_IP && who == "the victim" && frame[14] == 0x45 && frame[23] == unix.IPPROTO_UDP:
		if binary.BigEndian.Uint16(frame[20:])&0x1fff == 0 {
			return bytes.Equal(frame[26:30], h.attacker.PrivateIPv4.AsSlice()) && binary.BigEndian.Uint16(frame[36:]) == openPort
		}
		return slices.ContainsFunc(others, func(first []byte) bool {
			return len(first) > 40 && bytes.Equal(first[18:20], frame[18:20]) && binary.BigEndian.Uint16(first[20:])&0x1fff == 0 && binary.BigEndian.Uint16(first[36:]) == openPort
		})
	case kind == unix.ETH_P_IPV6 && who == "the bystander": // to be forwarded by a kernel that does not
		return frame[20] == unix.IPPROTO_ROUTING && bytes.Equal(frame[22:38], h.attacker.IPv6.AsSlice())
	}
	return false
}

// beliefs are the routes, neighbors and addresses of the routers and of all other tasks.
func (h *hostileNet) beliefs(t testing.TB) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{h.state.VPCs[0].ID, h.state.VPCs[1].ID, h.victim.ID, h.bystander.ID, h.stranger.ID} {
		ns, err := openNamespace(h.cfg.namespacePath(name))
		must(t, err)
		for _, f := range families() {
			neighbors, err := ns.handle.NeighList(0, int(f.af()))
			must(t, err)
			for _, n := range neighbors {
				if !n.IP.IsMulticast() {
					fmt.Fprintln(&all, name, n.LinkIndex, n.IP, n.HardwareAddr, n.State)
				}
			}
			routes, err := ns.handle.RouteList(nil, int(f.af()))
			must(t, err)
			for _, r := range routes {
				fmt.Fprintln(&all, name, r.LinkIndex, r.Dst, r.Gw, r.Protocol, r.Priority)
			}
			addrs, err := ns.handle.AddrList(nil, int(f.af()))
			must(t, err)
			for _, a := range addrs {
				fmt.Fprintln(&all, name, a.LinkIndex, a.IPNet)
			}
		}
		ns.close()
	}
	return all.String()
}

// TestHostileNeighbors has a task that asks for the router in the name of many: the kernel would take note of each in its
// table of neighbors, which has 1024 places for the host and all namespaces, and refuse those that the host needs.
func TestHostileNeighbors(t *testing.T) {
	const tries = 200 // few enough for a machine that others work on, too
	h := newHostileNet(t, "neighbors", ConnectionLimits{})
	attacker, victim := openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.victim))
	r := h.fabric.router(h.state.VPCs[0].ID)
	for n := range tries {
		from := netip.AddrFrom4([4]byte{10, 1, 4, byte(n)})
		for _, target := range []netip.Addr{addr("10.1.0.1"), h.victim.PrivateIPv4} {
			attacker.send(t, frameOf(routerMAC(), h.attacker.MAC, unix.ETH_P_ARP,
				slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 1}, h.attacker.MAC[:], from.AsSlice(), make([]byte, 6), target.AsSlice())))
		}
		b := h.attacker.IPv6.As16()
		b[15], b[14] = byte(n), 0xff
		from = netip.AddrFrom16(b)
		for kind, to := range map[byte]netip.Addr{133: addr("ff02::2"), 135: addr("ff02::1:ff00:1")} {
			body := append(binary.BigEndian.AppendUint32(nil, 0), []byte{1, 1}...)
			if kind == 135 {
				body = slices.Concat(make([]byte, 4), network.IPv6Gateway().AsSlice(), []byte{1, 1})
			}
			message := icmpMessage(from, to, kind, 0, 0, slices.Concat(body[4:], h.attacker.MAC[:]))
			attacker.send(t, frameOf(multicastMAC(to), h.attacker.MAC, unix.ETH_P_IPV6, ip6(from, to, 58, 255, message)))
		}
	}
	if !h.passes(t, attacker, victim, h.attacker, ipv4, time.Minute) {
		t.Fatal("what is allowed does not pass")
	}
	for _, f := range families() {
		list, err := r.handle.NeighList(0, int(f.af()))
		must(t, err)
		learned := 0
		for _, n := range list {
			if n.State&unix.NUD_PERMANENT == 0 && !n.IP.IsMulticast() {
				learned++
			}
		}
		hostiletest.Report(t, fmt.Sprintf("a task fills the kernel's table of neighbors of %s", f), learned > 2, fmt.Sprintf("%d entries of %d tries", learned, tries))
	}
}

// TestHostileListening has a task that listens to all that is on its link, with the card told to keep nothing from it, while
// two neighbours talk.
func TestHostileListening(t *testing.T) {
	h := newHostileNet(t, "listening", ConnectionLimits{})
	attacker, victim, bystander := openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.victim)), openPipe(t, h.path(h.bystander))
	for range 20 {
		for _, f := range families() {
			if !h.passes(t, bystander, victim, h.bystander, f, time.Minute) {
				t.Fatal("neighbours cannot talk")
			}
		}
	}
	frames, _ := attacker.receive(t, nil, 0)
	hostiletest.Report(t, "a task hears what its neighbours say", len(frames) > 0, fmt.Sprintf("%d frames of 40", len(frames)))
}

// TestHostileErrors has a task that guesses the ports of a neighbour's conversations, to end them by errors: an error belongs
// to the conversation that it quotes, and passes groups that let nothing else in.
func TestHostileErrors(t *testing.T) {
	const tries = 2000
	h := newHostileNet(t, "errors", ConnectionLimits{})
	attacker, victim, bystander := openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.victim)), openPipe(t, h.path(h.bystander))
	for _, f := range families() {
		from, to, peer := addrOf(h.attacker, f), addrOf(h.victim, f), addrOf(h.bystander, f)
		for n := range tries {
			talk := fmt.Sprintf("talk %d.", n)
			bystander.send(t, h.framed(h.bystander.MAC, datagramOf(peer, to, uint16(1024+n), openPort, talk)))
			if n%50 == 49 || n == tries-1 { // as many at once as any socket holds
				if _, ended := victim.receive(t, []byte(talk), time.Minute); !ended {
					t.Fatalf("neighbours cannot begin conversation %d", n)
				}
			}
		}
		number, kind, code := byte(1), byte(3), byte(3)
		if f == ipv6 {
			number, kind, code = 58, 1, 4
		}
		start := time.Now()
		for n := range tries {
			quoted := datagramOf(to, peer, openPort, uint16(1024+n), magic)
			body := icmpMessage(from, to, kind, code, 0, quoted)
			if f == ipv6 {
				attacker.send(t, h.own(ip6(from, to, number, 64, body)))
			} else {
				attacker.send(t, h.own(ip4(from, to, number, 0, 0, nil, body)))
			}
		}
		most := errorsPerSecond + int(time.Since(start).Seconds()*errorsPerSecond) + 10
		frames, passed := h.until(t, bystander, victim, h.bystander, f, time.Minute)
		hits := 0
		for _, frame := range frames {
			if bytes.Contains(frame, []byte(magic)) {
				hits++
			}
		}
		hostiletest.Report(t, fmt.Sprintf("a task guesses the ports of a neighbour's conversations by %s and ends them", f), hits > most || !passed,
			fmt.Sprintf("%d of %d errors got there, at most %d may", hits, tries, most))
	}
}

// TestHostileRouter has a task that looks for something that listens in the namespaces of the routers and the host, where the
// name server and the endpoints of all tasks are: at every address but those that are for it, nothing answers.
func TestHostileRouter(t *testing.T) {
	h := newHostileNet(t, "services", ConnectionLimits{})
	const port = 9999
	heard := make(chan string, 100)
	for name, path := range map[string]string{"its router": h.cfg.namespacePath(h.state.VPCs[0].ID), "another VPC's router": h.cfg.namespacePath(h.state.VPCs[1].ID), "the host": h.host} {
		in(t, path, func() error {
			u, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
			if err != nil {
				return err
			}
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err != nil {
				return errors.Join(err, u.Close())
			}
			done := make(chan struct{}, 2)
			t.Cleanup(func() { _, _ = u.Close(), l.Close(); <-done; <-done })
			go func() {
				defer func() { done <- struct{}{} }()
				buffer := make([]byte, 100)
				for {
					n, _, err := u.ReadFrom(buffer)
					if err != nil {
						return
					}
					heard <- name + " hears a datagram to " + string(buffer[:n])
				}
			}()
			go func() {
				defer func() { done <- struct{}{} }()
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					heard <- name + " takes a connection to " + c.LocalAddr().String()
					_ = c.Close()
				}
			}()
			return nil
		})
	}
	uplink := h.fabric.router(h.state.VPCs[0].ID).hostAddr
	other := h.fabric.router(h.state.VPCs[1].ID).hostAddr
	for _, at := range []struct {
		name string
		addr netip.Addr
	}{
		{"the gateway", addr("10.1.0.1")}, {"the router's end of the uplink", uplink.Next()}, {"the host's end of the uplink", uplink},
		{"the host", h.HostAddr()}, {"another VPC's gateway", addr("10.2.0.1")}, {"another VPC's name server", addr("10.2.0.2")},
		{"another VPC's end of its uplink", other.Next()}, {"the host's end of another VPC's", other}, {"a link-local address", addr("169.254.169.254")},
		{"the loopback of the router", addr("127.0.0.1")}, {"the address that stands for all", addr("0.0.0.0")}, {"the first address of the VPC", addr("10.1.0.0")},
		{"the gateway by IPv6", network.IPv6Gateway()}, {"the router's end of the uplink by IPv6", mapUplink(uplink.Next())},
		{"the host's end of the uplink by IPv6", mapUplink(uplink)}, {"the loopback of the router by IPv6", netip.IPv6Loopback()},
		{"another VPC's task", h.stranger.PrivateIPv4}, {"another VPC's task by IPv6", h.stranger.IPv6},
	} {
		from := addrOf(h.attacker, familyOf(at.addr))
		p := openPipe(t, h.path(h.attacker))
		p.send(t, h.own(datagramOf(from, at.addr, 9, port, at.name)))
		body := tcpSYN(from, at.addr, 9, port, nil)
		if from.Is6() {
			p.send(t, h.own(ip6(from, at.addr, 6, 64, body)))
		} else {
			p.send(t, h.own(ip4(from, at.addr, 6, 0, 0, nil, body)))
		}
		// An end of its own link is the task's own, and what is sent there by its kernel stays in its namespace.
		end := "end of " + at.name
		in(t, h.path(h.attacker), func() error {
			c, err := net.Dial("udp4", netip.AddrPortFrom(network.ResolverAddr(), port).String())
			if err != nil {
				return err
			}
			_, err = io.WriteString(c, end)
			return errors.Join(err, c.Close())
		})
		var got []string
		for deadline := time.After(time.Minute); ; {
			select {
			case what := <-heard:
				if !strings.HasSuffix(what, end) {
					got = append(got, what)
					continue
				}
			case <-deadline:
				t.Fatal("the name server's address does not answer")
			}
			break
		}
		answers := 0
		frames, _ := p.receive(t, nil, 0)
		for _, frame := range frames {
			if len(frame) > 50 && (frame[12] == 8 && frame[23] == 6 && frame[47]&0x12 == 0x12 || frame[12] == 0x86 && frame[20] == 6) {
				answers++
			}
		}
		hostiletest.Report(t, "a task reaches a service at "+at.name, len(got) > 0 || answers > 0, fmt.Sprintf("%v, %d answers of TCP", got, answers))
	}
	if _, err := os.Stat(h.cfg.namespacePath(h.state.VPCs[0].ID)); err != nil {
		t.Error(err)
	}
}
