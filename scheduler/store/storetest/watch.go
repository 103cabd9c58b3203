package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/scheduler/store"
)

func watchChecks() []check {
	return []check{
		{"SnapshotOfNothing", snapshotOfNothing},
		{"SnapshotThenChanges", snapshotThenChanges},
		{"OnlyItsPrefix", onlyItsPrefix},
		{"OrderWithinUpdate", orderWithinUpdate},
		{"NextWaits", nextWaits},
		{"ContextOfWatchEndsNothing", contextOfWatch},
		{"NoGapNoDuplicate", noGapNoDuplicate},
		{"UpdatesStayWhole", updatesStayWhole},
		{"SlowReaderCatchesUp", slowReader},
		{"SlowReaderHoldsUpNobody", slowReaderHoldsUpNobody},
	}
}

func watchEndChecks() []check {
	return []check{
		{"CloseWakesNext", closeWakesNext},
		{"CloseTwice", closeWatchTwice},
		{"CloseLosesNoOther", closeLosesNoOther},
		{"StoreCloseWakesNext", storeCloseWakesNext},
	}
}

func snapshotOfNothing(t *testing.T, s store.Store) {
	at := update(t, s, store.Put("other", nil))
	b := follow(t, s, "k/").next(t)
	if !b.Snapshot || len(b.Events) != 0 || b.Revision != at {
		t.Errorf("the first batch of a watch of nothing is %+v, want an empty snapshot of revision %d", b, at)
	}
}

func snapshotThenChanges(t *testing.T, s store.Store) {
	first := update(t, s, store.Put("k/b", []byte("1")), store.Put("k/a", []byte("2")))
	f := follow(t, s, "k/")
	entry := func(key, value string, at store.Revision) store.Event {
		return store.Event{Entry: store.Entry{Key: key, Value: []byte(value), Revision: at}}
	}
	want := store.Batch{Revision: first, Snapshot: true, Events: []store.Event{entry("k/a", "2", first), entry("k/b", "1", first)}}
	if diff := cmp.Diff(want, f.next(t)); diff != "" {
		t.Errorf("the snapshot (-want +got):\n%s", diff)
	}
	second := update(t, s, store.Put("k/c", nil))
	want = store.Batch{Revision: second, Events: []store.Event{entry("k/c", "", second)}}
	if diff := cmp.Diff(want, f.next(t)); diff != "" {
		t.Errorf("a put (-want +got):\n%s", diff)
	}
	third := update(t, s, store.Delete("k/a"))
	deleted := store.Event{Entry: store.Entry{Key: "k/a", Revision: third}, Deleted: true}
	if diff := cmp.Diff(store.Batch{Revision: third, Events: []store.Event{deleted}}, f.next(t)); diff != "" {
		t.Errorf("a deletion (-want +got):\n%s", diff)
	}
	f.agrees(t, s, "k/")
}

func onlyItsPrefix(t *testing.T, s store.Store) {
	f, all := follow(t, s, "k/1"), follow(t, s, "")
	f.next(t)
	all.next(t)
	update(t, s, store.Put("k", nil), store.Put("k/", nil), store.Put("k/0", nil), store.Put("l", nil))
	at := update(t, s, store.Put("k/2", nil), store.Put("k/1", nil), store.Put("k/10", nil))
	b := f.next(t)
	if len(b.Events) != 2 || b.Events[0].Key != "k/1" || b.Events[1].Key != "k/10" || b.Revision != at {
		t.Errorf("a watch of k/1 tells %+v", b)
	}
	all.until(t, at)
	all.agrees(t, s, "")
}

func orderWithinUpdate(t *testing.T, s store.Store) {
	update(t, s, store.Put("m", nil))
	f := follow(t, s, "")
	f.next(t)
	update(t, s, store.Put("z", nil), store.Delete("m"), store.Put("a", nil), store.Put("k", nil))
	var got []string
	for _, e := range f.next(t).Events {
		got = append(got, fmt.Sprint(e.Key, e.Deleted))
	}
	if diff := cmp.Diff([]string{"zfalse", "mtrue", "afalse", "kfalse"}, got); diff != "" {
		t.Errorf("the order of an update's changes (-want +got):\n%s", diff)
	}
}

func nextWaits(t *testing.T, s store.Store) {
	f := follow(t, s, "k/")
	f.next(t)
	update(t, s, store.Put("other", nil))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	b, err := f.watch.Next(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next without anything new returns %+v, %v, want it to wait for its context's end", b, err)
	}
	at := update(t, s, store.Put("k/1", nil))
	if b := f.next(t); b.Revision != at || len(b.Events) != 1 {
		t.Errorf("Next after a Next whose context ended: %+v", b)
	}
	// A context that has ended takes nothing from the next call.
	update(t, s, store.Put("k/2", nil))
	if _, err := f.watch.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next with a context that has ended: %v", err)
	}
	f.next(t)
	f.agrees(t, s, "k/")
}

func contextOfWatch(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	w, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cancel()
	f := &follower{watch: w}
	f.next(t)
	update(t, s, store.Put("k", nil))
	f.next(t)
	f.agrees(t, s, "")
}

// noGapNoDuplicate lets writers count keys of their own up by one, delete them and begin again. Whoever watches must see
// every number once, in order, unless a snapshot came between.
func noGapNoDuplicate(t *testing.T, s store.Store) {
	const writers, each, watchers, end = 4, 60, 4, "k/end"
	var followers [watchers]*follower
	for i := range followers {
		followers[i] = follow(t, s, "k/")
	}
	wait := beside(func() {
		together(watchers, func(i int) {
			for f := followers[i]; !f.knows(end) && !t.Failed(); {
				nextCounts(t, f)
			}
		})
	})
	together(writers, func(i int) {
		key := fmt.Sprint("k/", i)
		n := 0
		for range each {
			n++
			change := store.Put(key, []byte(strconv.Itoa(n)))
			if n == 7 {
				change, n = store.Delete(key), 0
			}
			if _, err := s.Update(t.Context(), change, store.Put(fmt.Sprint("other/", i), nil)); err != nil {
				t.Error(err)
			}
		}
	})
	update(t, s, store.Put(end, []byte("1")))
	wait()
	for _, f := range followers {
		f.agrees(t, s, "k/")
	}
}

// nextCounts takes a batch and checks that every key in it goes on from what the reader knew: up by one, where a
// deletion stands for a number and the next begins at one.
func nextCounts(t *testing.T, f *follower) {
	t.Helper()
	known := map[string]int{}
	for key, e := range f.known {
		known[key], _ = strconv.Atoi(string(e.Value))
	}
	b := f.next(t)
	if b.Snapshot {
		return
	}
	for _, e := range b.Events {
		n, _ := strconv.Atoi(string(e.Value))
		switch {
		case e.Deleted && known[e.Key] == 6:
			known[e.Key] = 0
		case !e.Deleted && n == known[e.Key]+1:
			known[e.Key] = n
		default:
			t.Errorf("%s goes from %d to %d (deleted %v) in revision %d", e.Key, known[e.Key], n, e.Deleted, e.Revision)
		}
	}
}

// updatesStayWhole checks that a batch never ends in the middle of an update.
func updatesStayWhole(t *testing.T, s store.Store) {
	names := []string{"k/a", "k/b", "k/c", "k/d"}
	f := follow(t, s, "k/")
	wait := beside(func() {
		for !f.knows("k/end") && !t.Failed() {
			f.next(t)
			for _, name := range names[1:] {
				if got, want := string(f.known[name].Value), string(f.known[names[0]].Value); got != want {
					t.Errorf("a batch ends with %s at %s and %s at %s", name, got, names[0], want)
				}
			}
		}
	})
	for n := range 100 {
		var changes []store.Change
		for _, name := range names {
			changes = append(changes, store.Put(name, []byte(strconv.Itoa(n))))
		}
		update(t, s, changes...)
	}
	update(t, s, store.Put("k/end", nil))
	wait()
}

// slowReader writes far more than any store keeps for a reader that does not read.
func slowReader(t *testing.T, s store.Store) {
	f := follow(t, s, "k/")
	update(t, s, store.Put("k/gone", nil), store.Put("k/stays", nil))
	f.next(t)
	large := bytes.Repeat([]byte("v"), store.MaxUpdate/2)
	var last store.Revision
	for i := range 32 {
		last = update(t, s, store.Put(fmt.Sprint("k/", i%4), large), store.Delete("k/gone"))
	}
	f.until(t, last)
	f.agrees(t, s, "k/")
	last = update(t, s, store.Put("k/0", []byte("small")))
	if b := f.next(t); b.Snapshot || b.Revision != last {
		t.Errorf("a reader that has caught up gets %d events of revision %d (snapshot %v), want one change of %d", len(b.Events), b.Revision, b.Snapshot, last)
	}
	f.agrees(t, s, "k/")
	// Nor is a watch held up that nobody ever reads and that has not even taken its first snapshot.
	g := follow(t, s, "k/")
	for range 16 {
		last = update(t, s, store.Put("k/1", large))
	}
	g.until(t, last)
	g.agrees(t, s, "k/")
}

func slowReaderHoldsUpNobody(t *testing.T, s store.Store) {
	follow(t, s, "").next(t) // and never again
	f := follow(t, s, "")
	f.next(t)
	large := bytes.Repeat([]byte("v"), store.MaxUpdate/2)
	for range 32 {
		at := update(t, s, store.Put("k", large))
		if b := f.next(t); b.Snapshot || b.Revision != at || len(b.Events) != 1 {
			t.Fatalf("a reader beside a stuck one gets %d events of revision %d (snapshot %v), want one of %d", len(b.Events), b.Revision, b.Snapshot, at)
		}
	}
}

func closeWakesNext(t *testing.T, s store.Store) {
	f := follow(t, s, "")
	f.next(t)
	var err error
	wait := beside(func() { _, err = f.watch.Next(t.Context()) })
	if err := f.watch.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wait()
	matches(t, "a Next under way", err, store.ErrClosed)
	_, err = f.watch.Next(t.Context())
	matches(t, "a Next after Close", err, store.ErrClosed)
}

func closeWatchTwice(t *testing.T, s store.Store) {
	f := follow(t, s, "")
	for range 2 {
		if err := f.watch.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	_, err := f.watch.Next(t.Context())
	matches(t, "Next after Close, with the snapshot not taken", err, store.ErrClosed)
}

func closeLosesNoOther(t *testing.T, s store.Store) {
	f, g := follow(t, s, ""), follow(t, s, "")
	f.next(t)
	g.next(t)
	if err := f.watch.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	update(t, s, store.Put("k", nil))
	g.next(t)
	g.agrees(t, s, "")
}

func storeCloseWakesNext(t *testing.T, s store.Store) {
	f := follow(t, s, "")
	f.next(t)
	var err error
	wait := beside(func() { _, err = f.watch.Next(t.Context()) })
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wait()
	matches(t, "a Next under way", err, store.ErrClosed)
	if err := f.watch.Close(); err != nil {
		t.Errorf("Close of a watch after its store's: %v", err)
	}
}
