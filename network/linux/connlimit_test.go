package linux

import (
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/google/go-cmp/cmp"
)

func TestConnectionLimits(t *testing.T) {
	tests := []struct {
		name         string
		limits       ConnectionLimits
		conntrackMax int
		want         ConnectionLimits
	}{
		{"a large machine", ConnectionLimits{}, 262144, ConnectionLimits{16384, 2000, 2048, 1024}},
		{"a very large one", ConnectionLimits{}, 4 << 20, ConnectionLimits{16384, 2000, 2048, 1024}},
		{"a small one", ConnectionLimits{}, 65536, ConnectionLimits{8192, 2000, 2048, 1024}},
		{"a kernel that does not say", ConnectionLimits{}, 0, ConnectionLimits{8192, 2000, 2048, 1024}},
		{"settings", ConnectionLimits{5, 6, 7, 8}, 65536, ConnectionLimits{5, 6, 7, 8}},
		{"none", ConnectionLimits{-1, -1, -1, -1}, 65536, ConnectionLimits{-1, -1, -1, -1}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.limits.withDefaults(tt.conntrackMax)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if all := connectionRulesets(ConnectionLimits{-1, -1, -1, -1}); len(all) > 0 || connectionTable(ConnectionLimits{-1, -1, -1, -1}) != "" {
		t.Errorf("tables without limits: %v", all)
	}
	// The names of tables tell limits apart, so that one that is changed is made anew.
	names := map[string]bool{}
	for _, l := range []ConnectionLimits{{5, 6, 7, 8}, {50, 6, 7, 8}, {5, 60, 7, 8}, {5, 6, 70, 8}, {5, 6, 7, 80}, {-1, 6, 7, 8}, {5, -1, 7, 8}, {5, 6, -1, 8},
		{5, 6, 7, -1}, {-1, -1, 7, 8}, {-1, -1, -1, 8}} {
		names[connectionTable(l)] = true
	}
	if len(names) != 11 {
		t.Errorf("names of 11 different limits: %v", names)
	}
}

func TestPlanConnections(t *testing.T) {
	s := planVPC(t)
	vpc := s.VPCs[0].ID
	for _, tt := range []struct{ have, want, plan string }{
		{"", "", "set host table\nset ruleset in VPC"},
		{"fardel-connections-1", "fardel-connections-1", "set host table\nset ruleset in VPC"},
		{"", "fardel-connections-1", "limit connections in VPC\nset host table\nset ruleset in VPC"},
		{"fardel-connections-1", "fardel-connections-2", "limit connections in VPC\nset host table\nset ruleset in VPC"},
		{"fardel-connections-1", "", "limit connections in VPC\nset host table\nset ruleset in VPC"},
	} {
		o := complete(s, "me")
		r := o.Routers[vpc]
		r.Connections = tt.have
		o.Routers[vpc] = r
		steps, conflicts := plan(o, wanted{Owner: "me", State: s, Connections: tt.want})
		if diff := cmp.Diff(tt.plan, actions(steps, s)); diff != "" || len(conflicts) > 0 {
			t.Errorf("%q, %q wanted: %v (-want +got):\n%s", tt.have, tt.want, conflicts, diff)
		}
	}
	var none network.State
	if steps, _ := plan(observed{}, wanted{Owner: "me", State: none, Connections: "fardel-connections-1"}); len(steps) > 0 {
		t.Errorf("steps for nothing: %v", steps)
	}
}
