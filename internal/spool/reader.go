package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/fardel-io/fardel/runtime"
)

// A Reader reads a spool. It is not for concurrent use; any number of readers may be at one spool, one of them a tail.
type Reader struct {
	dir  string
	note []byte

	file    *os.File // of the segment at, nil when it has to be opened
	at      runtime.LogPosition
	dropped uint64 // not told yet
	buf     []byte // read, from at on
	start   int    // of what was not returned yet in buf
	rest    []byte // of a piece that Read has returned in part
}

var _ runtime.LogTail = (*Reader)(nil)

// Open opens a spool at its oldest output, to be read with Read or Next.
func Open(dir string) (*Reader, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	return &Reader{dir: dir}, nil
}

// Tail opens a spool where the last Commit was.
func Tail(dir string) (*Reader, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	c, err := readCursor(dir)
	if err != nil {
		return nil, err
	}
	return &Reader{dir: dir, at: c.LogPosition, note: c.Note}, nil
}

// Next implements [runtime.LogTail].
func (r *Reader) Next() (runtime.LogPiece, error) {
	for {
		if r.file == nil {
			if err := r.open(); err != nil {
				return runtime.LogPiece{}, err
			}
		}
		if piece, ok := r.take(); ok {
			return piece, nil
		}
		n, err := r.fill()
		if err != nil {
			return runtime.LogPiece{}, err
		}
		if n > 0 {
			continue
		}
		more, err := r.after(r.at.Segment)
		if err != nil {
			return runtime.LogPiece{}, err
		}
		if more == 0 {
			return runtime.LogPiece{}, io.EOF
		}
		// The writer has left this segment, perhaps after it was read to its end.
		if n, err = r.fill(); err != nil {
			return runtime.LogPiece{}, err
		}
		if n == 0 {
			r.leave(more)
		}
	}
}

// take returns the next whole piece that has been read.
func (r *Reader) take() (runtime.LogPiece, bool) {
	piece, n, err := parseFrame(r.buf[r.start:])
	if err != nil {
		return piece, false
	}
	r.start += n
	r.at.Offset += int64(n)
	r.at.Piece++
	piece.Position, piece.Dropped = r.at, r.dropped
	r.dropped = 0
	return piece, true
}

// readSize is what is read at a time; it holds any piece.
const readSize = 64 << 10

// fill reads what comes at the position, at most until the buffer is full, and returns how much of it is new.
func (r *Reader) fill() (int, error) {
	have := len(r.buf) - r.start
	switch {
	case cap(r.buf) == 0:
		r.buf = make([]byte, 0, 4<<10)
	case have >= frameSize+MaxPiece: // no piece, but plenty of bytes
		return 0, nil
	case have > cap(r.buf)/2 && cap(r.buf) < readSize:
		r.buf = make([]byte, 0, min(4*cap(r.buf), readSize))
	}
	n, err := r.file.ReadAt(r.buf[:cap(r.buf)], r.at.Offset)
	r.buf, r.start = r.buf[:n], 0
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read log: %w", err)
	}
	return n - have, nil
}

// open opens the segment at the position, or the oldest after it.
func (r *Reader) open() error {
	n := r.at.Segment
	if n == 0 {
		n = 1
	}
	for {
		f, err := os.Open(segmentPath(r.dir, n))
		if err == nil {
			if ok, err := r.enter(f, n); ok || err != nil {
				return err
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read log: %w", err)
		}
		next, err := r.after(n)
		if err != nil {
			return err
		}
		if next == 0 {
			return io.EOF
		}
		n = next
	}
}

// enter makes a file the one to read, unless it has no header.
func (r *Reader) enter(f *os.File, n uint64) (bool, error) {
	var b [headerSize]byte
	length, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, errors.Join(fmt.Errorf("read log: %w", err), f.Close())
	}
	h, ok := parseHeader(b[:length])
	if !ok {
		return false, f.Close()
	}
	r.file, r.buf, r.start = f, r.buf[:0], 0
	if n == r.at.Segment && r.at.Offset >= int64(headerSize) {
		return true, nil
	}
	if h.pieces > r.at.Piece {
		r.dropped += h.pieces - r.at.Piece
	}
	r.at = runtime.LogPosition{Segment: n, Offset: int64(headerSize), Piece: h.pieces}
	return true, nil
}

// leave ends the reading of a segment; the next is opened at n.
func (r *Reader) leave(n uint64) {
	r.file.Close()
	r.file = nil
	r.at = runtime.LogPosition{Segment: n, Piece: r.at.Piece}
}

// after returns the first segment after n, 0 if there is none. The next number is nearly always the one.
func (r *Reader) after(n uint64) (uint64, error) {
	if _, err := os.Stat(segmentPath(r.dir, n+1)); err == nil {
		return n + 1, nil
	}
	list, err := segments(r.dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) { // removed under the reader
			return 0, nil
		}
		return 0, fmt.Errorf("read log: %w", err)
	}
	for _, m := range list {
		if m > n {
			return m, nil
		}
	}
	return 0, nil
}

// Commit implements [runtime.LogTail].
func (r *Reader) Commit(at runtime.LogPosition, note []byte) error {
	if len(note) > maxNoteSize {
		return fmt.Errorf("note of %d bytes, at most %d are kept: %w", len(note), maxNoteSize, runtime.ErrInvalid)
	}
	if err := (cursor{at, note}).write(r.dir); err != nil {
		return err
	}
	r.note = bytes.Clone(note)
	return nil
}

// Note implements [runtime.LogTail].
func (r *Reader) Note() []byte { return r.note }

// Read returns what was written to both streams, as it came, and io.EOF at the present end.
func (r *Reader) Read(b []byte) (int, error) {
	total := 0
	for total < len(b) {
		if len(r.rest) == 0 {
			piece, err := r.Next()
			if err != nil && total > 0 && errors.Is(err, io.EOF) {
				return total, nil
			}
			if err != nil {
				return total, err
			}
			r.rest = piece.Data
		}
		n := copy(b[total:], r.rest)
		total, r.rest = total+n, r.rest[n:]
	}
	return total, nil
}

// Close lets go of the spool.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
