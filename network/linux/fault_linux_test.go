package linux

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/network"
)

// faulty is two ENIs that may talk, and a receiver of UDP on the second.
type faulty struct {
	*testing.T
	f        *Fabric
	id       string     // of the first
	from, to string     // namespaces
	addr     netip.Addr // of the second
	packets  net.PacketConn
}

func newFaulty(t *testing.T) *faulty {
	lane.Root(t)
	f := newFabric(t, "faults")
	s := testVPC(t, "faults", "10.1.0.0/16")
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1)}
	must(t, f.Apply(t.Context(), s))
	x := &faulty{T: t, f: f, id: s.ENIs[0].ID, addr: s.ENIs[1].PrivateIPv4,
		from: f.cfg.namespacePath(s.ENIs[0].ID), to: f.cfg.namespacePath(s.ENIs[1].ID)}
	in(t, x.to, func() (err error) { x.packets, err = net.ListenPacket("udp4", ":9"); return err })
	t.Cleanup(func() { _ = x.packets.Close() })
	serve(t, x.to, "0.0.0.0:7")
	serve(t, x.to, "0.0.0.0:70")
	return x
}

func (x *faulty) set(f network.Faults) {
	x.Helper()
	must(x, x.f.SetFaults(x.Context(), x.id, f))
}

// hears reports whether an answer comes from a port.
func (x *faulty) hears(port int) bool {
	x.Helper()
	answer, _ := ask(x.T, x.from, fmt.Sprintf("%s:%d", x.addr, port))
	return strings.HasSuffix(answer, "hello")
}

// arrive sends packets, each from another port, and returns those that arrived, by what they said. A last one that
// nothing stops follows them through the same links, so nobody waits for what was lost.
func (x *faulty) arrive(n int, send func(i int, c net.PacketConn) error) map[string]bool {
	x.Helper()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(x.addr, 9))
	last := fmt.Sprint("end ", n)
	received := make(chan map[string]bool, 1)
	go func() { received <- x.receive(last) }() // meanwhile: the socket does not hold all
	in(x.T, x.from, func() error {
		for i := range n {
			c, err := net.ListenPacket("udp4", ":0")
			if err != nil {
				return err
			}
			if _, err = c.WriteTo([]byte(fmt.Sprint(i)), to); err == nil && send != nil {
				err = send(i, c)
			}
			if err = errors.Join(err, c.Close()); err != nil {
				return fmt.Errorf("the sender was told: %w", err)
			}
		}
		return nil
	})
	x.set(network.Faults{})
	in(x.T, x.from, func() error {
		c, err := net.DialUDP("udp4", nil, to)
		if err != nil {
			return err
		}
		_, err = io.WriteString(c, last)
		return errors.Join(err, c.Close())
	})
	got := <-received
	if got == nil {
		x.Fatal("the last packet did not arrive")
	}
	return got
}

// receive returns the packets before the last one, nil if that does not come.
func (x *faulty) receive(last string) map[string]bool {
	got := map[string]bool{}
	_ = x.packets.SetReadDeadline(time.Now().Add(time.Minute))
	for buf := make([]byte, 100); ; {
		n, _, err := x.packets.ReadFrom(buf)
		if err != nil {
			return nil
		}
		if string(buf[:n]) == last {
			return got
		}
		got[string(buf[:n])] = true
	}
}

func TestFaultBlackhole(t *testing.T) {
	x := newFaulty(t)
	self := netip.PrefixFrom(x.addr, 32)
	hole := network.Blackhole{Port: 7, Protocol: network.TCP, Outgoing: true}
	if !x.hears(7) {
		t.Fatal("no answer without faults")
	}
	for range 2 { // it may be repeated
		x.set(network.Faults{Blackholes: []network.Blackhole{hole}})
	}
	if x.hears(7) || !x.hears(70) {
		t.Error("port 7 must be black, and port 70 not")
	}
	hole.Spared = []netip.Prefix{self}
	x.set(network.Faults{Blackholes: []network.Blackhole{hole}})
	if !x.hears(7) {
		t.Error("what is spared is dropped")
	}
	x.set(network.Faults{Blackholes: []network.Blackhole{{Port: 7, Protocol: network.UDP, Outgoing: true}, {Port: 7, Protocol: network.TCP}}})
	if !x.hears(7) {
		t.Error("black for UDP, and for what comes in: what goes out by TCP is dropped")
	}
	// What comes in is dropped at the receiver.
	x.id = testENI(testVPC(t, "faults", "10.1.0.0/16"), 1).ID
	x.set(network.Faults{Blackholes: []network.Blackhole{{Port: 7, Protocol: network.TCP}}})
	if x.hears(7) || !x.hears(70) {
		t.Error("port 7 must be black at the receiver, and port 70 not")
	}
	x.set(network.Faults{})
	if !x.hears(7) {
		t.Error("no answer after the faults")
	}
	err := x.f.SetFaults(t.Context(), "eni-00000000000000000", network.Faults{})
	if !errors.Is(err, network.ErrNotFound) {
		t.Errorf("no ENI: %v", err)
	}
	if err := x.f.SetFaults(t.Context(), x.id, network.Faults{Loss: &network.Loss{}}); !errors.Is(err, network.ErrInvalid) {
		t.Errorf("no loss: %v", err)
	}
}

func TestFaultLoss(t *testing.T) {
	x := newFaulty(t)
	everything := []netip.Prefix{prefix("0.0.0.0/0"), prefix("::/0")}
	loss := func(percent, flows int, spared ...netip.Prefix) network.Faults {
		return network.Faults{Loss: &network.Loss{Flows: network.Flows{To: everything, Percent: flows, Spared: spared}, Percent: percent}}
	}
	const n = 100 // as many as the socket holds
	for _, tt := range []struct {
		what     string
		faults   network.Faults
		min, max int
	}{
		{"nothing", network.Faults{}, n, n},
		{"all", loss(100, 100), 0, 0},
		{"all but to the receiver", loss(100, 100, netip.PrefixFrom(x.addr, 32)), n, n},
		{"all to others", network.Faults{Loss: &network.Loss{Flows: network.Flows{To: []netip.Prefix{prefix("10.1.200.0/24")}, Percent: 100}, Percent: 100}}, n, n},
		{"a quarter", loss(25, 100), n * 40 / 100, n - 1}, // eight standard deviations, and as good as certain
		{"all of half of the flows", loss(100, 50), n * 20 / 100, n * 80 / 100},
	} {
		x.set(tt.faults)
		if got := len(x.arrive(n, nil)); got < tt.min || got > tt.max {
			t.Errorf("%s: %d of %d packets arrived, want %d..%d", tt.what, got, n, tt.min, tt.max)
		}
	}
	// A flow is hit or not.
	x.set(loss(100, 50))
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(x.addr, 9))
	got := x.arrive(100, func(i int, c net.PacketConn) error {
		_, err := c.WriteTo([]byte(fmt.Sprint("again ", i)), to)
		return err
	})
	for i := range 100 {
		if got[fmt.Sprint(i)] != got[fmt.Sprint("again ", i)] {
			t.Errorf("of flow %d one packet of two arrived", i)
		}
	}
	x.set(loss(100, 100))
	if x.hears(7) {
		t.Error("TCP is not hit")
	}
	// The next program finds them as they were.
	again := openFabric(t, x.f.cfg)
	must(t, x.f.Close())
	x.f = again
	must(t, again.Apply(t.Context(), x.state()))
	if x.hears(7) {
		t.Error("the fault ended with the fabric")
	}
	x.set(network.Faults{})
	if !x.hears(7) {
		t.Error("no answer after the faults")
	}
}

// state is the state that newFaulty applied.
func (x *faulty) state() network.State {
	s := testVPC(x, "faults", "10.1.0.0/16")
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1)}
	return s
}

func TestFaultDelay(t *testing.T) {
	x := newFaulty(t)
	delay := network.Faults{Delay: &network.Delay{Milliseconds: 150, Flows: network.Flows{Percent: 100,
		To: []netip.Prefix{netip.PrefixFrom(x.addr, 32)}, Spared: []netip.Prefix{prefix("10.1.200.0/24")}}}}
	err := x.f.SetFaults(t.Context(), x.id, delay)
	var unsupported *network.UnsupportedError
	if errors.As(err, &unsupported) && strings.Contains(unsupported.Needs, "sch_") {
		if !x.hears(7) {
			t.Error("a delay that cannot be leaves the network broken")
		}
		t.Skipf("this kernel cannot delay: %v", err)
	}
	must(t, err)
	took := func() time.Duration {
		began := time.Now()
		if !x.hears(7) {
			t.Error("no answer")
		}
		return time.Since(began)
	}
	if d := took(); d < 300*time.Millisecond { // the handshake's first packet, and then the line
		t.Errorf("an answer took %v, want two times 150 ms or more", d)
	}
	delay.Delay.To = []netip.Prefix{prefix("10.1.200.0/24")}
	delay.Delay.Milliseconds, delay.Delay.Spared = 5000, nil
	x.set(delay)
	if d := took(); d > 4*time.Second {
		t.Errorf("what goes elsewhere took %v", d)
	}
	x.set(network.Faults{})
	x.set(network.Faults{})
	if !x.hears(7) {
		t.Error("no answer after the delay")
	}
}
