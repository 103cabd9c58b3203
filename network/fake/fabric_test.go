package fake_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/fake"
	"github.com/fardel-io/fardel/network/networktest"
	"github.com/fardel-io/fardel/network/networktest/scenario"
)

// machine is a fixture whose packets are Evaluate's verdicts on what the fabric says of its state.
type machine struct {
	host   fake.Host
	fabric *fake.Fabric
}

func (m *machine) Open(testing.TB) network.Fabric {
	m.fabric = fake.New(fake.Config{Host: &m.host})
	return m.fabric
}

func (m *machine) Send(_ testing.TB, flows []network.Flow, _ time.Duration) []bool {
	arrived := make([]bool, len(flows))
	for i, f := range flows {
		arrived[i] = m.fabric.Probe(f).Allowed
	}
	return arrived
}

func (m *machine) HostAddr() netip.Addr    { return netip.MustParseAddr("192.0.2.10") }
func (m *machine) OutsideAddr() netip.Addr { return netip.MustParseAddr("198.51.100.7") }

func (m *machine) Leftovers(t testing.TB) []string {
	var left []string
	for _, e := range m.fabric.State().ENIs {
		left = append(left, e.ID)
	}
	return left
}

func TestFabric(t *testing.T) {
	networktest.Run(t, func(testing.TB) networktest.Fixture { return &machine{} })
}

func TestFail(t *testing.T) {
	boom := errors.New("no link today")
	var asked []string
	f := fake.New(fake.Config{Fail: func(_ context.Context, op fake.Op, eni string) error {
		asked = append(asked, string(op)+" "+eni)
		if op == fake.Attach {
			return boom
		}
		return nil
	}})
	state, err := network.DefaultVPC("fail", netip.MustParsePrefix("172.31.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Apply(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Attach(t.Context(), network.ENI{ID: "eni-1"}); !errors.Is(err, boom) {
		t.Errorf("Attach: %v, want %v", err, boom)
	}
	if got := len(f.State().ENIs); got != 0 {
		t.Errorf("%d ENIs after an Attach that failed", got)
	}
	if want := "Attach eni-1"; asked[len(asked)-1] != want {
		t.Errorf("asked %q, want %q last", asked, want)
	}
}

// TestDualStack attaches ENIs that have an address of each kind, and some that another one has.
func TestDualStack(t *testing.T) {
	addr, cidr := netip.MustParseAddr, netip.MustParsePrefix
	s, err := network.DefaultVPC("dual", cidr("172.31.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil {
		t.Fatal(err)
	}
	s.VPCs[0].IPv6CIDRs = []netip.Prefix{cidr("fd00::/56")}
	s.Subnets[0].IPv6CIDR = cidr("fd00::/64")
	s.PublicIPv4Pools = []network.PublicIPv4Pool{{ID: "ipv4pool-ec2-00000001", CIDRs: []netip.Prefix{cidr("203.0.113.0/24")}}}
	s.Addresses = []network.Address{{AllocationID: "eipalloc-00000001", PublicIP: addr("203.0.113.1")}}
	s.NATGateways = []network.NATGateway{{ID: "nat-00000001", Subnet: s.Subnets[0].ID, PrivateIPv4: addr("172.31.0.9"), Allocation: "eipalloc-00000001"}}
	s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, network.Route{Destination: cidr("::/0"), Target: s.InternetGateways[0].ID})
	s.SecurityGroups[0].Ingress[0].IPv6CIDRs = []netip.Prefix{cidr("::/0")}
	f := fake.New(fake.Config{})
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	eni := func(id, private, six, public string) network.ENI {
		return network.ENI{ID: id, Subnet: s.Subnets[0].ID, PrivateIPv4: addr(private), IPv6: addr(six), PublicIPv4: addr(public), AssignPublicIP: true,
			MAC: network.NewMAC(id), SecurityGroups: []string{s.SecurityGroups[0].ID}}
	}
	a, err := f.Attach(t.Context(), eni("eni-00000001", "172.31.0.10", "fd00::10", "203.0.113.10"))
	if err != nil || a.IPv6Address != cidr("fd00::10/64") || a.IPv6Gateway != network.IPv6Gateway() {
		t.Errorf("attachment %+v, %v", a, err)
	}
	for _, taken := range []network.ENI{
		eni("eni-00000002", "172.31.0.9", "fd00::11", "203.0.113.11"),
		eni("eni-00000002", "172.31.0.11", "fd00::10", "203.0.113.11"),
		eni("eni-00000002", "172.31.0.11", "fd00::11", "203.0.113.10"),
		eni("eni-00000002", "172.31.0.11", "fd00::11", "203.0.113.1"),
	} {
		if _, err := f.Attach(t.Context(), taken); !errors.Is(err, network.ErrAddressInUse) {
			t.Errorf("Attach of %+v: %v", taken, err)
		}
	}
	if _, err := f.Attach(t.Context(), eni("eni-00000002", "172.31.0.11", "fd00::11", "192.0.2.1")); !errors.Is(err, network.ErrInvalid) {
		t.Errorf("Attach with a public address of no pool: %v", err)
	}
	for _, flow := range []network.Flow{
		{Source: addr("2001:db8::1"), Destination: addr("fd00::10"), Protocol: network.TCP, DestinationPort: 80},
		{ENI: "eni-00000001", Destination: addr("198.51.100.7"), Protocol: network.TCP, DestinationPort: 80},
	} {
		if v := f.Probe(flow); !v.Connects() {
			t.Errorf("%+v is %s", flow, v)
		}
	}
	if v := f.Probe(network.Flow{Source: addr("198.51.100.7"), Destination: addr("203.0.113.10"), Protocol: network.TCP, DestinationPort: 80}); v.Allowed {
		t.Errorf("from the outside: %s", v)
	}
}

// TestRandom applies and changes random VPCs, each ENI attached on its own, and compares what the fabric says.
func TestRandom(t *testing.T) {
	for seed := range uint64(10) {
		g := scenario.New(scenario.Config{Seed: seed, MaxENIs: 12})
		s := g.State()
		for range 3 {
			f := fake.New(fake.Config{})
			part := s
			part.ENIs, part.Addresses, part.RouteTables, part.NATGateways = nil, nil, nil, nil // they may name ENIs
			if err := f.Apply(t.Context(), part); err != nil {
				t.Fatal(err)
			}
			for _, e := range s.ENIs {
				if _, err := f.Attach(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Apply(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			for _, flow := range g.Flows(s, 20) {
				if got, want := f.Probe(flow), network.Evaluate(s, flow); got.Allowed != want.Allowed {
					t.Errorf("seed %d: %+v is %s, want %s", seed, flow, got, want)
				}
			}
			s = g.Change(s)
		}
	}
}
