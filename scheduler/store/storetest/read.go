package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/scheduler/store"
)

func readChecks() []check {
	return []check{
		{"NewIsEmpty", newIsEmpty},
		{"GetMissing", getMissing},
		{"GetEntry", getEntry},
		{"ListSelects", listSelects},
		{"ListPages", listPages},
		{"KeysAreBytes", keysAreBytes},
		{"ValuesAreCopies", valuesAreCopies},
		{"EmptyValue", emptyValue},
		{"ViewReturnsError", viewReturnsError},
		{"ReaderEndsWithView", readerEndsWithView},
		{"ViewIsOneState", viewIsOneState},
	}
}

func newIsEmpty(t *testing.T, s store.Store) {
	entries, at := list(t, s, "", "", 0)
	if len(entries) != 0 || at != 0 {
		t.Errorf("a new store has %d entries at revision %d, want none at 0", len(entries), at)
	}
}

func getMissing(t *testing.T, s store.Store) {
	update(t, s, store.Put("ab", nil))
	for _, key := range []string{"", "a", "abc", "b"} {
		err := s.View(t.Context(), func(r store.Reader) error {
			_, err := r.Get(t.Context(), key)
			return err
		})
		matches(t, fmt.Sprintf("Get(%q)", key), err, store.ErrNotFound)
	}
}

func getEntry(t *testing.T, s store.Store) {
	first := update(t, s, store.Put("a", []byte("1")), store.Put("b", []byte("2")))
	second := update(t, s, store.Put("b", []byte("3")))
	for key, want := range map[string]store.Entry{
		"a": {Key: "a", Value: []byte("1"), Revision: first},
		"b": {Key: "b", Value: []byte("3"), Revision: second},
	} {
		if diff := cmp.Diff(want, get(t, s, key)); diff != "" {
			t.Errorf("Get(%q) (-want +got):\n%s", key, diff)
		}
	}
	if got := revision(t, s); got != second {
		t.Errorf("Revision() = %d, want %d", got, second)
	}
}

func listSelects(t *testing.T, s store.Store) {
	for _, key := range []string{"b/2", "a", "b", "b/10", "c", "b/1", "b0"} { // not in order
		update(t, s, store.Put(key, []byte(key)))
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 0, []string{"a", "b", "b/1", "b/10", "b/2", "b0", "c"}},
		{"b/", "", 0, []string{"b/1", "b/10", "b/2"}},
		{"b", "", 0, []string{"b", "b/1", "b/10", "b/2", "b0"}},
		{"b/", "b/1", 0, []string{"b/10", "b/2"}},
		{"b/", "b/1", 1, []string{"b/10"}},
		{"b/", "b/2", 0, []string{}},
		{"b/", "b/15", 0, []string{"b/2"}}, // after need not be a key
		{"b/", "a", 0, []string{"b/1", "b/10", "b/2"}},
		{"b/", "c", 0, []string{}},
		{"", "b/2", 2, []string{"b0", "c"}},
		{"", "", 3, []string{"a", "b", "b/1"}},
		{"", "", 100, []string{"a", "b", "b/1", "b/10", "b/2", "b0", "c"}},
		{"", "", -1, []string{"a", "b", "b/1", "b/10", "b/2", "b0", "c"}},
		{"d", "", 0, []string{}},
		{"b/10", "", 0, []string{"b/10"}},
		{"b/10", "b/10", 0, []string{}},
	} {
		entries, _ := list(t, s, c.prefix, c.after, c.limit)
		if diff := cmp.Diff(c.want, keys(entries)); diff != "" {
			t.Errorf("List(%q, %q, %d) (-want +got):\n%s", c.prefix, c.after, c.limit, diff)
		}
		for _, e := range entries {
			if string(e.Value) != e.Key || e.Revision == 0 {
				t.Errorf("List(%q, %q, %d) has %+v", c.prefix, c.after, c.limit, e)
			}
		}
	}
}

func listPages(t *testing.T, s store.Store) {
	var changes []store.Change
	for i := range 100 {
		changes = append(changes, store.Put(fmt.Sprintf("k/%03d", i), nil))
	}
	update(t, s, changes...)
	whole, _ := list(t, s, "k/", "", 0)
	for _, size := range []int{1, 7, 50, 99, 100, 101} {
		var got []store.Entry
		after := ""
		for {
			page, _ := list(t, s, "k/", after, size)
			got = append(got, page...)
			if len(page) < size {
				break
			}
			after = page[len(page)-1].Key
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Errorf("pages of %d (-whole +pages):\n%s", size, diff)
		}
	}
}

func keysAreBytes(t *testing.T, s store.Store) {
	odd := []string{"\x00", "\x00\x00", " ", "%", "a\nb", "ключ", "\xfe", "\xff", "\xff\xff", "\xff\xff\x00"}
	for _, key := range odd {
		update(t, s, store.Create(key, []byte(key)))
	}
	entries, _ := list(t, s, "", "", 0)
	if diff := cmp.Diff(odd, keys(entries)); diff != "" {
		t.Errorf("keys in the order of their bytes (-want +got):\n%s", diff)
	}
	entries, _ = list(t, s, "\xff", "\xff", 0)
	if diff := cmp.Diff(odd[len(odd)-2:], keys(entries)); diff != "" {
		t.Errorf("keys with prefix \\xff after it (-want +got):\n%s", diff)
	}
}

func valuesAreCopies(t *testing.T, s store.Store) {
	f, g := follow(t, s, ""), follow(t, s, "")
	f.next(t)
	g.next(t)
	value := []byte("good")
	update(t, s, store.Put("k", value))
	spoil := func(b []byte) { copy(b, "evil") }
	spoil(value)
	spoil(get(t, s, "k").Value)
	entries, _ := list(t, s, "", "", 0)
	spoil(entries[0].Value)
	spoil(f.next(t).Events[0].Value)
	values(t, s, content{"k": "good"})
	if got := string(g.next(t).Events[0].Value); got != "good" {
		t.Errorf("a watch tells %q, which another reader wrote into its own copy", got)
	}
	spoil(follow(t, s, "").next(t).Events[0].Value)
	values(t, s, content{"k": "good"})
}

func emptyValue(t *testing.T, s store.Store) {
	update(t, s, store.Put("nil", nil), store.Put("empty", []byte{}))
	for _, key := range []string{"nil", "empty"} {
		if v := get(t, s, key).Value; v == nil || len(v) != 0 {
			t.Errorf("the value of %q is %#v, want an empty slice", key, v)
		}
	}
}

func viewReturnsError(t *testing.T, s store.Store) {
	want := errors.New("mine")
	if err := s.View(t.Context(), func(store.Reader) error { return want }); !errors.Is(err, want) {
		t.Errorf("View returns %v, want the function's error", err)
	}
}

func readerEndsWithView(t *testing.T, s store.Store) {
	update(t, s, store.Put("k", nil))
	var kept store.Reader
	_ = s.View(t.Context(), func(r store.Reader) error {
		kept = r
		return nil
	})
	if _, err := kept.Get(t.Context(), "k"); err == nil {
		t.Error("Get after the View's end: no error")
	}
	if _, err := kept.List(t.Context(), "", "", 0); err == nil {
		t.Error("List after the View's end: no error")
	}
}

func viewIsOneState(t *testing.T, s store.Store) {
	at := update(t, s, store.Put("a", []byte("1")), store.Put("b", []byte("1")))
	err := s.View(t.Context(), func(r store.Reader) error {
		before, err := r.Get(t.Context(), "a")
		// From beside, as fn itself must not update. The view must not wait for it, which may wait for the view.
		updated := make(chan error, 1)
		wait := beside(func() {
			_, err := s.Update(t.Context(), store.Put("a", []byte("2")), store.Delete("b"), store.Put("c", nil))
			updated <- err
		})
		defer wait()
		if err := <-updated; err != nil {
			return err
		}
		after, errAfter := r.Get(t.Context(), "a")
		entries, errList := r.List(t.Context(), "", "", 0)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("a key in one View, before and after an update (-before +after):\n%s", diff)
		}
		if got := keys(entries); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("a View sees %q after an update", got)
		}
		if r.Revision() != at {
			t.Errorf("a View's revision went from %d to %d", at, r.Revision())
		}
		return errors.Join(err, errAfter, errList)
	})
	if err != nil {
		t.Fatal(err)
	}
	values(t, s, content{"a": "2", "c": ""})
}
