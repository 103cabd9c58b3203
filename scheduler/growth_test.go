package scheduler_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/store"
)

// size is how many keys a store holds, and the bytes of their names and values.
func size(t *testing.T, s store.Store) (keys, bytes int) {
	t.Helper()
	err := s.View(t.Context(), func(r store.Reader) error {
		entries, err := r.List(t.Context(), "", "", 0)
		for _, e := range entries {
			keys, bytes = keys+1, bytes+len(e.Key)+len(e.Value)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys, bytes
}

// TestStateIsBounded runs many tasks and checks that ended ones are kept for an hour, as ECS does, and no longer: what is
// left then is what one task leaves.
func TestStateIsBounded(t *testing.T) {
	const rounds, each = 8, 40
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		def := define("app exit 0")
		mustWait(t, mustRun(t, c, def, scheduler.RunOptions{}))
		<-time.After(2 * time.Hour)
		keys, _ := size(t, w.store)
		most, bytes := 0, 0
		for range rounds {
			var runs []*scheduler.Run
			for range each {
				runs = append(runs, mustRun(t, c, def, scheduler.RunOptions{}))
			}
			for _, run := range runs {
				mustWait(t, run)
			}
			<-time.After(59 * time.Minute)
			for _, run := range runs {
				if _, err := run.Describe(t.Context()); err != nil {
					t.Fatalf("a task that ended less than an hour ago: %v", err)
				}
			}
			n, b := size(t, w.store)
			most, bytes = max(most, n), max(bytes, b)
		}
		if most > keys+3*each {
			t.Errorf("%d keys after %d tasks in %d rounds, want no more than those of %d", most, rounds*each, rounds, 3*each)
		}
		t.Logf("%d tasks an hour: %d keys and %d bytes, %d bytes a task", each, most, bytes, bytes/most)
		<-time.After(2 * time.Hour)
		if n, _ := size(t, w.store); n != keys {
			t.Errorf("%d keys when all have been forgotten, want %d", n, keys)
		}
	})
}
