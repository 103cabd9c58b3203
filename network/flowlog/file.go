package flowlog

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync"
)

// Sink takes the records of a log. Write does not keep them, and blocks as long as it must; it is not called for one log
// from two places at once.
type Sink interface {
	Write(l Log, records []Record) error
}

// File is a sink that appends lines to one file, below a header. It is safe for concurrent use.
type File struct {
	format Format

	mu   sync.Mutex
	file *os.File
	err  error // of the last write, which may have left half a line
}

// OpenFile opens or makes a file with mode 0600 for records in a format; the zero value is DefaultFormat. A file with
// another header than the format's is ErrInvalid.
func OpenFile(path string, format Format) (*File, error) {
	if len(format.fields) == 0 {
		format = DefaultFormat()
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open flow log: %w", err)
	}
	f := &File{format: format, file: file}
	if err := f.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("open flow log %s: %w", path, err), file.Close())
	}
	return f, nil
}

// begin writes the header, or compares it with the one that is there. A last line that was cut short is ended.
func (f *File) begin() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		_, err := f.file.WriteString(f.format.Header() + "\n")
		return err
	}
	line, err := bufio.NewReader(f.file).ReadString('\n')
	if line != f.format.Header()+"\n" {
		return fmt.Errorf("%w: its first line is not %q", ErrInvalid, f.format.Header())
	}
	if err != nil {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.file.ReadAt(last, info.Size()-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		_, err = f.file.WriteString("\n")
	}
	return err
}

// Write implements [Sink]: the records are there when it returns, in one write.
func (f *File) Write(_ Log, records []Record) error {
	var lines []byte
	for _, r := range records {
		lines = append(append(lines, f.format.Line(r)...), '\n')
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		lines = append([]byte{'\n'}, lines...)
	}
	_, f.err = f.file.Write(lines)
	if f.err != nil {
		return fmt.Errorf("write flow log: %w", f.err)
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}
