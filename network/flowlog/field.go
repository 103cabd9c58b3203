package flowlog

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// field is one that a format can have.
type field struct {
	name    string
	version int  // in which AWS introduced it
	flow    bool // "-" in records that are not about a flow
	get     func(r *Record) string
	set     func(r *Record, s string) error
}

// fields returns all fields of the versions 2 to 5, in AWS's order.
func fields() []field {
	return []field{
		{name: "version", version: 2}, // the format's
		{name: "account-id", version: 2, get: func(r *Record) string { return r.AccountID }, set: text(func(r *Record) *string { return &r.AccountID })},
		{name: "interface-id", version: 2, get: func(r *Record) string { return r.Interface.ID }, set: text(func(r *Record) *string { return &r.Interface.ID })},
		address("srcaddr", 2, func(r *Record) *netip.Addr { return &r.Source }),
		address("dstaddr", 2, func(r *Record) *netip.Addr { return &r.Dest }),
		number("srcport", 2, func(r *Record) *uint16 { return &r.SourcePort }),
		number("dstport", 2, func(r *Record) *uint16 { return &r.DestPort }),
		number("protocol", 2, func(r *Record) *uint8 { return &r.Protocol }),
		number("packets", 2, func(r *Record) *uint64 { return &r.Packets }),
		number("bytes", 2, func(r *Record) *uint64 { return &r.Bytes }),
		moment("start", func(r *Record) *time.Time { return &r.Start }),
		moment("end", func(r *Record) *time.Time { return &r.End }),
		{name: "action", version: 2, flow: true, get: func(r *Record) string { return string(r.Action) },
			set: oneOf(func(r *Record, s string) { r.Action = Action(s) }, string(Accept), string(Reject))},
		{name: "log-status", version: 2, get: func(r *Record) string { return string(r.Status) },
			set: oneOf(func(r *Record, s string) { r.Status = Status(s) }, string(OK), string(NoData), string(SkipData))},
		{name: "vpc-id", version: 3, get: func(r *Record) string { return r.VPCID }, set: text(func(r *Record) *string { return &r.VPCID })},
		{name: "subnet-id", version: 3, get: func(r *Record) string { return r.SubnetID }, set: text(func(r *Record) *string { return &r.SubnetID })},
		{name: "instance-id", version: 3, get: func(r *Record) string { return r.InstanceID }, set: text(func(r *Record) *string { return &r.InstanceID })},
		number("tcp-flags", 3, func(r *Record) *uint8 { return &r.TCPFlags }),
		{name: "type", version: 3, flow: true, get: addressType, set: oneOf(func(*Record, string) {}, "IPv4", "IPv6")}, // follows from srcaddr
		packetAddress("pkt-srcaddr", func(r *Record) (*netip.Addr, netip.Addr) { return &r.PacketSource, r.Source }),
		packetAddress("pkt-dstaddr", func(r *Record) (*netip.Addr, netip.Addr) { return &r.PacketDest, r.Dest }),
		{name: "region", version: 4, get: func(r *Record) string { return r.Region }, set: text(func(r *Record) *string { return &r.Region })},
		{name: "az-id", version: 4, get: func(r *Record) string { return r.AZID }, set: text(func(r *Record) *string { return &r.AZID })},
		absent("sublocation-type", 4),
		absent("sublocation-id", 4),
		absent("pkt-src-aws-service", 5),
		absent("pkt-dst-aws-service", 5),
		{name: "flow-direction", version: 5, flow: true, get: func(r *Record) string { return string(r.Direction) },
			set: oneOf(func(r *Record, s string) { r.Direction = Direction(s) }, string(Ingress), string(Egress))},
		{name: "traffic-path", version: 5, flow: true, get: func(r *Record) string {
			if r.TrafficPath == 0 {
				return ""
			}
			return strconv.Itoa(int(r.TrafficPath))
		}, set: number("", 5, func(r *Record) *uint8 { return &r.TrafficPath }).set},
	}
}

// absent is a field that nothing on one machine has a value for.
func absent(name string, version int) field {
	return field{name: name, version: version, get: func(*Record) string { return "" }, set: func(*Record, string) error { return nil }}
}

func text(at func(*Record) *string) func(*Record, string) error {
	return func(r *Record, s string) error { *at(r) = s; return nil }
}

func oneOf(set func(*Record, string), values ...string) func(*Record, string) error {
	return func(r *Record, s string) error {
		for _, v := range values {
			if s == v {
				set(r, s)
				return nil
			}
		}
		return fmt.Errorf("%w: %q is none of %q", ErrInvalid, s, values)
	}
}

func number[T uint8 | uint16 | uint64](name string, version int, at func(*Record) *T) field {
	return field{name: name, version: version, flow: true,
		get: func(r *Record) string { return strconv.FormatUint(uint64(*at(r)), 10) },
		set: func(r *Record, s string) error {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil || uint64(T(n)) != n {
				return fmt.Errorf("%w: %q is no number for it", ErrInvalid, s)
			}
			*at(r) = T(n)
			return nil
		}}
}

func moment(name string, at func(*Record) *time.Time) field {
	return field{name: name, version: 2,
		get: func(r *Record) string { return strconv.FormatInt(at(r).Unix(), 10) },
		set: func(r *Record, s string) error {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return fmt.Errorf("%w: %q is no time in seconds", ErrInvalid, s)
			}
			*at(r) = time.Unix(n, 0).UTC()
			return nil
		}}
}

func address(name string, version int, at func(*Record) *netip.Addr) field {
	return field{name: name, version: version, flow: true,
		get: func(r *Record) string { return addrText(*at(r)) },
		set: func(r *Record, s string) error { return setAddr(at(r), s) }}
}

// packetAddress is the one in the packet, which is that of the interface unless the record says otherwise.
func packetAddress(name string, at func(*Record) (own *netip.Addr, usual netip.Addr)) field {
	return field{name: name, version: 3, flow: true,
		get: func(r *Record) string {
			own, usual := at(r)
			if own.IsValid() {
				return addrText(*own)
			}
			return addrText(usual)
		},
		set: func(r *Record, s string) error {
			own, _ := at(r)
			return setAddr(own, s)
		}}
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func setAddr(at *netip.Addr, s string) error {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return fmt.Errorf("%w: %q is no address", ErrInvalid, s)
	}
	*at = a
	return nil
}

// addressType is that of whichever address a record has.
func addressType(r *Record) string {
	for _, a := range []netip.Addr{r.Source, r.Dest, r.PacketSource, r.PacketDest} {
		switch {
		case a.Is4():
			return "IPv4"
		case a.Is6():
			return "IPv6"
		}
	}
	return ""
}
