package network

import (
	"context"
	"net/netip"
)

// A FlowCounter is a fabric that counts the packets of flows, for flow logs. Optional, found by assertion.
type FlowCounter interface {
	// CountFlows returns what has been counted of flows that pass the router of a VPC since the call before, and starts to
	// count at the first call, which returns nothing. Counting goes on until the VPC is removed. lost says that there were
	// so many flows that some were not counted. Callers take turns: what one is told, no other one is. [ErrNotFound] if the
	// VPC is not applied.
	CountFlows(ctx context.Context, vpcID string) (counts []FlowCount, lost bool, err error)
}

// FlowCount is how many packets of one flow came to a VPC's router, with the addresses that ENIs see, and how many of
// them its security groups and network ACLs let through.
type FlowCount struct {
	Source          netip.Addr
	Destination     netip.Addr
	Protocol        uint8  // IANA's number
	SourcePort      uint16 // of TCP, UDP and SCTP, else 0
	DestinationPort uint16
	TCPFlags        uint8 // of TCP: FIN 1, SYN 2, RST 4, ACK 16, those of all packets together
	OfferedPackets  uint64
	OfferedBytes    uint64
	PassedPackets   uint64
	PassedBytes     uint64
}
