package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
)

const soaLine = "~example. 600 IN SOA ns.example. host.example. 1 2 3 4 300"

// outside is a small internet.
func outside(_, _ string, m *wire.Msg) *wire.Msg {
	switch name := m.Question[0].Name; name {
	case "www.example.":
		return replyWith(m, wire.RcodeSuccess, "www.example. 100 IN CNAME Host.example.", "host.example. 50 IN A 192.0.2.1")
	case "long.example.":
		return replyWith(m, wire.RcodeSuccess, "long.example. 604800 IN A 192.0.2.2")
	case "empty.example.":
		return replyWith(m, wire.RcodeSuccess, soaLine)
	case "zero.example.":
		return replyWith(m, wire.RcodeSuccess, "zero.example. 0 IN A 192.0.2.3")
	case "nosoa.example.":
		return replyWith(m, wire.RcodeNameError)
	default:
		return replyWith(m, wire.RcodeNameError, soaLine)
	}
}

func TestForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, up := newForwarder(t, ForwarderConfig{}, outside)
		over := Zone{Name: "z.internal", Records: []RecordSet{set("out.z.internal", "CNAME", "www.example"), set("gone.z.internal", "CNAME", "no.example")}}
		r := newResolver(t, Config{Forwarder: f}, over)
		for _, c := range []struct {
			name, want string
			asked      int // how often the server has been asked so far
			wait       time.Duration
		}{
			{"WWW.example", "NOERROR\nWWW.example. 100 IN CNAME Host.example.\nhost.example. 50 IN A 192.0.2.1", 1, 10 * time.Second},
			{"www.Example", "NOERROR\nwww.Example. 90 IN CNAME Host.example.\nhost.example. 40 IN A 192.0.2.1", 1, 39 * time.Second},
			{"www.example", "NOERROR\nwww.example. 51 IN CNAME Host.example.\nhost.example. 1 IN A 192.0.2.1", 1, time.Second},
			{"www.example", "NOERROR\nwww.example. 100 IN CNAME Host.example.\nhost.example. 50 IN A 192.0.2.1", 2, 0},
			{"out.z.internal", "NOERROR\nout.z.internal. 60 IN CNAME www.example.\nwww.example. 100 IN CNAME Host.example.\nhost.example. 50 IN A 192.0.2.1", 2, 0},
			{"gone.z.internal", "NXDOMAIN\ngone.z.internal. 60 IN CNAME no.example.\n~example.", 3, 0},
			{"no.example", "NXDOMAIN\n~example.", 3, 299 * time.Second},
			{"no.example", "NXDOMAIN\n~example.", 3, time.Second},
			{"no.example", "NXDOMAIN\n~example.", 4, 0},
			{"empty.example", "NOERROR\n~example.", 5, 0},
			{"empty.example", "NOERROR\n~example.", 5, 0},
			{"zero.example", "NOERROR\nzero.example. 0 IN A 192.0.2.3", 6, 0},
			{"zero.example", "NOERROR\nzero.example. 0 IN A 192.0.2.3", 7, 0},
			{"nosoa.example", "NXDOMAIN", 8, 0},
			{"nosoa.example", "NXDOMAIN", 9, 0},
			{"long.example", "NOERROR\nlong.example. 3600 IN A 192.0.2.2", 10, time.Hour},
			{"long.example", "NOERROR\nlong.example. 3600 IN A 192.0.2.2", 11, 0},
			{"no.z.internal", "NXDOMAIN\n~z.internal.", 11, 0},
			{"ip-10-0-0-1." + testDomain, "NXDOMAIN\n~" + testDomain + ".", 11, 0},
			{"x.localhost", "NOERROR\nx.localhost. 60 IN A 127.0.0.1", 11, 0},
		} {
			if diff := cmp.Diff(c.want, askFor(t, r, c.name, "A")); diff != "" {
				t.Errorf("%s: -want +got\n%s", c.name, diff)
			}
			if got := len(up.log()); got != c.asked {
				t.Errorf("%s: the server was asked %d times, want %d", c.name, got, c.asked)
			}
			<-time.After(c.wait)
		}
		m := msg("www.example", "A")
		m.RecursionDesired = false
		if got := text(ask(t, r, m)); got != "REFUSED" {
			t.Errorf("without recursion: %q", got)
		}
		up.conns.Wait()
	})
}

func TestForwardFailures(t *testing.T) {
	ok := func(m *wire.Msg) *wire.Msg { return replyWith(m, wire.RcodeSuccess, "a.example. 60 IN A 192.0.2.1") }
	const good = "NOERROR\na.example. 60 IN A 192.0.2.1"
	both := []string{"udp 192.0.2.53:53 a.example. A", "udp 192.0.2.54:53 a.example. A"}
	for _, c := range []struct {
		name   string
		answer func(network, server string, m *wire.Msg) *wire.Msg
		want   string
		asked  []string
		took   time.Duration
	}{
		{"the first is silent", func(_, server string, m *wire.Msg) *wire.Msg {
			if server == firstServer.String() {
				return nil
			}
			return ok(m)
		}, good, both, 2 * time.Second},
		{"the first fails", func(_, server string, m *wire.Msg) *wire.Msg {
			if server == firstServer.String() {
				return replyWith(m, wire.RcodeServerFailure)
			}
			return ok(m)
		}, good, both, 0},
		{"both refuse", func(_, _ string, m *wire.Msg) *wire.Msg { return replyWith(m, wire.RcodeRefused) }, "REFUSED", both, 0},
		{"both fail", func(_, _ string, m *wire.Msg) *wire.Msg { return replyWith(m, wire.RcodeServerFailure) }, "SERVFAIL", both, 0},
		{"both are silent", func(_, _ string, m *wire.Msg) *wire.Msg { return nil }, "SERVFAIL", append(both, both...), 8 * time.Second},
		{"an answer to another question", func(_, server string, m *wire.Msg) *wire.Msg {
			r := ok(m)
			if server == firstServer.String() {
				r.Question[0].Name = "b.example."
			}
			return r
		}, good, both, 2 * time.Second},
		{"another ID", func(_, server string, m *wire.Msg) *wire.Msg {
			r := ok(m)
			if server == firstServer.String() {
				r.Id++
			}
			return r
		}, good, both, 2 * time.Second},
		{"truncated", func(network, _ string, m *wire.Msg) *wire.Msg {
			r := ok(m)
			if network == "udp" {
				r.Answer, r.Truncated = nil, true
			}
			return r
		}, good, []string{"udp 192.0.2.53:53 a.example. A", "tcp 192.0.2.53:53 a.example. A"}, 0},
		{"without EDNS", func(_, _ string, m *wire.Msg) *wire.Msg {
			if m.IsEdns0() != nil {
				return replyWith(m, wire.RcodeFormatError)
			}
			return ok(m)
		}, good, []string{"udp 192.0.2.53:53 a.example. A", "udp 192.0.2.53:53 a.example. A"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, up := newForwarder(t, ForwarderConfig{}, c.answer)
				r := newResolver(t, Config{Forwarder: f})
				began := time.Now()
				if diff := cmp.Diff(c.want, askFor(t, r, "a.example", "A")); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if diff := cmp.Diff(c.asked, up.log()); diff != "" {
					t.Errorf("asked: -want +got\n%s", diff)
				}
				// What failed is not asked for again at once.
				_ = askFor(t, r, "a.example", "A")
				if got := len(up.log()); got != len(c.asked) {
					t.Errorf("asked %d times more", got-len(c.asked))
				}
				up.conns.Wait()
			})
		})
	}
}

// TestForwardPrefersServersThatAnswer asks a server that was silent last, for a while.
func TestForwardPrefersServersThatAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, up := newForwarder(t, ForwarderConfig{CacheBytes: -1}, func(_, server string, m *wire.Msg) *wire.Msg {
			if server == firstServer.String() {
				return nil
			}
			return replyWith(m, wire.RcodeNameError, soaLine)
		})
		r := newResolver(t, Config{Forwarder: f})
		_ = askFor(t, r, "a.example", "A")
		_ = askFor(t, r, "b.example", "A")
		<-time.After(downTime)
		_ = askFor(t, r, "c.example", "A")
		want := []string{"udp 192.0.2.53:53 a.example. A", "udp 192.0.2.54:53 a.example. A", "udp 192.0.2.54:53 b.example. A",
			"udp 192.0.2.53:53 c.example. A", "udp 192.0.2.54:53 c.example. A"}
		if diff := cmp.Diff(want, up.log()); diff != "" {
			t.Errorf("asked: -want +got\n%s", diff)
		}
		up.conns.Wait()
	})
}

func TestForwardNobody(t *testing.T) {
	f, _ := newForwarder(t, ForwarderConfig{Servers: func() []netip.AddrPort { return nil }}, nil)
	r := newResolver(t, Config{Forwarder: f})
	if got := askFor(t, r, "a.example", "A"); got != "REFUSED" {
		t.Errorf("got %q, want REFUSED", got)
	}
	_, err := NewForwarder(ForwarderConfig{})
	wantErr(t, err, ErrInvalid, "Servers")
}

// TestForwardTogether asks once for all who ask the same, and refuses what is too much.
func TestForwardTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f, up := newForwarder(t, ForwarderConfig{MaxInFlight: 1}, func(_, _ string, m *wire.Msg) *wire.Msg {
			<-hold
			return replyWith(m, wire.RcodeNameError, soaLine)
		})
		q := question{name: "a.example.", kind: wire.TypeA}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if r, err := f.resolve(t.Context(), q); err != nil || r.rcode != wire.RcodeNameError {
					t.Errorf("%v, %v", r, err)
				}
			})
		}
		synctest.Wait()
		if _, err := f.resolve(t.Context(), question{name: "b.example.", kind: wire.TypeA}); !errors.Is(err, errBusy) {
			t.Errorf("error %v, want %v", err, errBusy)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.resolve(ctx, q); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
		close(hold)
		all.Wait()
		if got := up.log(); len(got) != 1 {
			t.Errorf("asked %q", got)
		}
		up.conns.Wait()
	})
}

func TestForwardDNSSECBits(t *testing.T) {
	f, _ := newForwarder(t, ForwarderConfig{}, func(_, _ string, m *wire.Msg) *wire.Msg {
		r := replyWith(m, wire.RcodeSuccess, "a.example. 60 IN A 192.0.2.1")
		r.AuthenticatedData = true
		if m.IsEdns0().Do() {
			rr, _ := wire.NewRR("a.example. 60 IN RRSIG A 8 2 60 20300101000000 20200101000000 1 example. AAAA")
			r.Answer = append(r.Answer, rr)
		}
		return r
	})
	r := newResolver(t, Config{Forwarder: f})
	for range 2 { // from the server, and from the cache
		for _, c := range []struct {
			do, ad  bool
			records int
			want    bool
		}{{false, false, 1, false}, {false, true, 1, true}, {true, false, 2, true}} {
			m := msg("a.example", "A")
			m.AuthenticatedData = c.ad
			if c.do {
				m.SetEdns0(1232, true)
			}
			if got := ask(t, r, m); len(got.Answer) != c.records || got.AuthenticatedData != c.want {
				t.Errorf("DO %v, AD %v: %v", c.do, c.ad, got)
			}
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := cache{max: 8192}
	now := time.Now()
	for i := range 1000 {
		q := question{name: fmt.Sprintf("n%d.example.", i), kind: wire.TypeA}
		rr := addressRecord(netip.MustParseAddr("192.0.2.1"), 60)
		rr.Header().Name = q.name
		c.put(q, &reply{answer: []wire.RR{rr}}, time.Minute, now)
		if i == 999 {
			_, ok := c.get(q, now)
			_, old := c.get(question{name: "n0.example.", kind: wire.TypeA}, now)
			if !ok || old {
				t.Errorf("the newest is there: %v, want true; the oldest: %v, want false", ok, old)
			}
		}
	}
	if c.size > c.max || len(c.entries) != c.recent.Len() || len(c.entries) < 20 {
		t.Errorf("%d bytes, %d entries, %d in order", c.size, len(c.entries), c.recent.Len())
	}
	big := &wire.TXT{Hdr: wire.RR_Header{Name: "big.example.", Rrtype: wire.TypeTXT, Class: wire.ClassINET, Ttl: 60}}
	for range 10 {
		big.Txt = append(big.Txt, strings.Repeat("x", 200))
	}
	q := question{name: "big.example.", kind: wire.TypeTXT}
	c.put(q, &reply{answer: []wire.RR{big}}, time.Minute, now)
	if _, ok := c.get(q, now); ok {
		t.Error("a reply of a quarter of the cache is kept")
	}
}

// FuzzUpstream looks for answers of servers that break the forwarder or the resolver.
func FuzzUpstream(f *testing.F) {
	m := msg("www.example", "A")
	raw, err := outside("", "", m).Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[2:])
	f.Fuzz(func(t *testing.T, raw []byte) {
		q := question{name: "www.example.", kind: wire.TypeA}
		sent := q.message(true)
		got := new(wire.Msg)
		if got.Unpack(append([]byte{byte(sent.Id >> 8), byte(sent.Id)}, raw...)) != nil || !isAnswer(got, sent) {
			return
		}
		fw, _ := newForwarder(t, ForwarderConfig{}, nil)
		answer, authority := q.asked(inClass(got.Answer), inClass(got.Ns))
		r := fw.keep(q, &reply{rcode: got.Rcode, answer: answer, authority: authority})
		asked, _ := parse(mustPack(t, msg("wWw.example", "A")), true)
		for range 2 {
			if err := new(wire.Msg).Unpack(asked.join(found{next: "www.example."}, r)); err != nil {
				t.Fatal(err)
			}
			again, ok := fw.cached(q)
			if !ok {
				return
			}
			r = again
		}
	})
}

func mustPack(t testing.TB, m *wire.Msg) []byte {
	t.Helper()
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
