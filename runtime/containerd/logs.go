//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/fardel-io/fardel/internal/spool"
	"github.com/fardel-io/fardel/runtime"
)

var (
	_ runtime.LogReader = (*Driver)(nil)
	_ runtime.LogTailer = (*Driver)(nil)
)

// OpenLog implements [runtime.LogReader].
func (d *Driver) OpenLog(_ context.Context, path string) (io.ReadCloser, error) {
	r, err := spool.Open(path)
	if err != nil {
		return nil, logError(path, err)
	}
	return r, nil
}

// TailLog implements [runtime.LogTailer].
func (d *Driver) TailLog(_ context.Context, path string) (runtime.LogTail, error) {
	r, err := spool.Tail(path)
	if err != nil {
		return nil, logError(path, err)
	}
	return &logTail{Reader: r, d: d, dir: path}, nil
}

func logError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("log %s: %w", path, runtime.ErrNotFound)
	}
	return err
}

// RemoveLog implements [runtime.LogReader].
func (d *Driver) RemoveLog(_ context.Context, path string) error { return spool.Remove(path) }
