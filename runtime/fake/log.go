package fake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// log is what containers with one Log path have written, as far as their LogOptions keep it.
type log struct {
	mu        sync.Mutex
	pieces    []runtime.LogPiece // position is not set
	first     uint64             // number of pieces[0]
	size      int64
	committed uint64 // number of the first piece that the tail has not taken
	note      []byte
	room      chan struct{} // closed and replaced at every commit
}

// maxPiece is where lines are cut, as Docker does.
const maxPiece = 16 << 10

// logStream is one stream of a container on its way to the log.
type logStream struct {
	log     *log
	process *Process
	stderr  bool
}

// Write implements io.Writer. In blocking mode it waits for room, or for the end of the process.
func (s logStream) Write(b []byte) (int, error) {
	written := 0
	for len(b) > written {
		line, _, found := bytes.Cut(b[written:], []byte("\n"))
		n := len(line)
		if found {
			n++
		}
		n = min(n, maxPiece)
		piece := runtime.LogPiece{At: time.Now(), Stderr: s.stderr, Data: bytes.Clone(b[written : written+n])}
		for {
			wait := s.log.add(piece, s.process.Container.LogOptions)
			if wait == nil {
				break
			}
			select {
			case <-wait:
			case <-s.process.ended:
				return written, io.ErrClosedPipe
			}
		}
		written += n
	}
	return written, nil
}

// add appends a piece, or returns a channel that is closed when that is worth another attempt.
func (l *log) add(p runtime.LogPiece, o runtime.LogOptions) (wait <-chan struct{}) {
	limit := o.Limit
	if limit == 0 {
		limit = runtime.DefaultLogLimit
	}
	limit = max(limit, runtime.MinLogLimit)
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pieces) > 0 && l.size+int64(len(p.Data)) > limit {
		if o.Blocking && l.first >= l.committed {
			return l.room
		}
		l.size -= int64(len(l.pieces[0].Data))
		l.pieces = l.pieces[1:]
		l.first++
	}
	l.pieces = append(l.pieces, p)
	l.size += int64(len(p.Data))
	return nil
}

// String is what is kept of both streams.
func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, p := range l.pieces {
		b.Write(p.Data)
	}
	return b.String()
}

// logReader reads a log; a tail is one that began at the last commit.
type logReader struct {
	log *log

	mu   sync.Mutex
	next uint64
	rest []byte // of a piece that Read has returned in part
}

// Next implements [runtime.LogTail].
func (r *logReader) Next() (runtime.LogPiece, error) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	var dropped uint64
	if r.next < r.log.first {
		dropped = r.log.first - r.next
		r.next = r.log.first
	}
	if r.next >= r.log.first+uint64(len(r.log.pieces)) {
		return runtime.LogPiece{}, io.EOF
	}
	p := r.log.pieces[r.next-r.log.first]
	r.next++
	p.Dropped, p.Position = dropped, runtime.LogPosition{Piece: r.next}
	return p, nil
}

// Commit implements [runtime.LogTail].
func (r *logReader) Commit(at runtime.LogPosition, note []byte) error {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.log.committed, r.log.note = at.Piece, bytes.Clone(note)
	close(r.log.room)
	r.log.room = make(chan struct{})
	return nil
}

// Note implements [runtime.LogTail].
func (r *logReader) Note() []byte {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return r.log.note
}

// Read implements io.Reader.
func (r *logReader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := 0
	for total < len(b) {
		if len(r.rest) == 0 {
			p, err := r.Next()
			if err != nil && total > 0 {
				return total, nil
			}
			if err != nil {
				return 0, err
			}
			r.rest = p.Data
		}
		n := copy(b[total:], r.rest)
		total, r.rest = total+n, r.rest[n:]
	}
	return total, nil
}

func (r *logReader) Close() error { return nil }

// OpenLog implements [runtime.LogReader].
func (d *Driver) OpenLog(ctx context.Context, path string) (io.ReadCloser, error) {
	r, err := d.openLog(ctx, "OpenLog", path)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// TailLog implements [runtime.LogTailer].
func (d *Driver) TailLog(ctx context.Context, path string) (runtime.LogTail, error) {
	r, err := d.openLog(ctx, "TailLog", path)
	if err != nil {
		return nil, err
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.next = r.log.committed
	return r, nil
}

func (d *Driver) openLog(ctx context.Context, method, path string) (*logReader, error) {
	var r *logReader
	err := d.do(ctx, method, path, func(m *Machine) error {
		l := m.logs[path]
		if l == nil {
			return fmt.Errorf("log %s: %w", path, runtime.ErrNotFound)
		}
		r = &logReader{log: l}
		return nil
	})
	return r, err
}

// RemoveLog implements [runtime.LogReader].
func (d *Driver) RemoveLog(ctx context.Context, path string) error {
	return d.do(ctx, "RemoveLog", path, func(m *Machine) error {
		delete(m.logs, path)
		return nil
	})
}
