package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// serve runs a resolver on loopback sockets until the test ends, and returns their addresses.
func serve(t *testing.T, r *Resolver) (udp, tcp string, stop func() error) {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, []net.PacketConn{pc}, []net.Listener{l}) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return pc.LocalAddr().String(), l.Addr().String(), stop
}

func dial(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func send(t *testing.T, conn net.Conn, raw []byte) {
	t.Helper()
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, conn net.Conn) *wire.Msg {
	t.Helper()
	buf := make([]byte, 65535)
	var n int
	var err error
	if conn.RemoteAddr().Network() == "tcp" {
		var raw []byte
		raw, err = readFrame(conn)
		n = copy(buf, raw)
	} else {
		n, err = conn.Read(buf)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := new(wire.Msg)
	if err := m.Unpack(buf[:n]); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRun(t *testing.T) {
	hold := make(chan struct{})
	f, up := newForwarder(t, ForwarderConfig{Timeout: patience, CacheBytes: -1}, func(_, _ string, m *wire.Msg) *wire.Msg {
		if m.Question[0].Name == "slow.example." {
			<-hold
		}
		return replyWith(m, wire.RcodeNameError, soaLine)
	})
	r := newResolver(t, Config{Forwarder: f}, shop())
	udp, tcp, stop := serve(t, r)
	for _, network := range []string{"udp", "tcp"} {
		conn := dial(t, network, map[string]string{"udp": udp, "tcp": tcp}[network])
		// A query that waits for the outside holds nobody up, and its answer comes when it is there.
		for id, name := range []string{"slow.example", "db.shop.internal", "new.shop.internal", "no.example"} {
			m := msg(name, "A")
			m.Id = uint16(id)
			raw := mustPack(t, m)
			if network == "tcp" {
				raw = framed(raw)
			}
			send(t, conn, raw)
		}
		got := map[uint16]int{}
		for range 3 {
			m := receive(t, conn)
			got[m.Id] = m.Rcode
		}
		if network == "udp" {
			hold <- struct{}{}
			m := receive(t, conn)
			got[m.Id] = m.Rcode
			if want := map[uint16]int{0: 3, 1: 0, 2: 0, 3: 3}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, want %v", network, got, want)
			}
		}
	}
	conn := dial(t, "tcp", tcp)
	close(hold)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection is open after Run")
	}
	up.conns.Wait()
}

func TestRunBrokenSocket(t *testing.T) {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = pc.Close()
	r := newResolver(t, Config{})
	if err := r.Run(t.Context(), []net.PacketConn{pc}, []net.Listener{l}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run on a closed socket: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the other socket after Run: %v", err)
	}
}

func TestTCPLimits(t *testing.T) {
	r := newResolver(t, Config{MaxConnections: 16, IdleTimeout: 2 * patience}, shop()) // two for each source
	_, tcp, _ := serve(t, r)
	query := framed(mustPack(t, msg("db.shop.internal", "A")))
	first, second := dial(t, "tcp", tcp), dial(t, "tcp", tcp)
	for _, conn := range []net.Conn{first, second} {
		send(t, conn, query)
		if m := receive(t, conn); m.Rcode != 0 {
			t.Errorf("got %v", m)
		}
	}
	third := dial(t, "tcp", tcp)
	if _, err := third.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a third connection of one source: %v, want it closed", err)
	}
	send(t, first, []byte{0, 3, 1, 2, 3})
	if _, err := first.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a connection that does not speak DNS: %v, want it closed", err)
	}
}

func TestTCPIdle(t *testing.T) {
	r := newResolver(t, Config{IdleTimeout: 50 * time.Millisecond}, shop())
	_, tcp, _ := serve(t, r)
	for _, part := range [][]byte{nil, {0}, {0xff, 0xff, 1}} {
		conn := dial(t, "tcp", tcp)
		if len(part) > 0 {
			_, _ = conn.Write(part)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("a connection that sent %x and nothing more: %v, want it closed", part, err)
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestPacketLimit(t *testing.T) {
	now := time.Unix(1000, 0)
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	l := newLimits(1024, 16)
	passed := func(from netip.Addr, sent int) (n int) {
		for range sent {
			if l.packet(from, now) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		from netip.Addr
		wait time.Duration
		want int
	}{{a, 0, 1024}, {a, 0, 0}, {b, 0, 1024}, {a, 500 * time.Millisecond, 512}, {b, 0, 512}, {a, time.Hour, 1024}, {b, 0, 1024}, {a, -time.Hour, 0}, {a, time.Hour, 0}} {
		now = now.Add(c.wait)
		if got := passed(c.from, 3000); got != c.want {
			t.Errorf("%s after %v more: %d packets of 3000 passed, want %d", c.from, c.wait, got, c.want)
		}
	}

	for range 2 { // share(16)
		if !l.begin(a, now) {
			t.Error("a query may not wait")
		}
	}
	if l.begin(a, now) {
		t.Error("a third query of one source may wait")
	}
	l.end(a)
	if !l.begin(a, now) {
		t.Error("a query may not wait after another one ended")
	}
}

// TestManySources bounds the memory that forged or short-lived sources take.
func TestManySources(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimits(1024, 16)
	source := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range maxSources {
		if !l.packet(source(i), now) {
			t.Fatalf("source %d is refused", i)
		}
	}
	if l.packet(source(maxSources), now) {
		t.Error("one source too many is served")
	}
	now = now.Add(time.Second)
	if !l.begin(source(0), now) || !l.packet(source(maxSources), now) {
		t.Error("sources that have been quiet are not forgotten")
	}
	if len(l.sources) != 2 {
		t.Errorf("%d sources are remembered, want those that have something under way or sent last", len(l.sources))
	}
	l.end(source(0))
}

func TestPacketLimitOverUDP(t *testing.T) {
	r := newResolver(t, Config{PacketsPerSecond: 1}, shop())
	udp, tcp, _ := serve(t, r)
	conn := dial(t, "udp", udp)
	send(t, conn, mustPack(t, msg("db.shop.internal", "A")))
	if m := receive(t, conn); m.Rcode != 0 {
		t.Errorf("got %v", m)
	}
	// TCP counts, too: the connection is closed.
	for {
		conn := dial(t, "tcp", tcp)
		send(t, conn, framed(mustPack(t, msg("db.shop.internal", "A"))))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			break
		}
	}
}

func TestConfigInvalid(t *testing.T) {
	for _, cfg := range []Config{{}, {Domain: "a..b"}, {Domain: testDomain, PacketsPerSecond: -1}, {Domain: testDomain, MaxPending: -1},
		{Domain: testDomain, MaxConnections: -1}, {Domain: testDomain, IdleTimeout: -1}} {
		_, err := NewResolver(cfg)
		wantErr(t, err, ErrInvalid, "configure resolver")
	}
	for _, cfg := range []ForwarderConfig{{}, {Servers: HostServers("x"), Timeout: -1}, {Servers: HostServers("x"), MaxTTL: -1}} {
		_, err := NewForwarder(cfg)
		wantErr(t, err, ErrInvalid, "configure forwarder")
	}
}
