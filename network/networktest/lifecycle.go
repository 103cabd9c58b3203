package networktest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/google/go-cmp/cmp"
)

func emptyState() network.State { return network.State{} }

// same compares attachments.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	opt := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	opt2 := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, opt, opt2); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (s *rig) list(t testing.TB) []network.Attachment {
	t.Helper()
	list, err := s.Attachments(t.Context())
	if err != nil {
		t.Fatalf("Attachments: %v", err)
	}
	return list
}

// ids returns the ENIs of attachments.
func ids(list []network.Attachment) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.ENI)
	}
	return out
}

func sortedIDs(enis ...network.ENI) []string {
	var out []string
	for _, e := range enis {
		out = append(out, e.ID)
	}
	slices.Sort(out)
	return out
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want one that matches %v", what, err, want)
	}
}

func applyTwice(t *testing.T, s *rig) {
	state := vpc(t, 1)
	state.ENIs = []network.ENI{eni(state, 0), eni(state, 1)}
	s.mustApply(t, state)
	first := s.list(t)
	s.mustApply(t, state)
	same(t, "attachments after the second Apply", s.list(t), first)
	same(t, "ENIs", ids(first), sortedIDs(state.ENIs...))
}

func applyInvalid(t *testing.T, s *rig) {
	state := vpc(t, 1)
	state.ENIs = []network.ENI{eni(state, 0)}
	s.mustApply(t, state)
	before := s.list(t)
	broken := vpc(t, 1)
	broken.Subnets[0].CIDR = netip.MustParsePrefix("10.9.0.0/20")
	wantError(t, "Apply of a subnet outside its VPC", s.Apply(t.Context(), broken), network.ErrInvalid)
	same(t, "attachments after an Apply that was refused", s.list(t), before)
}

func applyENIs(t *testing.T, s *rig) {
	state := vpc(t, 1)
	a, b, c := eni(state, 0), eni(state, 1), eni(state, 2)
	state.ENIs = []network.ENI{a, b}
	s.mustApply(t, state)
	kept := s.list(t)
	b.PrivateDNSName = "b.example.internal"
	state.ENIs = []network.ENI{b, c}
	s.mustApply(t, state)
	list := s.list(t)
	same(t, "ENIs", ids(list), sortedIDs(b, c))
	for _, now := range list {
		if now.ENI != b.ID {
			continue
		}
		was := kept[slices.IndexFunc(kept, func(a network.Attachment) bool { return a.ENI == b.ID })]
		was.Hostname = "b.example.internal"
		same(t, "attachment of the ENI that stayed", now, was)
	}
}

func applyMoves(t *testing.T, s *rig) {
	state := vpc(t, 1)
	e, peer := eni(state, 0), eni(state, 3)
	state.ENIs = []network.ENI{e, peer}
	s.mustApply(t, state)
	moved := eni(state, 7)
	moved.ID = e.ID
	state.ENIs[0] = moved
	s.mustApply(t, state)
	same(t, "ENIs", ids(s.list(t)), sortedIDs(moved, peer))
	s.compare(t, state, []network.Flow{flow(peer, e.PrivateIPv4, 80), flow(peer, moved.PrivateIPv4, 80), flow(moved, peer.PrivateIPv4, 80)})
}

func applyNothing(t *testing.T, s *rig) {
	state := join(vpc(t, 1), vpc(t, 2))
	state.ENIs = []network.ENI{eni(vpc(t, 1), 0), eni(vpc(t, 2), 0)}
	s.mustApply(t, state)
	s.mustAttach(t, eni(vpc(t, 1), 1))
	s.mustApply(t, emptyState())
	same(t, "ENIs", len(s.list(t)), 0)
	if left := s.Leftovers(t); len(left) > 0 {
		t.Errorf("left after an empty Apply: %q", left)
	}
	s.mustApply(t, emptyState())
}

func cancelled(t *testing.T, s *rig) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	state := vpc(t, 1)
	wantError(t, "Apply", s.Apply(ctx, state), context.Canceled)
	_, err := s.Attach(ctx, eni(state, 0))
	wantError(t, "Attach", err, context.Canceled)
	wantError(t, "Detach", s.Detach(ctx, eni(state, 0).ID), context.Canceled)
	s.mustApply(t, state)
	s.mustAttach(t, eni(state, 0))
}

func attachDescribes(t *testing.T, s *rig) {
	state := vpc(t, 1)
	s.mustApply(t, state)
	e := eni(state, 0)
	got := s.mustAttach(t, e)
	if got.NetNS == "" {
		t.Error("NetNS is empty")
	}
	got.NetNS, got.DNS = "", nil
	same(t, "attachment", got, network.Attachment{ENI: e.ID, Interface: "eth0", MAC: e.MAC,
		Address: netip.MustParsePrefix("10.1.0.10/20"), Gateway: netip.MustParseAddr("10.1.0.1"),
		Search: []string{"eu-central-1.compute.internal"}, Hostname: "ip-10-1-0-10.eu-central-1.compute.internal"})
	named := eni(state, 1)
	named.PrivateDNSName = "web.example.internal"
	same(t, "Hostname", s.mustAttach(t, named).Hostname, "web.example.internal")
}

func attachTwice(t *testing.T, s *rig) {
	state := vpc(t, 1)
	s.mustApply(t, state)
	first := s.mustAttach(t, eni(state, 0))
	same(t, "second attachment", s.mustAttach(t, eni(state, 0)), first)
	same(t, "list", s.list(t), []network.Attachment{first})
}

// bandwidth changes limits. Whether they are kept is not to be seen from packets one by one: that is for each fabric's own
// tests.
func bandwidth(t *testing.T, s *rig) {
	state := vpc(t, 1)
	limited, other := eni(state, 0), eni(state, 1)
	limited.Bandwidth = network.Bandwidth{Ingress: 64_000, Egress: 100_000_000_000}
	state.ENIs = []network.ENI{limited, other}
	s.mustApply(t, state)
	both := []network.Flow{flow(limited, other.PrivateIPv4, 80), flow(other, limited.PrivateIPv4, 80)}
	s.compare(t, state, both)
	for _, b := range []network.Bandwidth{{Egress: 64_000}, {}, {Ingress: 1_000_000}} {
		first := s.list(t)
		state.ENIs[0].Bandwidth = b
		s.mustAttach(t, state.ENIs[0])
		same(t, "attachments after another bandwidth", s.list(t), first)
		s.compare(t, state, both)
	}
	s.reopen(t)
	state.ENIs[0].Bandwidth = network.Bandwidth{}
	s.mustApply(t, state)
	s.compare(t, state, both)
	for _, b := range []network.Bandwidth{{Ingress: -1}, {Egress: 63_999}, {Egress: 100_000_000_001}} {
		wrong := eni(state, 2)
		wrong.Bandwidth = b
		_, err := s.Attach(t.Context(), wrong)
		wantError(t, "Attach with a bandwidth out of range", err, network.ErrInvalid)
	}
}

func attachBeforeApply(t *testing.T, s *rig) {
	_, err := s.Attach(t.Context(), eni(vpc(t, 1), 0))
	wantError(t, "Attach", err, network.ErrNotFound)
	same(t, "ENIs", len(s.list(t)), 0)
}

func attachUnknown(t *testing.T, s *rig) {
	state := vpc(t, 1)
	s.mustApply(t, state)
	_, err := s.Attach(t.Context(), eni(state, 0, network.NewID("sg", "nobody's")))
	wantError(t, "Attach with an unknown group", err, network.ErrNotFound)
	_, err = s.Attach(t.Context(), eni(vpc(t, 2), 0))
	wantError(t, "Attach in an unknown subnet", err, network.ErrNotFound)
	same(t, "ENIs", len(s.list(t)), 0)
}

func attachInvalid(t *testing.T, s *rig) {
	state := join(vpc(t, 1), vpc(t, 2))
	s.mustApply(t, state)
	edits := map[string]func(*network.ENI){
		"an ID that is none":           func(e *network.ENI) { e.ID = "eth0" },
		"an address of another subnet": func(e *network.ENI) { e.PrivateIPv4 = netip.MustParseAddr("10.1.16.10") },
		"the router's address":         func(e *network.ENI) { e.PrivateIPv4 = netip.MustParseAddr("10.1.0.1") },
		"no address":                   func(e *network.ENI) { e.PrivateIPv4 = netip.Addr{} },
		"no group":                     func(e *network.ENI) { e.SecurityGroups = nil },
		"a group of another VPC":       func(e *network.ENI) { e.SecurityGroups = eni(vpc(t, 2), 0).SecurityGroups },
		"no MAC":                       func(e *network.ENI) { e.MAC = network.MAC{} },
	}
	for what, edit := range edits {
		e := eni(vpc(t, 1), 0)
		edit(&e)
		_, err := s.Attach(t.Context(), e)
		wantError(t, "Attach with "+what, err, network.ErrInvalid)
	}
	same(t, "ENIs", len(s.list(t)), 0)
}

func attachOther(t *testing.T, s *rig) {
	state := vpc(t, 1)
	s.mustApply(t, state)
	first := s.mustAttach(t, eni(state, 0))
	other := eni(state, 2)
	other.ID = first.ENI
	_, err := s.Attach(t.Context(), other)
	wantError(t, "Attach", err, network.ErrExists)
	same(t, "list", s.list(t), []network.Attachment{first})
}

func attachUsed(t *testing.T, s *rig) {
	state := vpc(t, 1)
	s.mustApply(t, state)
	first := s.mustAttach(t, eni(state, 0))
	other := eni(state, 2)
	other.PrivateIPv4 = first.Address.Addr()
	_, err := s.Attach(t.Context(), other)
	wantError(t, "Attach with a used address", err, network.ErrAddressInUse)
	other = eni(state, 2)
	other.MAC = first.MAC
	_, err = s.Attach(t.Context(), other)
	wantError(t, "Attach with a used MAC", err, network.ErrInvalid)
	same(t, "list", s.list(t), []network.Attachment{first})
}

func attachMany(t *testing.T, s *rig) {
	state := vpc(t, 1)
	s.mustApply(t, state)
	const count = 12
	var all sync.WaitGroup
	errs := make([]error, 2*count)
	for i := range errs {
		all.Go(func() { _, errs[i] = s.Attach(t.Context(), eni(state, i%count)) }) // each one twice
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		state.ENIs = append(state.ENIs, eni(state, i))
	}
	same(t, "ENIs", ids(s.list(t)), sortedIDs(state.ENIs...))
	var flows []network.Flow
	for i := range count {
		flows = append(flows, flow(state.ENIs[i], state.ENIs[(i+1)%count].PrivateIPv4, 80))
	}
	s.compare(t, state, flows)
	for i := range errs {
		all.Go(func() { errs[i] = s.Detach(t.Context(), state.ENIs[i%count].ID) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	same(t, "ENIs after Detach", len(s.list(t)), 0)
}

func detach(t *testing.T, s *rig) {
	state := vpc(t, 1)
	if err := s.Detach(t.Context(), eni(state, 0).ID); err != nil {
		t.Errorf("Detach before Apply: %v", err)
	}
	s.mustApply(t, state)
	if err := s.Detach(t.Context(), eni(state, 0).ID); err != nil {
		t.Errorf("Detach of what is not attached: %v", err)
	}
	kept := s.mustAttach(t, eni(state, 1))
	s.mustAttach(t, eni(state, 0))
	for range 2 {
		if err := s.Detach(t.Context(), eni(state, 0).ID); err != nil {
			t.Errorf("Detach: %v", err)
		}
		same(t, "list", s.list(t), []network.Attachment{kept})
	}
	again := s.mustAttach(t, eni(state, 0))
	same(t, "ENIs", ids(s.list(t)), sortedIDs(eni(state, 0), eni(state, 1)))
	same(t, "Address", again.Address.Addr(), eni(state, 0).PrivateIPv4)
}

func detachAddress(t *testing.T, s *rig) {
	state := vpc(t, 1)
	s.mustApply(t, state)
	s.mustAttach(t, eni(state, 0))
	if err := s.Detach(t.Context(), eni(state, 0).ID); err != nil {
		t.Fatal(err)
	}
	heir, peer := eni(state, 2), eni(state, 3)
	heir.PrivateIPv4, heir.MAC = eni(state, 0).PrivateIPv4, eni(state, 0).MAC
	s.mustAttach(t, heir)
	s.mustAttach(t, peer)
	state.ENIs = []network.ENI{heir, peer}
	s.compare(t, state, []network.Flow{flow(peer, heir.PrivateIPv4, 80), flow(heir, peer.PrivateIPv4, 80)})
}

func restart(t *testing.T, s *rig) {
	state := vpc(t, 1)
	a, b := eni(state, 0), eni(state, 1)
	state.ENIs = []network.ENI{a}
	s.mustApply(t, state)
	s.mustAttach(t, b)
	before := s.list(t)
	s.reopen(t)
	same(t, "attachments after a restart", s.list(t), before)
	state.ENIs = []network.ENI{a, b}
	s.mustApply(t, state)
	same(t, "attachments after a restart and Apply", s.list(t), before)
	same(t, "attachment", s.mustAttach(t, b), before[slices.IndexFunc(before, func(x network.Attachment) bool { return x.ENI == b.ID })])
	s.compare(t, state, []network.Flow{flow(a, b.PrivateIPv4, 80), flow(b, a.PrivateIPv4, 80)})
}

func restartDetach(t *testing.T, s *rig) {
	state := vpc(t, 1)
	a, b := eni(state, 0), eni(state, 1)
	state.ENIs = []network.ENI{a, b}
	s.mustApply(t, state)
	s.reopen(t)
	if err := s.Detach(t.Context(), a.ID); err != nil {
		t.Fatalf("Detach after a restart: %v", err)
	}
	same(t, "ENIs", ids(s.list(t)), []string{b.ID})
	s.reopen(t)
	same(t, "ENIs after another restart", ids(s.list(t)), []string{b.ID})
	state.ENIs = []network.ENI{b}
	s.mustApply(t, state)
	s.compare(t, state, []network.Flow{flow(b, a.PrivateIPv4, 80)})
}

func closed(t *testing.T, s *rig) {
	state := vpc(t, 1)
	s.mustApply(t, state)
	s.mustAttach(t, eni(state, 0))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	wantError(t, "Apply", s.Apply(t.Context(), state), network.ErrClosed)
	_, err := s.Attach(t.Context(), eni(state, 0))
	wantError(t, "Attach", err, network.ErrClosed)
	wantError(t, "Detach", s.Detach(t.Context(), eni(state, 0).ID), network.ErrClosed)
	_, err = s.Attachments(t.Context())
	wantError(t, "Attachments", err, network.ErrClosed)
	s.Fabric = s.Open(t)
	same(t, "ENIs after a restart", ids(s.list(t)), sortedIDs(eni(state, 0)))
	s.mustApply(t, emptyState())
	if left := s.Leftovers(t); len(left) > 0 {
		t.Errorf("left after an empty Apply: %q", left)
	}
}
