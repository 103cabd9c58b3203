package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/scheduler/store"
)

func updateChecks() []check {
	return []check{
		{"Conditions", conditions},
		{"AllOrNothing", allOrNothing},
		{"NamesFirstConflict", namesFirstConflict},
		{"ConditionsAreAboutTheStateBefore", conditionsBefore},
		{"OneRevision", oneRevision},
		{"NothingToChange", nothingToChange},
		{"SameValueIsAChange", sameValue},
		{"RevisionNeverComesBack", revisionNeverComesBack},
		{"Invalid", invalid},
		{"LargestUpdate", largestUpdate},
	}
}

// conditions tries every operation with every condition on a key that is there and one that is not.
func conditions(t *testing.T, s store.Store) {
	const there, absent = "there", "absent"
	for _, c := range []struct {
		name   string
		change func(key string, at store.Revision) store.Change
		there  bool // holds for a key that is there, at the revision given
		absent bool // holds for a key that is not, with revision 0 given
	}{
		{"Put", func(k string, _ store.Revision) store.Change { return store.Put(k, []byte("new")) }, true, true},
		{"Create", func(k string, _ store.Revision) store.Change { return store.Create(k, []byte("new")) }, false, true},
		{"Replace", func(k string, at store.Revision) store.Change { return store.Replace(k, []byte("new"), at) }, true, true},
		{"Replace other", func(k string, at store.Revision) store.Change { return store.Replace(k, []byte("new"), at+1) }, false, false},
		{"Delete", func(k string, _ store.Revision) store.Change { return store.Delete(k) }, true, true},
		{"Delete absent", func(k string, _ store.Revision) store.Change {
			return store.Change{Key: k, Op: store.OpDelete, Expect: store.ExpectAbsent}
		}, false, true},
		{"DeleteAt", store.DeleteAt, true, true},
		{"DeleteAt other", func(k string, at store.Revision) store.Change { return store.DeleteAt(k, at+1) }, false, false},
		{"Check", store.Check, true, true},
		{"Check other", func(k string, at store.Revision) store.Change { return store.Check(k, at+1) }, false, false},
		{"Check absent", func(k string, _ store.Revision) store.Change {
			return store.Change{Key: k, Op: store.OpCheck, Expect: store.ExpectAbsent}
		}, false, true},
		{"Check any", func(k string, _ store.Revision) store.Change { return store.Change{Key: k, Op: store.OpCheck} }, true, true},
	} {
		at := update(t, s, store.Put(there, []byte("old")), store.Delete(absent))
		for key, holds := range map[string]bool{there: c.there, absent: c.absent} {
			before := content{there: "old"}
			if key == absent {
				update(t, s, store.Put(there, []byte("old")), store.Delete(absent))
				at = 0
			}
			change := c.change(key, at)
			_, err := s.Update(t.Context(), change)
			want := before
			if holds {
				want = applied(before, change)
			} else if conflict := (*store.ConflictError)(nil); !errors.As(err, &conflict) || conflict.Key != key || conflict.At != at {
				t.Errorf("%s of key %s at %d: error %v, want a conflict that names them", c.name, key, at, err)
			}
			if (err == nil) != holds {
				t.Errorf("%s of key %s: error %v, want its condition to hold: %v", c.name, key, err, holds)
			}
			values(t, s, want)
			at = update(t, s, store.Put(there, []byte("old")), store.Delete(absent))
		}
	}
}

// applied is content with a change.
func applied(before content, c store.Change) content {
	after := content{}
	for k, v := range before {
		after[k] = v
	}
	//exhaustive:enforce
	switch c.Op {
	case store.OpPut:
		after[c.Key] = string(c.Value)
	case store.OpDelete:
		delete(after, c.Key)
	case store.OpCheck:
	}
	return after
}

func allOrNothing(t *testing.T, s store.Store) {
	at := update(t, s, store.Put("a", []byte("1")), store.Put("b", []byte("1")))
	for i, changes := range [][]store.Change{
		{store.Put("a", []byte("2")), store.Delete("b"), store.Put("c", nil), store.Check("d", 1)},
		{store.Check("d", 1), store.Put("a", []byte("2")), store.Delete("b"), store.Put("c", nil)},
		{store.Put("a", []byte("2")), store.Create("b", nil), store.Put("c", nil)},
	} {
		_, err := s.Update(t.Context(), changes...)
		matches(t, fmt.Sprintf("update %d", i), err, store.ErrConflict)
		values(t, s, content{"a": "1", "b": "1"})
	}
	if got := revision(t, s); got != at {
		t.Errorf("three conflicts moved the revision from %d to %d", at, got)
	}
}

func namesFirstConflict(t *testing.T, s store.Store) {
	at := update(t, s, store.Put("a", nil))
	_, err := s.Update(t.Context(), store.Put("z", nil), store.Check("gone", 7), store.Create("a", nil))
	want := &store.ConflictError{Key: "gone"}
	got := (*store.ConflictError)(nil)
	if !errors.As(err, &got) || *got != *want {
		t.Errorf("error %v, want %v", err, want)
	}
	_, err = s.Update(t.Context(), store.Create("a", nil), store.Check("gone", 7))
	want = &store.ConflictError{Key: "a", At: at}
	if !errors.As(err, &got) || *got != *want {
		t.Errorf("error %v, want %v", err, want)
	}
}

func conditionsBefore(t *testing.T, s store.Store) {
	at := update(t, s, store.Put("a", nil))
	// The check of a is not disturbed by what else the update does.
	update(t, s, store.Create("b", nil), store.Replace("a", []byte("2"), at), store.Check("c", 0))
	values(t, s, content{"a": "2", "b": ""})
}

func oneRevision(t *testing.T, s store.Store) {
	first := update(t, s, store.Put("x", nil))
	at := update(t, s, store.Put("a", nil), store.Put("b", nil), store.Delete("x"), store.Put("c", nil))
	if at <= first {
		t.Errorf("revision %d after %d", at, first)
	}
	for _, key := range []string{"a", "b", "c"} {
		if got := get(t, s, key).Revision; got != at {
			t.Errorf("%q is of revision %d, want %d", key, got, at)
		}
	}
}

func nothingToChange(t *testing.T, s store.Store) {
	at := update(t, s, store.Put("a", nil))
	f := follow(t, s, "")
	f.next(t)
	for i, changes := range [][]store.Change{
		{}, {store.Check("a", at)}, {store.Delete("b")}, {store.Check("a", at), store.DeleteAt("b", 0), store.Delete("c")},
	} {
		if got := update(t, s, changes...); got != at {
			t.Errorf("update %d, which has nothing to change, returns revision %d, want %d", i, got, at)
		}
	}
	last := update(t, s, store.Put("b", nil))
	if b := f.next(t); len(b.Events) != 1 || b.Revision != last {
		t.Errorf("a watch tells %+v of updates that changed nothing, and one put", b)
	}
}

func sameValue(t *testing.T, s store.Store) {
	first := update(t, s, store.Put("a", []byte("1")))
	f := follow(t, s, "")
	f.next(t)
	second := update(t, s, store.Put("a", []byte("1")))
	if second <= first || get(t, s, "a").Revision != second {
		t.Errorf("revision %d after %d, of the key %d", second, first, get(t, s, "a").Revision)
	}
	if b := f.next(t); b.Revision != second || len(b.Events) != 1 {
		t.Errorf("a watch tells %+v", b)
	}
}

func revisionNeverComesBack(t *testing.T, s store.Store) {
	at := update(t, s, store.Put("a", nil))
	update(t, s, store.Delete("a"))
	update(t, s, store.Put("a", nil))
	_, err := s.Update(t.Context(), store.Replace("a", nil, at))
	matches(t, "Replace at the revision of a key's former life", err, store.ErrConflict)
}

func invalid(t *testing.T, s store.Store) {
	many := make([]store.Change, store.MaxChanges+1)
	for i := range many {
		many[i] = store.Put(fmt.Sprint(i), nil)
	}
	large := bytes.Repeat([]byte("x"), store.MaxUpdate)
	for name, changes := range map[string][]store.Change{
		"empty key":           {store.Put("a", nil), store.Put("", nil)},
		"long key":            {store.Put(strings.Repeat("k", store.MaxKey+1), nil)},
		"twice put":           {store.Put("a", nil), store.Put("b", nil), store.Put("a", nil)},
		"put and delete":      {store.Put("a", nil), store.Delete("a")},
		"put and check":       {store.Put("a", nil), store.Check("a", 0)},
		"unknown operation":   {{Key: "a", Op: store.OpCheck + 1}},
		"unknown condition":   {{Key: "a", Expect: store.ExpectRevision + 1}},
		"negative revision":   {store.Replace("a", nil, -1)},
		"too many":            many,
		"too large":           {store.Put("a", large)},
		"too large together":  {store.Put("a", large[:store.MaxUpdate/2]), store.Put("b", large[:store.MaxUpdate/2])},
		"invalid and a check": {store.Check("gone", 7), store.Put("", nil)},
	} {
		_, err := s.Update(t.Context(), changes...)
		matches(t, name, err, store.ErrInvalid)
	}
	values(t, s, content{})
}

func largestUpdate(t *testing.T, s store.Store) {
	f := follow(t, s, "")
	f.next(t)
	key := strings.Repeat("k", store.MaxKey)
	value := bytes.Repeat([]byte("v"), store.MaxUpdate-len(key))
	update(t, s, store.Put(key, value))
	if got := get(t, s, key); !bytes.Equal(got.Value, value) {
		t.Errorf("a value of %d bytes comes back with %d", len(value), len(got.Value))
	}
	if e := f.next(t).Events; len(e) != 1 || !bytes.Equal(e[0].Value, value) {
		t.Errorf("a watch does not tell a value of %d bytes", len(value))
	}
	var changes []store.Change
	want := content{}
	for i := range store.MaxChanges {
		changes = append(changes, store.Put(fmt.Sprint(i), []byte("v")))
		want[fmt.Sprint(i)] = "v"
	}
	update(t, s, store.Delete(key))
	f.next(t)
	update(t, s, changes...)
	values(t, s, want)
	var told []string
	for _, e := range f.next(t).Events {
		told = append(told, e.Key)
	}
	var given []string
	for _, c := range changes {
		given = append(given, c.Key)
	}
	if diff := cmp.Diff(given, told); diff != "" {
		t.Errorf("the order in which a watch tells an update's changes (-want +got):\n%s", diff)
	}
}
