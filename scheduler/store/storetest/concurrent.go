package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fardel-io/fardel/scheduler/store"
)

func concurrentChecks() []check {
	return []check{
		{"CompareAndSwap", compareAndSwap},
		{"CreateHasOneWinner", createHasOneWinner},
		{"EachUpdateHasItsRevision", eachHasItsRevision},
		{"ViewSeesWhatReturned", viewSeesWhatReturned},
		{"SumsStayWhole", sumsStayWhole},
	}
}

// compareAndSwap counts one key up by many writers: a lost update is a number too small.
func compareAndSwap(t *testing.T, s store.Store) {
	const writers, each = 8, 20
	update(t, s, store.Put("n", []byte("0")))
	together(writers, func(int) {
		for range each {
			if err := increment(t, s, "n"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	if got := string(get(t, s, "n").Value); got != strconv.Itoa(writers*each) {
		t.Errorf("%d writers counted %d each, and the key holds %s", writers, each, got)
	}
}

func increment(t *testing.T, s store.Store, key string) error {
	for {
		var e store.Entry
		if err := s.View(t.Context(), func(r store.Reader) (err error) {
			e, err = r.Get(t.Context(), key)
			return err
		}); err != nil {
			return err
		}
		n, err := strconv.Atoi(string(e.Value))
		if err != nil {
			return err
		}
		_, err = s.Update(t.Context(), store.Replace(key, strconv.AppendInt(nil, int64(n+1), 10), e.Revision))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func createHasOneWinner(t *testing.T, s store.Store) {
	for round := range 20 {
		var winners atomic.Int32
		together(8, func(i int) {
			_, err := s.Update(t.Context(), store.Create(fmt.Sprint("prize/", round), nil), store.Put(fmt.Sprint("of/", i), nil))
			switch {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, store.ErrConflict):
				t.Error(err)
			}
		})
		if n := winners.Load(); n != 1 {
			t.Fatalf("round %d: %d writers created the same key", round, n)
		}
	}
}

func eachHasItsRevision(t *testing.T, s store.Store) {
	var mu sync.Mutex
	var all []store.Revision
	together(8, func(i int) {
		last := store.Revision(0)
		for n := range 20 {
			at, err := s.Update(t.Context(), store.Put(fmt.Sprintf("k/%d/%d", i, n), nil))
			if err != nil || at <= last {
				t.Errorf("revision %d after %d, error %v", at, last, err)
			}
			last = at
			mu.Lock()
			all = append(all, at)
			mu.Unlock()
		}
	})
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 8*20 {
		t.Errorf("%d updates share %d revisions", 8*20, n)
	}
}

func viewSeesWhatReturned(t *testing.T, s store.Store) {
	together(8, func(i int) {
		key := fmt.Sprint("k/", i)
		for n := range 20 {
			at, err := s.Update(t.Context(), store.Put(key, []byte(strconv.Itoa(n))))
			if err != nil {
				t.Error(err)
				return
			}
			err = s.View(t.Context(), func(r store.Reader) error {
				e, err := r.Get(t.Context(), key)
				if err == nil && (string(e.Value) != strconv.Itoa(n) || e.Revision != at || r.Revision() < at) {
					err = fmt.Errorf("after the update to %d at %d a View has %q at %d of %d", n, at, e.Value, e.Revision, r.Revision())
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// sumsStayWhole moves amounts between accounts. No view and no batch of a watch may show a state in which money is
// missing.
func sumsStayWhole(t *testing.T, s store.Store) {
	const accounts, start = 5, 100
	account := func(i int) string { return fmt.Sprint("account/", i%accounts) }
	var changes []store.Change
	for i := range accounts {
		changes = append(changes, store.Put(account(i), []byte(strconv.Itoa(start))))
	}
	update(t, s, changes...)
	total := func(what string, entries []store.Entry) {
		sum := 0
		for _, e := range entries {
			n, _ := strconv.Atoi(string(e.Value))
			sum += n
		}
		if sum != accounts*start {
			t.Errorf("%s: the sum is %d, want %d", what, sum, accounts*start)
		}
	}
	f := follow(t, s, "account/")
	f.next(t)
	const end = "account/end"
	wait := beside(func() {
		for !f.knows(end) && !t.Failed() {
			f.next(t)
			total("watch", slices.Collect(maps.Values(f.known)))
		}
	})
	together(4, func(i int) {
		for n := range 30 {
			if err := transfer(t, s, account(i), account(i+1+n%(accounts-1))); err != nil {
				t.Error(err)
				return
			}
			entries, _ := list(t, s, "account/", "", 0)
			total("view", entries)
		}
	})
	update(t, s, store.Put(end, []byte("0")))
	wait()
}

func transfer(t *testing.T, s store.Store, from, to string) error {
	for {
		var a, b store.Entry
		if err := s.View(t.Context(), func(r store.Reader) error {
			var errA, errB error
			a, errA = r.Get(t.Context(), from)
			b, errB = r.Get(t.Context(), to)
			return errors.Join(errA, errB)
		}); err != nil {
			return err
		}
		x, errX := strconv.Atoi(string(a.Value))
		y, errY := strconv.Atoi(string(b.Value))
		if err := errors.Join(errX, errY); err != nil {
			return err
		}
		_, err := s.Update(t.Context(),
			store.Replace(from, strconv.AppendInt(nil, int64(x-1), 10), a.Revision),
			store.Replace(to, strconv.AppendInt(nil, int64(y+1), 10), b.Revision))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
