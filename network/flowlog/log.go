package flowlog

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/network"
)

// Traffic is which flows a log has.
type Traffic string

// The kinds of traffic.
const (
	TrafficAll    Traffic = "ALL"
	TrafficAccept Traffic = "ACCEPT"
	TrafficReject Traffic = "REJECT"
)

// Intervals of aggregation that AWS has.
const (
	ShortInterval = time.Minute
	LongInterval  = 10 * time.Minute // the default
)

// Log is a flow log: whose traffic it is about and how it is written.
type Log struct {
	ID          string        // "fl-" and 17 hexadecimal digits
	ResourceID  string        // of a VPC, a subnet or an ENI; "" is every VPC
	TrafficType Traffic       // "" is ALL
	Interval    time.Duration // ShortInterval or LongInterval; 0 is LongInterval
	Format      Format        // the zero value is DefaultFormat
}

// WithDefaults checks a log and fills in what it leaves out. The error matches [ErrInvalid].
func (l Log) WithDefaults() (Log, error) {
	if l.TrafficType == "" {
		l.TrafficType = TrafficAll
	}
	if l.Interval == 0 {
		l.Interval = LongInterval
	}
	if len(l.Format.fields) == 0 {
		l.Format = DefaultFormat()
	}
	kind, _, _ := strings.Cut(l.ResourceID, "-")
	switch {
	case !slices.Contains([]string{"", "vpc", "subnet", "eni"}, kind):
		return l, fmt.Errorf("%w: flow log %q: the resource %q is no VPC, subnet or network interface", ErrInvalid, l.ID, l.ResourceID)
	case !slices.Contains([]Traffic{TrafficAll, TrafficAccept, TrafficReject}, l.TrafficType):
		return l, fmt.Errorf("%w: flow log %q: the traffic type %q is not ALL, ACCEPT or REJECT", ErrInvalid, l.ID, l.TrafficType)
	case l.Interval != ShortInterval && l.Interval != LongInterval:
		return l, fmt.Errorf("%w: flow log %q: the interval %v is not %v or %v", ErrInvalid, l.ID, l.Interval, ShortInterval, LongInterval)
	}
	return l, nil
}

// Covers reports whether a log is about an interface.
func (l Log) Covers(i Interface) bool {
	return l.ResourceID == "" || slices.Contains([]string{i.VPCID, i.SubnetID, i.ID}, l.ResourceID)
}

// Wants reports whether a log has a record of an interface that it covers. Records that are not about a flow are in all
// logs.
func (l Log) Wants(r Record) bool {
	return l.Covers(r.Interface) && (r.Status != OK || l.TrafficType == TrafficAll || string(l.TrafficType) == string(r.Action))
}

// Ignored reports traffic that AWS leaves out of every log: to and from Amazon's name server, link-local endpoints such as
// the task metadata endpoint, the VPC's router, and DHCP.
func Ignored(v network.VPC, n network.Subnet, f Flow) bool {
	for _, a := range []netip.Addr{f.Source, f.Dest} {
		if a.IsLinkLocalUnicast() || a == v.Resolver() || a == n.Gateway() {
			return true
		}
	}
	const udp = 17
	return f.Protocol == udp && (f.SourcePort == 67 || f.SourcePort == 68) && (f.DestPort == 67 || f.DestPort == 68)
}
