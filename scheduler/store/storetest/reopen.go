package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/scheduler/store"
)

type reopenCheck struct {
	name string
	run  func(t *testing.T, s store.Store, b Backend)
}

func reopenChecks() []reopenCheck {
	return []reopenCheck{
		{"KeepsEntries", keepsEntries},
		{"RevisionGoesOn", revisionGoesOn},
		{"KeepsWhatReturned", keepsWhatReturned},
	}
}

func reopened(t *testing.T, s store.Store, b Backend) store.Store {
	t.Helper()
	s = b.Reopen(t, s)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func keepsEntries(t *testing.T, s store.Store, b Backend) {
	update(t, s, store.Put("a", []byte("1")), store.Put("b", nil), store.Put("c", nil))
	update(t, s, store.Put("a", []byte("2")))
	update(t, s, store.Delete("c"))
	want, at := list(t, s, "", "", 0)
	s = reopened(t, s, b)
	got, gotAt := list(t, s, "", "", 0)
	if diff := cmp.Diff(want, got); diff != "" || gotAt != at {
		t.Errorf("revision %d, was %d; entries (-before +after):\n%s", gotAt, at, diff)
	}
	f := follow(t, s, "")
	f.next(t)
	f.agrees(t, s, "")
}

// revisionGoesOn: a condition from before must not hold by chance after, even if the last update was a deletion.
func revisionGoesOn(t *testing.T, s store.Store, b Backend) {
	before := update(t, s, store.Put("a", nil))
	deleted := update(t, s, store.Delete("a"))
	s = reopened(t, s, b)
	if got := revision(t, s); got != deleted {
		t.Errorf("the revision is %d, was %d", got, deleted)
	}
	if got := update(t, s, store.Put("a", nil)); got <= deleted {
		t.Errorf("revision %d after %d", got, deleted)
	}
	_, err := s.Update(t.Context(), store.Replace("a", nil, before))
	matches(t, "Replace at a revision from before", err, store.ErrConflict)
}

func keepsWhatReturned(t *testing.T, s store.Store, b Backend) {
	var mu sync.Mutex
	want := content{}
	together(8, func(i int) {
		for n := range 20 {
			key := fmt.Sprintf("k/%d/%d", i, n)
			if _, err := s.Update(t.Context(), store.Create(key, []byte(key))); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			want[key] = key
			mu.Unlock()
		}
	})
	values(t, reopened(t, s, b), want)
}
