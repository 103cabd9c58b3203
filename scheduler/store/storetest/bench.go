package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fardel-io/fardel/scheduler/store"
)

// record is a value of the size of a task's record.
func record() []byte { return make([]byte, 2048) }

// Bench runs the benchmarks: `go test -bench . ./scheduler/store/...`.
func Bench(b *testing.B, backend Backend) {
	b.Run("Update", func(b *testing.B) {
		s := opened(b, backend)
		fill(b, s, 10_000)
		var took []time.Duration
		for i := 0; b.Loop(); i++ {
			start := time.Now()
			update(b, s, store.Put(task(i%10_000), record()))
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2]), "ns/median")
	})
	for _, writers := range []int{4, 32} {
		b.Run(fmt.Sprintf("Update/writers=%d", writers), func(b *testing.B) {
			s := opened(b, backend)
			fill(b, s, 10_000)
			b.ResetTimer()
			together(writers, func(w int) {
				for i := w; i < b.N; i += writers {
					if _, err := s.Update(b.Context(), store.Put(task(i%10_000), record())); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
	b.Run("Get", func(b *testing.B) {
		s := opened(b, backend)
		fill(b, s, 10_000)
		for i := 0; b.Loop(); i++ {
			get(b, s, task(i%10_000))
		}
	})
	b.Run("List1000", func(b *testing.B) {
		s := opened(b, backend)
		fill(b, s, 10_000)
		for b.Loop() {
			list(b, s, "task/", task(4999), 1000)
		}
	})
	for _, watches := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("Watch/watches=%d", watches), func(b *testing.B) { fanOut(b, opened(b, backend), watches) })
	}
}

// fanOut measures the way of a change to a watch, with others beside that it does not concern, as every agent has one.
func fanOut(b *testing.B, s store.Store, watches int) {
	for i := range watches - 1 {
		follow(b, s, fmt.Sprintf("assigned/%d/", i)).next(b)
	}
	f := follow(b, s, "task/")
	f.next(b)
	for b.Loop() {
		at := update(b, s, store.Put("task/1", record()))
		f.until(b, at)
	}
}

func task(i int) string { return fmt.Sprintf("task/%08d", i) }

func fill(b *testing.B, s store.Store, n int) {
	b.Helper()
	for i := 0; i < n; i += store.MaxChanges {
		var changes []store.Change
		for j := i; j < min(n, i+store.MaxChanges); j++ {
			changes = append(changes, store.Put(task(j), record()))
		}
		update(b, s, changes...)
	}
}
