package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/scheduler/store/bolt"
	"github.com/fardel-io/fardel/scheduler/store/storetest"
)

func open(t testing.TB, path string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func backend() storetest.Backend {
	return storetest.Backend{
		Open: func(t testing.TB) store.Store { return open(t, filepath.Join(t.TempDir(), "state.db")) },
		Reopen: func(t testing.TB, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, s.(*bolt.Store).Path())
		},
	}
}

func TestStore(t *testing.T) { storetest.Run(t, backend()) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, backend()) }
