package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/fardel-io/fardel/scheduler/store"
)

// Store is a store in a file. Make it with [Open].
type Store struct {
	path  string
	db    *bbolt.DB
	file  *os.File // db's
	feed  *store.Feed
	write func(*bbolt.Tx) error // Commit; tests put a failing disk here

	lead chan struct{} // holds an element while somebody writes

	mu     sync.Mutex
	queue  []*update      // waiting for the writer after this one
	err    error          // why nothing goes any more: closed, or the disk
	closed bool           // Close was called
	stuck  bool           // bbolt died of the file and may hold its locks
	active sync.WaitGroup // calls that use db; grows only with mu held and err nil
}

func newStore(path string, db *bbolt.DB, file *os.File) *Store {
	s := &Store{path: path, db: db, file: file, write: (*bbolt.Tx).Commit, lead: make(chan struct{}, 1)}
	s.feed = store.NewFeed(s)
	return s
}

// Path returns the absolute path of the file.
func (s *Store) Path() string { return s.path }

// begin lets a call use the file until it calls s.active.Done.
func (s *Store) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.active.Add(1)
	return nil
}

// fail ends the store for all calls that come.
func (s *Store) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.feed.Close(err)
}

// guard is the function guard. After damage nothing goes any more: bbolt's locks may be held for ever.
func (s *Store) guard(fn func() error) error {
	err := guard(fn)
	if d := (*damage)(nil); errors.As(err, &d) {
		s.mu.Lock()
		s.stuck = true
		s.mu.Unlock()
		s.fail(fmt.Errorf("bolt: %s is out of use: %w", s.path, err))
	}
	return err
}

// Close implements [store.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	again, stuck := s.closed, s.stuck
	s.closed, s.err = true, store.ErrClosed
	s.mu.Unlock()
	s.feed.Close(store.ErrClosed)
	s.active.Wait()
	if again {
		return nil
	}
	err := error(nil)
	if stuck {
		err = abandon(s.file) // bbolt's Close would wait for its locks
	} else {
		err = s.db.Close()
	}
	if err != nil {
		return fmt.Errorf("bolt: close %s: %w", s.path, err)
	}
	return nil
}

// Watch implements [store.Watcher].
func (s *Store) Watch(ctx context.Context, prefix string) (store.Watch, error) {
	return s.feed.Watch(ctx, prefix)
}

// View implements [store.Viewer].
func (s *Store) View(ctx context.Context, fn func(store.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	defer s.active.Done()
	r := &reader{store: s}
	err := s.guard(func() (err error) {
		r.tx, err = s.db.Begin(false)
		if err != nil {
			return err
		}
		r.entries = r.tx.Bucket([]byte(entryBucket))
		r.revision = stateRevision(r.tx)
		return nil
	})
	if r.tx != nil {
		defer r.end()
	}
	if err != nil {
		return fmt.Errorf("bolt: read %s: %w", s.path, err)
	}
	return fn(r)
}

func stateRevision(tx *bbolt.Tx) store.Revision {
	return store.Revision(binary.BigEndian.Uint64(tx.Bucket([]byte(headBucket)).Get([]byte(revisionKey))))
}

// errOver is returned by a Reader that was kept.
var errOver = errors.New("store: the Reader was used after its View")

// reader is one state of the file.
type reader struct {
	store    *Store
	tx       *bbolt.Tx
	entries  *bbolt.Bucket // nil when the View has ended
	revision store.Revision
}

func (r *reader) end() {
	r.entries = nil
	r.store.mu.Lock()
	stuck := r.store.stuck
	r.store.mu.Unlock()
	if !stuck {
		_ = r.tx.Rollback() // it can only say that it was called already
	}
}

// Get implements [store.Reader].
func (r *reader) Get(ctx context.Context, key string) (store.Entry, error) {
	if err := r.usable(ctx); err != nil {
		return store.Entry{}, err
	}
	var e store.Entry
	found := false
	err := r.store.guard(func() (err error) {
		if record := r.entries.Get([]byte(key)); record != nil {
			found = true
			e, err = decode([]byte(key), record)
		}
		return err
	})
	switch {
	case err != nil:
		return store.Entry{}, fmt.Errorf("bolt: read %s: %w", r.store.path, err)
	case !found:
		return store.Entry{}, fmt.Errorf("%w: %q", store.ErrNotFound, key)
	}
	return e, nil
}

// List implements [store.Reader].
func (r *reader) List(ctx context.Context, prefix, after string, limit int) ([]store.Entry, error) {
	if err := r.usable(ctx); err != nil {
		return nil, err
	}
	var list []store.Entry
	err := r.store.guard(func() error {
		cursor, start := r.entries.Cursor(), []byte(prefix)
		for key, record := cursor.Seek([]byte(max(prefix, after))); key != nil; key, record = cursor.Next() {
			if !bytes.HasPrefix(key, start) || (limit > 0 && len(list) == limit) {
				return nil
			}
			if string(key) == after {
				continue
			}
			e, err := decode(key, record)
			if err != nil {
				return err
			}
			list = append(list, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bolt: read %s: %w", r.store.path, err)
	}
	return list, nil
}

// Revision implements [store.Reader].
func (r *reader) Revision() store.Revision { return r.revision }

func (r *reader) usable(ctx context.Context) error {
	if r.entries == nil {
		return errOver
	}
	return ctx.Err()
}
