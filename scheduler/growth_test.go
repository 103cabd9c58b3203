package scheduler_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/scheduler/store/bolt"
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

// grown is how many tasks TestStateIsBounded runs; the report of the benchmarks takes 10,000.
var grown = flag.Int("tasks", 320, "`tasks` that TestStateIsBounded runs, in rounds of an hour")

// TestStateIsBounded runs many tasks and checks that ended ones are kept for an hour, as ECS does, and no longer: what is
// left then is what one task leaves. It says what a task that has ended takes on disk and in memory.
func TestStateIsBounded(t *testing.T) {
	const rounds = 4
	each := max(*grown/rounds, 1)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		path := filepath.Join(t.TempDir(), "state.db")
		file, err := bolt.Open(path, bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		w.store = file
		c := w.open()
		defer w.end()
		def := define("app exit 0")
		mustWait(t, mustRun(t, c, def, scheduler.RunOptions{}))
		<-time.After(2 * time.Hour)
		keys, _ := size(t, w.store)
		before := measureState(t, path)
		t.Logf("%6s %8s %12s %14s %12s %14s", "tasks", "kept", "bytes kept", "bytes on disk", "heap bytes", "heap for each")
		report := func(ran int) (kept, bytes int, now stateSize) {
			kept, bytes = size(t, w.store)
			now = measureState(t, path)
			each := "–"
			if kept > keys {
				each = fmt.Sprint((now.heap - before.heap) / int64(kept-keys))
			}
			t.Logf("%6d %8d %12d %14d %12d %14s", ran, kept-keys, bytes, now.disk, now.heap, each)
			return kept, bytes, now
		}
		var first stateSize
		for round := range rounds {
			runs := make([]*scheduler.Run, each)
			for i := range runs {
				runs[i] = mustRun(t, c, def, scheduler.RunOptions{})
				if i%100 == 99 {
					mustWait(t, runs[i])
				}
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
			kept, _, now := report((round + 1) * each)
			if round == 0 {
				first = now
			}
			if kept > keys+3*each {
				t.Errorf("%d keys after %d tasks in rounds of %d, want no more than those of %d", kept, (round+1)*each, each, 3*each)
			}
			// Two rounds are there at a time: the last one, and what of the one before is about to be forgotten.
			if most := 4*first.disk + 1<<20; now.disk > most {
				t.Errorf("%d bytes on disk after %d tasks, %d after the first %d: want at most %d", now.disk, (round+1)*each, first.disk, each, most)
			}
		}
		<-time.After(2 * time.Hour)
		if n, _, _ := report(rounds * each); n != keys {
			t.Errorf("%d keys when all have been forgotten, want %d", n, keys)
		}
	})
}

// stateSize is what a cluster's state takes.
type stateSize struct{ disk, heap int64 }

// measureState has the garbage collected first, so that what the heap holds is what is needed.
func measureState(t *testing.T, path string) stateSize {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var m goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&m)
	return stateSize{disk: info.Size(), heap: int64(m.HeapAlloc)}
}
