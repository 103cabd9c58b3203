package flowlog

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/fardel-io/fardel/network"
)

// Observe makes observations of what a router has counted between two moments: one for the interface that sends and one
// for the one that receives, if they are ENIs of the VPC, of what passed and of what did not. A fabric does not say who
// refused a packet; [network.Evaluate] does: what the sender's side refuses, the receiver never saw. s has the ENIs. What
// [Ignored] names is left out.
func Observe(s network.State, vpcID string, counts []network.FlowCount, start, end time.Time) []Observation {
	o := newObserver(s, vpcID)
	for _, c := range counts {
		if c.PassedPackets > 0 {
			o.passed[reversible{c.Source, c.Destination, c.Protocol, c.SourcePort, c.DestinationPort}] = true
		}
	}
	for _, c := range counts {
		o.observe(c, start, end)
	}
	return o.all
}

type observer struct {
	state  network.State
	vpc    network.VPC
	enis   map[netip.Addr]network.ENI
	passed map[reversible]bool
	all    []Observation
}

// reversible is what a flow and the answers to it have in common, once turned round.
type reversible struct {
	source, dest         netip.Addr
	protocol             uint8
	sourcePort, destPort uint16
}

func newObserver(s network.State, vpcID string) *observer {
	o := &observer{state: s, enis: map[netip.Addr]network.ENI{}, passed: map[reversible]bool{}}
	o.vpc, _ = s.VPC(vpcID)
	for _, e := range s.ENIs {
		if n, _ := s.Subnet(e.Subnet); n.VPC == vpcID {
			o.enis[e.PrivateIPv4] = e
			if e.IPv6.IsValid() {
				o.enis[e.IPv6] = e
			}
		}
	}
	return o
}

func (o *observer) observe(c network.FlowCount, start, end time.Time) {
	from, sends := o.enis[c.Source]
	to, receives := o.enis[c.Destination]
	verdict := o.evaluate(c, from, sends)
	add := func(e network.ENI, direction Direction, action Action, packets, bytes uint64) {
		n, _ := o.state.Subnet(e.Subnet)
		f := Flow{Direction: direction, Action: action, Protocol: c.Protocol, Source: c.Source, Dest: c.Destination,
			SourcePort: c.SourcePort, DestPort: c.DestinationPort}
		if direction == Egress {
			f.TrafficPath = trafficPath(verdict, receives)
		}
		if packets > 0 && !Ignored(o.vpc, n, f) {
			o.all = append(o.all, Observation{Interface: e.ID, Flow: f, TCPFlags: TCPFlags(c.TCPFlags), Packets: packets, Bytes: bytes, Start: start, End: end})
		}
	}
	refused, refusedBytes := c.OfferedPackets-c.PassedPackets, c.OfferedBytes-c.PassedBytes
	byReceiver := refusedByReceiver(verdict)
	if sends {
		add(from, Egress, Accept, c.PassedPackets, c.PassedBytes)
		if receives && byReceiver {
			add(from, Egress, Accept, refused, refusedBytes)
		} else {
			add(from, Egress, Reject, refused, refusedBytes)
		}
	}
	if receives {
		add(to, Ingress, Accept, c.PassedPackets, c.PassedBytes)
		if !sends || byReceiver {
			add(to, Ingress, Reject, refused, refusedBytes)
		}
	}
}

// evaluate asks what the state says of a flow. One whose opposite passed is the answer to it.
func (o *observer) evaluate(c network.FlowCount, from network.ENI, sends bool) network.Verdict {
	f := network.Flow{Source: c.Source, Destination: c.Destination, Protocol: network.Protocol(strconv.Itoa(int(c.Protocol))),
		SourcePort: c.SourcePort, DestinationPort: c.DestinationPort,
		Established: o.passed[reversible{c.Destination, c.Source, c.Protocol, c.DestinationPort, c.SourcePort}]}
	if sends {
		f.ENI = from.ID
	}
	return network.Evaluate(o.state, f)
}

// refusedByReceiver reports whether a packet came as far as the receiver's subnet.
func refusedByReceiver(v network.Verdict) bool {
	d := v.Decision()
	return !v.Allowed && (d.Check == network.CheckIngress || d.Check == network.CheckACLIngress)
}

// trafficPath says by which way a packet leaves.
func trafficPath(v network.Verdict, inside bool) uint8 {
	path := uint8(0)
	if inside {
		path = PathVPC
	}
	for _, h := range v.Path {
		switch h.Check {
		case network.CheckNAT:
			return PathVPC // the NAT gateway is a resource of the VPC
		case network.CheckPeering:
			path = PathPeering
		case network.CheckGateway:
			path = PathInternetGateway
		}
	}
	return path
}
