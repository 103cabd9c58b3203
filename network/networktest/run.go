package networktest

import "testing"

// Run runs the suite. machine makes a fixture with nothing of a fabric on it. Checks of what the fabric lacks are skipped.
func Run(t *testing.T, machine func(t testing.TB) Fixture, lacks ...Capability) {
	checks := []struct {
		name  string
		check func(t *testing.T, s *rig)
	}{
		{"apply twice", applyTwice},
		{"apply what is invalid", applyInvalid},
		{"apply adds, changes and removes ENIs", applyENIs},
		{"apply moves an ENI", applyMoves},
		{"apply nothing leaves nothing", applyNothing},
		{"apply with a cancelled context", cancelled},
		{"attach describes the ENI", attachDescribes},
		{"attach twice", attachTwice},
		{"attach before apply", attachBeforeApply},
		{"attach what is unknown", attachUnknown},
		{"attach what is invalid", attachInvalid},
		{"attach another ENI of the same ID", attachOther},
		{"attach a used address", attachUsed},
		{"attach many at once", attachMany},
		{"bandwidth", bandwidth},
		{"published ports", publishedPorts},
		{"detach", detach},
		{"detach gives the address back", detachAddress},
		{"restart", restart},
		{"restart and detach", restartDetach},
		{"close", closed},
		{"packets in the default group", packetsDefault},
		{"packets by group, port and protocol", packetsGroups},
		{"packets after groups change", packetsChange},
		{"packets after rules change", packetsRules},
		{"packets after detach", packetsDetached},
		{"packets with forged source", packetsForged},
		{"packets to and from the host", packetsHost},
		{"packets to and from the outside", packetsOutside},
		{"packets to published ports", packetsPublished},
		{"packets between VPCs", packetsVPCs},
		{"packets to addresses nobody has", packetsNowhere},
		{"packets at random", packetsRandom},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			skipWithout(t, c.name, lacks)
			s := open(t, machine(t))
			c.check(t, s)
			if t.Failed() {
				return
			}
			s.mustApply(t, emptyState())
			if left := s.Leftovers(t); len(left) > 0 {
				t.Errorf("left after an empty Apply: %q", left)
			}
		})
	}
}
