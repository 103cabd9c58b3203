package network

import (
	"errors"
	"net/netip"
	"testing"
)

func TestValidateFaults(t *testing.T) {
	all := Flows{To: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, Percent: 100}
	loose := []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 8)}
	for name, tt := range map[string]struct {
		f  Faults
		ok bool
	}{
		"nothing":             {Faults{}, true},
		"one of each":         {Faults{[]Blackhole{{Port: 80, Protocol: TCP}}, &Delay{all, 100, 10}, &Loss{all, 100}}, true},
		"jitter alone":        {Faults{Delay: &Delay{all, 0, 10}}, true},
		"port 0":              {Faults{Blackholes: []Blackhole{{Protocol: TCP}}}, false},
		"ICMP has no ports":   {Faults{Blackholes: []Blackhole{{Port: 1, Protocol: ICMP}}}, false},
		"spares no range":     {Faults{Blackholes: []Blackhole{{Port: 1, Protocol: UDP, Spared: loose}}}, false},
		"negative delay":      {Faults{Delay: &Delay{all, -1, 0}}, false},
		"delay of an hour":    {Faults{Delay: &Delay{all, 3600_000, 0}}, false},
		"jitter of an hour":   {Faults{Delay: &Delay{all, 1, 3600_000}}, false},
		"no loss":             {Faults{Loss: &Loss{all, 0}}, false},
		"more than all":       {Faults{Loss: &Loss{all, 101}}, false},
		"to nobody":           {Faults{Loss: &Loss{Flows{Percent: 100}, 5}}, false},
		"no flows":            {Faults{Delay: &Delay{Flows{To: all.To}, 5, 0}}, false},
		"to no range":         {Faults{Loss: &Loss{Flows{To: loose, Percent: 100}, 5}}, false},
		"zero value of range": {Faults{Loss: &Loss{Flows{To: all.To, Percent: 100, Spared: make([]netip.Prefix, 1)}, 5}}, false},
	} {
		if err := ValidateFaults(tt.f); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
