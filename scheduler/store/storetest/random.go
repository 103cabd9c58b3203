package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/scheduler/store"
)

// model is the obvious store: a map.
type model struct {
	at      store.Revision
	entries map[string]store.Entry
	changed map[string]store.Revision // of each key ever changed, the last time
}

// update is what Update must do; nextAt is the revision that the store gave, as it may skip some.
func (m *model) update(changes []store.Change, nextAt store.Revision) (store.Revision, *store.ConflictError) {
	for _, c := range changes {
		at := m.entries[c.Key].Revision
		if (c.Expect == store.ExpectAbsent && at != 0) || (c.Expect == store.ExpectRevision && at != c.At) {
			return 0, &store.ConflictError{Key: c.Key, At: at}
		}
	}
	changed := false
	for _, c := range changes {
		_, there := m.entries[c.Key]
		switch {
		case c.Op == store.OpPut:
			m.entries[c.Key] = store.Entry{Key: c.Key, Value: append([]byte{}, c.Value...), Revision: nextAt}
		case c.Op == store.OpDelete && there:
			delete(m.entries, c.Key)
		default:
			continue
		}
		m.changed[c.Key] = nextAt
		changed = true
	}
	if changed {
		m.at = nextAt
	}
	return m.at, nil
}

func (m *model) list(prefix, after string, limit int) []store.Entry {
	var list []store.Entry
	for _, key := range slices.Sorted(maps.Keys(m.entries)) {
		if strings.HasPrefix(key, prefix) && key > after && (limit <= 0 || len(list) < limit) {
			list = append(list, m.entries[key])
		}
	}
	return list
}

// random compares a store with the model, operation by operation.
func random(t *testing.T, b Backend) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := b.Open(t)
			defer func() { _ = s.Close() }()
			r := rand.New(rand.NewPCG(seed, 7))
			m := &model{entries: map[string]store.Entry{}, changed: map[string]store.Revision{}}
			f := follow(t, s, "a")
			for range 300 {
				switch n := r.IntN(100); {
				case n < 60:
					randomUpdate(t, s, m, r)
				case n < 90:
					randomList(t, s, m, r)
				case n < 97:
					f.until(t, m.last("a"))
					if diff := cmp.Diff(m.known("a"), f.known); diff != "" && f.known != nil {
						t.Errorf("the watch (-model +store):\n%s", diff)
					}
				case b.Reopen != nil:
					s = b.Reopen(t, s)
					f = follow(t, s, "a")
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// known is what a watch that has read everything knows.
func (m *model) known(prefix string) map[string]store.Entry {
	known := map[string]store.Entry{}
	for _, e := range m.list(prefix, "", 0) {
		known[e.Key] = e
	}
	return known
}

// last is the revision of the last change of a key with a prefix.
func (m *model) last(prefix string) store.Revision {
	last := store.Revision(0)
	for key, at := range m.changed {
		if strings.HasPrefix(key, prefix) {
			last = max(last, at)
		}
	}
	return last
}

func randomKey(r *rand.Rand) string {
	key := make([]byte, 1+r.IntN(3))
	for i := range key {
		key[i] = "ab/"[r.IntN(3)]
	}
	return string(key)
}

func randomUpdate(t *testing.T, s store.Store, m *model, r *rand.Rand) {
	t.Helper()
	var changes []store.Change
	for range r.IntN(6) {
		c := store.Change{Key: randomKey(r), Op: store.Op(r.IntN(3)), Value: make([]byte, r.IntN(40))}
		if slices.ContainsFunc(changes, func(other store.Change) bool { return other.Key == c.Key }) {
			continue
		}
		switch at := m.entries[c.Key].Revision; r.IntN(8) {
		case 0:
			c.Expect = store.ExpectAbsent
		case 1, 2:
			c.Expect, c.At = store.ExpectRevision, at
		case 3:
			c.Expect, c.At = store.ExpectRevision, max(0, at-1)
		}
		changes = append(changes, c)
	}
	got, err := s.Update(t.Context(), changes...)
	want, conflict := m.update(changes, got)
	switch {
	case conflict != nil:
		if c := (*store.ConflictError)(nil); !errors.As(err, &c) || *c != *conflict {
			t.Errorf("Update(%+v): %v, the model says %v", changes, err, conflict)
		}
	case err != nil || got != want:
		t.Errorf("Update(%+v): %d, %v, the model says %d", changes, got, err, want)
	}
}

func randomList(t *testing.T, s store.Store, m *model, r *rand.Rand) {
	t.Helper()
	prefix, after := "", ""
	if r.IntN(2) == 0 {
		prefix = randomKey(r)
	}
	if r.IntN(2) == 0 {
		after = randomKey(r)
	}
	limit := r.IntN(6) - 1
	got, at := list(t, s, prefix, after, limit)
	if diff := cmp.Diff(m.list(prefix, after, limit), got); diff != "" || at != m.at {
		t.Errorf("List(%q, %q, %d) at %d, the model is at %d (-model +store):\n%s", prefix, after, limit, at, m.at, diff)
	}
}
