package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	wire "github.com/miekg/dns"
)

const testDomain = "eu-central-1.compute.internal"

// newResolver returns a resolver with the given zones and hosts, whose chance always takes the first.
func newResolver(t testing.TB, cfg Config, zones ...Zone) *Resolver {
	t.Helper()
	if cfg.Domain == "" {
		cfg.Domain = testDomain
	}
	r, err := NewResolver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.random = func(n int) int { return n - 1 } // shuffles nothing
	if err := r.SetZones(zones); err != nil {
		t.Fatal(err)
	}
	return r
}

// ask sends a question through a resolver as over TCP, and runs what takes a while.
func ask(t testing.TB, r *Resolver, m *wire.Msg) *wire.Msg {
	t.Helper()
	return askOver(t, r, m, false)
}

func askOver(t testing.TB, r *Resolver, m *wire.Msg, udp bool) *wire.Msg {
	t.Helper()
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	reply, later := r.answer(raw, udp)
	if later != nil {
		reply = later(t.Context())
	}
	got := new(wire.Msg)
	if err := got.Unpack(reply); err != nil {
		t.Fatalf("reply %x: %v", reply, err)
	}
	return got
}

// query asks for a name and returns the answer on a few lines: the code, then records, those of authority behind "~" and
// additional ones behind "+".
func askFor(t testing.TB, r *Resolver, name, kind string) string {
	t.Helper()
	return text(ask(t, r, msg(name, kind)))
}

func msg(name, kind string) *wire.Msg {
	m := new(wire.Msg)
	m.SetQuestion(wire.Fqdn(name), wire.StringToType[kind])
	return m
}

func text(m *wire.Msg) string {
	lines := []string{wire.RcodeToString[m.Rcode]}
	for i, section := range [][]wire.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype == wire.TypeOPT {
				continue
			}
			if soa, ok := rr.(*wire.SOA); ok && i == 1 {
				lines = append(lines, "~"+soa.Hdr.Name)
				continue
			}
			lines = append(lines, []string{"", "~", "+"}[i]+strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return strings.Join(lines, "\n")
}

// upstream is a name server in memory.
type upstream struct {
	mu     sync.Mutex
	asked  []string // "udp 192.0.2.53:53 name. TYPE"
	answer func(network, server string, m *wire.Msg) *wire.Msg
	conns  sync.WaitGroup
}

var (
	firstServer  = netip.MustParseAddrPort("192.0.2.53:53")
	secondServer = netip.MustParseAddrPort("192.0.2.54:53")
)

// newForwarder returns a forwarder that asks an upstream server in memory; answer may return nil, which is silence.
func newForwarder(t testing.TB, cfg ForwarderConfig, answer func(network, server string, m *wire.Msg) *wire.Msg) (*Forwarder, *upstream) {
	t.Helper()
	u := &upstream{answer: answer}
	cfg.Dial = u.dial
	if cfg.Servers == nil {
		cfg.Servers = func() []netip.AddrPort { return []netip.AddrPort{firstServer, secondServer} }
	}
	f, err := NewForwarder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f, u
}

func (u *upstream) dial(_ context.Context, network, server string) (net.Conn, error) {
	client, conn := net.Pipe()
	u.conns.Go(func() {
		defer conn.Close()
		for u.serve(conn, network, server) == nil {
			continue
		}
	})
	return client, nil
}

func (u *upstream) serve(conn net.Conn, network, server string) error {
	var raw []byte
	var err error
	if network == "tcp" {
		raw, err = readFrame(conn)
	} else {
		buf := make([]byte, 4096)
		var n int
		n, err = conn.Read(buf)
		raw = buf[:n]
	}
	if err != nil {
		return err
	}
	m := new(wire.Msg)
	if err := m.Unpack(raw); err != nil {
		return err
	}
	u.mu.Lock()
	u.asked = append(u.asked, strings.Join([]string{network, server, m.Question[0].Name, wire.TypeToString[m.Question[0].Qtype]}, " "))
	u.mu.Unlock()
	reply := u.answer(network, server, m)
	if reply == nil {
		return nil
	}
	out, err := reply.Pack()
	if err != nil {
		return err
	}
	if network == "tcp" {
		out = framed(out)
	}
	_, err = conn.Write(out)
	return err
}

func (u *upstream) log() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.asked)
}

// replyWith answers a question with records in the form of zone files, those of authority behind "~".
func replyWith(m *wire.Msg, rcode int, records ...string) *wire.Msg {
	r := new(wire.Msg)
	r.SetRcode(m, rcode)
	for _, s := range records {
		s, authority := strings.CutPrefix(s, "~")
		rr, err := wire.NewRR(s)
		if err != nil {
			return nil
		}
		if authority {
			r.Ns = append(r.Ns, rr)
		} else {
			r.Answer = append(r.Answer, rr)
		}
	}
	return r
}

func wantErr(t *testing.T, err, want error, contains string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), contains) {
		t.Errorf("error %v, want one that matches %v and has %q", err, want, contains)
	}
}
