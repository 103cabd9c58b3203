package store_test

import (
	"testing"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/scheduler/store/storetest"
)

func memory() storetest.Backend {
	return storetest.Backend{Open: func(testing.TB) store.Store { return store.NewMemory() }}
}

func TestMemory(t *testing.T) { storetest.Run(t, memory()) }

func BenchmarkMemory(b *testing.B) { storetest.Bench(b, memory()) }
