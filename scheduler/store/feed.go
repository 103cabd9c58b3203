package store

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// backlog is how many bytes of changes a watch keeps for its reader before it gives them up for a new snapshot. Keys and
// values count, and a fixed sum for each event. It is the worst case of memory that one stuck reader costs.
const (
	backlog   = 4 << 20
	eventCost = 128
)

// Feed hands a store's changes to its watches. It is for implementations of [Store]; users call the store's Watch.
//
// A watch takes its snapshot from the store when its reader asks for it, and drops the published changes that the
// snapshot has already. So a store owes the feed two things: a change is visible in View before it is published, and
// changes are published in the order of their revisions.
type Feed struct {
	source Viewer

	mu      sync.Mutex
	watches map[*watch]struct{}
	err     error // why no watch goes on
}

// NewFeed returns a feed for a store, whose View gives the snapshots.
func NewFeed(source Viewer) *Feed {
	return &Feed{source: source, watches: map[*watch]struct{}{}}
}

// Watch returns a new watch of the keys with a prefix.
func (f *Feed) Watch(ctx context.Context, prefix string) (Watch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	w := &watch{feed: f, prefix: prefix, stale: true, wake: make(chan struct{}, 1), done: make(chan struct{})}
	f.watches[w] = struct{}{}
	return w, nil
}

// Publish gives the events of one revision to the watches that they concern. It does not block on readers. The events
// are the feed's from here on and must not change.
func (f *Feed) Publish(revision Revision, events []Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watches {
		w.add(revision, events)
	}
}

// Close ends all watches with an error and lets no new one begin.
func (f *Feed) Close(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return
	}
	f.err = err
	for w := range f.watches {
		w.end(err)
	}
	clear(f.watches)
}

func (f *Feed) forget(w *watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watches, w)
}

// watch is the feed's Watch.
type watch struct {
	feed   *Feed
	prefix string
	wake   chan struct{} // has an element when there is something for Next
	done   chan struct{} // closed with err set

	mu     sync.Mutex
	seen   Revision // the reader has everything up to here
	stale  bool     // the next batch must be a snapshot
	queue  []Event  // shared with other watches: copied for the reader
	upto   Revision // of the last event in queue
	weight int      // of queue
	err    error    // why the watch ended
}

// add queues the events that the watch is about, or gives the queue up when the reader is too far behind.
func (w *watch) add(revision Revision, events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stale || revision <= w.seen {
		return
	}
	for _, e := range events {
		if strings.HasPrefix(e.Key, w.prefix) {
			w.queue = append(w.queue, e)
			w.weight += eventCost + len(e.Key) + len(e.Value)
			w.upto = revision
		}
	}
	if w.weight > backlog {
		w.stale = true
		w.drop()
	}
	if w.stale || len(w.queue) > 0 {
		w.signal()
	}
}

func (w *watch) drop() { w.queue, w.weight = nil, 0 }

func (w *watch) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = err
	w.drop()
	close(w.done)
}

// Next implements [Watch].
func (w *watch) Next(ctx context.Context) (Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Batch{}, err
		}
		batch, stale, err := w.take()
		switch {
		case err != nil:
			return Batch{}, err
		case stale:
			return w.snapshot(ctx)
		case len(batch.Events) > 0:
			for i := range batch.Events {
				batch.Events[i].Value = slices.Clone(batch.Events[i].Value)
			}
			return batch, nil
		}
		select {
		case <-w.wake:
		case <-w.done:
		case <-ctx.Done():
		}
	}
}

// take empties the queue; the values are still shared. It begins to queue again when the reader needs a snapshot, before the snapshot is taken, so
// that nothing falls between the two.
func (w *watch) take() (batch Batch, stale bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return Batch{}, false, w.err
	}
	if w.stale {
		w.stale = false
		return Batch{}, true, nil
	}
	if len(w.queue) == 0 {
		return Batch{}, false, nil
	}
	batch = Batch{Revision: w.upto, Events: w.queue}
	w.seen = w.upto
	w.drop()
	return batch, false, nil
}

func (w *watch) snapshot(ctx context.Context) (Batch, error) {
	batch := Batch{Snapshot: true}
	err := w.feed.source.View(ctx, func(r Reader) error {
		entries, err := r.List(ctx, w.prefix, "", 0)
		if err != nil {
			return err
		}
		batch.Revision = r.Revision()
		batch.Events = make([]Event, len(entries))
		for i, e := range entries {
			batch.Events[i].Entry = e
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return Batch{}, w.err
	case err != nil:
		w.stale = true
		w.drop()
		return Batch{}, err
	}
	w.seen = batch.Revision
	w.discard(batch.Revision)
	return batch, nil
}

// discard drops what the reader has from a snapshot already.
func (w *watch) discard(upto Revision) {
	n := 0
	for n < len(w.queue) && w.queue[n].Revision <= upto {
		w.weight -= eventCost + len(w.queue[n].Key) + len(w.queue[n].Value)
		n++
	}
	w.queue = w.queue[n:]
}

// Close implements [Watch].
func (w *watch) Close() error {
	w.feed.forget(w)
	w.end(ErrClosed)
	return nil
}
