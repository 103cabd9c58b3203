package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	wire "github.com/miekg/dns"
)

// TestHostileAnswers has an upstream server whose answers are about more than was asked, or about something else, as the
// server of a domain that belongs to an attacker may have it say. Clients get what is about their question, and nothing is
// remembered of other names.
func TestHostileAnswers(t *testing.T) {
	const bank, evil = "bank.example. 3600 IN A 6.6.6.6", "evil.example. 3600 IN A 192.0.2.66"
	attempts := []struct {
		name   string
		answer func(m *wire.Msg) *wire.Msg
	}{
		{"another name in the answer", func(m *wire.Msg) *wire.Msg { return replyWith(m, 0, evil, bank) }},
		{"another name behind an alias that is none", func(m *wire.Msg) *wire.Msg {
			return replyWith(m, 0, evil, "other.example. 60 IN CNAME bank.example.", bank)
		}},
		{"addresses of another zone's servers", func(m *wire.Msg) *wire.Msg {
			r := replyWith(m, 0, evil, "~bank.example. 3600 IN NS ns.evil.example.", "~com. 3600 IN NS ns.evil.example.")
			rr, _ := wire.NewRR(bank)
			r.Extra = append(r.Extra, rr)
			return r
		}},
		{"records of another type", func(m *wire.Msg) *wire.Msg {
			return replyWith(m, 0, evil, "evil.example. 3600 IN NS bank.example.", "bank.example. 3600 IN MX 1 evil.example.")
		}},
		{"a name that is not there, by the zone of another", func(m *wire.Msg) *wire.Msg {
			return replyWith(m, wire.RcodeNameError, "~bank.example. 3600 IN SOA ns.evil.example. h.evil.example. 1 2 3 4 3600")
		}},
		{"an answer to another question", func(m *wire.Msg) *wire.Msg {
			r := replyWith(m, 0, bank)
			r.Question[0].Name = "bank.example."
			return r
		}},
		{"an answer with another ID", func(m *wire.Msg) *wire.Msg { r := replyWith(m, 0, evil, bank); r.Id++; return r }},
		{"a question in place of an answer", func(m *wire.Msg) *wire.Msg { r := replyWith(m, 0, bank); r.Response = false; return r }},
	}
	for _, a := range attempts {
		asked := 0
		f, up := newForwarder(t, ForwarderConfig{Timeout: 50 * time.Millisecond, Attempts: 1}, func(_, _ string, m *wire.Msg) *wire.Msg {
			if m.Question[0].Name == "bank.example." {
				asked++
				return replyWith(m, 0, "bank.example. 60 IN A 192.0.2.1")
			}
			return a.answer(m)
		})
		r := newResolver(t, Config{Forwarder: f})
		got := askFor(t, r, "evil.example", "A")
		then := askFor(t, r, "bank.example", "A")
		up.conns.Wait()
		hostiletest.Report(t, "an upstream server sends "+a.name, strings.Contains(got, "bank.") || asked != 1 || then != "NOERROR\nbank.example. 60 IN A 192.0.2.1",
			fmt.Sprintf("%q, then %q", got, then))
	}
}

// TestHostileGuess has somebody who knows what is asked of an upstream server, and when, send answers to the port that the
// question comes from before the server does.
func TestHostileGuess(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	at := netip.MustParseAddrPort(server.LocalAddr().String())
	f, err := NewForwarder(ForwarderConfig{Servers: func() []netip.AddrPort { return []netip.AddrPort{at} }, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	forger, err := net.ListenPacket("udp4", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer forger.Close()
	r := newResolver(t, Config{Forwarder: f})
	ids, ports := map[uint16]bool{}, map[string]bool{}
	const tries = 32
	stolen := 0
	for n := range tries {
		got := make(chan string, 1)
		go func() { got <- askFor(t, r, fmt.Sprintf("n%d.bank.example", n), "A") }()
		buf := make([]byte, 4096)
		_ = server.SetReadDeadline(time.Now().Add(patience))
		size, from, err := server.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		m := new(wire.Msg)
		if err := m.Unpack(buf[:size]); err != nil {
			t.Fatal(err)
		}
		ids[m.Id], ports[from.String()] = true, true
		forged := mustPack(t, replyWith(m, 0, m.Question[0].Name+" 60 IN A 6.6.6.6"))
		_, _ = forger.WriteTo(forged, from) // all is right but who sends it
		for id := range 100 {
			binary.BigEndian.PutUint16(forged, m.Id+1+uint16(id))
			_, _ = server.WriteTo(forged, from) // all but the ID
		}
		if _, err := server.WriteTo(mustPack(t, replyWith(m, 0, m.Question[0].Name+" 60 IN A 192.0.2.1")), from); err != nil {
			t.Fatal(err)
		}
		if answer := <-got; !strings.HasSuffix(answer, "192.0.2.1") {
			stolen++
		}
	}
	hostiletest.Report(t, "somebody beside the upstream server answers in its place", stolen > 0, fmt.Sprintf("%d of %d questions", stolen, tries))
	hostiletest.Report(t, "somebody knows the ID or the port of the next question", len(ids) < tries-2 || len(ports) < tries/2,
		fmt.Sprintf("%d IDs and %d ports of %d questions", len(ids), len(ports), tries))
}

// TestHostileOtherVPC has a task ask its VPC's name server for what another VPC's zones and hosts have. Both ask one
// forwarder, which has one cache.
func TestHostileOtherVPC(t *testing.T) {
	f, up := newForwarder(t, ForwarderConfig{}, outside)
	theirs := Zone{Name: "example", Records: []RecordSet{set("www.example", "A", "10.1.0.9"), set("secret.example", "A", "10.1.0.8")}}
	victim, attacker := newResolver(t, Config{Forwarder: f, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}, theirs), newResolver(t, Config{Forwarder: f})
	if err := victim.AddHost(Host{Name: "ip-10-1-0-7." + testDomain, Addrs: []netip.Addr{netip.MustParseAddr("10.1.0.7")}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"www.example", "secret.example", "ip-10-1-0-7." + testDomain, "7.0.1.10.in-addr.arpa"} {
		for _, kind := range []string{"A", "PTR", "ANY", "TXT"} {
			before := askFor(t, victim, name, kind) // which may be remembered
			got := askFor(t, attacker, name, kind)
			hostiletest.Report(t, "a task asks for another VPC's "+name+" "+kind, strings.Contains(got, "10.1.0.") || strings.Contains(got, "ip-10-1"),
				fmt.Sprintf("%q, in its own VPC %q", got, before))
		}
	}
	// And what the attacker's zones say, nobody else believes.
	if err := attacker.SetZones([]Zone{{Name: "bank.example", Records: []RecordSet{set("bank.example", "A", "6.6.6.6")}}}); err != nil {
		t.Fatal(err)
	}
	mine := askFor(t, attacker, "bank.example", "A")
	got := askFor(t, newResolver(t, Config{Forwarder: f}), "bank.example", "A")
	hostiletest.Report(t, "a VPC's zone is believed in another", !strings.Contains(mine, "6.6.6.6") || strings.Contains(got, "6.6.6.6"), got)
	m := msg("www.example", "A")
	m.RecursionDesired = false
	snooped := text(ask(t, attacker, m))
	hostiletest.Report(t, "a task asks what is remembered without having it looked up", snooped != "REFUSED", snooped)
	up.conns.Wait()
}

// TestHostileAmplifier asks for what has long answers. No answer over UDP is longer than what the client says it takes, nor
// than what needs no fragments, and nothing answers an answer.
func TestHostileAmplifier(t *testing.T) {
	long := make([]string, 60)
	for i := range long {
		long[i] = fmt.Sprintf("big.example. 60 IN TXT %q", strings.Repeat(fmt.Sprint(i%10), 200))
	}
	f, up := newForwarder(t, ForwarderConfig{}, func(network, _ string, m *wire.Msg) *wire.Msg {
		r := replyWith(m, 0, long...)
		if network == "udp" {
			r.Answer, r.Truncated = nil, true
		}
		return r
	})
	r := newResolver(t, Config{Forwarder: f}, shop())
	for _, name := range []string{"big.example", "shop.internal", "db.shop.internal", "version.bind"} {
		var wrong []string
		longest := 0.0
		for _, kind := range []uint16{wire.TypeTXT, wire.TypeANY, wire.TypeAXFR, wire.TypeIXFR, wire.TypeDNSKEY, wire.TypeNS, 252, 253, 254, 65535} {
			for _, size := range []uint16{0, 1, 512, 4096, 65535} {
				m := new(wire.Msg)
				m.SetQuestion(wire.Fqdn(name), kind)
				most := minUDPSize
				if size > 0 {
					m.SetEdns0(size, true)
					most = min(max(int(size), minUDPSize), maxUDPSize)
				}
				if name == "version.bind" {
					m.Question[0].Qclass = wire.ClassCHAOS
				}
				raw := mustPack(t, m)
				reply, later := r.answer(raw, true)
				if later != nil {
					reply = later(t.Context())
				}
				records := 0
				got := new(wire.Msg)
				if err := got.Unpack(reply); err == nil {
					records = len(got.Answer)
				}
				refused := kind == wire.TypeAXFR || kind == wire.TypeIXFR || name == "version.bind"
				longest = max(longest, float64(len(reply))/float64(len(raw)))
				if len(reply) > most || refused && records > 0 || kind == wire.TypeANY && len(reply) > 4*len(raw) {
					wrong = append(wrong, fmt.Sprintf("type %d with EDNS %d: %d bytes ask, %d answer", kind, size, len(raw), len(reply)))
				}
			}
		}
		hostiletest.Report(t, "long answers for "+name, len(wrong) > 0, fmt.Sprintf("at most %.0f times the question, and %q", longest, wrong))
	}
	answer := mustPack(t, replyWith(msg("db.shop.internal", "A"), 0, "db.shop.internal. 60 IN A 10.0.0.1"))
	reply, later := r.answer(answer, true)
	hostiletest.Report(t, "two name servers answer each other for ever", reply != nil || later != nil, fmt.Sprintf("%d bytes", len(reply)))
	up.conns.Wait()
}

// TestHostileMessages sends what is no message, or one that refers to itself.
func TestHostileMessages(t *testing.T) {
	f, up := newForwarder(t, ForwarderConfig{}, outside)
	r := newResolver(t, Config{Forwarder: f}, shop())
	head := func(counts ...uint16) []byte {
		raw := []byte{0x12, 0x34, 0x01, 0x00}
		for _, n := range counts {
			raw = binary.BigEndian.AppendUint16(raw, n)
		}
		return raw
	}
	question := []byte{0, 1, 0, 1}
	record := append([]byte{0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 1}, 0)
	name := append(append([]byte{}, 3, 'a', 0, 'b'), 0)
	for what, raw := range map[string][]byte{
		"a name that points to itself":           append(append(head(1, 0, 0, 0), 0xc0, 12), question...),
		"names that point to each other":         append(append(head(1, 0, 0, 0), 0xc0, 14, 0xc0, 12), question...),
		"a name that points beyond the end":      append(append(head(1, 0, 0, 0), 0xff, 0xff), question...),
		"a name without an end":                  append(head(1, 0, 0, 0), bytes.Repeat([]byte{63}, 300)...),
		"a label of 64 bytes":                    append(append(head(1, 0, 0, 0), 64), bytes.Repeat([]byte{'a'}, 70)...),
		"a name of 256 labels":                   append(append(append(head(1, 0, 0, 0), bytes.Repeat([]byte{1, 'a'}, 255)...), 0), question...),
		"a name with a zero in it":               append(append(head(1, 0, 0, 0), name...), question...),
		"more questions than there are":          append(append(head(65535, 0, 0, 0), name...), question...),
		"more records than there are":            append(append(append(head(1, 65535, 65535, 65535), name...), question...), record...),
		"no question":                            head(0, 0, 0, 0),
		"options that are no records":            append(append(append(head(1, 0, 0, 1), name...), question...), 0, 0, 41, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff),
		"a header alone":                         head(1, 0, 0, 0),
		"half a header":                          {0x12, 0x34, 1},
		"a message of 64 KiB of pointers":        append(head(1, 0, 0, 0), bytes.Repeat([]byte{0xc0, 12}, 32000)...),
		"records that point to one another":      append(append(append(head(1, 0, 0, 200), name...), question...), bytes.Repeat(record, 200)...),
		"a question for a name of control bytes": append(append(head(1, 0, 0, 0), 5, 0x1b, '[', '2', 'J', '\n', 0), question...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		reply, later := r.answer(raw, true)
		if later != nil {
			reply = later(t.Context())
		}
		runtime.ReadMemStats(&after)
		used := after.TotalAlloc - before.TotalAlloc
		hostiletest.Report(t, what, len(reply) > maxUDPSize || used > 16<<20 || time.Since(start) > patience, fmt.Sprintf("%d bytes in, %d out, %d allocated", len(raw), len(reply), used))
	}
	up.conns.Wait()
}

// TestHostileExhaustion has one task ask for names whose server never answers, as often as it can, over UDP, and keep
// connections that it does not use: another one is served meanwhile.
func TestHostileExhaustion(t *testing.T) {
	hold := make(chan struct{})
	f, up := newForwarder(t, ForwarderConfig{Timeout: patience}, func(_, _ string, m *wire.Msg) *wire.Msg {
		if strings.HasSuffix(m.Question[0].Name, ".slow.example.") {
			<-hold
			return nil
		}
		return outside("", "", m)
	})
	r := newResolver(t, Config{Forwarder: f, PacketsPerSecond: 1 << 20, IdleTimeout: patience})
	udp, tcp, stop := serve(t, r)
	// Two addresses of the loopback stand for two tasks.
	from := func(network, source, to string) net.Conn {
		d := net.Dialer{Timeout: patience, LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
		if network == "tcp" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
		}
		c, err := d.DialContext(context.Background(), network, to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		return c
	}
	attacker, other := from("udp4", "127.0.0.1", udp), from("udp4", "127.0.0.2", udp)
	for n := range 3000 {
		send(t, attacker, mustPack(t, msg(fmt.Sprintf("n%d.slow.example", n), "A")))
	}
	served := func(c net.Conn) bool {
		for try := range 100 {
			raw := mustPack(t, msg(fmt.Sprintf("try%d.example", try), "A"))
			if c.RemoteAddr().Network() == "tcp" {
				raw = framed(raw)
			}
			if _, err := c.Write(raw); err != nil {
				return false
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := c.Read(make([]byte, 4096)); err == nil && n > 0 {
				return true // a packet may be lost while the socket is full
			}
		}
		return false
	}
	ok := served(other)
	r.limits.mu.Lock()
	pending := r.limits.pending
	r.limits.mu.Unlock()
	hostiletest.Report(t, "a task has the name server wait for so much that others get nothing", !ok || pending > share(r.limits.maxPending)+1,
		fmt.Sprintf("%d of 3000 questions wait; another is answered: %t", pending, ok))
	for range 200 {
		c := from("tcp", "127.0.0.1", tcp)
		_, _ = c.Write([]byte{0xff}) // half of a length, and then nothing
	}
	ok = served(from("tcp", "127.0.0.2", tcp))
	hostiletest.Report(t, "a task takes all connections to the name server", !ok, fmt.Sprintf("another is answered: %t", ok))
	close(hold)
	if err := stop(); err != nil {
		t.Error(err)
	}
	up.conns.Wait()
}
