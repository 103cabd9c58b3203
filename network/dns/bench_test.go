package dns

import (
	"fmt"
	"net/netip"
	"testing"

	wire "github.com/miekg/dns"
)

// BenchmarkAnswer answers a question for the name of one of n hosts, without a socket.
func BenchmarkAnswer(b *testing.B) {
	for _, n := range []int{10, 10000} {
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			r := newResolver(b, Config{}, shop())
			for i := range n {
				a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
				if err := r.AddHost(Host{fmt.Sprintf("ip-10-0-%d-%d.%s", i>>8, i&255, testDomain), []netip.Addr{a}}); err != nil {
					b.Fatal(err)
				}
			}
			raw, err := msg("ip-10-0-0-5."+testDomain, "A").Pack()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if reply, _ := r.answer(raw, true); len(reply) == 0 {
					b.Fatal("no answer")
				}
			}
		})
	}
}

// BenchmarkCached answers a question for the outside from the cache.
func BenchmarkCached(b *testing.B) {
	f, up := newForwarder(b, ForwarderConfig{}, outside)
	r := newResolver(b, Config{Forwarder: f})
	if got := ask(b, r, msg("long.example", "A")); got.Rcode != wire.RcodeSuccess {
		b.Fatal(got)
	}
	up.conns.Wait()
	raw, err := msg("long.example", "A").Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if reply, _ := r.answer(raw, true); len(reply) == 0 {
			b.Fatal("no answer")
		}
	}
}

// BenchmarkAddHost adds and removes one host among n.
func BenchmarkAddHost(b *testing.B) {
	for _, n := range []int{10, 10000} {
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			r := newResolver(b, Config{})
			for i := range n {
				if err := r.AddHost(Host{fmt.Sprintf("h%d.internal", i), []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}}); err != nil {
					b.Fatal(err)
				}
			}
			h := Host{"new.internal", []netip.Addr{netip.MustParseAddr("10.1.0.1")}}
			for b.Loop() {
				if err := r.AddHost(h); err != nil {
					b.Fatal(err)
				}
				r.RemoveHost(h.Addrs[0])
			}
		})
	}
}
