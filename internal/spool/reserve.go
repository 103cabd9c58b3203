package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// reserveSize is the room on disk that a writer in blocking mode sets aside for what is written after Finish, when the disk
// is full and nobody can wait any more. A container that has ended leaves at most what two pipes, and the buffers between
// them, hold for each of its streams: some 350 KiB. The rest is for the heads of pieces, enough for lines of 8 bytes.
const reserveSize = 1 << 20

const reserveFile = "reserve"

// setAside makes the reserve. Where the file system cannot promise room there is none.
func (w *Writer) setAside() error {
	path := filepath.Join(w.dir, reserveFile)
	// What is there was an earlier writer's, and may be a second name of a segment.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set room aside for the end of a log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("set room aside for the end of a log: %w", err)
	}
	err = allocate(f, reserveSize)
	w.reserved = err == nil
	if err == nil {
		return f.Close()
	}
	err = errors.Join(f.Close(), os.Remove(path), unlessUnsupported(err))
	if err != nil {
		return fmt.Errorf("set %d bytes aside in %s for the end of a log: %w", reserveSize, w.dir, err)
	}
	return nil
}

func unlessUnsupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// draw makes the reserve the segment that is written to, and reports false if there is none any more.
func (w *Writer) draw() (bool, error) {
	if !w.reserved {
		return false, nil
	}
	w.reserved = false
	reserve := filepath.Join(w.dir, reserveFile)
	err := os.Link(reserve, segmentPath(w.dir, w.next))
	for ; errors.Is(err, fs.ErrExist); err = os.Link(reserve, segmentPath(w.dir, w.next)) { // of a writer that has not ended yet
		w.next++
	}
	if err := errors.Join(err, os.Remove(reserve)); err != nil {
		return false, fmt.Errorf("use the room set aside for the end of a log: %w", err)
	}
	if err := w.enter(os.O_APPEND); err != nil {
		return false, err
	}
	w.drawn = true
	return true, nil
}

// giveBack removes a reserve that was not needed.
func (w *Writer) giveBack() error {
	if !w.reserved {
		return nil
	}
	w.reserved = false
	return os.Remove(filepath.Join(w.dir, reserveFile))
}
