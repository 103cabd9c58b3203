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
