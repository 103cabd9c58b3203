//go:build linux

package containerd

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/runtime"
)

var _ runtime.StorageReporter = (*Driver)(nil)

// Storage implements [runtime.StorageReporter]. What the layers and volumes of a sandbox without a disk take is not told:
// only reading every directory of them would say, for as long as whoever made them pleases.
func (d *Driver) Storage(_ context.Context, sandboxID string) (runtime.Storage, error) {
	if err := d.open(); err != nil {
		return runtime.Storage{}, err
	}
	d.mu.Lock()
	s := d.sandboxes[sandboxID]
	d.mu.Unlock()
	if s == nil {
		return runtime.Storage{}, fmt.Errorf("sandbox %s: %w", sandboxID, runtime.ErrNotFound)
	}
	out := runtime.Storage{Size: uint64(s.spec.Storage.Bytes()), Snapshotters: d.snapshotters(sandboxID)}
	if out.Size == 0 {
		return out, nil
	}
	var fs unix.Statfs_t
	// Held against the removal of the disk, below which there is the host's file system.
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.removed {
		return runtime.Storage{}, fmt.Errorf("sandbox %s: %w", sandboxID, runtime.ErrNotFound)
	}
	if err := unix.Statfs(d.diskDir(sandboxID), &fs); err != nil {
		return runtime.Storage{}, fmt.Errorf("measure disk of sandbox %s: %w", sandboxID, err)
	}
	out.Free = min(fs.Bavail*uint64(fs.Bsize), out.Size)
	return out, nil
}

func (d *Driver) snapshotters(sandboxID string) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := map[string]string{}
	for id, c := range d.containers {
		if c.current() != "" && c.record.Spec.SandboxID == sandboxID {
			names[id] = c.record.Snapshotter
		}
	}
	return names
}
