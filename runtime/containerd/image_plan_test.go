package containerd

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
)

func TestPlanCollection(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	image := func(key string, minutes int, parts map[string]int64, change ...func(*cached)) cached {
		c := cached{key: key, lastUsed: now.Add(-time.Duration(minutes) * time.Minute), parts: parts}
		for _, f := range change {
			f(&c)
		}
		return c
	}
	spared := func(c *cached) { c.spared = true }
	imported := func(c *cached) { c.imported = true }
	type parts = map[string]int64
	three := []cached{
		image("new", 1, parts{"base": 100, "n": 10}), image("old", 30, parts{"base": 100, "o": 20}), image("older", 60, parts{"x": 5}),
	}
	for _, tt := range []struct {
		name  string
		all   []cached
		limit runtime.ImageLimit
		gone  []string
		left  int64
	}{
		{name: "nothing there"},
		{name: "within the limit", all: three, limit: runtime.ImageLimit{MaxBytes: 135}, left: 135},
		{name: "a byte over: the oldest", all: three, limit: runtime.ImageLimit{MaxBytes: 134}, gone: []string{"older"}, left: 130},
		{name: "shared parts stay", all: three, limit: runtime.ImageLimit{MaxBytes: 129}, gone: []string{"older", "old"}, left: 110},
		{name: "everything", all: three, gone: []string{"older", "old", "new"}},
		{
			name: "too young", all: three, limit: runtime.ImageLimit{MinAge: 30 * time.Minute},
			gone: []string{"older", "old"}, left: 110,
		},
		{
			name: "in use",
			all:  []cached{image("a", 9, parts{"base": 100}, spared), image("b", 5, parts{"base": 100, "b": 7})},
			gone: []string{"b"}, left: 100,
		},
		{
			name: "imported ones and what they share do not count",
			all:  []cached{image("i", 90, parts{"base": 100, "i": 3}, imported), image("p", 5, parts{"base": 100, "p": 7})},
			limit: runtime.ImageLimit{
				MaxBytes: 7,
			},
			left: 7,
		},
		{
			name: "the same under two names, neither of which frees anything alone",
			all:  []cached{image("a", 9, parts{"x": 50}), image("b", 8, parts{"x": 50}), image("c", 7, parts{"y": 1})},
			limit: runtime.ImageLimit{
				MaxBytes: 10,
			},
			gone: []string{"a", "b"}, left: 1,
		},
		{
			name: "as old: by name", all: []cached{image("b", 9, parts{"b": 1}), image("a", 9, parts{"a": 1})},
			limit: runtime.ImageLimit{MaxBytes: 1}, gone: []string{"a"}, left: 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gone, left := planCollection(tt.all, tt.limit, now)
			if diff := cmp.Diff(tt.gone, gone); diff != "" || left != tt.left {
				t.Errorf("left %d, want %d; gone (-want +got):\n%s", left, tt.left, diff)
			}
		})
	}
}
