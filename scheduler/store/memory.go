package store

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

// Memory is a store in this process's memory, gone with it. It is for tests of host programs and for clusters whose
// tasks need not outlive the process. However long a View takes, updates go on.
type Memory struct {
	feed *Feed
	seed maphash.Seed

	mu     sync.Mutex // held for the length of an update, and to take the state
	state  state
	closed bool
	views  sync.WaitGroup // under way; grows only with mu held and the store open
}

// state is what a store holds at one revision.
type state struct {
	revision Revision
	entries  *tree
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &Memory{seed: maphash.MakeSeed()}
	m.feed = NewFeed(m)
	return m
}

// View implements [Viewer].
func (m *Memory) View(ctx context.Context, fn func(Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	r := &memoryReader{state: m.state}
	m.views.Add(1)
	m.mu.Unlock()
	defer m.views.Done()
	defer func() { r.over = true }()
	return fn(r)
}

// Update implements [Updater].
func (m *Memory) Update(ctx context.Context, changes ...Change) (Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := Validate(changes); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, ErrClosed
	}
	for _, c := range changes {
		if at := m.state.entries.revision(c.Key); !c.Holds(at) {
			return 0, &ConflictError{Key: c.Key, At: at}
		}
	}
	next := state{revision: m.state.revision + 1, entries: m.state.entries}
	var events []Event
	for _, c := range changes {
		//exhaustive:enforce
		switch c.Op {
		case OpPut:
			e := Entry{Key: c.Key, Value: append([]byte{}, c.Value...), Revision: next.revision}
			next.entries = next.entries.put(e, m.seed)
			events = append(events, Event{Entry: e})
		case OpDelete:
			if next.entries.revision(c.Key) != 0 {
				next.entries = next.entries.remove(c.Key)
				events = append(events, Event{Entry: Entry{Key: c.Key, Revision: next.revision}, Deleted: true})
			}
		case OpCheck:
		}
	}
	if len(events) > 0 {
		m.state = next
		m.feed.Publish(next.revision, events)
	}
	return m.state.revision, nil
}

// Watch implements [Watcher].
func (m *Memory) Watch(ctx context.Context, prefix string) (Watch, error) {
	return m.feed.Watch(ctx, prefix)
}

// Close implements [Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.feed.Close(ErrClosed)
	m.views.Wait()
	return nil
}

// errOver is returned by a Reader that was kept.
var errOver = errors.New("store: the Reader was used after its View")

type memoryReader struct {
	state state
	over  bool // the View has ended
}

// Get implements [Reader].
func (r *memoryReader) Get(ctx context.Context, key string) (Entry, error) {
	if err := r.usable(ctx); err != nil {
		return Entry{}, err
	}
	e, ok := r.state.entries.get(key)
	if !ok {
		return Entry{}, fmt.Errorf("%w: %q", ErrNotFound, key)
	}
	e.Value = slices.Clone(e.Value)
	return e, nil
}

// List implements [Reader].
func (r *memoryReader) List(ctx context.Context, prefix, after string, limit int) ([]Entry, error) {
	if err := r.usable(ctx); err != nil {
		return nil, err
	}
	var list []Entry
	r.state.entries.walk(max(prefix, after), func(e Entry) bool {
		if !strings.HasPrefix(e.Key, prefix) {
			return false
		}
		if e.Key == after {
			return true
		}
		e.Value = slices.Clone(e.Value)
		list = append(list, e)
		return limit <= 0 || len(list) < limit
	})
	return list, nil
}

// Revision implements [Reader].
func (r *memoryReader) Revision() Revision { return r.state.revision }

func (r *memoryReader) usable(ctx context.Context) error {
	if r.over {
		return errOver
	}
	return ctx.Err()
}
