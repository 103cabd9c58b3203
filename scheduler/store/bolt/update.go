package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/fardel-io/fardel/scheduler/store"
)

// update is a call of Update that waits to be written.
type update struct {
	changes  []store.Change
	events   []store.Event
	revision store.Revision
	err      error
	done     chan struct{} // closed when revision and err are set
}

// Update implements [store.Updater].
//
// Whoever finds nobody writing writes: its own update and all that have queued up since the last writer took the queue.
// There is no goroutine and no delay: alone an update goes at once, and under load the groups are as large as the disk
// is slow.
func (s *Store) Update(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := store.Validate(changes); err != nil {
		return 0, err
	}
	if err := s.begin(); err != nil {
		return 0, err
	}
	defer s.active.Done()
	u := &update{changes: changes, done: make(chan struct{})}
	s.mu.Lock()
	s.queue = append(s.queue, u)
	s.mu.Unlock()
	select {
	case s.lead <- struct{}{}:
		s.writeQueue()
		<-s.lead
	case <-u.done:
	case <-ctx.Done():
		if s.withdraw(u) {
			return 0, ctx.Err()
		}
	}
	<-u.done
	return u.revision, u.err
}

// withdraw takes an update from the queue, and reports whether it was still there.
func (s *Store) withdraw(u *update) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, u)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	return true
}

// writeQueue writes all that waits. The caller leads.
func (s *Store) writeQueue() {
	s.mu.Lock()
	group := s.queue
	s.queue = nil
	err := s.err
	s.mu.Unlock()
	if len(group) == 0 {
		return
	}
	if err == nil || errors.Is(err, store.ErrClosed) { // Close waits for what came before it
		err = s.writeGroup(group)
	}
	for _, u := range group {
		if err != nil {
			u.revision, u.err = 0, err
		}
		if u.err == nil && len(u.events) > 0 {
			s.feed.Publish(u.revision, u.events)
		}
	}
	for _, u := range group {
		close(u.done)
	}
}

// writeGroup makes one transaction of a group. Its error is that of all of them; the outcome of each is in it.
func (s *Store) writeGroup(group []*update) error {
	var before, after store.Revision
	writing := false
	err := s.guard(func() error {
		tx, err := s.db.Begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback() // after Commit it does nothing
		before = stateRevision(tx)
		after = before
		entries := tx.Bucket([]byte(entryBucket))
		for _, u := range group {
			if err := u.apply(entries, after); err != nil {
				return err
			}
			after = max(after, u.revision)
		}
		if after == before {
			return nil
		}
		revision := binary.BigEndian.AppendUint64(nil, uint64(after))
		if err := tx.Bucket([]byte(headBucket)).Put([]byte(revisionKey), revision); err != nil {
			return err
		}
		writing = true
		return s.write(tx)
	})
	switch {
	case err == nil:
		return nil
	case writing && s.happened(before, err):
		return fmt.Errorf("bolt: write %s: %w: %w", s.path, store.ErrUnknown, err)
	}
	return fmt.Errorf("bolt: write %s: %w", s.path, err)
}

// happened finds out whether a failed write may have happened, and ends the store if so. bbolt makes a transaction valid
// by writing one page at its end: if the old state is still there, nothing happened and nothing can have reached the
// disk. If the new one is there, that page was written and only the disk knows whether it will stay.
func (s *Store) happened(before store.Revision, cause error) bool {
	if errors.Is(cause, store.ErrCorrupt) {
		return true // guard has ended the store
	}
	at := store.Revision(-1)
	err := s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			at = stateRevision(tx)
			return nil
		})
	})
	if err == nil && at == before {
		return false
	}
	s.fail(fmt.Errorf("bolt: %s is out of use since a write ended so: %w: close it and open it again", s.path, errors.Join(cause, err)))
	return true
}

// apply makes the changes of an update to the entries, at the revision after that of the state, or sets u.err.
func (u *update) apply(entries *bbolt.Bucket, state store.Revision) error {
	for _, c := range u.changes {
		if at := revisionOf(entries.Get([]byte(c.Key))); !c.Holds(at) {
			u.err = &store.ConflictError{Key: c.Key, At: at}
			return nil
		}
	}
	for _, c := range u.changes {
		key := []byte(c.Key)
		event := store.Event{Entry: store.Entry{Key: c.Key, Revision: state + 1}}
		//exhaustive:enforce
		switch c.Op {
		case store.OpPut:
			if err := entries.Put(key, encode(key, c.Value, state+1)); err != nil {
				return err
			}
			event.Value = append([]byte{}, c.Value...)
		case store.OpDelete:
			if entries.Get(key) == nil {
				continue
			}
			if err := entries.Delete(key); err != nil {
				return err
			}
			event.Deleted = true
		case store.OpCheck:
			continue
		}
		u.events = append(u.events, event)
	}
	u.revision = state
	if len(u.events) > 0 {
		u.revision++
	}
	return nil
}
