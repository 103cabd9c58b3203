package dns

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func TestHosts(t *testing.T) {
	cidrs := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("2001:db8:0:1::/64")}
	inDomain := Zone{Name: "ip-10-0-0-7." + testDomain, Records: []RecordSet{set("ip-10-0-0-7."+testDomain, "A", "10.9.9.9")}}
	r := newResolver(t, Config{CIDRs: cidrs}, inDomain)
	for _, h := range []Host{
		{"ip-10-0-0-5." + testDomain, addrs("10.0.0.5", "2001:db8:0:1::5")},
		{"ip-10-0-0-6." + testDomain, addrs("10.0.0.6")},
		{"Named.example.", addrs("10.0.0.8")},
	} {
		if err := r.AddHost(h); err != nil {
			t.Fatal(err)
		}
	}
	const v6 = "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
	for _, c := range []struct{ name, kind, want string }{
		{"ip-10-0-0-5." + testDomain, "A", "NOERROR\nip-10-0-0-5." + testDomain + ". 60 IN A 10.0.0.5"},
		{"ip-10-0-0-5." + testDomain, "AAAA", "NOERROR\nip-10-0-0-5." + testDomain + ". 60 IN AAAA 2001:db8:0:1::5"},
		{"ip-10-0-0-6." + testDomain, "AAAA", "NOERROR\n~" + testDomain + "."},
		{"ip-10-0-0-6." + testDomain, "ANY", "NOERROR\nip-10-0-0-6." + testDomain + ". 3600 IN HINFO \"RFC8482\" \"\""},
		{"ip-10-0-0-9." + testDomain, "A", "NXDOMAIN\n~" + testDomain + "."},
		{"ip-10-0-0-7." + testDomain, "A", "NOERROR\nip-10-0-0-7." + testDomain + ". 60 IN A 10.9.9.9"},
		{testDomain, "A", "NOERROR\n~" + testDomain + "."},
		{"named.example", "A", "NOERROR\nnamed.example. 60 IN A 10.0.0.8"},
		{"named.example", "MX", "NOERROR\n~example."},
		{"5.0.0.10.in-addr.arpa", "PTR", "NOERROR\n5.0.0.10.in-addr.arpa. 60 IN PTR ip-10-0-0-5." + testDomain + "."},
		{"8.0.0.10.in-addr.arpa", "PTR", "NOERROR\n8.0.0.10.in-addr.arpa. 60 IN PTR named.example."},
		{"5.0.0.10.in-addr.arpa", "A", "NOERROR\n~0.0.10.in-addr.arpa."},
		{"5.0.0.10.in-addr.arpa", "ANY", "NOERROR\n5.0.0.10.in-addr.arpa. 3600 IN HINFO \"RFC8482\" \"\""},
		{"9.0.0.10.in-addr.arpa", "PTR", "NXDOMAIN\n~0.0.10.in-addr.arpa."},
		{"9.0.1.10.in-addr.arpa", "PTR", "REFUSED"},
		{"0.10.in-addr.arpa", "PTR", "REFUSED"},
		{"05.0.0.10.in-addr.arpa", "PTR", "REFUSED"},
		{"256.0.0.10.in-addr.arpa", "PTR", "REFUSED"},
		{v6, "PTR", "NOERROR\n" + v6 + ". 60 IN PTR ip-10-0-0-5." + testDomain + "."},
		{"6" + v6[1:], "PTR", "NXDOMAIN\n~1.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."},
		{"x" + v6[1:], "PTR", "REFUSED"},
		{"0" + v6, "PTR", "REFUSED"},
		{v6[2:], "PTR", "REFUSED"},
	} {
		if diff := cmp.Diff(c.want, askFor(t, r, c.name, c.kind)); diff != "" {
			t.Errorf("%s %s: -want +got\n%s", c.name, c.kind, diff)
		}
	}
}

func TestHostsChange(t *testing.T) {
	r := newResolver(t, Config{CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}})
	step := func(what string, wantA, wantB, wantPTR string) {
		t.Helper()
		for _, c := range []struct{ name, kind, want string }{
			{"a.internal", "A", wantA}, {"b.internal", "A", wantB}, {"1.0.0.10.in-addr.arpa", "PTR", wantPTR},
		} {
			if got := askFor(t, r, c.name, c.kind); got != c.want {
				t.Errorf("%s: %s: got %q, want %q", what, c.name, got, c.want)
			}
		}
	}
	add := func(name, addr string) {
		t.Helper()
		if err := r.AddHost(Host{name, addrs(addr)}); err != nil {
			t.Fatal(err)
		}
	}
	add("a.internal", "10.0.0.1")
	add("a.internal", "10.0.0.1")
	step("one", "NOERROR\na.internal. 60 IN A 10.0.0.1", "REFUSED", "NOERROR\n1.0.0.10.in-addr.arpa. 60 IN PTR a.internal.")
	add("a.internal", "10.0.0.2")
	step("two addresses", "NOERROR\na.internal. 60 IN A 10.0.0.1\na.internal. 60 IN A 10.0.0.2", "REFUSED", "NOERROR\n1.0.0.10.in-addr.arpa. 60 IN PTR a.internal.")
	add("b.internal", "10.0.0.1")
	step("an address changes hands", "NOERROR\na.internal. 60 IN A 10.0.0.2", "NOERROR\nb.internal. 60 IN A 10.0.0.1", "NOERROR\n1.0.0.10.in-addr.arpa. 60 IN PTR b.internal.")
	r.RemoveHost(netip.MustParseAddr("10.0.0.2"))
	r.RemoveHost(netip.MustParseAddr("10.0.0.2"))
	r.RemoveHost(netip.MustParseAddr("10.0.0.1"))
	step("all gone", "REFUSED", "REFUSED", "NXDOMAIN\n~0.0.10.in-addr.arpa.")

	for _, h := range []Host{{"", addrs("10.0.0.1")}, {"a..b", nil}, {"a", []netip.Addr{{}}}, {"a", addrs("fe80::1%eth0")}, {"a", addrs("::ffff:10.0.0.1")}} {
		wantErr(t, r.AddHost(h), ErrInvalid, "host")
	}
}
