package bolt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/scheduler/store/bolt"
)

// TestUpdatesGoTogether holds up one write and lets others queue behind it: they must go in one, each with an outcome of
// its own.
func TestUpdatesGoTogether(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	defer s.Close()
	entered, release := make(chan struct{}, 10), make(chan struct{})
	writes := 0
	bolt.SetWrite(s, func(tx *bbolt.Tx) error {
		writes++
		entered <- struct{}{}
		<-release
		return tx.Commit()
	})
	type outcome struct {
		at  store.Revision
		err error
	}
	results := make([]outcome, 6)
	var wg sync.WaitGroup
	begin := func(i, waiting int, ctx context.Context, changes ...store.Change) {
		wg.Go(func() {
			at, err := s.Update(ctx, changes...)
			results[i] = outcome{at, err}
		})
		for bolt.Waiting(s) != waiting {
			goruntime.Gosched()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		at, err := s.Update(t.Context(), store.Create("a", nil))
		results[0] = outcome{at, err}
	})
	<-entered
	begin(1, 1, t.Context(), store.Create("a", nil), store.Put("x", nil)) // conflicts with the one before the group
	begin(2, 2, t.Context(), store.Create("b", nil))
	begin(3, 3, t.Context(), store.Create("b", nil), store.Put("x", nil)) // conflicts with one of its own group
	begin(4, 4, ctx, store.Create("c", nil))                              // withdrawn
	begin(5, 5, t.Context(), store.Replace("b", []byte("v"), 2))
	cancel()
	for bolt.Waiting(s) != 4 {
		goruntime.Gosched()
	}
	close(release)
	wg.Wait()
	if writes != 2 {
		t.Errorf("%d writes, want the first and one for those behind it", writes)
	}
	for i, want := range []struct {
		at  store.Revision
		err error
	}{{1, nil}, {0, store.ErrConflict}, {2, nil}, {0, store.ErrConflict}, {0, context.Canceled}, {3, nil}} {
		if got := results[i]; got.at != want.at || !errors.Is(got.err, want.err) {
			t.Errorf("update %d: %d, %v, want %d, %v", i, got.at, got.err, want.at, want.err)
		}
	}
	if got := count(t, s); got != 2 {
		t.Errorf("%d entries, want a and b", got)
	}
}

// TestLostOutcome has the disk fail after everything was written: nobody knows whether it will be there.
func TestLostOutcome(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	w, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	bolt.SetWrite(s, func(tx *bbolt.Tx) error { return errors.Join(tx.Commit(), syscall.EIO) })
	_, err = s.Update(t.Context(), store.Put("a", nil))
	if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v, want one that matches ErrUnknown and EIO", err)
	}
	// Nothing that reads or writes on may pretend to know.
	_, errUpdate := s.Update(t.Context(), store.Put("b", nil))
	_, errWatch := s.Watch(t.Context(), "")
	_, errNext := w.Next(t.Context())
	errView := s.View(t.Context(), func(store.Reader) error { return nil })
	for name, err := range map[string]error{"Update": errUpdate, "Watch": errWatch, "Next": errNext, "View": errView} {
		if !errors.Is(err, syscall.EIO) || errors.Is(err, store.ErrUnknown) || errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after it: %v, want the reason", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = open(t, path)
	defer s.Close()
	if got := count(t, s); got != 1 {
		t.Errorf("%d entries after opening again, want what was written", got)
	}
}

// TestFailedWrite has the disk fail before the write is valid: nothing happened, and the store goes on.
func TestFailedWrite(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	defer s.Close()
	bolt.SetWrite(s, func(tx *bbolt.Tx) error { return errors.Join(syscall.ENOSPC, tx.Rollback()) })
	_, err := s.Update(t.Context(), store.Put("a", nil))
	if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("error %v, want ENOSPC and certainty", err)
	}
	if got := count(t, s); got != 0 {
		t.Errorf("%d entries after a failed update", got)
	}
	bolt.SetWrite(s, (*bbolt.Tx).Commit)
	if at, err := s.Update(t.Context(), store.Put("a", nil)); err != nil || at != 1 {
		t.Errorf("the next update: %d, %v", at, err)
	}
}

// TestFileCutOffUnderfoot truncates the file of an open store: every access to it is then a signal, and must be an
// error.
func TestFileCutOffUnderfoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	filled(t, path)
	s := open(t, path)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	err := s.View(t.Context(), func(r store.Reader) error {
		_, err := r.List(t.Context(), "", "", 0)
		return err
	})
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("View: error %v, want one that matches ErrCorrupt", err)
	}
	if _, err := s.Update(t.Context(), store.Put("a", nil)); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Update: error %v, want one that matches ErrCorrupt", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
