package store

import (
	"context"
	"errors"
)

// Revision counts the updates of a store. It grows by at least one with every update and never goes back. 0 is before
// the first.
type Revision int64

// Entry is one key with its value.
type Entry struct {
	Key      string
	Value    []byte   // the caller's copy
	Revision Revision // of the update that wrote it
}

// Reader reads one consistent state. What it returns belongs to the caller.
type Reader interface {
	// Get returns one entry, or an error matching [ErrNotFound].
	Get(ctx context.Context, key string) (Entry, error)

	// List returns the entries whose keys have a prefix and come after a key, in the order of their keys, at most limit
	// of them; limit 0 is all, after "" is from the first.
	List(ctx context.Context, prefix, after string, limit int) ([]Entry, error)

	// Revision is the revision of this state.
	Revision() Revision
}

// Viewer gives consistent reads.
type Viewer interface {
	// View calls fn with the store's state at one revision and returns fn's error. fn must not keep the Reader nor call
	// Update.
	View(ctx context.Context, fn func(Reader) error) error
}

// Updater changes keys.
type Updater interface {
	// Update makes all changes or none, in one revision, which it returns. When it returns without error the changes
	// survive a crash. A [*ConflictError] says which change's condition did not hold. An error matching [ErrUnknown]
	// leaves open whether the update happened (a network store's answer was lost): read before trying again.
	Update(ctx context.Context, changes ...Change) (Revision, error)
}

// Watcher follows changes.
type Watcher interface {
	// Watch follows the keys with a prefix from now on. The first batch of the watch is a snapshot of them.
	Watch(ctx context.Context, prefix string) (Watch, error)
}

// Store keeps a cluster's state. All methods are safe for concurrent use and return an error matching [ErrClosed] after
// Close.
type Store interface {
	Viewer
	Updater
	Watcher

	// Close releases the store. Watches end with [ErrClosed].
	Close() error
}

// Watch is a running watch, for one reader.
type Watch interface {
	// Next blocks until there is something new and returns it. No change is left out and none comes twice: a reader too
	// slow to be kept every change gets a new snapshot in their place. It returns ctx's error when ctx ends first, and
	// can be called again then.
	Next(ctx context.Context) (Batch, error)

	// Close ends the watch. A Next under way returns an error matching [ErrClosed].
	Close() error
}

// Batch is what a watch returns at a time.
type Batch struct {
	Revision Revision // the state that the reader has with this batch applied
	Snapshot bool     // Events are all entries; what the reader knew beside them is gone
	Events   []Event  // in the order of their revisions, and within one in the order of the update's changes
}

// Event is a change seen by a watch.
type Event struct {
	Entry
	Deleted bool // Value is nil then
}

// Change is one change of an update. Make it with [Put], [Create], [Replace], [Delete], [DeleteAt] or [Check].
type Change struct {
	Key    string
	Value  []byte
	Op     Op
	Expect Expect
	At     Revision // what Expect compares with, for ExpectRevision
}

// Op is what a change does with its key.
type Op uint8

// The operations.
const (
	OpPut Op = iota
	OpDelete
	OpCheck // only the condition
)

// Expect is the condition of a change.
type Expect uint8

// The conditions.
const (
	ExpectAny      Expect = iota
	ExpectAbsent          // the key is not there
	ExpectRevision        // the key was written by revision At
)

// Put sets a key, whatever it holds.
func Put(key string, value []byte) Change { return Change{Key: key, Value: value} }

// Create sets a key that must not be there.
func Create(key string, value []byte) Change {
	return Change{Key: key, Value: value, Expect: ExpectAbsent}
}

// Replace sets a key that must be at a revision.
func Replace(key string, value []byte, at Revision) Change {
	return Change{Key: key, Value: value, Expect: ExpectRevision, At: at}
}

// Delete removes a key, if it is there.
func Delete(key string) Change { return Change{Key: key, Op: OpDelete} }

// DeleteAt removes a key that must be at a revision.
func DeleteAt(key string, at Revision) Change {
	return Change{Key: key, Op: OpDelete, Expect: ExpectRevision, At: at}
}

// Check changes nothing and makes the update depend on a key being at a revision.
func Check(key string, at Revision) Change {
	return Change{Key: key, Op: OpCheck, Expect: ExpectRevision, At: at}
}

// Errors of every store.
var (
	ErrNotFound = errors.New("store: no such key")
	ErrConflict = errors.New("store: conflict")
	ErrUnknown  = errors.New("store: outcome of update unknown")
	ErrClosed   = errors.New("store: closed")
	ErrInUse    = errors.New("store: in use by another process")
)

// ConflictError says which condition of an update did not hold. It matches [ErrConflict].
type ConflictError struct {
	Key string
	At  Revision // where the key is; 0 if it is not there
}

// Error implements error.
func (e *ConflictError) Error() string {
	if e.At == 0 {
		return "store: conflict: " + e.Key + " is not there"
	}
	return "store: conflict: " + e.Key + " has changed"
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
