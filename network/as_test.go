package network

import (
	"context"
	"testing"
)

// plain is a fabric with nothing optional.
type plain struct{ Fabric }

// counting counts flows, and over is a fabric over another one.
type (
	counting struct{ plain }
	over     struct {
		plain
		inner Fabric
	}
)

func (counting) CountFlows(context.Context, string) ([]FlowCount, bool, error) { return nil, true, nil }

func (o over) Unwrap() Fabric { return o.inner }

func TestAs(t *testing.T) {
	for name, tt := range map[string]struct {
		f    Fabric
		want bool
	}{
		"itself":       {counting{}, true},
		"not itself":   {plain{}, false},
		"below":        {over{inner: over{inner: counting{}}}, true},
		"not below":    {over{inner: plain{}}, false},
		"over nothing": {over{}, false},
		"none":         {nil, false},
	} {
		if c, ok := As[FlowCounter](tt.f); ok != tt.want || ok != (c != nil) {
			t.Errorf("%s: %v, %t, want %t", name, c, ok, tt.want)
		}
	}
}
