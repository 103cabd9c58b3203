package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// Options say what a writer keeps.
type Options struct {
	Dir      string // made if it is not there // required
	Limit    int64  // as runtime.LogOptions has it
	Blocking bool
}

// A Writer appends to a spool. There is one at a time; what an earlier one wrote stays. It is safe for concurrent use.
type Writer struct {
	dir         string
	limit       int64
	segmentSize int64
	blocking    bool

	once     sync.Once
	finished chan struct{}

	mu     sync.Mutex // guards what follows
	closed []segment  // oldest first
	file   *os.File   // of the segment that is written to; nil before the first write and after one that failed
	active segment
	total  int64  // of all segments
	next   uint64 // number of the next segment
	at     header // what has been written, kept or not
	buf    []byte

	reserved bool // there is a reserve
	drawn    bool // the active segment was the reserve: its end is that of the room
}

type segment struct {
	n    uint64
	size int64
}

// segmentsPerLimit is how finely the oldest output is dropped.
const segmentsPerLimit = 8

// How long a writer waits before it looks again whether the tail, or somebody who fills the disk, has made room.
const (
	roomFirst = 5 * time.Millisecond
	roomMost  = 200 * time.Millisecond
)

// Create opens a spool for writing. It writes nothing yet but the directory, and in blocking mode sets room aside on the
// disk: an error that there is none is the system's.
func Create(o Options) (*Writer, error) {
	if o.Limit == 0 {
		o.Limit = runtime.DefaultLogLimit
	}
	o.Limit = max(o.Limit, runtime.MinLogLimit)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of log: %w", err)
	}
	w := &Writer{
		dir: o.Dir, limit: o.Limit, segmentSize: o.Limit / segmentsPerLimit, blocking: o.Blocking,
		finished: make(chan struct{}), next: 1,
	}
	list, err := segments(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	for _, n := range list {
		info, err := os.Stat(segmentPath(o.Dir, n))
		if err != nil {
			return nil, fmt.Errorf("open log: %w", err)
		}
		w.closed = append(w.closed, segment{n, info.Size()})
		w.total += info.Size()
		w.next = n + 1
	}
	// One without a header was begun by a writer that died at once.
	for i := len(list) - 1; i >= 0 && w.at == (header{}); i-- {
		if w.at, err = measure(segmentPath(o.Dir, list[i])); err != nil {
			return nil, fmt.Errorf("open log: %w", err)
		}
	}
	if o.Blocking {
		if err := w.setAside(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// measure counts what had been written at the end of a segment.
func measure(path string) (header, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return header{}, err
	}
	at, ok := parseHeader(content)
	if !ok {
		return header{}, nil
	}
	for rest := content[headerSize:]; ; {
		piece, n, err := parseFrame(rest)
		if err != nil {
			return at, nil
		}
		at.pieces++
		at.bytes += uint64(len(piece.Data))
		rest = rest[n:]
	}
}

// Write appends what a container wrote to a stream at a time. In blocking mode it waits for room until Finish, and then has
// what was set aside. It fails only for what it had to drop, for want of disk space beyond that or in the mode that does not
// wait.
func (w *Writer) Write(stderr bool, chunk []byte, at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	batch := header{}
	for piece := range pieces(chunk) {
		if full := w.active.size + int64(len(w.buf)+frameSize+len(piece)); w.file == nil || full > w.segmentSize && !w.drawn {
			note(w.flush(batch))
			batch = header{}
			if err := w.roll(); err != nil {
				note(err)
				w.at.add(header{1, uint64(len(piece))})
				continue
			}
		}
		w.buf = appendFrame(w.buf, stderr, at, piece)
		batch.add(header{1, uint64(len(piece))})
	}
	note(w.flush(batch))
	return first
}

func (h *header) add(o header) { h.pieces, h.bytes = h.pieces+o.pieces, h.bytes+o.bytes }

// flush writes what is in buf, all of it or nothing.
func (w *Writer) flush(batch header) error {
	if len(w.buf) == 0 {
		return nil
	}
	defer func() {
		w.buf = w.buf[:0]
		w.at.add(batch)
	}()
	for wait := roomFirst; ; wait = min(2*wait, roomMost) {
		n, err := w.file.Write(w.buf)
		if err == nil {
			w.active.size += int64(n)
			w.total += int64(n)
			return nil
		}
		terr := w.file.Truncate(w.active.size)
		if terr == nil && w.blocking && w.pause(wait) {
			continue
		}
		w.retire() // what comes next goes to a segment that says what is missing
		drawn, derr := w.draw()
		if !drawn {
			return errors.Join(fmt.Errorf("write log, %d bytes are lost: %w", batch.bytes, err), terr, derr)
		}
	}
}

// pause waits, and reports false at once when nothing waits any more.
func (w *Writer) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.finished:
		return false
	}
}

// retire ends the segment that is written to.
func (w *Writer) retire() {
	if w.file == nil {
		return
	}
	if w.drawn {
		_ = w.file.Truncate(w.active.size) // gives back what was not needed; the segment is whole without
		w.drawn = false
	}
	w.file.Close()
	w.file = nil
	w.closed = append(w.closed, w.active)
	w.active = segment{}
}

// roll begins a segment, when there is room for it.
func (w *Writer) roll() error {
	w.retire()
	for wait := roomFirst; ; wait = min(2*wait, roomMost) {
		over := w.over()
		room, err := w.makeRoom()
		if err == nil && (room || over) {
			if err = w.begin(); err == nil {
				return nil
			}
		}
		if err != nil && (over || !w.blocking) {
			if drawn, derr := w.draw(); drawn || derr != nil {
				return derr
			}
			return fmt.Errorf("begin segment of log: %w", err)
		}
		w.pause(wait)
	}
}

// over reports whether the container has ended and nothing waits any more.
func (w *Writer) over() bool {
	select {
	case <-w.finished:
		return true
	default:
		return false
	}
}

// begin makes the next segment's file.
func (w *Writer) begin() error {
	err := w.enter(os.O_APPEND | os.O_CREATE | os.O_EXCL)
	for ; errors.Is(err, fs.ErrExist); err = w.enter(os.O_APPEND | os.O_CREATE | os.O_EXCL) { // of a writer that has not ended yet
		w.next++
	}
	return err
}

// enter opens the file of the next segment as the one that is written to.
func (w *Writer) enter(flags int) error {
	path := segmentPath(w.dir, w.next)
	f, err := os.OpenFile(path, os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(w.at.encode()); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	w.file, w.active = f, segment{w.next, int64(headerSize)}
	w.total += int64(headerSize)
	w.next++
	return nil
}

// makeRoom deletes old segments until another fits, and reports false if that is for the tail to make possible.
func (w *Writer) makeRoom() (bool, error) {
	if w.total+w.segmentSize <= w.limit {
		return true, nil
	}
	free, err := w.free()
	if err != nil {
		return false, err
	}
	for len(w.closed) > 0 && w.total+w.segmentSize > w.limit {
		oldest := w.closed[0]
		if oldest.n >= free {
			return false, nil
		}
		if err := os.Remove(segmentPath(w.dir, oldest.n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		w.closed = w.closed[1:]
		w.total -= oldest.size
	}
	return true, nil
}

// free is the number of the first segment that may not be deleted.
func (w *Writer) free() (uint64, error) {
	if !w.blocking {
		return w.next, nil
	}
	c, err := readCursor(w.dir)
	return c.Segment, err
}

// Finish ends all waiting: what is written from now on, the rest of the output of a container that has ended, is kept
// beyond the limit if need be, and in blocking mode in the room that was set aside where the disk is full.
func (w *Writer) Finish() { w.once.Do(func() { close(w.finished) }) }

// Close ends writing. The spool stays.
func (w *Writer) Close() error {
	w.Finish()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.retire()
	return w.giveBack()
}

// Remove deletes a spool. No error if there is none.
func Remove(dir string) error { return os.RemoveAll(dir) }
