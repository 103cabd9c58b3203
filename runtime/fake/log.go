package fake

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/fardel-io/fardel/runtime"
)

// log is a file in memory.
type log struct {
	mu      sync.Mutex
	content []byte
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.content = append(l.content, b...)
	return len(b), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.content)
}

// logReader reads a log from its start to its present end.
type logReader struct {
	log *log

	mu     sync.Mutex
	offset int
}

func (r *logReader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	n := copy(b, r.log.content[r.offset:])
	r.offset += n
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *logReader) Close() error { return nil }

// OpenLog implements [runtime.LogReader].
func (d *Driver) OpenLog(ctx context.Context, path string) (io.ReadCloser, error) {
	var reader io.ReadCloser
	err := d.do(ctx, "OpenLog", path, func(m *Machine) error {
		l := m.logs[path]
		if l == nil {
			return fmt.Errorf("log %s: %w", path, runtime.ErrNotFound)
		}
		reader = &logReader{log: l}
		return nil
	})
	return reader, err
}

// RemoveLog implements [runtime.LogReader].
func (d *Driver) RemoveLog(ctx context.Context, path string) error {
	return d.do(ctx, "RemoveLog", path, func(m *Machine) error {
		delete(m.logs, path)
		return nil
	})
}
