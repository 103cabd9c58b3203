package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func next(t *testing.T, w Watch) Batch {
	t.Helper()
	b, err := w.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFeedGivesUpOnSlowReaders(t *testing.T) {
	m := NewMemory()
	slow, err := m.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	next(t, slow)
	value := make([]byte, MaxUpdate/4)
	for i := range 20 * backlog / len(value) {
		if _, err := m.Update(t.Context(), Put(fmt.Sprint("k/", i%3), value)); err != nil {
			t.Fatal(err)
		}
		if w := slow.(*watch); w.weight > backlog+len(value) || len(w.queue) > backlog/len(value)+1 {
			t.Fatalf("a stuck reader costs %d bytes in %d changes", w.weight, len(w.queue))
		}
	}
	if b := next(t, slow); !b.Snapshot || len(b.Events) != 3 {
		t.Errorf("a reader too far behind gets %d events (snapshot %v), want a snapshot of 3", len(b.Events), b.Snapshot)
	}
	// Many small changes are bounded as well.
	for range 2 * backlog / eventCost {
		if _, err := m.Update(t.Context(), Put("k/0", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if b := next(t, slow); !b.Snapshot {
		t.Errorf("a reader gets %d small changes at once", len(b.Events))
	}
}

// source is a Viewer that is ahead of what was published, as a store is between writing and telling, or fails.
type source struct {
	*Memory
	err error
}

func (s *source) View(ctx context.Context, fn func(Reader) error) error {
	if s.err != nil {
		return s.err
	}
	return s.Memory.View(ctx, fn)
}

func TestFeedDropsWhatTheSnapshotHas(t *testing.T) {
	s := &source{Memory: NewMemory()}
	feed := NewFeed(s)
	w, err := feed.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var events []Event
	for i := range 3 {
		at, err := s.Update(t.Context(), Put("k", []byte{byte(i)}))
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, Event{Entry: Entry{Key: "k", Value: []byte{byte(i)}, Revision: at}})
	}
	feed.Publish(1, events[:1])
	if b := next(t, w); !b.Snapshot || b.Revision != 3 {
		t.Fatalf("the first batch: %+v", b)
	}
	feed.Publish(2, events[1:2])
	feed.Publish(3, events[2:])
	feed.Publish(4, []Event{{Entry: Entry{Key: "k", Revision: 4}, Deleted: true}})
	if b := next(t, w); b.Snapshot || b.Revision != 4 || len(b.Events) != 1 {
		t.Errorf("after a snapshot of revision 3 and changes up to 4: %+v", b)
	}
}

func TestFeedTriesSnapshotAgain(t *testing.T) {
	s := &source{Memory: NewMemory(), err: errors.New("disk")}
	feed := NewFeed(s)
	w, err := feed.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(t.Context()); !errors.Is(err, s.err) {
		t.Fatalf("error %v, want %v", err, s.err)
	}
	if _, err := s.Update(t.Context(), Put("k", nil)); err != nil {
		t.Fatal(err)
	}
	feed.Publish(1, []Event{{Entry: Entry{Key: "k", Revision: 1}}})
	s.err = nil
	if b := next(t, w); !b.Snapshot || b.Revision != 1 {
		t.Errorf("Next after one that failed: %+v", b)
	}
}
