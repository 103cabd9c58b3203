package linux

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// prober sends packets between places, namespaces with a name, and sees where they arrive, with which addresses, and
// whether their answers come back. At ENIs and outside a packet has arrived when their link has it, at the host and at
// routers when a socket has it, past all filters.
type prober struct {
	*machine
	places map[string]*place
	sent   map[uint64]*trial
	count  uint64
}

type place struct {
	file  *os.File
	send  map[family]int
	recv  []socket
	links bool // recv are packet sockets
}

type socket struct {
	fd     int
	family family
	number int // protocol of a raw socket
}

// trial is what became of a packet.
type trial struct {
	flow        network.Flow
	from        string
	at          string // where it arrived; "" if nowhere
	source, dst netip.Addr
	answered    bool
}

func newProber(t testing.TB, m *machine) *prober {
	p := &prober{machine: m, places: map[string]*place{}, sent: map[uint64]*trial{}}
	t.Cleanup(func() {
		for name := range p.places {
			p.leave(name)
		}
	})
	return p
}

func htons(v uint16) int { return int(v>>8 | v<<8) }

// enter opens the sockets of a place.
func (p *prober) enter(t testing.TB, name, path string, links bool) {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	at := &place{file: file, send: map[family]int{}, links: links}
	p.places[name] = at
	open := func(domain, kind, protocol int) int {
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		must(t, err)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
		return fd
	}
	must(t, inNamespace(file, func() error {
		for _, f := range families() {
			at.send[f] = open(int(f.af()), unix.SOCK_RAW, unix.IPPROTO_RAW)
			if links {
				ether := map[family]uint16{ipv4: unix.ETH_P_IP, ipv6: unix.ETH_P_IPV6}[f]
				at.recv = append(at.recv, socket{open(unix.AF_PACKET, unix.SOCK_DGRAM, htons(ether)), f, 0})
				continue
			}
			for _, number := range []int{unix.IPPROTO_TCP, unix.IPPROTO_UDP, map[family]int{ipv4: 1, ipv6: 58}[f], 253} {
				at.recv = append(at.recv, socket{open(int(f.af()), unix.SOCK_RAW, number), f, number})
			}
		}
		// Errors and answers by the hundred are what is wanted here.
		return errors.Join(os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0), os.WriteFile("/proc/sys/net/ipv6/icmp/ratelimit", []byte("0"), 0))
	}))
}

func (p *prober) leave(name string) {
	at := p.places[name]
	for _, s := range at.recv {
		_ = unix.Close(s.fd)
	}
	for _, fd := range at.send {
		_ = unix.Close(fd)
	}
	_ = at.file.Close()
	delete(p.places, name)
}

// sync opens the places that there are now.
func (p *prober) sync(t testing.TB) {
	t.Helper()
	for name := range p.places {
		p.leave(name)
	}
	p.enter(t, "host", p.host, false)
	p.enter(t, "outside", p.outside, true)
	for id := range p.fabric.routers {
		p.enter(t, id, p.cfg.namespacePath(id), false)
	}
	for id := range p.fabric.attached {
		p.enter(t, id, p.cfg.namespacePath(id), true)
	}
}

// forget has no connection known anywhere.
func (p *prober) forget(t testing.TB) {
	t.Helper()
	handles := []*netlink.Handle{p.fabric.host.handle}
	for _, r := range p.fabric.routers {
		handles = append(handles, r.handle)
	}
	for _, g := range p.fabric.state.NATGateways {
		ns, err := openNamespace(p.cfg.namespacePath(g.ID))
		must(t, err)
		defer ns.close()
		handles = append(handles, ns.handle)
	}
	for _, h := range handles {
		must(t, h.ConntrackTableFlush(netlink.ConntrackTable))
		_, err := h.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET6, everyConnection{})
		must(t, err)
	}
}

// exchange sends a packet for each flow and waits until all have arrived and been answered, or nothing has come for as
// long as patience.
func (p *prober) exchange(t testing.TB, flows []network.Flow, patience time.Duration, done func([]*trial) bool) []*trial {
	t.Helper()
	p.forget(t)
	trials := make([]*trial, len(flows))
	for i, f := range flows {
		trials[i] = p.begin(t, f)
	}
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) && !done(trials) {
		if p.receive(t, time.Until(deadline)) {
			deadline = time.Now().Add(patience)
		}
	}
	return trials
}

func (p *prober) begin(t testing.TB, f network.Flow) *trial {
	t.Helper()
	from := f.ENI
	switch {
	case f.FromHost:
		from = "host"
	case f.ENI == "":
		from = "outside"
	}
	at := p.places[from]
	if at == nil {
		t.Fatalf("no place %s", from)
	}
	p.count++
	tr := &trial{flow: f, from: from}
	p.sent[p.count] = tr
	source := f.Source
	if !source.IsValid() {
		source = p.sourceOf(t, at, f.Destination)
	}
	if !source.IsValid() || source.Is4() != f.Destination.Is4() {
		return tr // there is no such packet
	}
	number, _ := f.Protocol.Number()
	at.transmit(datagram(f, number, source, f.Destination, message(askMark, p.count, f.ICMPType)), f.Destination)
	return tr
}

// transmit sends a packet with its header. The sender's own kernel may refuse it, which is as good as any other drop.
func (at *place) transmit(packet []byte, to netip.Addr) {
	var addr unix.Sockaddr = &unix.SockaddrInet4{Addr: netip.IPv4Unspecified().As4()}
	if to.Is4() {
		addr = &unix.SockaddrInet4{Addr: to.As4()}
	} else {
		addr = &unix.SockaddrInet6{Addr: to.As16()}
	}
	_ = unix.Sendto(at.send[familyOf(to)], packet, 0, addr)
}

// sourceOf returns the address that the kernel would give a packet; the zero value if it has none.
func (p *prober) sourceOf(t testing.TB, at *place, to netip.Addr) netip.Addr {
	t.Helper()
	var addr netip.Addr
	must(t, inNamespace(at.file, func() error {
		fd, err := unix.Socket(int(familyOf(to).af()), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
		var dst unix.Sockaddr
		if to.Is4() {
			dst = &unix.SockaddrInet4{Addr: to.As4(), Port: 9}
		} else {
			dst = &unix.SockaddrInet6{Addr: to.As16(), Port: 9}
		}
		if unix.Connect(fd, dst) != nil {
			return nil
		}
		name, err := unix.Getsockname(fd)
		switch name := name.(type) {
		case *unix.SockaddrInet4:
			addr = netip.AddrFrom4(name.Addr)
		case *unix.SockaddrInet6:
			addr = netip.AddrFrom16(name.Addr)
		}
		return err
	}))
	return addr
}

// receive reads what there is, and reports whether any of it was ours.
func (p *prober) receive(t testing.TB, wait time.Duration) (any bool) {
	t.Helper()
	var polls []unix.PollFd
	var names []string
	var socks []socket
	for name, at := range p.places {
		for _, s := range at.recv {
			polls = append(polls, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
			names, socks = append(names, name), append(socks, s)
		}
	}
	if _, err := unix.Poll(polls, int(wait.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for i, poll := range polls {
		for poll.Revents&unix.POLLIN != 0 {
			n, from, err := unix.Recvfrom(socks[i].fd, buffer, unix.MSG_DONTWAIT)
			if err != nil {
				break
			}
			if link, ok := from.(*unix.SockaddrLinklayer); ok && (link.Pkttype == unix.PACKET_OUTGOING || link.Pkttype == unix.PACKET_LOOPBACK) {
				continue
			}
			if got, ok := parse(socks[i], from, slices.Clone(buffer[:n])); ok && p.take(names[i], got) {
				any = true
			}
		}
	}
	return any
}

// take notes a packet that has come to a place.
func (p *prober) take(name string, got received) bool {
	tr := p.sent[got.id]
	if tr == nil {
		return false
	}
	if got.answer {
		tr.answered = tr.answered || name == tr.from
		return true
	}
	if name == "outside" && (tr.from == name || tr.from == "host") {
		return false // what the host does not know goes there, as from any host
	}
	if name == "host" && tr.flow.ToHost && tr.flow.ENI == "" {
		return false // what the machine itself does at ports that no ENI publishes is its own business
	}
	tr.at, tr.source, tr.dst = name, got.source, got.dst
	if at := p.places[name]; at.links && (got.number == unix.IPPROTO_UDP || got.number == 253) {
		f := network.Flow{SourcePort: got.dstPort, DestinationPort: got.sourcePort}
		at.transmit(datagram(f, got.number, got.dst, got.source, message(answerMark, got.id, 0)), got.source)
	}
	return true
}

// What packets of ours begin with: questions, and the answers to them.
const (
	askMark    = "fardel-ask-"
	answerMark = "fardel-ans-"
	markSize   = len(askMark) + 8 + 1
)

func message(mark string, id uint64, icmpType uint8) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(mark), id), icmpType)
}

// received is a packet of ours.
type received struct {
	id                  uint64
	answer              bool
	number              int
	source, dst         netip.Addr
	sourcePort, dstPort uint16
}

// parse reads a packet of ours: a question, or its answer, which for TCP and pings the kernel gives: it refuses
// connections, and returns what a ping carries.
func parse(s socket, from unix.Sockaddr, data []byte) (got received, ok bool) {
	got.number = s.number
	switch {
	case s.family == ipv4 && len(data) >= 20:
		got.number = int(data[9])
		got.source, _ = netip.AddrFromSlice(data[12:16])
		got.dst, _ = netip.AddrFromSlice(data[16:20])
		data = data[int(data[0]&15)*4:]
	case s.family == ipv6 && s.number == 0 && len(data) >= 40:
		got.number = int(data[6])
		got.source, _ = netip.AddrFromSlice(data[8:24])
		got.dst, _ = netip.AddrFromSlice(data[24:40])
		data = data[40:]
	case s.family == ipv6:
		if a, is := from.(*unix.SockaddrInet6); is {
			got.source = netip.AddrFrom16(a.Addr)
		}
	}
	head := map[int]int{6: 20, 17: 8, 1: 8, 58: 8, 253: 0}[got.number]
	if len(data) < head {
		return got, false
	}
	if got.number == unix.IPPROTO_TCP || got.number == unix.IPPROTO_UDP {
		got.sourcePort, got.dstPort = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
	}
	if got.number == unix.IPPROTO_TCP && data[13]&0x04 != 0 {
		got.id, got.answer = uint64(binary.BigEndian.Uint32(data[8:])-uint32(markSize)-1), true
		return got, true
	}
	body := data[head:]
	if len(body) < markSize {
		return got, false
	}
	mark := string(body[:len(askMark)])
	got.id = binary.BigEndian.Uint64(body[len(askMark):])
	if got.number == 1 || got.number == 58 {
		got.answer = data[0] != body[markSize-1]
		return got, mark == askMark
	}
	got.answer = mark == answerMark
	return got, got.answer || mark == askMark
}

// datagram builds a packet, with its header.
func datagram(f network.Flow, number int, source, to netip.Addr, data []byte) []byte {
	sum := func(segment []byte) uint16 {
		if number == 1 {
			return checksum(nil, segment)
		}
		head := slices.Concat(source.AsSlice(), to.AsSlice(), []byte{0, byte(number), 0, 0})
		binary.BigEndian.PutUint16(head[len(head)-2:], uint16(len(segment)))
		return checksum(head, segment)
	}
	var segment []byte
	switch number {
	case 6:
		segment = make([]byte, 20)
		binary.BigEndian.PutUint32(segment[4:], uint32(binary.BigEndian.Uint64(data[len(askMark):])))
		segment[12], segment[13] = 5<<4, 0x02 // no options; SYN
		binary.BigEndian.PutUint16(segment[14:], 64240)
	case 17:
		segment = make([]byte, 8)
		binary.BigEndian.PutUint16(segment[4:], uint16(8+len(data)))
	case 1, 58:
		segment = make([]byte, 8)
		segment[0], segment[1] = f.ICMPType, f.ICMPCode
		copy(segment[4:], data[len(askMark)+6:len(askMark)+8]) // the identifier, so that no ping answers another
	}
	if number == 6 || number == 17 {
		binary.BigEndian.PutUint16(segment, f.SourcePort)
		binary.BigEndian.PutUint16(segment[2:], f.DestinationPort)
	}
	segment = append(segment, data...)
	if offset, has := map[int]int{6: 16, 17: 6, 1: 2, 58: 2}[number]; has {
		binary.BigEndian.PutUint16(segment[offset:], sum(segment))
	}
	if to.Is4() {
		return ipPacket(source, to, number, segment)
	}
	head := make([]byte, 40)
	head[0], head[6], head[7] = 0x60, byte(number), 64
	binary.BigEndian.PutUint16(head[4:], uint16(len(segment)))
	copy(head[8:], source.AsSlice())
	copy(head[24:], to.AsSlice())
	return slices.Concat(head, segment)
}

// everyConnection matches all.
type everyConnection struct{}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (everyConnection) MatchConntrackFlow(*netlink.ConntrackFlow) bool { return true }
