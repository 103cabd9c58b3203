package flowlog

import (
	"errors"
	"net/netip"
	"time"
)

// ErrInvalid is matched by the errors of this package that are about what it was given.
var ErrInvalid = errors.New("flowlog: invalid")

// Action says whether security groups and network ACLs let a flow through.
type Action string

// The actions.
const (
	Accept Action = "ACCEPT"
	Reject Action = "REJECT"
)

// Status says what a record stands for.
type Status string

// The statuses.
const (
	OK       Status = "OK"       // a flow
	NoData   Status = "NODATA"   // the interface had no traffic in the interval
	SkipData Status = "SKIPDATA" // some of the interface's records were left out in the interval
)

// Direction is that of a flow, seen from the interface.
type Direction string

// The directions.
const (
	Ingress Direction = "ingress"
	Egress  Direction = "egress"
)

// Interface is what records say of the interface that they are about.
type Interface struct {
	ID         string // "eni-…"
	AccountID  string
	VPCID      string
	SubnetID   string
	InstanceID string // "" for tasks of Fargate, printed as "-"
	Region     string
	AZID       string
}

// Flow is what tells flows of one interface apart.
type Flow struct {
	Direction Direction
	Action    Action
	Protocol  uint8 // IANA's number
	Source    netip.Addr
	Dest      netip.Addr
	// PacketSource and PacketDest are the addresses in the packet, where those above are the interface's own because it
	// passes packets of others on. The zero values are the same as above.
	PacketSource netip.Addr
	PacketDest   netip.Addr
	SourcePort   uint16 // 0 if the protocol has none
	DestPort     uint16
	TrafficPath  uint8 // where egress traffic goes, 1 to 8; 0 is unknown or ingress
}

// Values of Flow.TrafficPath that a VPC of one machine has.
const (
	PathVPC             uint8 = 1 // through another resource in the same VPC
	PathPeering         uint8 = 4 // through a peering connection in the region
	PathInternetGateway uint8 = 8 // through an internet gateway
)

// TCP flags of Record.TCPFlags. ACK and PSH alone are not recorded.
const (
	FlagFIN    uint8 = 1
	FlagSYN    uint8 = 2
	FlagRST    uint8 = 4
	FlagSYNACK uint8 = 18
)

// TCPFlags returns the bits that a packet with the given flags adds to its record: ACK counts only beside SYN.
func TCPFlags(flags uint8) uint8 {
	if flags&FlagSYN != 0 {
		return flags & (FlagSYNACK | FlagFIN | FlagRST)
	}
	return flags & (FlagFIN | FlagRST)
}

// Record is one line of a flow log.
type Record struct {
	Interface
	Flow
	TCPFlags uint8 // those of all packets of the interval together
	Packets  uint64
	Bytes    uint64
	Start    time.Time // of the first packet in the interval, or the interval's if there is none
	End      time.Time // of the last one
	Status   Status
}
