package networktest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
)

// A Fixture is a machine with a fabric on it. Each check gets a new one, and ends with the fabric removed from it.
type Fixture interface {
	// Open returns a fabric over what the one before left. The suite closes it.
	Open(t testing.TB) network.Fabric

	// Send sends one packet for each flow, new ones that belong to no connection, and reports which ones arrived: at the
	// ENI that has the destination address, at the machine if the flow is ToHost, at an endpoint of the VPC, or at the
	// outside. It waits for packets at least as long as patience after the last one was sent or arrived.
	Send(t testing.TB, flows []network.Flow, patience time.Duration) []bool

	// HostAddr is an address of the machine itself, OutsideAddr one of another machine beyond its default route.
	HostAddr() netip.Addr
	OutsideAddr() netip.Addr

	// Leftovers lists what is on the machine of the fabric's making. The suite wants it empty after an empty Apply.
	Leftovers(t testing.TB) []string
}

// rig is a fixture with an open fabric.
type rig struct {
	Fixture
	network.Fabric
}

func open(t testing.TB, x Fixture) *rig {
	t.Helper()
	s := &rig{x, x.Open(t)}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// reopen closes the fabric and opens another one, as a restart of the program does.
func (s *rig) reopen(t testing.TB) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	s.Fabric = s.Open(t)
}

func (s *rig) mustApply(t testing.TB, state network.State) {
	t.Helper()
	if err := s.Apply(t.Context(), state); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

func (s *rig) mustAttach(t testing.TB, e network.ENI) network.Attachment {
	t.Helper()
	a, err := s.Attach(t.Context(), e)
	if err != nil {
		t.Fatalf("Attach: %v", err)
	}
	return a
}

// Patience when a packet is not known to be on its way, and when it should be.
const (
	shortPatience = 60 * time.Millisecond
	longPatience  = 2 * time.Second
)

// maxReports is how many wrong packets are shown.
const maxReports = 5

// compare sends packets and compares with what Evaluate says of the state. A packet that should arrive and does not is
// sent once more with patience: a machine may be slow, and it must not be wrong.
func (s *rig) compare(t testing.TB, state network.State, flows []network.Flow) {
	t.Helper()
	got := s.Send(t, flows, shortPatience)
	wrong := 0
	for i, f := range flows {
		want := network.Evaluate(state, f)
		if want.Allowed && !got[i] {
			got[i] = s.Send(t, flows[i:i+1], longPatience)[0]
		}
		if got[i] == want.Allowed {
			continue
		}
		if wrong++; wrong <= maxReports {
			t.Errorf("packet %+v: arrived = %t, but it is %s\nits way: %+v", f, got[i], want, want.Path)
		}
	}
	if wrong > maxReports {
		t.Errorf("and %d more of %d packets", wrong-maxReports, len(flows))
	}
}
