//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/fardel-io/fardel/runtime"
)

// OpenLog implements [runtime.LogReader].
func (d *Driver) OpenLog(_ context.Context, path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("log %s: %w", path, runtime.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// RemoveLog implements [runtime.LogReader].
func (d *Driver) RemoveLog(_ context.Context, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
