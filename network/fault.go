package network

import (
	"context"
	"fmt"
	"net/netip"
)

// A FaultInjector is a fabric that can make the network of an ENI bad on purpose. Optional, found by assertion.
type FaultInjector interface {
	// SetFaults makes faults all that is wrong on purpose with the traffic of an ENI: what is missing is added, what is
	// not in it ends, and the zero value ends everything. It may be repeated. They end with the ENI, and stay when the
	// program ends. After an error some may be in force; setting them again, or none, mends that. [ErrNotFound] if the ENI
	// is not attached, [ErrUnsupported] if the machine cannot do it, [ErrInvalid] if a value is out of range.
	SetFaults(ctx context.Context, eniID string, faults Faults) error
}

// Faults are what is wrong on purpose with the traffic of an ENI.
type Faults struct {
	Blackholes []Blackhole `json:"blackholes,omitempty"`
	Delay      *Delay      `json:"delay,omitempty"`
	Loss       *Loss       `json:"loss,omitempty"`
}

// A Blackhole drops the packets to one port.
type Blackhole struct {
	Port     uint16         `json:"port"`     // destination port
	Protocol Protocol       `json:"protocol"` // [TCP] or [UDP]
	Outgoing bool           `json:"outgoing"` // what the ENI's task sends, rather than what it receives
	Spared   []netip.Prefix `json:"spared,omitempty"`
}

// A Delay holds up what the ENI's task sends.
type Delay struct {
	Flows
	Milliseconds int `json:"milliseconds"` // 0..600000
	Jitter       int `json:"jitter"`       // milliseconds more or less, 0..600000
}

// A Loss loses some of what the ENI's task sends, without telling it.
type Loss struct {
	Flows
	Percent int `json:"percent"` // of the packets, 1..100
}

// Flows chooses traffic by its destination.
type Flows struct {
	To      []netip.Prefix `json:"to"`               // at least one
	Spared  []netip.Prefix `json:"spared,omitempty"` // wins over To
	Percent int            `json:"flowsPercent"`     // share of the connections, 1..100
}

// None reports whether nothing is wrong on purpose.
func (f Faults) None() bool { return len(f.Blackholes) == 0 && f.Delay == nil && f.Loss == nil }

// maxDelay is ten minutes: beyond it nothing is left of a connection.
const maxDelay = 10 * 60 * 1000

// ValidateFaults returns an error that matches [ErrInvalid] and names the first value that is out of range.
func ValidateFaults(f Faults) error {
	for _, b := range f.Blackholes {
		if b.Port == 0 || b.Protocol != TCP && b.Protocol != UDP {
			return badFault("a blackhole of port %d of protocol %v: want a port of TCP or UDP", b.Port, b.Protocol)
		}
		if err := validatePrefixes(b.Spared); err != nil {
			return err
		}
	}
	if d := f.Delay; d != nil {
		if d.Milliseconds < 0 || d.Milliseconds > maxDelay || d.Jitter < 0 || d.Jitter > maxDelay {
			return badFault("a delay of %d ms, %d more or less: want 0..%d ms", d.Milliseconds, d.Jitter, maxDelay)
		}
		if err := d.validate(); err != nil {
			return err
		}
	}
	if l := f.Loss; l != nil {
		if l.Percent < 1 || l.Percent > 100 {
			return badFault("a loss of %d %%: want 1..100", l.Percent)
		}
		return l.validate()
	}
	return nil
}

func (f Flows) validate() error {
	if len(f.To) == 0 || f.Percent < 1 || f.Percent > 100 {
		return badFault("%d %% of the flows to %d destinations: want 1..100, and at least one destination", f.Percent, len(f.To))
	}
	if err := validatePrefixes(f.To); err != nil {
		return err
	}
	return validatePrefixes(f.Spared)
}

func validatePrefixes(prefixes []netip.Prefix) error {
	for _, p := range prefixes {
		if !p.IsValid() || p != p.Masked() {
			return badFault("%v is not a range of addresses", p)
		}
	}
	return nil
}

func badFault(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}
