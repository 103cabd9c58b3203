package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// FileConfig says where a trail is kept. Path is required.
type FileConfig struct {
	Path string // of the newest file; older ones are Path.1, Path.2, …; its directory must exist

	MaxBytes int64 // of one file, at least 4096; 0 is 64 MiB
	MaxFiles int   // how many files there are at most, the newest included; 0 is 8
	Queue    int   // how many records may wait to be written; 0 is 4096

	Logger *slog.Logger // is told when records are lost, and when they are no more; nil discards
}

// Defaults of FileConfig.
const (
	DefaultMaxBytes = 64 << 20
	DefaultMaxFiles = 8
	DefaultQueue    = 4096
)

const minBytes = 4096

// ErrClosed is what Err returns of a file that was closed.
var ErrClosed = errors.New("audit: the trail is closed")

// File is a sink that writes JSON lines. Record never waits for the disk. A record that finds the queue full, or that
// cannot be written, is dropped and counted, and the next one that can be written is preceded by one that tells how many:
// its eventName is RecordsDropped. What was written is in the hands of the operating system and survives the end of the
// process; it is on the disk after Close and each rotation.
//
// One trail has one File at a time.
type File struct {
	cfg     FileConfig
	queue   chan Record
	done    chan struct{} // closed when everything is written
	dropped atomic.Uint64

	mu     sync.RWMutex // held for reading while a record is put into the queue; guards what follows
	closed bool
	err    error // why the last record could not be written

	// The writer's own.
	file    *os.File
	out     *bufio.Writer
	size    int64
	pending uint64 // records in the buffer
	told    uint64 // of dropped, what the trail says
	failed  bool
}

// OpenFile opens a trail, continues its newest file, and writes until Close.
func OpenFile(cfg FileConfig) (*File, error) {
	if cfg.Path == "" {
		return nil, errors.New("audit: FileConfig.Path is required")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.MaxFiles == 0 {
		cfg.MaxFiles = DefaultMaxFiles
	}
	if cfg.Queue == 0 {
		cfg.Queue = DefaultQueue
	}
	if cfg.MaxBytes < minBytes || cfg.MaxFiles < 1 || cfg.Queue < 1 {
		return nil, fmt.Errorf("audit: FileConfig.MaxBytes %d must be at least %d, MaxFiles %d and Queue %d at least 1",
			cfg.MaxBytes, minBytes, cfg.MaxFiles, cfg.Queue)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &File{cfg: cfg, queue: make(chan Record, cfg.Queue), done: make(chan struct{})}
	if err := f.open(); err != nil {
		return nil, err
	}
	f.writeInBackground()
	return f, nil
}

// Record implements [Sink].
func (f *File) Record(r Record) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		f.dropped.Add(1)
		return
	}
	select {
	case f.queue <- r:
	default:
		f.dropped.Add(1)
	}
}

// Dropped is how many records were lost since OpenFile.
func (f *File) Dropped() uint64 { return f.dropped.Load() }

// Err is why records cannot be written at present, nil when they can.
func (f *File) Err() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.err
}

// Close writes what waits, to the disk, and waits until it is there. Records that come later are dropped.
func (f *File) Close() error {
	f.mu.Lock()
	first := !f.closed
	if first {
		f.closed = true
		close(f.queue)
	}
	f.mu.Unlock()
	<-f.done
	if !first {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.err
	f.err = ErrClosed
	return err
}

// write writes records until the queue is closed.
func (f *File) write() {
	defer close(f.done)
	for r := range f.queue {
		f.note(f.append(r))
		if len(f.queue) == 0 {
			f.note(f.flush())
		}
	}
	f.note(f.tellDropped(time.Now()))
	f.note(f.end())
}

// note keeps an error, and tells the log when things change.
func (f *File) note(err error) {
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	switch {
	case err != nil && !f.failed:
		f.cfg.Logger.Error("audit records are being lost", "path", f.cfg.Path, "error", err)
	case err == nil && f.failed:
		f.cfg.Logger.Info("audit records are written again", "path", f.cfg.Path, "dropped", f.Dropped())
	}
	f.failed = err != nil
}

// append writes one record, and before it one for those that were lost.
func (f *File) append(r Record) error {
	err := f.tellDropped(r.EventTime)
	if err == nil {
		err = f.line(r)
	}
	if err != nil {
		f.dropped.Add(1)
		f.abandon()
		return err
	}
	f.pending++
	return nil
}

func (f *File) tellDropped(now time.Time) error {
	lost := f.dropped.Load() - f.told
	if lost == 0 {
		return nil
	}
	err := f.line(Record{
		EventVersion: eventVersion, UserIdentity: UserIdentity{Type: "Unknown"}, EventTime: now, EventSource: "audit", EventName: "RecordsDropped",
		SourceIPAddress: "AWS Internal", AdditionalEventData: Decision{Dropped: lost}, EventID: newID(), EventType: "AwsServiceEvent",
		ManagementEvent: true, EventCategory: "Management",
	})
	if err == nil {
		err = f.out.Flush()
	}
	if err == nil {
		f.told, f.pending = f.told+lost, 0
	}
	return err
}

// line writes a record as a line, to a new file when the old one is full.
func (f *File) line(r Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("audit: encode a record: %w", err)
	}
	data = append(data, '\n')
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.size > 0 && f.size+int64(len(data)) > f.cfg.MaxBytes {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	f.size += int64(len(data))
	_, err = f.out.Write(data)
	return err
}

// open opens the newest file at its end. A line that a crash left half written is ended there.
func (f *File) open() error {
	file, err := os.OpenFile(f.cfg.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("audit: %w", err), file.Close())
	}
	f.file, f.out, f.size = file, bufio.NewWriterSize(file, 64<<10), info.Size()
	if f.size == 0 {
		return nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], f.size-1); err != nil {
		return errors.Join(fmt.Errorf("audit: %w", err), f.end())
	}
	if last[0] != '\n' {
		f.size++
		return f.out.WriteByte('\n')
	}
	return nil
}

// rotate makes room for a new file.
func (f *File) rotate() error {
	if err := f.end(); err != nil {
		return err
	}
	name := func(i int) string {
		if i == 0 {
			return f.cfg.Path
		}
		return fmt.Sprintf("%s.%d", f.cfg.Path, i)
	}
	if err := os.Remove(name(f.cfg.MaxFiles - 1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("audit: %w", err)
	}
	for i := f.cfg.MaxFiles - 1; i > 0; i-- {
		if err := os.Rename(name(i-1), name(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("audit: %w", err)
		}
	}
	return f.open()
}

func (f *File) flush() error {
	if f.out == nil {
		return f.err
	}
	if err := f.out.Flush(); err != nil {
		f.abandon()
		return fmt.Errorf("audit: %w", err)
	}
	f.pending = 0
	return nil
}

// end writes everything to the disk and closes the file.
func (f *File) end() error {
	if f.file == nil {
		return nil
	}
	err := errors.Join(f.out.Flush(), f.file.Sync(), f.file.Close())
	f.file, f.out = nil, nil
	if err != nil {
		f.abandon()
		return fmt.Errorf("audit: %w", err)
	}
	f.pending = 0
	return nil
}

// abandon gives up a file that could not be written: the next record opens it anew. What was in the buffer counts as
// lost, though some of it may have got through.
func (f *File) abandon() {
	f.dropped.Add(f.pending)
	f.pending = 0
	if f.file != nil {
		_ = f.file.Close() // it failed already
		f.file, f.out = nil, nil
	}
}
