package userns

import (
	"os"
	"testing"

	"github.com/fardel-io/fardel/internal/lane"
)

func TestOwner(t *testing.T) {
	lane.Root(t)
	n, err := NewNet(Default().First)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	owner, err := Owner(n)
	if err != nil || owner == nil {
		t.Fatalf("owner of a network namespace with a user namespace: %v, %v", owner, err)
	}
	defer owner.Close()
	own, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if owner, err := Owner(own); err != nil || owner != nil {
		t.Errorf("owner of this process's network namespace: %v, %v; want none", owner, err)
	}
}

func BenchmarkNew(b *testing.B) {
	lane.Root(b)
	for b.Loop() {
		f, err := NewNet(Default().First)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
