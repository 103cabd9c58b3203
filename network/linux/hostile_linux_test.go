package linux

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// hostileNet is two VPCs of a machine: an attacker, a victim whose groups let UDP to one port in from members of a group, a
// bystander of the same group as the attacker, and a stranger in the other VPC. All have IPv4 and IPv6.
type hostileNet struct {
	*machine
	fabric                                *Fabric
	state                                 network.State
	attacker, victim, bystander, stranger network.ENI
}

const (
	openPort   = 7777 // of the victim
	closedPort = 7778
)

func newHostileNet(t testing.TB, owner string, limits ConnectionLimits) *hostileNet {
	t.Helper()
	m := newMachine(t, owner)
	m.cfg.ConnectionLimits = limits
	h := &hostileNet{machine: m, fabric: m.Open(t).(*Fabric)}
	one, two := testVPC(t, owner, "10.1.0.0/16"), testVPC(t, owner+"-other", "10.2.0.0/16")
	two.VPCs[0].IsDefault = false
	def := one.SecurityGroups[0].ID
	guarded := network.SecurityGroup{ID: network.NewID("sg", "guarded"), VPC: one.VPCs[0].ID, Name: "guarded", Description: "guarded",
		Ingress: []network.Rule{{Protocol: network.UDP, FromPort: openPort, ToPort: openPort, Groups: []string{def}}}}
	h.state = network.State{VPCs: append(one.VPCs, two.VPCs...), Subnets: append(one.Subnets, two.Subnets...),
		SecurityGroups: append(append(one.SecurityGroups, two.SecurityGroups...), guarded), InternetGateways: append(one.InternetGateways, two.InternetGateways...),
		RouteTables: append(one.RouteTables, two.RouteTables...), ENIs: []network.ENI{testENI(one, 0), testENI(one, 1), testENI(one, 2), testENI(two, 0)}}
	h.state.ENIs[0].AssignPublicIP = true
	h.state.ENIs[1].SecurityGroups = []string{guarded.ID}
	h.state = dualStack(dualStack(h.state, 0), 1)
	e := h.state.ENIs
	h.attacker, h.victim, h.bystander, h.stranger = e[0], e[1], e[2], e[3]
	must(t, h.fabric.Apply(t.Context(), h.state))
	t.Cleanup(func() { _ = h.fabric.Close() })
	return h
}

func (h *hostileNet) path(e network.ENI) string { return h.cfg.namespacePath(e.ID) }

// read returns a number of the attacker's router.
func (h *hostileNet) read(t testing.TB, file string) int {
	t.Helper()
	n := 0
	must(t, inNamespace(h.fabric.router(h.state.VPCs[0].ID).file, func() error {
		data, err := os.ReadFile(filepath.Join("/proc/sys/net", file))
		if err != nil {
			return err
		}
		n, err = strconv.Atoi(strings.TrimSpace(string(data)))
		return err
	}))
	return n
}

// connections returns how many connections the attacker's router knows.
func (h *hostileNet) connections(t testing.TB) int {
	return h.read(t, "netfilter/nf_conntrack_count")
}

// pipe is a packet socket on an ENI's end of its link, by which a task with CAP_NET_RAW sends what it likes and sees all
// that reaches it.
type pipe struct {
	fd, index int
	mac       network.MAC
}

func openPipe(t testing.TB, path string) *pipe {
	t.Helper()
	p := &pipe{}
	in(t, path, func() error {
		eth0, err := net.InterfaceByName(eniName)
		if err != nil {
			return err
		}
		p.index, p.mac = eth0.Index, network.MAC(eth0.HardwareAddr)
		if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(networkOrder(unix.ETH_P_ALL))); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) // root of a user namespace may not, and has luck
		_ = unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20)
		member := unix.PacketMreq{Ifindex: int32(eth0.Index), Type: unix.PACKET_MR_PROMISC}
		return unix.SetsockoptPacketMreq(p.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &member)
	})
	t.Cleanup(func() { _ = unix.Close(p.fd) })
	return p
}

func networkOrder(n uint16) uint16 { return n<<8 | n>>8 }

// send sends whole frames. What the kernel refuses, since it is too long for the link, is not sent.
func (p *pipe) send(t testing.TB, frames ...[]byte) {
	t.Helper()
	for _, frame := range frames {
		for {
			err := unix.Sendto(p.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: p.index, Halen: 6})
			if err == unix.EAGAIN || err == unix.ENOBUFS {
				_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLOUT}}, 100)
				continue
			}
			if err != nil && err != unix.EMSGSIZE && err != unix.EINVAL {
				t.Fatalf("send a frame of %d bytes: %v", len(frame), err)
			}
			break
		}
	}
}

// receive returns the frames that came in, until one has the end in it, or for as long as patience.
func (p *pipe) receive(t testing.TB, end []byte, patience time.Duration) (frames [][]byte, ended bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(p.fd, buffer, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			left := time.Until(deadline)
			if left <= 0 {
				return frames, false
			}
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		frame := bytes.Clone(buffer[:n])
		if len(end) > 0 && bytes.Contains(frame, end) {
			return frames, true
		}
		frames = append(frames, frame)
	}
}

// Parts of frames.

func frameOf(to, from network.MAC, etherType uint16, data []byte) []byte {
	return slices.Concat(to[:], from[:], binary.BigEndian.AppendUint16(nil, etherType), data)
}

// ip4 is a packet of IPv4 with options, which are padded, and what its fragment field is.
func ip4(from, to netip.Addr, number byte, id, fragment uint16, options, data []byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	head := make([]byte, 20, 20+len(options))
	head[0], head[8], head[9] = byte(0x40|5+len(options)/4), 64, number
	binary.BigEndian.PutUint16(head[2:], uint16(20+len(options)+len(data)))
	binary.BigEndian.PutUint16(head[4:], id)
	binary.BigEndian.PutUint16(head[6:], fragment)
	copy(head[12:], from.AsSlice())
	copy(head[16:], to.AsSlice())
	head = append(head, options...)
	binary.BigEndian.PutUint16(head[10:], checksum(nil, head))
	return append(head, data...)
}

func ip6(from, to netip.Addr, next, hops byte, data []byte) []byte {
	head := []byte{0x60, 0, 0, 0, 0, 0, next, hops}
	binary.BigEndian.PutUint16(head[4:], uint16(len(data)))
	return slices.Concat(head, from.AsSlice(), to.AsSlice(), data)
}

// udp is a datagram; its checksum is that of the packet that it belongs to.
func udp(from, to netip.Addr, source, destination uint16, data []byte) []byte {
	head := make([]byte, 8)
	binary.BigEndian.PutUint16(head, source)
	binary.BigEndian.PutUint16(head[2:], destination)
	binary.BigEndian.PutUint16(head[4:], uint16(8+len(data)))
	datagram := append(head, data...)
	binary.BigEndian.PutUint16(datagram[6:], checksumOf(from, to, unix.IPPROTO_UDP, datagram))
	return datagram
}

func tcpSYN(from, to netip.Addr, source, destination uint16, data []byte) []byte {
	head := make([]byte, 20)
	binary.BigEndian.PutUint16(head, source)
	binary.BigEndian.PutUint16(head[2:], destination)
	head[12], head[13] = 5<<4, 0x02
	binary.BigEndian.PutUint16(head[14:], 64240)
	segment := append(head, data...)
	binary.BigEndian.PutUint16(segment[16:], checksumOf(from, to, unix.IPPROTO_TCP, segment))
	return segment
}

// icmpMessage is one of ICMP, or of ICMPv6 if the addresses are of IPv6.
func icmpMessage(from, to netip.Addr, kind, code byte, rest uint32, data []byte) []byte {
	message := append(binary.BigEndian.AppendUint32([]byte{kind, code, 0, 0}, rest), data...)
	if from.Is4() {
		binary.BigEndian.PutUint16(message[2:], checksum(nil, message))
	} else {
		binary.BigEndian.PutUint16(message[2:], checksumOf(from, to, unix.IPPROTO_ICMPV6, message))
	}
	return message
}

func checksumOf(from, to netip.Addr, number byte, data []byte) uint16 {
	if from.Is4() {
		return checksum(pseudo(from, to, int(number), len(data)), data)
	}
	return checksum(slices.Concat(from.AsSlice(), to.AsSlice(), binary.BigEndian.AppendUint32(nil, uint32(len(data))), []byte{0, 0, 0, number}), data)
}

// own frames a packet as the attacker's kernel would.
func (h *hostileNet) own(packet []byte) []byte { return h.framed(h.attacker.MAC, packet) }

func (h *hostileNet) framed(from network.MAC, packet []byte) []byte {
	if packet[0]>>4 == 6 {
		return frameOf(routerMAC(), from, unix.ETH_P_IPV6, packet)
	}
	return frameOf(routerMAC(), from, unix.ETH_P_IP, packet)
}

// addrOf returns an ENI's address in a family.
func addrOf(e network.ENI, f family) netip.Addr { return port{ENI: e}.addr(f) }

// datagramOf is a packet of UDP between ENIs, whole.
func datagramOf(from, to netip.Addr, source, destination uint16, data string) []byte {
	body := udp(from, to, source, destination, []byte(data))
	if from.Is4() {
		return ip4(from, to, unix.IPPROTO_UDP, 0, 0, nil, body)
	}
	return ip6(from, to, unix.IPPROTO_UDP, 64, body)
}

// passes reports whether a datagram from an ENI gets to the victim now, which takes a new connection.
func (h *hostileNet) passes(t testing.TB, from, to *pipe, e network.ENI, f family, patience time.Duration) bool {
	t.Helper()
	_, passed := h.until(t, from, to, e, f, patience)
	return passed
}

// until is as passes, and returns what came to the victim before.
func (h *hostileNet) until(t testing.TB, from, to *pipe, e network.ENI, f family, patience time.Duration) (frames [][]byte, passed bool) {
	t.Helper()
	h.count++
	mark := fmt.Sprintf("%s sentinel %d.", magic, h.count)
	port := uint16(20000 + h.count%40000)
	from.send(t, h.framed(e.MAC, datagramOf(addrOf(e, f), addrOf(h.victim, f), port, openPort, mark)))
	return to.receive(t, []byte(mark), patience)
}
