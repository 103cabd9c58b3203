package dns

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNamespace(t *testing.T) {
	one := Instance{ID: "t1", IPv4: netip.MustParseAddr("10.0.0.1"), IPv6: netip.MustParseAddr("fd00::1"), Port: 8080}
	two := Instance{ID: "t2", IPv4: netip.MustParseAddr("10.0.0.2"), Port: 8080}
	sick := Instance{ID: "t3", IPv4: netip.MustParseAddr("10.0.0.3"), Port: 8080, Unhealthy: true}
	a, srv := ServiceRecord{"A", 10 * time.Second}, ServiceRecord{"SRV", 20 * time.Second}
	n := Namespace{Name: "shop.local", Services: []Service{
		{Name: "web", Records: []ServiceRecord{a}, Instances: []Instance{one, two, sick}},
		{Name: "sick", Records: []ServiceRecord{a}, Instances: []Instance{sick}},
		{Name: "one", Records: []ServiceRecord{a}, Routing: Weighted, Instances: []Instance{one, two}},
		{Name: "_api._tcp", Records: []ServiceRecord{srv}, Instances: []Instance{one, sick}},
		{Name: "both", Records: []ServiceRecord{a, srv}, Instances: []Instance{two}},
		{Name: "none", Records: []ServiceRecord{a}},
	}}
	z, err := n.Zone()
	if err != nil {
		t.Fatal(err)
	}
	r := newResolver(t, Config{}, z)
	for _, c := range []struct{ name, kind, want string }{
		{"web.shop.local", "A", "NOERROR\nweb.shop.local. 10 IN A 10.0.0.1\nweb.shop.local. 10 IN A 10.0.0.2"},
		{"web.shop.local", "AAAA", "NOERROR\n~shop.local."},
		{"sick.shop.local", "A", "NOERROR\nsick.shop.local. 10 IN A 10.0.0.3"},
		{"one.shop.local", "A", "NOERROR\none.shop.local. 10 IN A 10.0.0.2"},
		{"_api._tcp.shop.local", "SRV", "NOERROR\n_api._tcp.shop.local. 20 IN SRV 1 1 8080 t1._api._tcp.shop.local.\n" +
			"+t1._api._tcp.shop.local. 20 IN A 10.0.0.1\n+t1._api._tcp.shop.local. 20 IN AAAA fd00::1"},
		{"t3._api._tcp.shop.local", "A", "NOERROR\nt3._api._tcp.shop.local. 20 IN A 10.0.0.3"},
		{"both.shop.local", "A", "NOERROR\nboth.shop.local. 10 IN A 10.0.0.2"},
		{"both.shop.local", "SRV", "NOERROR\nboth.shop.local. 20 IN SRV 1 1 8080 t2.both.shop.local.\n+t2.both.shop.local. 20 IN A 10.0.0.2"},
		{"none.shop.local", "A", "NXDOMAIN\n~shop.local."},
	} {
		if diff := cmp.Diff(c.want, askFor(t, r, c.name, c.kind)); diff != "" {
			t.Errorf("%s %s: -want +got\n%s", c.name, c.kind, diff)
		}
	}
	if got := ask(t, r, msg("none.shop.local", "A")).Ns[0].Header().Ttl; got != 15 {
		t.Errorf("what is not there is remembered for %d s, want 15", got)
	}
}

func TestNamespaceInvalid(t *testing.T) {
	one := Instance{ID: "t1", IPv4: netip.MustParseAddr("10.0.0.1")}
	in := func(s Service) Namespace { return Namespace{Name: "shop.local", Services: []Service{s}} }
	for _, c := range []struct {
		namespace Namespace
		want      string
	}{
		{Namespace{Name: "a..b"}, "not a domain name"},
		{in(Service{Name: "web"}), "no records"},
		{in(Service{Name: "web", Records: []ServiceRecord{{"MX", 0}}, Instances: []Instance{one}}), `type "MX"`},
		{in(Service{Name: "web", Records: []ServiceRecord{{"SRV", 0}}, Instances: []Instance{one}}), `type "SRV"`},
		{in(Service{Name: "web", Records: []ServiceRecord{{"AAAA", 0}}, Instances: []Instance{one}}), `type "AAAA"`},
		{in(Service{Name: "web", Records: []ServiceRecord{{"A", 0}}, Instances: []Instance{{IPv4: one.IPv4}}}), "no ID"},
		{in(Service{Name: "web", Records: []ServiceRecord{{"A", 0}}, Instances: []Instance{one, one}}), `another set "t1"`},
		{in(Service{Name: "web", Records: []ServiceRecord{{"A", 0}, {"A", 0}}, Instances: []Instance{one}}), `another set "t1"`},
	} {
		_, err := c.namespace.Zone()
		wantErr(t, err, ErrInvalid, c.want)
	}
}
