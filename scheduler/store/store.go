package store

import "context"

// Revision counts the updates of a store. It grows by at least one with every update that changes something and never
// goes back. 0 is before the first, and is where a key is that is not there.
type Revision int64

// Entry is one key with its value.
type Entry struct {
	Key      string
	Value    []byte   // the caller's copy; never nil, empty if an empty or nil value was written
	Revision Revision // of the update that wrote it
}

// Reader reads one consistent state. What it returns belongs to the caller. It is for one goroutine.
type Reader interface {
	// Get returns one entry, or an error matching [ErrNotFound].
	Get(ctx context.Context, key string) (Entry, error)

	// List returns the entries whose keys have a prefix and come after a key, in the order of the bytes of their keys,
	// at most limit of them; limit 0 or less is all, after "" is from the first, prefix "" is every key. The last key
	// of one page is the after of the next.
	List(ctx context.Context, prefix, after string, limit int) ([]Entry, error)

	// Revision is the revision of this state.
	Revision() Revision
}

// Viewer gives consistent reads.
type Viewer interface {
	// View calls fn with the store's state at one revision and returns fn's error. The state is at least as new as that
	// of every Update that returned before View was called. Updates go on meanwhile and are not seen. fn must not keep
	// the Reader, whose methods return an error once fn has returned, nor call Update or Close, which may wait for fn's
	// end.
	View(ctx context.Context, fn func(Reader) error) error
}

// Updater changes keys.
type Updater interface {
	// Update makes all changes or none, in one revision, which it returns. All conditions are about the state before
	// the update. When it returns without error the changes survive a crash and every later View shows them. An update
	// that has nothing to change (checks, deletions of keys that are not there) returns the revision of the state in
	// which its conditions hold.
	//
	// A [*ConflictError] says which change's condition did not hold; it is the first such in the order of the changes.
	// [ErrInvalid] is for an update that no state of the store would take: see [Validate]. The error of ctx says that
	// the update did not happen. An error matching [ErrUnknown] leaves open whether it did (a network store's answer was
	// lost, or a disk's): read before trying again. Values are copied before Update returns.
	Update(ctx context.Context, changes ...Change) (Revision, error)
}

// Watcher follows changes.
type Watcher interface {
	// Watch follows the keys with a prefix from now on. The first batch of the watch is a snapshot of them, even if
	// there are none. ctx is for this call only: the watch goes on until its Close or the store's.
	Watch(ctx context.Context, prefix string) (Watch, error)
}

// Store keeps a cluster's state. All methods are safe for concurrent use and return an error matching [ErrClosed] after
// Close, and ctx's error when ctx ended before they began.
type Store interface {
	Viewer
	Updater
	Watcher

	// Close waits for views and updates that are under way, and releases the store. Watches end with [ErrClosed].
	// Closing again does nothing.
	Close() error
}

// Watch is a running watch, for one reader.
type Watch interface {
	// Next blocks until there is something new and returns it. No change is left out and none comes twice: a reader too
	// slow to be kept every change gets a new snapshot in their place. It returns ctx's error when ctx ends first, and
	// can be called again then: nothing is lost. The batch belongs to the caller.
	Next(ctx context.Context) (Batch, error)

	// Close ends the watch. A Next under way and every later one returns an error matching [ErrClosed]. Closing again
	// does nothing.
	Close() error
}

// Batch is what a watch returns at a time: a snapshot, or the changes of one or more revisions, each whole.
type Batch struct {
	Revision Revision // the state that the reader has with this batch applied
	Snapshot bool     // Events are all entries in the order of their keys; what the reader knew beside them is gone
	Events   []Event  // in the order of their revisions, and within one in the order of the update's changes
}

// Event is a change seen by a watch.
type Event struct {
	Entry        // Revision is that of the deletion, for a deleted key
	Deleted bool // Value is nil then
}
