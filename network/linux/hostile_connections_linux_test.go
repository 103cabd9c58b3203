package linux

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// flood are packets that each open a connection of their own.
func flood(kind string, from, to netip.Addr, n int) []byte {
	source, destination := uint16(1024+n%60000), uint16(openPort)
	var number byte
	var body []byte
	switch kind {
	case "udp":
		number, body = unix.IPPROTO_UDP, udp(from, to, source, destination, []byte(magic))
	case "tcp":
		number, body = unix.IPPROTO_TCP, tcpSYN(from, to, source, destination, nil)
	case "ping":
		kind := byte(8)
		if number = unix.IPPROTO_ICMP; from.Is6() {
			number, kind = unix.IPPROTO_ICMPV6, 128
		}
		body = icmpMessage(from, to, kind, 0, uint32(n)<<16, []byte(magic))
	}
	if from.Is6() {
		return ip6(from, to, number, 64, body)
	}
	return ip4(from, to, number, 0, 0, nil, body)
}

// TestHostileConnections has a task that opens as many connections as it can, in each of the ways that there are: it gets no
// more than its share of the router's table, and a neighbour goes on as if nothing was.
func TestHostileConnections(t *testing.T) {
	const share, tries = 100, 3000
	h := newHostileNet(t, "conns", ConnectionLimits{Open: share, PerSecond: -1})
	r := h.fabric.router(h.state.VPCs[0].ID)
	attacker, victim, bystander := openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.victim)), openPipe(t, h.path(h.bystander))
	h.silence(t, h.bystander, h.attacker) // else it refuses connections, and they are gone at once
	attempts := []struct {
		name, kind string
		family     family
		to         netip.Addr
	}{
		{"datagrams to a neighbour", "udp", ipv4, h.victim.PrivateIPv4},
		{"datagrams to a neighbour by IPv6", "udp", ipv6, h.victim.IPv6},
		{"half-open connections", "tcp", ipv4, h.bystander.PrivateIPv4},
		{"half-open connections by IPv6", "tcp", ipv6, h.bystander.IPv6},
		{"pings", "ping", ipv4, h.bystander.PrivateIPv4},
		{"pings by IPv6", "ping", ipv6, h.bystander.IPv6},
		{"questions to the name server", "udp", ipv4, network.ResolverAddr()},
		{"datagrams to the credentials endpoint", "udp", ipv4, network.CredentialsAddr()},
		{"datagrams to the outside", "udp", ipv4, h.OutsideAddr()},
	}
	for _, a := range attempts {
		must(t, r.handle.ConntrackTableFlush(netlink.ConntrackTable))
		for n := range tries {
			attacker.send(t, h.own(flood(a.kind, addrOf(h.attacker, a.family), a.to, n)))
		}
		// The kernel counts again when a tick has passed, and takes what it has just counted for closed until then.
		known := h.connections(t)
		others := h.passes(t, bystander, victim, h.bystander, a.family, time.Minute)
		hostiletest.Report(t, "a task fills its VPC's table of connections: "+a.name, known > 2*share || known == 0 || !others,
			fmt.Sprintf("%d of %d tries are in the table, its share is %d; a neighbour's datagram passes: %t", known, tries, share, others))
	}
}

// silence has an ENI not answer another one.
func (h *hostileNet) silence(t testing.TB, e, to network.ENI) {
	t.Helper()
	ns, err := openNamespace(h.path(e))
	must(t, err)
	defer ns.close()
	for _, a := range []netip.Addr{to.PrivateIPv4, to.IPv6} {
		must(t, ns.handle.RouteAdd(&netlink.Route{Dst: ipNet(netip.PrefixFrom(a, a.BitLen())), Type: unix.RTN_BLACKHOLE}))
	}
}

// TestHostileConnectionsKept has a task whose share is used up while the host changes routes and groups, so that rulesets
// are replaced: what it has open still counts. When the connections are gone it may open others.
func TestHostileConnectionsKept(t *testing.T) {
	const share, tries = 50, 500
	h := newHostileNet(t, "keep", ConnectionLimits{Open: share, PerSecond: -1})
	r := h.fabric.router(h.state.VPCs[0].ID)
	attacker, victim := openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.victim))
	open := func(first int) {
		for n := range tries {
			attacker.send(t, h.own(flood("udp", h.attacker.PrivateIPv4, h.victim.PrivateIPv4, first+n)))
		}
	}
	open(0)
	before := h.connections(t)
	for n := range 3 {
		must(t, h.fabric.Apply(t.Context(), h.state))
		open((n + 1) * tries)
	}
	after := h.connections(t)
	hostiletest.Report(t, "a task has what it has open forgotten when rulesets are replaced", after > before+share/2,
		fmt.Sprintf("%d connections before, %d after three changes, share %d", before, after, share))
	must(t, r.handle.ConntrackTableFlush(netlink.ConntrackTable))
	deadline := time.Now().Add(time.Minute)
	for !h.passes(t, attacker, victim, h.attacker, ipv4, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a task whose connections are gone cannot open one")
		}
	}
}

// TestHostileConnectionRate has a task that opens connections faster than it may, and one that sends many packets of one
// connection that nobody answers, which is no attack.
func TestHostileConnectionRate(t *testing.T) {
	const rate, tries = 50, 5000
	h := newHostileNet(t, "rate", ConnectionLimits{Open: -1, PerSecond: rate})
	attacker, victim := openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.victim))
	for _, f := range families() {
		before := h.connections(t)
		start := time.Now()
		for n := range tries {
			attacker.send(t, h.own(flood("udp", addrOf(h.attacker, f), addrOf(h.victim, f), n)))
		}
		most := rate*burstSeconds + int(time.Since(start).Seconds()*rate) + 10
		known := h.connections(t) - before
		hostiletest.Report(t, fmt.Sprintf("a task opens connections of %s faster than it may", f), known > most || known == 0,
			fmt.Sprintf("%d of %d tries, at most %d may", known, tries, most))
		victim.receive(t, nil, 10*time.Millisecond)
	}
	arrived := 0
	for n := range tries / 50 { // as many at once as any socket holds
		for range 49 {
			attacker.send(t, h.own(datagramOf(h.attacker.PrivateIPv4, h.victim.PrivateIPv4, 1024, openPort, "stream")))
		}
		end := fmt.Sprintf("end %d.", n)
		attacker.send(t, h.own(datagramOf(h.attacker.PrivateIPv4, h.victim.PrivateIPv4, 1024, openPort, end)))
		frames, ended := victim.receive(t, []byte(end), time.Minute)
		if arrived += len(frames); !ended {
			t.Fatalf("of %d packets of one connection, %d arrived", 50*(n+1), arrived)
		}
	}
	if arrived < tries*9/10 {
		t.Errorf("%d of %d packets of one connection arrived", arrived, tries)
	}
}

// TestHostileOutsiders has somebody outside who opens connections to a task's public address: it takes the receiver's share
// and no more, and leaves the task what it may open itself.
func TestHostileOutsiders(t *testing.T) {
	const share, tries = 100, 2000
	m := newMachine(t, "outsiders")
	m.cfg.ConnectionLimits = ConnectionLimits{Open: share, PerSecond: -1}
	f := m.Open(t).(*Fabric)
	s := testVPC(t, "outsiders", "10.1.0.0/16")
	s.PublicIPv4Pools = []network.PublicIPv4Pool{{ID: network.NewID("ipv4pool-ec2", "outsiders"), CIDRs: prefixes("203.0.113.0/28")}}
	open := network.SecurityGroup{ID: network.NewID("sg", "open"), VPC: s.VPCs[0].ID, Name: "open", Description: "open",
		Ingress: []network.Rule{{Protocol: network.UDP, FromPort: openPort, ToPort: openPort, CIDRs: prefixes("0.0.0.0/0")}},
		Egress:  []network.Rule{{Protocol: network.AllProtocols, CIDRs: prefixes("0.0.0.0/0")}}}
	s.SecurityGroups = append(s.SecurityGroups, open)
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1)}
	s.ENIs[0].AssignPublicIP, s.ENIs[0].PublicIPv4, s.ENIs[0].SecurityGroups = true, netip.MustParseAddr("203.0.113.4"), []string{open.ID}
	s.ENIs[1].SecurityGroups = []string{open.ID}
	must(t, f.Apply(t.Context(), s))
	defer func() { must(t, f.Close()) }()
	h := &hostileNet{machine: m, fabric: f, state: s, attacker: s.ENIs[0], victim: s.ENIs[1]}
	for n := range tries {
		packet := ipPacket(m.OutsideAddr(), s.ENIs[0].PublicIPv4, unix.IPPROTO_UDP, udp(m.OutsideAddr(), s.ENIs[0].PublicIPv4, uint16(1024+n), openPort, []byte(magic)))
		must(t, unix.Sendto(m.socks["outside"][unix.IPPROTO_RAW], packet, 0, &unix.SockaddrInet4{Addr: s.ENIs[0].PublicIPv4.As4()}))
	}
	// Routers charge the host for nothing, and know it by an address of this kind.
	asHost := addr("169.254.9.9")
	for n := range tries {
		to := []netip.Addr{s.ENIs[0].PublicIPv4, s.ENIs[1].PrivateIPv4}[n%2]
		packet := ipPacket(asHost, to, unix.IPPROTO_UDP, udp(asHost, to, uint16(1024+n), openPort, []byte("as the host")))
		must(t, unix.Sendto(m.socks["outside"][unix.IPPROTO_RAW], packet, 0, &unix.SockaddrInet4{Addr: to.As4()}))
	}
	known := h.connections(t)
	hostiletest.Report(t, "somebody outside fills a VPC's table of connections by a public address", known > 2*share || known == 0,
		fmt.Sprintf("%d of %d tries are in the table, the share is %d", known, tries, share))
	self := h.passes(t, openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.victim)), h.attacker, ipv4, time.Minute)
	hostiletest.Report(t, "somebody outside uses up what a task may open itself", !self, fmt.Sprintf("the task's datagram passes: %t", self))
	reached := h.fromHost(t)
	hostiletest.Report(t, "somebody outside keeps the host from its tasks", !reached, fmt.Sprintf("the host's datagram passes: %t", reached))
}

// fromHost reports whether a datagram of the host gets to the attacked ENI.
func (h *hostileNet) fromHost(t testing.TB) bool {
	t.Helper()
	at := openPipe(t, h.path(h.attacker))
	in(t, h.host, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Sendto(fd, []byte("from the host"), 0, &unix.SockaddrInet4{Addr: h.attacker.PrivateIPv4.As4(), Port: openPort})
	})
	_, ended := at.receive(t, []byte("from the host"), time.Minute)
	return ended
}

// TestHostileQuestions has a task that floods the name server's socket, which all tasks of the VPC share, and sends questions
// to it in a neighbour's name, to have the neighbour get the answers.
func TestHostileQuestions(t *testing.T) {
	const rate, tries = 200, 20000
	h := newHostileNet(t, "questions", ConnectionLimits{Questions: rate})
	c, err := h.fabric.ListenPacket(t.Context(), h.state.VPCs[0].ID, netip.AddrPortFrom(network.ResolverAddr(), 53))
	must(t, err)
	defer func() { _ = c.Close() }()
	attacker, bystander := openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.bystander))
	got := map[string]int{}
	done := make(chan struct{})
	go func() { // as the name server does
		defer close(done)
		buffer := make([]byte, 64)
		for got["the neighbour's"] == 0 {
			n, _, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			got[string(buffer[:n])]++
		}
	}()
	start := time.Now()
	for range tries {
		attacker.send(t, h.own(datagramOf(h.attacker.PrivateIPv4, network.ResolverAddr(), 1024, 53, "flood")))
	}
	for n := range 10 {
		attacker.send(t, h.own(datagramOf(h.bystander.PrivateIPv4, network.ResolverAddr(), uint16(2000+n), 53, "forged")),
			h.framed(h.bystander.MAC, datagramOf(h.bystander.PrivateIPv4, network.ResolverAddr(), uint16(3000+n), 53, "forged")))
	}
	most := rate + int(time.Since(start).Seconds()*rate) + 10
	bystander.send(t, h.framed(h.bystander.MAC, datagramOf(h.bystander.PrivateIPv4, network.ResolverAddr(), 1024, 53, "the neighbour's")))
	must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	<-done
	hostiletest.Report(t, "a task keeps a neighbour from the name server", got["flood"] > most || got["flood"] == 0 || got["the neighbour's"] == 0,
		fmt.Sprintf("%d of %d questions arrived, at most %d may; the neighbour's arrived: %t", got["flood"], tries, most, got["the neighbour's"] > 0))
	hostiletest.Report(t, "a task has the name server answer to a neighbour", got["forged"] > 0, fmt.Sprintf("%d of 20 forged questions arrived", got["forged"]))
}

// fragmentsOf splits a packet of UDP in two: the first 16 bytes of its body, and the rest.
func fragmentsOf(from, to netip.Addr, id uint16, data string) [][]byte {
	body := udp(from, to, 9, openPort, []byte(data))
	if from.Is4() {
		return [][]byte{ip4(from, to, unix.IPPROTO_UDP, id, 0x2000, nil, body[:16]), ip4(from, to, unix.IPPROTO_UDP, id, 2, nil, body[16:])}
	}
	part := func(offset uint16, more byte, data []byte) []byte {
		head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{unix.IPPROTO_UDP, 0}, offset<<3|uint16(more)), uint32(id))
		return ip6(from, to, unix.IPPROTO_FRAGMENT, 64, append(head, data...))
	}
	return [][]byte{part(0, 1, body[:16]), part(2, 0, body[16:])}
}

// TestHostileFragments has a task that sends parts of packets whose rest never comes, with its own address and with a
// neighbour's, and one that forges a part of what a neighbour sends in parts.
func TestHostileFragments(t *testing.T) {
	h := newHostileNet(t, "frags", ConnectionLimits{})
	attacker, victim, bystander := openPipe(t, h.path(h.attacker)), openPipe(t, h.path(h.victim)), openPipe(t, h.path(h.bystander))
	whole := func(f family, mark string, patience time.Duration) bool {
		for _, p := range fragmentsOf(addrOf(h.bystander, f), addrOf(h.victim, f), 9, strings.Repeat("x", 32)+mark) {
			bystander.send(t, h.framed(h.bystander.MAC, p))
		}
		_, ended := victim.receive(t, []byte(mark), patience)
		return ended
	}
	for _, f := range families() {
		// The kernel matches parts by addresses and number. A part that is there already is not replaced.
		for _, p := range fragmentsOf(addrOf(h.bystander, f), addrOf(h.victim, f), 7, strings.Repeat("evil", 8)+"and more")[1:] {
			attacker.send(t, h.own(p))
		}
		bystander.send(t, h.framed(h.bystander.MAC, fragmentsOf(addrOf(h.bystander, f), addrOf(h.victim, f), 7, strings.Repeat("evil", 8)+"and more")[0]))
		frames, passed := h.until(t, bystander, victim, h.bystander, f, time.Minute)
		forged := 0
		for _, frame := range frames {
			if strings.Contains(string(frame), "and more") {
				forged++
			}
		}
		hostiletest.Report(t, fmt.Sprintf("a task completes what a neighbour sends in parts of %s", f), forged > 0 || !passed,
			fmt.Sprintf("%d packets with a part of the attacker's arrived", forged))
	}
	for _, f := range families() {
		for n := range 20000 {
			attacker.send(t, h.own(fragmentsOf(addrOf(h.attacker, f), addrOf(h.victim, f), uint16(n), strings.Repeat("y", 1200))[1]))
		}
		ok := whole(f, "after parts of the attacker's", 5*time.Second)
		hostiletest.Report(t, fmt.Sprintf("a task uses up the memory for parts of %s", f), !ok, fmt.Sprintf("a neighbour's packet in parts arrives: %t", ok))
		for n := range 20000 {
			attacker.send(t, h.own(fragmentsOf(addrOf(h.bystander, f), addrOf(h.victim, f), uint16(n), strings.Repeat("z", 1200))[1]))
		}
		ok = whole(f, "after parts in its name", 5*time.Second)
		hostiletest.Report(t, fmt.Sprintf("a task uses up the memory for parts of %s in a neighbour's name", f), !ok, fmt.Sprintf("a neighbour's packet in parts arrives: %t", ok))
	}
}
