package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/fardel-io/fardel/scheduler/store"
)

func closeChecks() []check {
	return []check{
		{"EverythingAfterIsClosed", afterClose},
		{"WaitsForView", closeWaitsForView},
		{"DuringUpdates", closeDuringUpdates},
	}
}

func contextChecks() []check {
	return []check{
		{"EndedBefore", contextEnded},
		{"EndsDuringUpdates", contextEndsDuringUpdates},
	}
}

func afterClose(t *testing.T, s store.Store) {
	update(t, s, store.Put("k", nil))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	_, err := s.Update(t.Context(), store.Put("k", nil))
	matches(t, "Update", err, store.ErrClosed)
	_, err = s.Watch(t.Context(), "")
	matches(t, "Watch", err, store.ErrClosed)
	err = s.View(t.Context(), func(store.Reader) error {
		t.Error("View calls its function after Close")
		return nil
	})
	matches(t, "View", err, store.ErrClosed)
}

func closeWaitsForView(t *testing.T, s store.Store) {
	update(t, s, store.Put("k", []byte("v")))
	var over atomic.Bool
	var wait func()
	err := s.View(t.Context(), func(r store.Reader) error {
		wait = beside(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if !over.Load() {
				t.Error("Close returned before the View's end")
			}
		})
		// Other views are refused from the moment on that Close is under way.
		for s.View(t.Context(), func(store.Reader) error { return nil }) == nil {
			if t.Context().Err() != nil {
				return t.Context().Err()
			}
		}
		e, err := r.Get(t.Context(), "k")
		if err == nil && string(e.Value) != "v" {
			err = fmt.Errorf("value %q", e.Value)
		}
		over.Store(true)
		return err
	})
	if err != nil {
		t.Errorf("a View under way when Close is called: %v", err)
	}
	wait()
}

func closeDuringUpdates(t *testing.T, s store.Store) {
	var ended atomic.Int32
	begun := make(chan struct{}, 4)
	wait := beside(func() {
		together(4, func(i int) {
			for n := 0; ; n++ {
				_, err := s.Update(t.Context(), store.Put(fmt.Sprint(i), nil))
				if errors.Is(err, store.ErrClosed) {
					ended.Add(1)
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n == 3 {
					begun <- struct{}{}
				}
			}
		})
	})
	for range 4 {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wait()
	if got := ended.Load(); got != 4 {
		t.Errorf("%d of 4 writers ended with ErrClosed", got)
	}
}

func contextEnded(t *testing.T, s store.Store) {
	at := update(t, s, store.Put("k", []byte("old")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Update(ctx, store.Put("k", []byte("new")))
	matches(t, "Update", err, context.Canceled)
	_, err = s.Watch(ctx, "")
	matches(t, "Watch", err, context.Canceled)
	err = s.View(ctx, func(store.Reader) error {
		t.Error("View calls its function with a context that has ended")
		return nil
	})
	matches(t, "View", err, context.Canceled)
	err = s.View(t.Context(), func(r store.Reader) error {
		_, err := r.Get(ctx, "k")
		matches(t, "Get", err, context.Canceled)
		_, err = r.List(ctx, "", "", 0)
		matches(t, "List", err, context.Canceled)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	values(t, s, content{"k": "old"})
	if got := revision(t, s); got != at {
		t.Errorf("the revision went from %d to %d", at, got)
	}
}

// contextEndsDuringUpdates cancels updates at any moment: each says whether it happened, and that is true.
func contextEndsDuringUpdates(t *testing.T, s store.Store) {
	together(8, func(i int) {
		for n := range 20 {
			key := fmt.Sprintf("k/%d/%d", i, n)
			ctx, cancel := context.WithCancel(t.Context())
			wait := beside(cancel)
			_, err := s.Update(ctx, store.Put(key, nil))
			wait()
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			there := s.View(t.Context(), func(r store.Reader) error {
				_, err := r.Get(t.Context(), key)
				return err
			})
			if (err == nil) != (there == nil) {
				t.Errorf("Update returned %v, and a read of its key %v", err, there)
			}
		}
	})
}
