package storetest

import (
	"sync"
	"testing"

	"github.com/fardel-io/fardel/scheduler/store"
)

// Backend is how the suite gets stores.
type Backend struct {
	// Open returns an empty store. The suite closes it.
	Open func(t testing.TB) store.Store // required

	// Reopen closes a store and opens what it kept. nil is for stores that keep nothing.
	Reopen func(t testing.TB, s store.Store) store.Store
}

// check is one promise.
type check struct {
	name string
	run  func(t *testing.T, s store.Store)
}

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	for _, group := range []struct {
		name   string
		checks []check
	}{
		{"Read", readChecks()},
		{"Update", updateChecks()},
		{"Concurrent", concurrentChecks()},
		{"Watch", watchChecks()},
		{"WatchEnds", watchEndChecks()},
		{"Close", closeChecks()},
		{"Context", contextChecks()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.checks {
				t.Run(c.name, func(t *testing.T) { c.run(t, opened(t, b)) })
			}
		})
	}
	t.Run("Random", func(t *testing.T) { random(t, b) })
	if b.Reopen == nil {
		return
	}
	t.Run("Reopen", func(t *testing.T) {
		for _, c := range reopenChecks() {
			t.Run(c.name, func(t *testing.T) { c.run(t, opened(t, b), b) })
		}
	})
}

func opened(t testing.TB, b Backend) store.Store {
	t.Helper()
	s := b.Open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// together calls fn n times at once, with 0 to n-1, and returns when all have.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-start
			fn(i)
		}()
	}
	close(start)
	wg.Wait()
}

// beside calls fn in a goroutine and returns a function that waits for its end.
func beside(fn func()) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	return func() { <-done }
}
