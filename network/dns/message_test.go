package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
)

func TestWhatIsNoQuery(t *testing.T) {
	r := newResolver(t, Config{}, shop())
	edit := func(f func(m *wire.Msg)) []byte {
		m := msg("db.shop.internal", "A")
		m.Id = 7
		f(m)
		raw, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	good := edit(func(*wire.Msg) {})
	for _, c := range []struct {
		name  string
		raw   []byte
		rcode int // -1 is silence
	}{
		{"nothing", nil, -1},
		{"eleven bytes", good[:11], -1},
		{"an answer", edit(func(m *wire.Msg) { m.Response = true }), -1},
		{"a header alone", good[:12], wire.RcodeFormatError},
		{"cut short", good[:len(good)-3], wire.RcodeFormatError},
		{"a name that points to itself", append(append([]byte{}, good[:12]...), 0xc0, 12, 0, 1, 0, 1), wire.RcodeFormatError},
		{"no question", edit(func(m *wire.Msg) { m.Question = nil }), wire.RcodeFormatError},
		{"two questions", edit(func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) }), wire.RcodeFormatError},
		{"a question with an answer", edit(func(m *wire.Msg) {
			m.Answer = []wire.RR{addressRecord(netip.IPv6Loopback(), 1)}
			m.Answer[0].Header().Name = "."
		}), wire.RcodeFormatError},
		{"two OPT records", edit(func(m *wire.Msg) { m.SetEdns0(1232, false); m.SetEdns0(1232, false) }), wire.RcodeFormatError},
		{"EDNS version 1", edit(func(m *wire.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), wire.RcodeBadVers},
		{"NOTIFY", edit(func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify }), wire.RcodeNotImplemented},
		{"UPDATE", edit(func(m *wire.Msg) { m.Opcode = wire.OpcodeUpdate }), wire.RcodeNotImplemented},
		{"class CH", edit(func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS }), wire.RcodeRefused},
		{"class ANY", edit(func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassANY }), wire.RcodeRefused},
		{"AXFR", edit(func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeAXFR }), wire.RcodeRefused},
		{"IXFR", edit(func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeIXFR }), wire.RcodeRefused},
		{"OPT", edit(func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeOPT }), wire.RcodeFormatError},
		{"MAILB", edit(func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeMAILB }), wire.RcodeNotImplemented},
		{"a query", good, wire.RcodeSuccess},
	} {
		reply, later := r.answer(c.raw, true)
		if later != nil {
			t.Errorf("%s: it waits", c.name)
		}
		if c.rcode < 0 {
			if reply != nil {
				t.Errorf("%s: answered with %x", c.name, reply)
			}
			continue
		}
		got := new(wire.Msg)
		if err := got.Unpack(reply); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Rcode != c.rcode || got.Id != 7 || !got.Response || !got.RecursionAvailable || got.Authoritative || got.Truncated {
			t.Errorf("%s: got %v, want %s", c.name, got, wire.RcodeToString[c.rcode])
		}
	}
}

func TestTruncation(t *testing.T) {
	z := Zone{Name: "big.internal"}
	var values []string
	for i := range 60 {
		values = append(values, fmt.Sprintf("10.0.0.%d", i))
	}
	z.Records = []RecordSet{set("a.big.internal", "A", values...), set("b.big.internal", "TXT", `"`+strings.Repeat("x", 250)+`"`, `"`+strings.Repeat("y", 250)+`"`)}
	r := newResolver(t, Config{}, z)
	for _, c := range []struct {
		name      string
		edns      uint16
		udp       bool
		truncated bool
		most      int
	}{
		{"a.big.internal", 0, true, true, 512},
		{"a.big.internal", 100, true, true, 512},
		{"a.big.internal", 1232, true, false, 1232},
		{"a.big.internal", 65535, true, false, 1232},
		{"a.big.internal", 0, false, false, 65535},
		{"b.big.internal", 0, true, true, 512},
		{"b.big.internal", 4096, true, false, 1232},
	} {
		m := msg(c.name, "A")
		if c.name[0] == 'b' {
			m = msg(c.name, "TXT")
		}
		if c.edns > 0 {
			m.SetEdns0(c.edns, false)
		}
		got := askOver(t, r, m, c.udp)
		if got.Truncated != c.truncated || (got.IsEdns0() != nil) != (c.edns > 0) {
			t.Errorf("%s with EDNS %d, udp %v: truncated %v, want %v\n%v", c.name, c.edns, c.udp, got.Truncated, c.truncated, got)
		}
		got.Compress = true
		if n := got.Len(); n > c.most {
			t.Errorf("%s with EDNS %d, udp %v: %d bytes, want at most %d", c.name, c.edns, c.udp, n, c.most)
		}
	}
}

// FuzzAnswer looks for messages that break the resolver, or that it answers wrongly in form.
func FuzzAnswer(f *testing.F) {
	for _, c := range []struct{ name, kind string }{{"db.shop.internal", "A"}, {"x.dev.shop.internal", "TXT"}, {"_http._tcp.shop.internal", "SRV"},
		{"www.shop.internal", "ANY"}, {"5.0.0.10.in-addr.arpa", "PTR"}, {"ip-10-0-0-5." + testDomain, "A"}, {".", "NS"}} {
		m := msg(c.name, c.kind)
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, true)
		m.SetEdns0(1232, true)
		if raw, err = m.Pack(); err != nil {
			f.Fatal(err)
		}
		f.Add(raw, false)
	}
	r := newResolver(f, Config{CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, shop())
	if err := r.AddHost(Host{"ip-10-0-0-5." + testDomain, addrs("10.0.0.5")}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte, udp bool) {
		reply, later := r.answer(raw, udp)
		if later != nil {
			t.Fatal("it waits, for nobody")
		}
		if reply == nil {
			if len(raw) >= headerSize && raw[2]&0x80 == 0 {
				t.Fatal("a query is not answered")
			}
			return
		}
		got := new(wire.Msg)
		if err := got.Unpack(reply); err != nil {
			t.Fatalf("answer %x: %v", reply, err)
		}
		if reply[0] != raw[0] || reply[1] != raw[1] || !got.Response || udp && len(reply) > maxUDPSize {
			t.Fatalf("answer %v to %x", got, raw)
		}
		if len(got.Question) > 0 {
			asked := new(wire.Msg)
			if err := asked.Unpack(raw); err == nil {
				if diff := cmp.Diff(asked.Question[:1], got.Question); diff != "" {
					t.Fatal(diff)
				}
			}
		}
	})
}
