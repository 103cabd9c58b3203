package userns

import (
	"fmt"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		r  Range
		ok bool
	}{
		{Default(), true},
		{Range{1 << 20, 2 * Size}, true},
		{Range{1 << 20, Size}, false},
		{Range{1 << 20, 2*Size + 1}, false},
		{Range{0, 2 * Size}, false},
		{Range{1000, 2 * Size}, false},
		{Range{1 << 30, 1<<30 + Size}, false},
		{Range{1<<32 - Size, 2 * Size}, false},
		{Range{}, false},
	} {
		if err := c.r.Check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v, want ok %v", c.r, err, c.ok)
		}
	}
}

func TestHalves(t *testing.T) {
	for _, r := range []Range{Default(), {1 << 20, 3 * Size}, {1 << 20, 2 * Size}} {
		a, b := r.Halves()
		if a.First != r.First || b.First != a.First+a.Count || a.Count+b.Count != r.Count || a.Count == 0 || b.Count == 0 || a.Count%Size != 0 {
			t.Errorf("%+v: %+v and %+v", r, a, b)
		}
	}
}

func TestPick(t *testing.T) {
	r := Range{First: 1 << 20, Count: 8 * Size}
	taken := map[uint32]bool{}
	for i := range 8 {
		first, ok := r.Pick(fmt.Sprint("task", i), func(n uint32) bool { return taken[n] })
		if !ok || taken[first] || first < r.First || first+Size > r.First+r.Count || (first-r.First)%Size != 0 {
			t.Fatalf("namespace %d: %d, %v", i, first, ok)
		}
		again, _ := r.Pick(fmt.Sprint("task", i), func(n uint32) bool { return taken[n] })
		if again != first {
			t.Errorf("task%d: %d and then %d", i, first, again)
		}
		taken[first] = true
	}
	if first, ok := r.Pick("one more", func(n uint32) bool { return taken[n] }); ok {
		t.Errorf("a ninth namespace: %d", first)
	}
}
