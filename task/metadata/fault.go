package metadata

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/fardel-io/fardel/task"
)

// A FaultInjector makes the network of a task bad, on the task's own request. Its methods are safe for concurrent use,
// idempotent and over within five seconds, when the context ends; it does not end when the caller goes away. A fault
// ends when it is stopped, or with the task.
//
// A black hole is known by its traffic type, protocol and port, and a task can have many. Of latency and packet loss a
// task has one at a time; to stop or ask for them any value of the type will do.
type FaultInjector interface {
	// StartFault makes the fault. Starting a black hole that is there changes nothing. While latency or packet loss is
	// there, starting either is a [*FaultRunningError].
	StartFault(ctx context.Context, s *Snapshot, f Fault) error
	// StopFault ends the fault. No error if it is not there.
	StopFault(ctx context.Context, s *Snapshot, f Fault) error
	// FaultRunning reports whether the fault is there.
	FaultRunning(ctx context.Context, s *Snapshot, f Fault) (bool, error)
}

// FaultType is a kind of fault, as it stands in the path.
type FaultType string

// The kinds of fault.
const (
	FaultBlackholePort FaultType = "network-blackhole-port"
	FaultLatency       FaultType = "network-latency"
	FaultPacketLoss    FaultType = "network-packet-loss"
)

// Fault is a [BlackholePort], [Latency] or [PacketLoss].
type Fault interface {
	// Type returns the kind of the fault.
	Type() FaultType
	fault()
}

// TrafficType is a direction, seen from the task.
type TrafficType string

// The directions of traffic.
const (
	Ingress TrafficType = "ingress"
	Egress  TrafficType = "egress"
)

// BlackholePort drops the traffic of one port.
type BlackholePort struct {
	Port        uint16 // the destination's
	Protocol    task.TransportProtocol
	TrafficType TrafficType
	// SourcesToFilter are destinations that the fault spares. With port 80 outwards the endpoint's own address is among
	// them, else the task could not stop the fault.
	SourcesToFilter []netip.Prefix
}

// Latency delays what a task sends.
type Latency struct {
	Delay  time.Duration // whole milliseconds
	Jitter time.Duration // each packet's delay differs by up to so much; not 0 if Delay is
	// Sources are the destinations whose traffic is delayed; at least one to start the fault.
	Sources []netip.Prefix
	// SourcesToFilter are destinations that the fault spares.
	SourcesToFilter []netip.Prefix
	FlowsPercent    int // share of the flows (addresses, ports, protocol) that are hit: 1..100
}

// PacketLoss loses some of what a task sends.
type PacketLoss struct {
	LossPercent int // share of the packets: 1..100
	// Sources are the destinations whose traffic is hit; at least one to start the fault.
	Sources []netip.Prefix
	// SourcesToFilter are destinations that the fault spares.
	SourcesToFilter []netip.Prefix
	FlowsPercent    int // share of the flows (addresses, ports, protocol) that are hit: 1..100
}

// Type returns [FaultBlackholePort].
func (BlackholePort) Type() FaultType { return FaultBlackholePort }

// Type returns [FaultLatency].
func (Latency) Type() FaultType { return FaultLatency }

// Type returns [FaultPacketLoss].
func (PacketLoss) Type() FaultType { return FaultPacketLoss }

func (BlackholePort) fault() {}
func (Latency) fault()       {}
func (PacketLoss) fault()    {}

// FaultRunningError says that a fault stands in the way of another.
type FaultRunningError struct {
	Running FaultType
}

// Error says which fault is running, in the words of ECS.
func (e *FaultRunningError) Error() string {
	return "There is already one " + strings.ReplaceAll(string(e.Running), "-", " ") + " fault running"
}

// FaultUnsupportedError says that this host cannot make a fault, and what it would take. The answer is 500 with its text.
type FaultUnsupportedError struct {
	Type  FaultType
	Needs string
}

// Error names the fault and what it needs.
func (e *FaultUnsupportedError) Error() string {
	return string(e.Type) + " is not available on this host: it needs " + e.Needs
}
