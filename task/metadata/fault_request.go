package metadata

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fardel-io/fardel/task"
)

// Bodies of fault requests. Members are pointers because 0 is not the same as none.

type blackholePortRequest struct {
	Port            *uint16
	Protocol        *string
	TrafficType     *string
	SourcesToFilter []*string
}

type latencyRequest struct {
	DelayMilliseconds  *uint64
	JitterMilliseconds *uint64
	Sources            []*string
	SourcesToFilter    []*string
	FlowsPercent       *int
}

type packetLossRequest struct {
	LossPercent     *uint64
	Sources         []*string
	SourcesToFilter []*string
	FlowsPercent    *int
}

// parseFault reads the body of a request about a fault. Starting a fault needs the whole of it; to stop or ask for
// latency and packet loss there is nothing to say, and what is said is not read. Members nobody knows are no error, as
// in ECS. The error's text is the answer.
func parseFault(kind FaultType, action string, body io.Reader) (Fault, error) {
	switch {
	case kind == FaultBlackholePort:
		return parseBlackholePort(body)
	case kind == FaultLatency && action == "start":
		return parseLatency(body)
	case kind == FaultLatency:
		return Latency{}, nil
	case action == "start":
		return parsePacketLoss(body)
	}
	return PacketLoss{}, nil
}

func parseBlackholePort(body io.Reader) (Fault, error) {
	var r blackholePortRequest
	if err := decodeFault(body, &r); err != nil {
		return nil, err
	}
	switch {
	case r.Port == nil:
		return nil, missing("Port")
	case r.Protocol == nil || *r.Protocol == "":
		return nil, missing("Protocol")
	case r.TrafficType == nil || *r.TrafficType == "":
		return nil, missing("TrafficType")
	}
	f := BlackholePort{Port: *r.Port, Protocol: task.TransportProtocol(*r.Protocol), TrafficType: TrafficType(*r.TrafficType)}
	if f.Protocol != task.ProtocolTCP && f.Protocol != task.ProtocolUDP {
		return nil, invalid(*r.Protocol, "Protocol")
	}
	if f.TrafficType != Ingress && f.TrafficType != Egress {
		return nil, invalid(*r.TrafficType, "TrafficType")
	}
	var err error
	f.SourcesToFilter, err = prefixes(r.SourcesToFilter, "SourcesToFilter")
	return f, err
}

// spareEndpoint keeps a black hole from cutting the task off from the endpoint that ends it.
func spareEndpoint(f BlackholePort) BlackholePort {
	self := netip.PrefixFrom(netip.MustParseAddr(Address), 32)
	if f.Port == 80 && f.TrafficType == Egress && !slices.Contains(f.SourcesToFilter, self) {
		f.SourcesToFilter = append(f.SourcesToFilter, self)
	}
	return f
}

func parseLatency(body io.Reader) (Fault, error) {
	var r latencyRequest
	if err := decodeFault(body, &r); err != nil {
		return nil, err
	}
	switch {
	case r.DelayMilliseconds == nil:
		return nil, missing("DelayMilliseconds")
	case r.JitterMilliseconds == nil:
		return nil, missing("JitterMilliseconds")
	case *r.DelayMilliseconds == 0 && *r.JitterMilliseconds == 0:
		return nil, errors.New("required either DelayMilliseconds or JitterMilliseconds to be non-zero")
	}
	const most = uint64(math.MaxInt64 / time.Millisecond)
	switch {
	case *r.DelayMilliseconds > most:
		return nil, invalid(strconv.FormatUint(*r.DelayMilliseconds, 10), "DelayMilliseconds")
	case *r.JitterMilliseconds > most:
		return nil, invalid(strconv.FormatUint(*r.JitterMilliseconds, 10), "JitterMilliseconds")
	}
	f := Latency{
		Delay:  time.Duration(*r.DelayMilliseconds) * time.Millisecond,
		Jitter: time.Duration(*r.JitterMilliseconds) * time.Millisecond,
	}
	var err error
	f.Sources, f.SourcesToFilter, f.FlowsPercent, err = targets(r.Sources, r.SourcesToFilter, r.FlowsPercent)
	return f, err
}

func parsePacketLoss(body io.Reader) (Fault, error) {
	var r packetLossRequest
	if err := decodeFault(body, &r); err != nil {
		return nil, err
	}
	switch {
	case r.LossPercent == nil:
		return nil, missing("LossPercent")
	case *r.LossPercent < 1 || *r.LossPercent > 100:
		return nil, invalid(strconv.FormatUint(*r.LossPercent, 10), "LossPercent")
	}
	f := PacketLoss{LossPercent: int(*r.LossPercent)}
	var err error
	f.Sources, f.SourcesToFilter, f.FlowsPercent, err = targets(r.Sources, r.SourcesToFilter, r.FlowsPercent)
	return f, err
}

// targets reads what latency and packet loss have in common. Without a share, all flows are hit.
func targets(sources, spared []*string, percent *int) (hit, filter []netip.Prefix, share int, err error) {
	if len(sources) == 0 {
		return nil, nil, 0, missing("Sources")
	}
	if hit, err = prefixes(sources, "Sources"); err != nil {
		return nil, nil, 0, err
	}
	if filter, err = prefixes(spared, "SourcesToFilter"); err != nil {
		return nil, nil, 0, err
	}
	if percent == nil {
		return hit, filter, 100, nil
	}
	if *percent < 1 || *percent > 100 {
		return nil, nil, 0, invalid(strconv.Itoa(*percent), "flowsPercent") // so spelled by ECS
	}
	return hit, filter, *percent, nil
}

// decodeFault reads the first JSON value of a body.
func decodeFault(body io.Reader, v any) error {
	err := json.NewDecoder(body).Decode(v)
	if err == io.EOF { // the bare error: nothing but blanks was there
		return errors.New("required request body is missing")
	}
	return err
}

// prefixes reads addresses and CIDR blocks of both families. Bits beyond a block's length do not count.
func prefixes(texts []*string, parameter string) (list []netip.Prefix, err error) {
	for _, t := range texts {
		text := ""
		if t != nil {
			text = *t
		}
		p, ok := parsePrefix(text)
		if !ok {
			return nil, invalid(text, parameter)
		}
		list = append(list, p)
	}
	return list, nil
}

func parsePrefix(text string) (netip.Prefix, bool) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false // more than IPv4, and yet no IPv6 that is ever sent
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

func missing(parameter string) error {
	return fmt.Errorf("required parameter %s is missing", parameter)
}

func invalid(value, parameter string) error {
	return fmt.Errorf("invalid value %s for parameter %s", value, parameter)
}
