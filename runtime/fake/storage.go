package fake

import (
	"context"
	"fmt"

	"github.com/fardel-io/fardel/runtime"
)

// Snapshotter is what containers are said to have their root file systems from. They have none.
const Snapshotter = "fake"

// Storage implements [runtime.StorageReporter]. Nothing is ever written to a disk here, so all of it is free.
func (d *Driver) Storage(ctx context.Context, sandboxID string) (runtime.Storage, error) {
	var out runtime.Storage
	err := d.do(ctx, "Storage", sandboxID, func(m *Machine) error {
		s := m.sandboxes[sandboxID]
		if s == nil {
			return fmt.Errorf("sandbox %s: %w", sandboxID, runtime.ErrNotFound)
		}
		size := uint64(s.spec.Storage.Bytes())
		out = runtime.Storage{Size: size, Free: size, Snapshotters: map[string]string{}}
		for id, c := range m.containers {
			if c.spec.SandboxID == sandboxID {
				out.Snapshotters[id] = Snapshotter
			}
		}
		return nil
	})
	return out, err
}
