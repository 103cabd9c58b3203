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

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/fake"
	"github.com/fardel-io/fardel/network/networktest"
)

// listening is a fake fabric whose VPCs are at loopback addresses.
type listening struct {
	*fake.Fabric
	refuse error // what Listen answers instead

	mu   sync.Mutex
	open map[string]net.PacketConn // by VPC and address
}

func (l *listening) Listen(ctx context.Context, vpcID string, _ netip.AddrPort) (net.Listener, error) {
	if l.refuse != nil {
		return nil, l.refuse
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
}

func (l *listening) ListenPacket(ctx context.Context, vpcID string, addr netip.AddrPort) (net.PacketConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pc, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp4", "127.0.0.1:0")
	if l.open == nil {
		l.open = map[string]net.PacketConn{}
	}
	l.open[vpcID+" "+addr.String()] = pc
	return pc, err
}

// ask asks the name server of a VPC over its socket.
func (l *listening) ask(t *testing.T, vpcID, name, kind string) string {
	t.Helper()
	l.mu.Lock()
	pc := l.open[vpcID+" "+network.ResolverAddr().String()+":53"]
	l.mu.Unlock()
	conn := dial(t, "udp", pc.LocalAddr().String())
	send(t, conn, mustPack(t, msg(name, kind)))
	return text(receive(t, conn))
}

// isOpen reports whether a VPC's name server has its socket.
func (l *listening) isOpen(vpcID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	pc := l.open[vpcID+" "+network.ResolverAddr().String()+":53"]
	return pc != nil && pc.SetDeadline(time.Time{}) == nil
}

// machine runs networktest's suite on the fake fabric behind name servers: they change nothing else.
type machine struct {
	host fake.Host
	fake *fake.Fabric
}

func (m *machine) Open(t testing.TB) network.Fabric {
	m.fake = fake.New(fake.Config{Host: &m.host})
	f, err := NewFabric(FabricConfig{Fabric: &listening{Fabric: m.fake}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (m *machine) Send(_ testing.TB, flows []network.Flow, _ time.Duration) []bool {
	arrived := make([]bool, len(flows))
	for i, f := range flows {
		arrived[i] = m.fake.Probe(f).Allowed
	}
	return arrived
}

func (m *machine) HostAddr() netip.Addr    { return netip.MustParseAddr("192.0.2.10") }
func (m *machine) OutsideAddr() netip.Addr { return netip.MustParseAddr("198.51.100.7") }

func (m *machine) Leftovers(testing.TB) []string {
	var left []string
	for _, e := range m.fake.State().ENIs {
		left = append(left, e.ID)
	}
	return left
}

func TestFabricSuite(t *testing.T) {
	networktest.Run(t, func(testing.TB) networktest.Fixture { return &machine{} })
}

func twoVPCs(t *testing.T) network.State {
	t.Helper()
	var s network.State
	for i, cidr := range []string{"10.0.0.0/16", "10.1.0.0/16"} {
		v, err := network.DefaultVPC(cidr, netip.MustParsePrefix(cidr), "eu-central-1", []string{"eu-central-1a"})
		if err != nil {
			t.Fatal(err)
		}
		v.VPCs[0].IsDefault = i == 0
		s.VPCs = append(s.VPCs, v.VPCs...)
		s.Subnets = append(s.Subnets, v.Subnets...)
		s.SecurityGroups = append(s.SecurityGroups, v.SecurityGroups...)
		s.InternetGateways = append(s.InternetGateways, v.InternetGateways...)
		s.RouteTables = append(s.RouteTables, v.RouteTables...)
	}
	return s
}

func testENI(s network.State, vpc int, addr string) network.ENI {
	id := network.NewID("eni", addr)
	for _, n := range s.Subnets {
		if n.VPC == s.VPCs[vpc].ID {
			return network.ENI{ID: id, Subnet: n.ID, SecurityGroups: []string{s.DefaultSecurityGroup(n.VPC)},
				PrivateIPv4: netip.MustParseAddr(addr), MAC: network.NewMAC(addr)}
		}
	}
	return network.ENI{}
}

func newFabric(t *testing.T, inner *listening, cfg FabricConfig) *Fabric {
	t.Helper()
	cfg.Fabric = inner
	f, err := NewFabric(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestFabricNames(t *testing.T) {
	inner := &listening{Fabric: fake.New(fake.Config{})}
	f := newFabric(t, inner, FabricConfig{Search: []string{"shop.internal"}, Fallback: addrs("192.0.2.1")})
	s := twoVPCs(t)
	one, other := s.VPCs[0].ID, s.VPCs[1].ID
	first := testENI(s, 0, "10.0.0.5")
	s.ENIs = []network.ENI{first}
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	const name5, name6 = "ip-10-0-0-5." + testDomain, "ip-10-0-0-6." + testDomain
	check := func(what, vpc, name, kind, want string) {
		t.Helper()
		if diff := cmp.Diff(want, inner.ask(t, vpc, name, kind)); diff != "" {
			t.Errorf("%s: %s: -want +got\n%s", what, name, diff)
		}
	}
	gone := "NXDOMAIN\n~" + testDomain + "."
	check("applied", one, name5, "A", "NOERROR\n"+name5+". 60 IN A 10.0.0.5")
	check("applied", one, "5.0.0.10.in-addr.arpa", "PTR", "NOERROR\n5.0.0.10.in-addr.arpa. 60 IN PTR "+name5+".")
	check("of another VPC", other, name5, "A", gone)

	second := testENI(s, 0, "10.0.0.6")
	a, err := f.Attach(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(a.DNS, a.Search) != "[169.254.169.253 192.0.2.1] ["+testDomain+" shop.internal]" {
		t.Errorf("the task is told %v and %v", a.DNS, a.Search)
	}
	check("attached", one, name6, "A", "NOERROR\n"+name6+". 60 IN A 10.0.0.6")
	if err := f.Detach(t.Context(), second.ID); err != nil {
		t.Fatal(err)
	}
	check("detached", one, name6, "A", gone)

	first.PrivateDNSName = "db.internal"
	s.ENIs = nil
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	check("applied without", one, name5, "A", gone)
	if _, err := f.Attach(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	check("with a name of its own", one, "db.internal", "A", "NOERROR\ndb.internal. 60 IN A 10.0.0.5")

	s.VPCs, s.Subnets, s.SecurityGroups = s.VPCs[:1], s.Subnets[:1], s.SecurityGroups[:1]
	s.InternetGateways, s.RouteTables, s.ENIs = s.InternetGateways[:1], s.RouteTables[:1], []network.ENI{first}
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if !inner.isOpen(one) || inner.isOpen(other) {
		t.Error("the name server of the VPC that went is open, or the other's is not")
	}
	invalid := s
	invalid.VPCs = nil
	if err := f.Apply(t.Context(), invalid); !errors.Is(err, network.ErrInvalid) {
		t.Errorf("Apply of what is invalid: %v", err)
	}
	check("after an Apply of what is invalid", one, "db.internal", "A", "NOERROR\ndb.internal. 60 IN A 10.0.0.5")
	if err := f.Apply(t.Context(), network.State{}); err != nil {
		t.Fatal(err)
	}
	if inner.isOpen(one) {
		t.Error("a name server is open after an empty Apply")
	}
}

func TestFabricZones(t *testing.T) {
	inner := &listening{Fabric: fake.New(fake.Config{})}
	f := newFabric(t, inner, FabricConfig{})
	s := twoVPCs(t)
	one, other := s.VPCs[0].ID, s.VPCs[1].ID
	zone := func(addr string) Zone {
		return Zone{Name: "z.internal", Records: []RecordSet{set("a.z.internal", "A", addr)}}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	answer := func(addr string) string { return "NOERROR\na.z.internal. 60 IN A " + addr }
	check := func(what, wantOne, wantOther string) {
		t.Helper()
		for vpc, want := range map[string]string{one: wantOne, other: wantOther} {
			if got := inner.ask(t, vpc, "a.z.internal", "A"); got != want {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
		}
	}
	do(f.SetZones("", []Zone{zone("10.0.0.1")}))
	do(f.Apply(t.Context(), s))
	check("for every VPC", answer("10.0.0.1"), answer("10.0.0.1"))
	do(f.SetZone(one, zone("10.0.0.2")))
	check("one has its own", answer("10.0.0.2"), answer("10.0.0.1"))
	do(f.RemoveZone(one, "Z.internal."))
	check("not any more", answer("10.0.0.1"), answer("10.0.0.1"))
	do(f.SetZone(one, zone("10.0.0.2")))
	do(f.SetZones("", nil))
	check("none for every VPC", answer("10.0.0.2"), "REFUSED")
	do(f.SetZones(one, nil))
	check("none", "REFUSED", "REFUSED")
	wantErr(t, f.SetZone("", Zone{}), ErrInvalid, "domain name")
	wantErr(t, f.SetZones("", []Zone{{}}), ErrInvalid, "domain name")
	wantErr(t, f.SetZones("", []Zone{zone("10.0.0.1"), zone("10.0.0.1")}), ErrInvalid, "two of that name")
	wantErr(t, f.RemoveZone("", "a..b"), ErrInvalid, "domain name")
}

func TestFabricNamespaces(t *testing.T) {
	inner := &listening{Fabric: fake.New(fake.Config{})}
	f := newFabric(t, inner, FabricConfig{})
	s := twoVPCs(t)
	one, other := s.VPCs[0].ID, s.VPCs[1].ID
	space := func(addr string) Namespace {
		return Namespace{Name: "z.internal", Services: []Service{{Name: "a", Records: []ServiceRecord{{Type: "A", TTL: time.Minute}},
			Instances: []Instance{{ID: "i", IPv4: netip.MustParseAddr(addr)}}}}}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(what, wantOne, wantOther string) {
		t.Helper()
		for vpc, want := range map[string]string{one: wantOne, other: wantOther} {
			if got := inner.ask(t, vpc, "a.z.internal", "A"); got != "NOERROR\na.z.internal. 60 IN A "+want {
				t.Errorf("%s: got %q, want %s", what, got, want)
			}
		}
	}
	do(f.SetNamespace("", space("10.0.0.1")))
	do(f.Apply(t.Context(), s))
	check("set before the VPCs are there", "10.0.0.1", "10.0.0.1")
	do(f.SetNamespace("", space("10.0.0.2")))
	check("set again", "10.0.0.2", "10.0.0.2")
	do(f.SetNamespace(other, space("10.0.0.3")))
	do(f.SetNamespace("", space("10.0.0.4")))
	check("the other VPC has its own", "10.0.0.4", "10.0.0.3")
	do(f.SetZones("", []Zone{{Name: "z.internal", Records: []RecordSet{set("a.z.internal", "A", "10.0.0.9")}}}))
	check("with a zone of the same name", "10.0.0.4", "10.0.0.3")
	do(f.SetZones("", nil))
	check("zones replaced", "10.0.0.4", "10.0.0.3")
	wantErr(t, f.SetNamespace("", Namespace{Name: "a..b"}), ErrInvalid, "a..b")
}

// TestFabricSocketsBreak opens the name server again for the next task when its sockets broke.
func TestFabricSocketsBreak(t *testing.T) {
	inner := &listening{Fabric: fake.New(fake.Config{})}
	f := newFabric(t, inner, FabricConfig{})
	s := twoVPCs(t)
	one := s.VPCs[0].ID
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	inner.mu.Lock()
	_ = inner.open[one+" "+network.ResolverAddr().String()+":53"].Close()
	inner.mu.Unlock()
	f.mu.Lock()
	ended := f.servers[one].done
	f.mu.Unlock()
	<-ended
	refused := errors.New("no more sockets")
	inner.refuse = refused
	if _, err := f.Attach(t.Context(), testENI(s, 0, "10.0.0.5")); !errors.Is(err, refused) {
		t.Errorf("Attach without a name server: %v, want %v", err, refused)
	}
	inner.refuse = nil
	if _, err := f.Attach(t.Context(), testENI(s, 0, "10.0.0.5")); err != nil {
		t.Fatal(err)
	}
	const name5 = "ip-10-0-0-5." + testDomain
	if got, want := inner.ask(t, one, name5, "A"), "NOERROR\n"+name5+". 60 IN A 10.0.0.5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNewFabricInvalid(t *testing.T) {
	_, err := NewFabric(FabricConfig{})
	wantErr(t, err, ErrInvalid, "Fabric")
	_, err = NewFabric(FabricConfig{Fabric: fake.New(fake.Config{})})
	wantErr(t, err, network.ErrUnsupported, "listen")
	inner := &listening{Fabric: fake.New(fake.Config{})}
	_, err = NewFabric(FabricConfig{Fabric: inner, PacketsPerSecond: -1})
	wantErr(t, err, ErrInvalid, "PacketsPerSecond")
	_, err = NewFabric(FabricConfig{Fabric: inner, Forwarder: ForwarderConfig{Servers: HostServers("x"), Attempts: -1}})
	wantErr(t, err, ErrInvalid, "configure forwarder")
}
