package engine

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

func TestFaults(t *testing.T) {
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	some := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	hole := metadata.BlackholePort{Port: 80, Protocol: task.ProtocolTCP, TrafficType: metadata.Egress, SourcesToFilter: some}
	in := hole
	in.TrafficType = metadata.Ingress
	again := hole
	again.SourcesToFilter = nil // black holes are known by direction, protocol and port alone
	latency := metadata.Latency{Delay: 1500 * time.Millisecond, Jitter: 20 * time.Millisecond, Sources: all, SourcesToFilter: some, FlowsPercent: 30}
	loss := metadata.PacketLoss{LossPercent: 7, Sources: all, FlowsPercent: 100}
	holes := []network.Blackhole{{Port: 80, Protocol: network.TCP, Outgoing: true, Spared: some}}
	delay := &network.Delay{Milliseconds: 1500, Jitter: 20, Flows: network.Flows{To: all, Spared: some, Percent: 30}}
	type step struct {
		stop    bool
		fault   metadata.Fault
		running metadata.FaultType // that stands in the way
		want    network.Faults
	}
	var set network.Faults
	for i, s := range []step{
		{true, latency, "", network.Faults{}},
		{false, hole, "", network.Faults{Blackholes: holes}},
		{false, again, "", network.Faults{Blackholes: holes}},
		{false, in, "", network.Faults{Blackholes: append(holes[:1:1], network.Blackhole{Port: 80, Protocol: network.TCP, Spared: some})}},
		{true, in, "", network.Faults{Blackholes: holes}},
		{false, latency, "", network.Faults{Blackholes: holes, Delay: delay}},
		{false, latency, metadata.FaultLatency, network.Faults{Blackholes: holes, Delay: delay}},
		{false, loss, metadata.FaultLatency, network.Faults{Blackholes: holes, Delay: delay}},
		{true, metadata.PacketLoss{}, "", network.Faults{Blackholes: holes, Delay: delay}},
		{true, again, "", network.Faults{Blackholes: []network.Blackhole{}, Delay: delay}},
		{true, metadata.Latency{}, "", network.Faults{Blackholes: []network.Blackhole{}}},
		{false, loss, "", network.Faults{Blackholes: []network.Blackhole{}, Loss: &network.Loss{Percent: 7, Flows: network.Flows{To: all, Percent: 100}}}},
		{false, latency, metadata.FaultPacketLoss, network.Faults{Blackholes: []network.Blackhole{}, Loss: &network.Loss{Percent: 7, Flows: network.Flows{To: all, Percent: 100}}}},
	} {
		var err error
		if s.stop {
			set = withoutFault(set, s.fault)
		} else {
			set, err = withFault(set, s.fault)
		}
		var running *metadata.FaultRunningError
		if errors.As(err, &running) != (s.running != "") || running != nil && running.Running != s.running {
			t.Errorf("step %d: %v, want one that names %q", i, err, s.running)
		}
		if diff := cmp.Diff(s.want, set, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
		if hasFault(set, s.fault) == s.stop && s.running == "" {
			t.Errorf("step %d: running is %t", i, !s.stop)
		}
	}
}
