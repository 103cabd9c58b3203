package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// A Writer takes the records of one container. It is for one goroutine.
type Writer interface {
	// Write takes a record. It blocks while the destination is slow and returns ctx's error when ctx ends. After an error the
	// writer is only good for Close.
	Write(ctx context.Context, r Record) error

	// Flush delivers what is due, or with all everything, and returns how many of the records taken have been delivered since
	// the writer was opened: the first so many.
	Flush(ctx context.Context, all bool) (delivered uint64, err error)

	// Close lets go of the destination. It delivers nothing.
	Close() error
}

// Tail takes a container's output to a writer, for as long as the container lives and longer. The fields are set before Run.
type Tail struct {
	Log   runtime.LogTailer                         // required
	Path  string                                    // of the log // required
	Open  func(ctx context.Context) (Writer, error) // called again after an error // required
	Ended <-chan struct{}                           // closed when the container writes no more // required

	// Limit is what the log keeps where a container waits for room in it, else 0: before it waits for a writer that waits for
	// more to come, that is told to deliver everything.
	Limit int64

	// Dropped is told of lines that were dropped because the writer was too slow, or nil.
	Dropped func(lines uint64)

	Logger *slog.Logger // nil discards
}

// How often a log is looked at for more, how long after an error a tail tries again, and how many pieces are written
// between two commits.
const (
	pollFirst  = 10 * time.Millisecond
	pollMost   = 500 * time.Millisecond
	pollAnyway = time.Minute // although nothing was said to have been written
	retryFirst = 100 * time.Millisecond
	retryMost  = 10 * time.Second
	burst      = 512
)

// Run works until the container has ended and everything is delivered, or until ctx ends, whose error it returns then. It
// tries again after every other error. Another Run, also of a later process, goes on where this one has stopped.
func (t *Tail) Run(ctx context.Context) error {
	log := t.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		progress, err := t.run(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, runtime.ErrNotFound) && t.over() { // nothing was ever written
			return nil
		}
		if progress {
			wait = retryFirst
		}
		if !errors.Is(err, runtime.ErrNotFound) {
			log.Warn("output of a container is not delivered, trying again", "log", t.Path, "in", wait, "error", err)
		}
		t.pause(ctx, wait)
	}
}

func (t *Tail) over() bool {
	select {
	case <-t.Ended:
		return true
	default:
		return false
	}
}

func (t *Tail) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// run is one attempt, from the position that was committed last. It reports whether it has committed another.
func (t *Tail) run(ctx context.Context) (progress bool, err error) {
	source, err := t.Log.TailLog(ctx, t.Path)
	if err != nil {
		return false, err
	}
	w, err := t.Open(ctx)
	if err != nil {
		return false, errors.Join(err, source.Close())
	}
	defer func() { err = errors.Join(err, w.Close(), source.Close()) }()
	d := delivery{tail: t, source: source, w: w}
	if err := d.lines.restore(source.Note()); err != nil {
		return false, err
	}
	err = t.loop(ctx, &d)
	return d.committed > 0, err
}

// loop delivers until there is nothing more to come.
func (t *Tail) loop(ctx context.Context, d *delivery) error {
	wait := pollFirst
	var changed <-chan struct{} // asked for before the last look, which found nothing
	for ctx.Err() == nil {
		over := t.over() // asked before reading: what is written before the end is read after it
		n, err := d.some(ctx)
		if err != nil {
			return err
		}
		end := over && n < burst
		if end {
			err = d.finish(ctx)
		} else {
			err = d.flush(ctx, t.Limit > 0 && d.read-d.committed >= t.Limit/2)
		}
		if err != nil || end {
			return err
		}
		if n == burst {
			continue
		}
		if n > 0 {
			wait, changed = pollFirst, nil
		}
		if changed != nil {
			t.idle(ctx, pollAnyway, changed)
			changed = nil
			continue
		}
		t.idle(ctx, wait, nil)
		wait = min(2*wait, pollMost)
		if n == 0 && len(d.marks) == 0 { // nothing comes, and nothing is due
			changed = d.changed()
		}
	}
	return ctx.Err()
}

// idle waits for more to be written.
func (t *Tail) idle(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-t.Ended:
	case <-changed:
	}
}

// delivery is what is under way from a log to a writer.
type delivery struct {
	tail   *Tail
	source runtime.LogTail
	w      Writer

	lines   assembler
	written uint64 // records
	marks   []mark // oldest first
	last    runtime.LogPosition

	read, committed int64 // bytes
}

// changed is closed when there may be more, and nil if the log cannot tell.
func (d *delivery) changed() <-chan struct{} {
	if w, ok := d.source.(runtime.LogWaiter); ok {
		return w.Changed()
	}
	return nil
}

// mark is a position that may be committed when so many records have been delivered.
type mark struct {
	records uint64
	at      runtime.LogPosition
	lines   assembler
	read    int64
}

// some writes what there is, up to a burst of pieces, and returns how many those were.
func (d *delivery) some(ctx context.Context) (int, error) {
	for n := range burst {
		p, err := d.source.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if p.Dropped > 0 && d.tail.Dropped != nil {
			d.tail.Dropped(p.Dropped)
		}
		for _, r := range d.lines.add(p) {
			if err := d.write(ctx, r); err != nil {
				return n, err
			}
		}
		d.read += int64(len(p.Data))
		d.mark(p.Position)
	}
	return burst, nil
}

func (d *delivery) write(ctx context.Context, r Record) error {
	if err := d.w.Write(ctx, r); err != nil {
		return err
	}
	d.written++
	return nil
}

func (d *delivery) mark(at runtime.LogPosition) {
	m := mark{d.written, at, d.lines, d.read}
	if n := len(d.marks); n > 0 && d.marks[n-1].records == d.written {
		d.marks[n-1] = m
	} else {
		d.marks = append(d.marks, m)
	}
	d.last = at
}

// finish delivers everything, with what came last and has no newline.
func (d *delivery) finish(ctx context.Context) error {
	rest := d.lines.rest()
	for _, r := range rest {
		if err := d.write(ctx, r); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		d.mark(d.last)
	}
	return d.flush(ctx, true)
}

// flush delivers, and commits what has been.
func (d *delivery) flush(ctx context.Context, all bool) error {
	delivered, err := d.w.Flush(ctx, all)
	if err != nil {
		return err
	}
	n := 0
	for n < len(d.marks) && d.marks[n].records <= delivered {
		n++
	}
	if n == 0 {
		return nil
	}
	m := d.marks[n-1]
	d.marks = append(d.marks[:0], d.marks[n:]...)
	note, err := m.lines.note()
	if err != nil {
		return err
	}
	if err := d.source.Commit(m.at, note); err != nil {
		return fmt.Errorf("note the position in %s: %w", d.tail.Path, err)
	}
	d.committed = m.read
	return nil
}
