package storetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/scheduler/store"
)

// update makes an update that must succeed.
func update(t testing.TB, s store.Store, changes ...store.Change) store.Revision {
	t.Helper()
	at, err := s.Update(t.Context(), changes...)
	if err != nil {
		t.Fatalf("Update(%v): %v", changes, err)
	}
	return at
}

// view reads; it may be called beside the test's goroutine.
func view(t testing.TB, s store.Store, fn func(r store.Reader) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Errorf("View: %v", err)
	}
}

// get reads one key that must be there.
func get(t testing.TB, s store.Store, key string) (e store.Entry) {
	t.Helper()
	view(t, s, func(r store.Reader) (err error) {
		e, err = r.Get(t.Context(), key)
		return err
	})
	return e
}

// list reads entries and the revision they are of.
func list(t testing.TB, s store.Store, prefix, after string, limit int) (entries []store.Entry, at store.Revision) {
	t.Helper()
	view(t, s, func(r store.Reader) (err error) {
		at = r.Revision()
		entries, err = r.List(t.Context(), prefix, after, limit)
		return err
	})
	return entries, at
}

// revision is the store's.
func revision(t testing.TB, s store.Store) (at store.Revision) {
	t.Helper()
	view(t, s, func(r store.Reader) error {
		at = r.Revision()
		return nil
	})
	return at
}

func keys(entries []store.Entry) []string {
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Key)
	}
	return names
}

// content is keys with their values.
type content map[string]string

// values checks what a store holds.
func values(t testing.TB, s store.Store, want content) {
	t.Helper()
	got := content{}
	entries, _ := list(t, s, "", "", 0)
	for _, e := range entries {
		got[e.Key] = string(e.Value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the store's content (-want +got):\n%s", diff)
	}
}

// matches checks an error.
func matches(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want one that matches %v", what, err, want)
	}
}

// follower is a reader of a watch with what it knows.
type follower struct {
	watch     store.Watch
	known     map[string]store.Entry
	at        store.Revision
	snapshots int
}

// follow begins a watch.
func follow(t testing.TB, s store.Store, prefix string) *follower {
	t.Helper()
	w, err := s.Watch(t.Context(), prefix)
	if err != nil {
		t.Fatalf("Watch(%q): %v", prefix, err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return &follower{watch: w}
}

// next takes one batch and applies it. It reports what no batch may be: a change older than what the reader has, a
// revision that goes back, an empty batch that is no snapshot. It may be called beside the test's goroutine.
func (f *follower) next(t testing.TB) store.Batch {
	t.Helper()
	b, err := f.watch.Next(t.Context())
	if err != nil {
		t.Errorf("Next: %v", err)
		return store.Batch{}
	}
	if f.known == nil && !b.Snapshot {
		t.Errorf("the first batch is no snapshot: %+v", b)
	}
	if b.Snapshot {
		f.snapshots++
		f.known = map[string]store.Entry{}
	} else if len(b.Events) == 0 {
		t.Error("a batch without a change")
	}
	if b.Revision < f.at {
		t.Errorf("the revision goes back from %d to %d", f.at, b.Revision)
	}
	last := store.Revision(0)
	for _, e := range b.Events {
		if e.Revision > b.Revision {
			t.Errorf("a batch of revision %d has a change of %d", b.Revision, e.Revision)
		}
		if !b.Snapshot && (e.Revision <= f.at || e.Revision < last) {
			t.Errorf("a change of revision %d comes after %d", e.Revision, max(f.at, last))
		}
		last = e.Revision
		if e.Deleted {
			delete(f.known, e.Key)
		} else {
			f.known[e.Key] = e.Entry
		}
	}
	f.at = b.Revision
	return b
}

// until takes batches until the reader has a revision.
func (f *follower) until(t testing.TB, at store.Revision) {
	t.Helper()
	for f.at < at && !t.Failed() {
		f.next(t)
	}
}

// knows reports whether the reader has seen a key.
func (f *follower) knows(key string) bool {
	_, ok := f.known[key]
	return ok
}

// agrees checks that the reader knows what the store holds.
func (f *follower) agrees(t testing.TB, s store.Store, prefix string) {
	t.Helper()
	want := map[string]store.Entry{}
	entries, _ := list(t, s, prefix, "", 0)
	for _, e := range entries {
		want[e.Key] = e
	}
	if diff := cmp.Diff(want, f.known, cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("what a watch of %q tells (-store +watch):\n%s", prefix, diff)
	}
}
