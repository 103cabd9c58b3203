package linux

import (
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// wire sends packets from namespaces and listens in them. What arrives is what the kernel delivers to a socket, after
// all filters.
type wire struct {
	socks map[string]map[int]int // namespace → protocol → raw socket
	files map[string]*os.File
	count uint64 // of packets sent, so that each is told from all others
}

// protocols are those that tests use.
func protocols() []int { return []int{1, 6, 17, 253} }

// listen opens sockets in a namespace, unless they are.
func (w *wire) listen(t testing.TB, name, path string) {
	t.Helper()
	if _, open := w.socks[name]; open {
		return
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	socks := map[int]int{}
	err = inNamespace(file, func() error {
		for _, p := range append(protocols(), unix.IPPROTO_RAW) {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, p)
			if err != nil {
				return err
			}
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
				return err
			}
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) // root of a user namespace may not, and has luck
			socks[p] = fd
		}
		return nil
	})
	if err != nil {
		t.Fatalf("open sockets in %s: %v", path, err)
	}
	w.socks[name], w.files[name] = socks, file
}

// close closes the sockets of a namespace.
func (w *wire) close(name string) {
	for _, fd := range w.socks[name] {
		_ = unix.Close(fd)
	}
	if w.files[name] != nil {
		_ = w.files[name].Close()
	}
	delete(w.socks, name)
	delete(w.files, name)
}

// send sends a packet from a namespace and returns its number.
func (w *wire) send(t testing.TB, from string, f network.Flow) uint64 {
	t.Helper()
	w.count++
	source := f.Source
	if !source.IsValid() {
		source = w.source(t, from, f.Destination)
	}
	number, _ := f.Protocol.Number()
	packet := ipPacket(source, f.Destination, number, payload(f, number, source, w.count))
	err := unix.Sendto(w.socks[from][unix.IPPROTO_RAW], packet, 0, &unix.SockaddrInet4{Addr: f.Destination.As4()})
	if err != nil && err != unix.EINVAL && err != unix.ENETUNREACH && err != unix.EPERM { // the sender's own kernel may refuse it
		t.Fatalf("send %+v: %v", f, err)
	}
	return w.count
}

// source returns the address that the kernel would give a packet.
func (w *wire) source(t testing.TB, from string, to netip.Addr) netip.Addr {
	t.Helper()
	var addr netip.Addr
	err := inNamespace(w.files[from], func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.As4(), Port: 9}); err != nil {
			return err
		}
		name, err := unix.Getsockname(fd)
		if err == nil {
			addr = netip.AddrFrom4(name.(*unix.SockaddrInet4).Addr)
		}
		return err
	})
	if err == unix.ENETUNREACH || err == unix.EINVAL || err == unix.EHOSTUNREACH {
		return netip.AddrFrom4([4]byte{192, 0, 2, 99}) // it will not get far
	}
	if err != nil {
		t.Fatalf("find the source for %s: %v", to, err)
	}
	return addr
}

// received returns the numbers of the packets that arrived in each namespace, when none has come for as long as
// patience.
func (w *wire) received(t testing.TB, patience time.Duration, enough func(map[uint64]string) bool) map[uint64]string {
	t.Helper()
	got := map[uint64]string{}
	deadline := time.Now().Add(patience)
	buffer := make([]byte, 2048)
	for {
		var polls []unix.PollFd
		var names []string
		for name, socks := range w.socks {
			for _, p := range protocols() {
				polls = append(polls, unix.PollFd{Fd: int32(socks[p]), Events: unix.POLLIN})
				names = append(names, name)
			}
		}
		left := time.Until(deadline)
		if left <= 0 || enough(got) {
			return got
		}
		if _, err := unix.Poll(polls, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		for i, p := range polls {
			for p.Revents&unix.POLLIN != 0 {
				n, _, err := unix.Recvfrom(int(p.Fd), buffer, unix.MSG_DONTWAIT)
				if err != nil {
					break
				}
				if number, ok := readNumber(buffer[:n]); ok {
					got[number] = names[i]
					deadline = time.Now().Add(patience)
				}
			}
		}
	}
}

const magic = "fardel-test"

// readNumber finds the number of a packet of ours. What kernels answer on their own repeats it: pings come back with
// another type, and errors quote what they are about.
func readNumber(packet []byte) (uint64, bool) {
	const size = len(magic) + 8 + 1
	if len(packet) < 20+size {
		return 0, false
	}
	tail := packet[len(packet)-size:]
	if string(tail[:len(magic)]) != magic || packet[9] == unix.IPPROTO_ICMP && packet[20] != tail[size-1] {
		return 0, false
	}
	return binary.BigEndian.Uint64(tail[len(magic):]), true
}

func payload(f network.Flow, number int, source netip.Addr, id uint64) []byte {
	data := append(binary.BigEndian.AppendUint64([]byte(magic), id), f.ICMPType)
	switch number {
	case 6:
		head := make([]byte, 20)
		binary.BigEndian.PutUint16(head, f.SourcePort)
		binary.BigEndian.PutUint16(head[2:], f.DestinationPort)
		binary.BigEndian.PutUint32(head[4:], uint32(id))
		head[12], head[13] = 5<<4, 0x02 // no options; SYN
		binary.BigEndian.PutUint16(head[14:], 64240)
		segment := append(head, data...)
		binary.BigEndian.PutUint16(segment[16:], checksum(pseudo(source, f.Destination, 6, len(segment)), segment))
		return segment
	case 17:
		head := make([]byte, 8)
		binary.BigEndian.PutUint16(head, f.SourcePort)
		binary.BigEndian.PutUint16(head[2:], f.DestinationPort)
		binary.BigEndian.PutUint16(head[4:], uint16(8+len(data)))
		datagram := append(head, data...)
		binary.BigEndian.PutUint16(datagram[6:], checksum(pseudo(source, f.Destination, 17, len(datagram)), datagram))
		return datagram
	case 1:
		head := make([]byte, 8)
		head[0], head[1] = f.ICMPType, f.ICMPCode
		binary.BigEndian.PutUint16(head[4:], uint16(id)) // the identifier, so that no ping answers another
		message := append(head, data...)
		binary.BigEndian.PutUint16(message[2:], checksum(nil, message))
		return message
	}
	return data
}

func ipPacket(from, to netip.Addr, protocol int, data []byte) []byte {
	head := make([]byte, 20)
	head[0], head[8], head[9] = 0x45, 64, byte(protocol)
	binary.BigEndian.PutUint16(head[2:], uint16(20+len(data)))
	copy(head[12:], from.AsSlice())
	copy(head[16:], to.AsSlice())
	return slices.Concat(head, data) // the kernel writes the checksum
}

func pseudo(from, to netip.Addr, protocol, length int) []byte {
	b := slices.Concat(from.AsSlice(), to.AsSlice(), []byte{0, byte(protocol), 0, 0})
	binary.BigEndian.PutUint16(b[10:], uint16(length))
	return b
}

// checksum is that of RFC 1071 over an even number of bytes and then any.
func checksum(head, data []byte) uint16 {
	var sum uint32
	for _, b := range [][]byte{head, data} {
		for i := 0; i < len(b); i += 2 {
			sum += uint32(b[i]) << 8
			if i+1 < len(b) {
				sum += uint32(b[i+1])
			}
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
