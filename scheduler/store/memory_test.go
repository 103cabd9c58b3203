package store

import (
	"context"
	"fmt"
	"testing"
)

func TestTreeStaysShallow(t *testing.T) {
	m := NewMemory()
	for i := range 20_000 {
		if _, err := m.Update(context.Background(), Put(fmt.Sprintf("k/%08d", i), nil)); err != nil {
			t.Fatal(err)
		}
	}
	// A random treap of n keys is about 3·log2(n) deep, here 43.
	if got := depth(m.state.entries); got > 80 {
		t.Errorf("a tree of 20,000 keys put in order is %d deep", got)
	}
}

func depth(t *tree) int {
	if t == nil {
		return 0
	}
	return 1 + max(depth(t.left), depth(t.right))
}
