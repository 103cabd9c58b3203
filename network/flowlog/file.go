package flowlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// Sink takes the records of a log. Write does not keep them, and blocks as long as it must; it is not called for one log
// from two places at once.
type Sink interface {
	Write(l Log, records []Record) error
}

// FileConfig says where records are kept. Path is required.
type FileConfig struct {
	Path   string // of the newest file; older ones are Path.1, Path.2, …; its directory must exist
	Format Format // of every line; the zero value is DefaultFormat

	MaxBytes int64 // of one file, at least 4096; 0 is 64 MiB
	MaxFiles int   // how many files there are at most, the newest included; 0 is 8. What an earlier, larger one left stays.
}

// Defaults of FileConfig.
const (
	DefaultMaxBytes = 64 << 20
	DefaultMaxFiles = 8
)

const minBytes = 4096

// File is a sink that appends lines to a file, below a header, and begins another one when that is full: every file
// begins with the header and ends with a whole line, also when the program was killed at any moment but in the last line
// of the newest. What exceeds the number of files is removed, the oldest first. It is safe for concurrent use; one path has
// one File at a time.
type File struct {
	cfg FileConfig

	mu     sync.Mutex
	closed bool
	file   *os.File // nil after an error, until the next Write
	size   int64
}

// OpenFile opens the newest file, or makes it with mode 0600. One with another header than the format's is ErrInvalid, and
// so is a configuration out of range.
func OpenFile(cfg FileConfig) (*File, error) {
	if len(cfg.Format.fields) == 0 {
		cfg.Format = DefaultFormat()
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.MaxFiles == 0 {
		cfg.MaxFiles = DefaultMaxFiles
	}
	if cfg.Path == "" || cfg.MaxBytes < minBytes || cfg.MaxFiles < 1 {
		return nil, fmt.Errorf("%w: flow log %q: MaxBytes %d must be at least %d, and MaxFiles %d at least 1", ErrInvalid, cfg.Path, cfg.MaxBytes, minBytes, cfg.MaxFiles)
	}
	f := &File{cfg: cfg}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) open() error {
	file, err := os.OpenFile(f.cfg.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open flow log: %w", err)
	}
	f.file = file
	if err := f.begin(); err != nil {
		return errors.Join(fmt.Errorf("open flow log %s: %w", f.cfg.Path, err), f.abandon())
	}
	return nil
}

// begin writes the header, or compares it with the one that is there. A last line that was cut short is ended, and a header
// that was is written again.
func (f *File) begin() error {
	header := f.cfg.Format.Header() + "\n"
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	f.size = info.Size()
	line, err := bufio.NewReader(f.file).ReadString('\n')
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case err != nil && strings.HasPrefix(header, line):
		if err := f.file.Truncate(0); err != nil {
			return err
		}
		f.size = 0
		return f.write([]byte(header))
	case line != header:
		return fmt.Errorf("%w: its first line is not %q", ErrInvalid, f.cfg.Format.Header())
	}
	last := make([]byte, 1)
	if _, err := f.file.ReadAt(last, f.size-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		return f.write([]byte("\n"))
	}
	return nil
}

func (f *File) write(data []byte) error {
	n, err := f.file.Write(data)
	f.size += int64(n)
	return err
}

// Write implements [Sink]: the records are there when it returns, those of one file in one write. After an error some of
// them may be.
func (f *File) Write(_ Log, records []Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("write flow log %s: %w", f.cfg.Path, fs.ErrClosed)
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	head := int64(len(f.cfg.Format.Header()) + 1)
	var lines []byte
	for _, r := range records {
		line := append([]byte(f.cfg.Format.Line(r)), '\n')
		if after := f.size + int64(len(lines)); after > head && after+int64(len(line)) > f.cfg.MaxBytes {
			if err := f.put(lines); err != nil {
				return err
			}
			lines = nil
			if err := f.rotate(); err != nil {
				return err
			}
		}
		lines = append(lines, line...)
	}
	return f.put(lines)
}

// put writes lines. A file that cannot be written is opened anew by the next Write, which ends a line that was cut short.
func (f *File) put(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if err := f.write(lines); err != nil {
		return errors.Join(fmt.Errorf("write flow log: %w", err), f.abandon())
	}
	return nil
}

// rotate makes room for a new file and begins it. The newest one is moved last: a crash before that leaves it in its
// place, and one after it no file there, or one without a header.
func (f *File) rotate() error {
	if err := f.abandon(); err != nil {
		return fmt.Errorf("rotate flow log: %w", err)
	}
	name := func(i int) string {
		if i == 0 {
			return f.cfg.Path
		}
		return fmt.Sprintf("%s.%d", f.cfg.Path, i)
	}
	gap := 0 // the first number that no file has, so that a crash between two renames costs no file more
	for gap < f.cfg.MaxFiles-1 {
		if _, err := os.Lstat(name(gap)); errors.Is(err, fs.ErrNotExist) {
			break
		}
		gap++
	}
	if err := os.Remove(name(gap)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rotate flow log: %w", err)
	}
	for i := gap; i > 0; i-- {
		if err := os.Rename(name(i-1), name(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate flow log: %w", err)
		}
	}
	return f.open()
}

// abandon closes the file, if it is open.
func (f *File) abandon() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Close closes the file. Write fails then.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.abandon()
}
