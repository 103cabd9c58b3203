//go:build linux

package local_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/scheduler"
)

// overhear is a container that says from whom each datagram to a port came and what it said, once of each.
func overhear(port string) error {
	l, err := net.ListenPacket("udp4", ":"+port)
	if err != nil {
		return err
	}
	fmt.Println("hearing")
	said := map[string]bool{}
	buf := make([]byte, 1500)
	for {
		n, from, err := l.ReadFrom(buf)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s from %s", buf[:n], from.(*net.UDPAddr).IP)
		if !said[line] {
			said[line] = true
			fmt.Println(line)
		}
	}
}

// chat is a container that sends datagrams to ADDRESS:PORT for as long as it lives.
func chat(target string) error {
	conn, err := net.Dial("udp4", target)
	if err != nil {
		return err
	}
	for range time.Tick(10 * time.Millisecond) {
		_, _ = conn.Write([]byte("chat")) // refused while nobody listens
	}
	return nil
}

// raw is a container that listens to all that passes its interfaces, forges datagrams to a victim, "VICTIM PORT FORGED",
// and sends one under its own address behind them. When it is told to stop it says whose packets it has seen.
func raw(rest string) error {
	f := strings.Fields(rest)
	victim, err := netip.ParseAddr(f[0])
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(f[1])
	if err != nil {
		return err
	}
	forged, own := netip.MustParseAddr(f[2]), ownAddress()
	var mine, others atomic.Int64
	err = sniff(func(src, dst netip.Addr, outgoing bool) {
		switch {
		case outgoing:
			mine.Add(1)
		case dst != own:
			others.Add(1)
			fmt.Println("seen", src, "to", dst)
		}
	})
	if err != nil {
		return err
	}
	out, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
	if err != nil {
		return err
	}
	fmt.Println("sniffing as", own)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	every := time.NewTicker(50 * time.Millisecond)
	for sent := 0; ; sent++ {
		for _, p := range []struct {
			src  netip.Addr
			text string
		}{{forged, "forged"}, {netip.MustParseAddr("169.254.170.2"), "endpoint"}, {own, "honest"}} {
			err := syscall.Sendto(out, datagram(p.src, victim, port, p.text), 0, &syscall.SockaddrInet4{Addr: victim.As4()})
			if err != nil && sent == 0 {
				fmt.Printf("send %s: %v\n", p.text, err)
			}
		}
		select {
		case <-every.C:
		case <-stop:
			fmt.Printf("seen of its own: %t, of others: %d\n", mine.Load() > 0, others.Load())
			return nil
		}
	}
}

// ownAddress is the IPv4 address of this container.
func ownAddress() netip.Addr {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// sniff reports the addresses of every IPv4 packet that a packet socket shows, and whether this container sent it.
func sniff(report func(src, dst netip.Addr, outgoing bool)) error {
	const all = 0x0300 // ETH_P_ALL in network byte order
	s, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, all)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := syscall.Recvfrom(s, buf, 0)
			if err != nil || n < 20 || buf[0]>>4 != 4 {
				continue
			}
			src, _ := netip.AddrFromSlice(buf[12:16])
			dst, _ := netip.AddrFromSlice(buf[16:20])
			link, _ := from.(*syscall.SockaddrLinklayer)
			report(src, dst, link != nil && link.Pkttype == syscall.PACKET_OUTGOING)
		}
	}()
	return nil
}

// datagram is a UDP packet with its IP header, whose checksum the kernel fills in.
func datagram(src, dst netip.Addr, port int, text string) []byte {
	b := make([]byte, 28, 28+len(text))
	b[0], b[8], b[9] = 0x45, 64, syscall.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(text)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(b[20:], 4000)
	binary.BigEndian.PutUint16(b[22:], uint16(port))
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(text))) // and no checksum: it is optional
	return append(b, text...)
}

// TestRawSockets has a container with NET_RAW, which Docker's default capabilities include, forge the address of another
// task and the endpoint's, and listen to what two other tasks say to each other.
func TestRawSockets(t *testing.T) {
	c := open(t)
	address := func(run *scheduler.Run) string {
		t.Helper()
		return running(t, run).Attachments[0].Detail("privateIPv4Address")
	}
	victim := start(t, c, define([]string{"app", "overhear 7000"}), scheduler.RunOptions{})
	at := address(victim)
	awaitOutput(t, victim, "app", "hearing")
	friend := start(t, c, define([]string{"app", "chat " + at + ":7000"}), scheduler.RunOptions{})
	from := address(friend)
	awaitOutput(t, victim, "app", "chat from "+from)
	attacker := start(t, c, define([]string{"app", "raw " + at + " 7000 " + from}), scheduler.RunOptions{})
	own := address(attacker)
	awaitOutput(t, attacker, "app", "sniffing as "+own)
	awaitOutput(t, victim, "app", "honest from "+own) // sent behind the forged ones
	if err := attacker.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, attacker)
	want := "sniffing as " + own + "\nseen of its own: true, of others: 0\n"
	if got := output(t, attacker, "app"); got != want {
		t.Errorf("attacker says %q, want %q", got, want)
	}
	if got := output(t, victim, "app"); strings.Contains(got, "forged") || strings.Contains(got, "endpoint") {
		t.Errorf("forged datagrams arrived:\n%s", got)
	}
	for _, run := range []*scheduler.Run{friend, victim} {
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wait(t, run)
	}
}
