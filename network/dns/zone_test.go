package dns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
)

func set(name, kind string, values ...string) RecordSet {
	return RecordSet{Name: name, Type: kind, TTL: time.Minute, Values: values}
}

func shop() Zone {
	return Zone{Name: "shop.internal", Records: []RecordSet{
		set("shop.internal", "MX", "10 mail.shop.internal", "20 mail.elsewhere.example."),
		set("db.shop.internal", "A", "10.0.0.5"),
		set("db.shop.internal", "AAAA", "fd00::5"),
		set("Many.Shop.Internal.", "A", "10.0.0.1", "10.0.0.2", "10.0.0.3"),
		set("*.shop.internal", "A", "10.0.0.9"),
		set("*.dev.shop.internal", "TXT", `"a \"quoted\" text" "and more; of it"`),
		set("a.b.deep.shop.internal", "A", "10.0.0.8"),
		set("www.shop.internal", "CNAME", "db.shop.internal"),
		set("loop.shop.internal", "CNAME", "pool.shop.internal"),
		set("pool.shop.internal", "CNAME", "loop.shop.internal"),
		set("over.shop.internal", "CNAME", "x.other.internal."),
		set("_http._tcp.shop.internal", "SRV", "1 2 80 db.shop.internal"),
		set("caa.shop.internal", "CAA", `0 issue "ca.example"`),
	}}
}

func TestZoneLookup(t *testing.T) {
	other := Zone{Name: "other.internal", Records: []RecordSet{set("x.other.internal", "A", "10.0.1.1")}}
	inner := Zone{Name: "inner.shop.internal", Records: []RecordSet{set("a.inner.shop.internal", "A", "10.0.2.1")}}
	r := newResolver(t, Config{}, shop(), other, inner)
	for _, c := range []struct{ name, kind, want string }{
		{"db.shop.internal", "A", "NOERROR\ndb.shop.internal. 60 IN A 10.0.0.5"},
		{"db.shop.internal", "AAAA", "NOERROR\ndb.shop.internal. 60 IN AAAA fd00::5"},
		{"db.shop.internal", "TXT", "NOERROR\n~shop.internal."},
		{"shop.internal", "MX", "NOERROR\nshop.internal. 60 IN MX 10 mail.shop.internal.\nshop.internal. 60 IN MX 20 mail.elsewhere.example."},
		{"shop.internal", "A", "NOERROR\n~shop.internal."},
		{"many.shop.internal", "A", "NOERROR\nmany.shop.internal. 60 IN A 10.0.0.1\nmany.shop.internal. 60 IN A 10.0.0.2\nmany.shop.internal. 60 IN A 10.0.0.3"},
		{"new.shop.internal", "A", "NOERROR\nnew.shop.internal. 60 IN A 10.0.0.9"},
		{"very.new.shop.internal", "A", "NOERROR\nvery.new.shop.internal. 60 IN A 10.0.0.9"},
		{"new.shop.internal", "AAAA", "NOERROR\n~shop.internal."},
		// A name that only has names below it exists, and so keeps the wildcard away from itself and those below.
		{"deep.shop.internal", "A", "NOERROR\n~shop.internal."},
		{"x.deep.shop.internal", "A", "NXDOMAIN\n~shop.internal."},
		{"x.db.shop.internal", "A", "NXDOMAIN\n~shop.internal."},
		{"x.dev.shop.internal", "TXT", "NOERROR\nx.dev.shop.internal. 60 IN TXT \"a \\\"quoted\\\" text\" \"and more; of it\""},
		{"x.dev.shop.internal", "A", "NOERROR\n~shop.internal."},
		{"www.shop.internal", "A", "NOERROR\nwww.shop.internal. 60 IN CNAME db.shop.internal.\ndb.shop.internal. 60 IN A 10.0.0.5"},
		{"www.shop.internal", "MX", "NOERROR\nwww.shop.internal. 60 IN CNAME db.shop.internal.\n~shop.internal."},
		{"www.shop.internal", "CNAME", "NOERROR\nwww.shop.internal. 60 IN CNAME db.shop.internal."},
		{"over.shop.internal", "A", "NOERROR\nover.shop.internal. 60 IN CNAME x.other.internal.\nx.other.internal. 60 IN A 10.0.1.1"},
		{"loop.shop.internal", "A", "SERVFAIL"},
		{"_http._tcp.shop.internal", "SRV", "NOERROR\n_http._tcp.shop.internal. 60 IN SRV 1 2 80 db.shop.internal.\n" +
			"+db.shop.internal. 60 IN A 10.0.0.5\n+db.shop.internal. 60 IN AAAA fd00::5"},
		{"caa.shop.internal", "CAA", "NOERROR\ncaa.shop.internal. 60 IN CAA 0 issue \"ca.example\""},
		{"a.inner.shop.internal", "A", "NOERROR\na.inner.shop.internal. 60 IN A 10.0.2.1"},
		{"b.inner.shop.internal", "A", "NXDOMAIN\n~inner.shop.internal."},
		{"db.shop.internal", "ANY", "NOERROR\ndb.shop.internal. 3600 IN HINFO \"RFC8482\" \"\""},
		{"x.db.shop.internal", "ANY", "NXDOMAIN\n~shop.internal."},
		{"shop.internal", "SOA", "NOERROR\nshop.internal. 900 IN SOA ns.shop.internal. hostmaster.shop.internal. 1 7200 900 1209600 900"},
		{"elsewhere.example", "A", "REFUSED"},
		{"elsewhere.example", "ANY", "NOERROR\nelsewhere.example. 3600 IN HINFO \"RFC8482\" \"\""},
		{"xshop.internal", "A", "REFUSED"},
		{"x.localhost", "A", "NOERROR\nx.localhost. 60 IN A 127.0.0.1"},
		{"localhost", "AAAA", "NOERROR\nlocalhost. 60 IN AAAA ::1"},
		{"localhost", "MX", "NOERROR\n~localhost."},
		{"x.invalid", "A", "NXDOMAIN\n~invalid."},
		{".", "NS", "REFUSED"},
	} {
		if diff := cmp.Diff(c.want, askFor(t, r, c.name, c.kind)); diff != "" {
			t.Errorf("%s %s: -want +got\n%s", c.name, c.kind, diff)
		}
	}
}

func TestNamesKeepTheirCase(t *testing.T) {
	r := newResolver(t, Config{}, shop())
	if err := r.AddHost(Host{"ip-10-0-0-5." + testDomain, addrs("10.0.0.5")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ask, want string }{
		{"dB.sHoP.InterNal.", "dB.sHoP.InterNal. 60 IN A 10.0.0.5"},
		{"NEW.shop.internal.", "NEW.shop.internal. 60 IN A 10.0.0.9"},
		{"IP-10-0-0-5.eu-central-1.compute.INTERNAL.", "IP-10-0-0-5.eu-central-1.compute.INTERNAL. 60 IN A 10.0.0.5"},
		{"Www.shop.internal.", "Www.shop.internal. 60 IN CNAME db.shop.internal.\ndb.shop.internal. 60 IN A 10.0.0.5"},
	} {
		m := ask(t, r, msg(c.ask, "A"))
		if m.Question[0].Name != c.ask {
			t.Errorf("%s: the question came back as %s", c.ask, m.Question[0].Name)
		}
		if diff := cmp.Diff("NOERROR\n"+c.want, text(m)); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.ask, diff)
		}
	}
}

// choices is a zone with one name of several sets.
func choices(routing Routing, sets ...string) Zone {
	z := Zone{Name: "z.internal"}
	for _, s := range sets { // "10.0.0.1 weight sick"
		f := strings.Fields(s)
		var weight int
		_, _ = fmt.Sscan(f[1], &weight)
		z.Records = append(z.Records, RecordSet{Name: "n.z.internal", Type: "A", Values: f[:1], Routing: routing, SetID: f[0],
			Weight: weight, Unhealthy: len(f) > 2})
	}
	return z
}

// TestRouting counts what is returned when every outcome of chance is tried once.
func TestRouting(t *testing.T) {
	var ten []string
	for i := range 10 {
		ten = append(ten, fmt.Sprintf("10.0.0.%d 0", i))
	}
	for _, c := range []struct {
		name  string
		zone  Zone
		tries int
		want  map[string]int
	}{
		{"multivalue leaves the unhealthy out", choices(Multivalue, "10.0.0.1 0", "10.0.0.2 0 sick", "10.0.0.3 0"), 1,
			map[string]int{"10.0.0.1": 1, "10.0.0.3": 1}},
		{"multivalue without a healthy one has all", choices(Multivalue, "10.0.0.1 0 sick", "10.0.0.2 0 sick"), 1,
			map[string]int{"10.0.0.1": 1, "10.0.0.2": 1}},
		{"multivalue has at most eight", choices(Multivalue, ten...), 1, map[string]int{"10.0.0.0": 1, "10.0.0.1": 1, "10.0.0.2": 1,
			"10.0.0.3": 1, "10.0.0.4": 1, "10.0.0.5": 1, "10.0.0.6": 1, "10.0.0.7": 1}},
		{"weighted", choices(Weighted, "10.0.0.1 3", "10.0.0.2 1", "10.0.0.3 0"), 4, map[string]int{"10.0.0.1": 3, "10.0.0.2": 1}},
		{"weighted leaves the unhealthy out", choices(Weighted, "10.0.0.1 3 sick", "10.0.0.2 2", "10.0.0.3 0"), 2, map[string]int{"10.0.0.2": 2}},
		{"weighted with weights 0", choices(Weighted, "10.0.0.1 0", "10.0.0.2 0"), 2, map[string]int{"10.0.0.1": 1, "10.0.0.2": 1}},
		{"weight 0 is the last resort", choices(Weighted, "10.0.0.1 3 sick", "10.0.0.2 0"), 1, map[string]int{"10.0.0.2": 1}},
		{"weighted without a healthy one has all", choices(Weighted, "10.0.0.1 3 sick", "10.0.0.2 1 sick"), 4, map[string]int{"10.0.0.1": 3, "10.0.0.2": 1}},
	} {
		r := newResolver(t, Config{}, c.zone)
		got := map[string]int{}
		for i := range c.tries {
			r.random = func(n int) int {
				if c.tries > 1 {
					return i
				}
				return n - 1
			}
			for _, rr := range ask(t, r, msg("n.z.internal", "A")).Answer {
				got[rr.(*wire.A).A.String()]++
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.name, diff)
		}
	}
}

func TestRandomOrder(t *testing.T) {
	r, err := NewResolver(Config{Domain: testDomain})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetZone(shop()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 400 { // a given order of the six is missing with a chance of 1e-32
		seen[askFor(t, r, "many.shop.internal", "A")] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d orders of three records, want 6", len(seen))
	}
}

func TestZoneInvalid(t *testing.T) {
	with := func(r ...RecordSet) Zone { return Zone{Name: "z.internal", Records: r} }
	for _, c := range []struct {
		zone Zone
		want string
	}{
		{Zone{Name: ""}, "not a domain name"},
		{Zone{Name: "."}, "the root"},
		{Zone{Name: "a..b"}, "not a domain name"},
		{Zone{Name: strings.Repeat("a", 64) + ".b"}, "not a domain name"},
		{Zone{Name: "z.internal", NegativeTTL: time.Millisecond}, "NegativeTTL"},
		{with(set("a.y.internal", "A", "10.0.0.1")), "not in the zone"},
		{with(set("a.z.internal", "A")), "no values"},
		{with(set("a.z.internal", "A", "10.0.0")), `the value "10.0.0" is not one of type A`},
		{with(set("a.z.internal", "A", "")), "is not one of type A"},
		{with(set("a.z.internal", "A", "10.0.0.1\n$INCLUDE /etc/passwd")), "is not one of type A"},
		{with(set("a.z.internal", "A", "10.0.0.1 10.0.0.2")), "is not one of type A"},
		{with(set("a.z.internal", "AAAA", "10.0.0.1")), "is not one of type AAAA"},
		{with(set("a.z.internal", "MX", "mail.z.internal")), "is not one of type MX"},
		{with(set("a.z.internal", "SOA", "a b 1 2 3 4 5")), `type "SOA"`},
		{with(set("a.z.internal", "a", "10.0.0.1")), `type "a"`},
		{with(set("z.internal", "CNAME", "a.z.internal")), "cannot be a CNAME"},
		{with(set("a.z.internal", "CNAME", "b.z.internal"), set("a.z.internal", "A", "10.0.0.1")), "other records"},
		{with(set("a.z.internal", "CNAME", "b.z.internal", "c.z.internal")), "other records"},
		{with(set("a.z.internal", "A", "10.0.0.1"), set("A.z.internal", "A", "10.0.0.2")), "another set"},
		{with(RecordSet{Name: "a.z.internal", Type: "A", TTL: -1, Values: []string{"10.0.0.1"}}), "TTL"},
		{with(RecordSet{Name: "a.z.internal", Type: "A", Values: []string{"10.0.0.1"}, Routing: 7}), "no routing 7"},
		{with(RecordSet{Name: "a.z.internal", Type: "A", Values: []string{"10.0.0.1"}, Routing: Weighted, SetID: "a", Weight: 256}), "weight 256"},
		{with(RecordSet{Name: "a.z.internal", Type: "A", Values: []string{"10.0.0.1"}, Routing: Weighted}), "SetID is required"},
		{with(RecordSet{Name: "a.z.internal", Type: "A", Values: []string{"10.0.0.1"}, Routing: Weighted, SetID: "a"},
			RecordSet{Name: "a.z.internal", Type: "A", Values: []string{"10.0.0.1"}, Routing: Multivalue, SetID: "b"}), "another routing"},
		{with(RecordSet{Name: "a.z.internal", Type: "A", Values: []string{"10.0.0.1"}, Routing: Weighted, SetID: "a"},
			RecordSet{Name: "a.z.internal", Type: "A", Values: []string{"10.0.0.1"}, Routing: Weighted, SetID: "a"}), `another set "a"`},
	} {
		r := newResolver(t, Config{}, Zone{Name: "old.internal"})
		err := r.SetZones([]Zone{c.zone})
		wantErr(t, err, ErrInvalid, c.want)
		wantErr(t, r.SetZone(c.zone), ErrInvalid, c.want)
		if got := askFor(t, r, "old.internal", "A"); got != "NOERROR\n~old.internal." {
			t.Errorf("%q: after the error the old zones answer %q", c.want, got)
		}
	}
	r := newResolver(t, Config{})
	wantErr(t, r.SetZones([]Zone{{Name: "a.internal"}, {Name: "A.internal."}}), ErrInvalid, "two of that name")
}

func TestZonesChange(t *testing.T) {
	r := newResolver(t, Config{}, shop())
	z := Zone{Name: "New.internal", Records: []RecordSet{set("a.new.internal", "A", "10.0.0.1")}}
	if err := r.SetZone(z); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, want string }{
		{"a.new.internal", "NOERROR\na.new.internal. 60 IN A 10.0.0.1"}, {"db.shop.internal", "NOERROR\ndb.shop.internal. 60 IN A 10.0.0.5"},
	} {
		if got := askFor(t, r, c.name, "A"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	r.RemoveZone("NEW.internal.")
	if got := askFor(t, r, "a.new.internal", "A"); got != "REFUSED" {
		t.Errorf("after the zone was removed: %q", got)
	}
}
