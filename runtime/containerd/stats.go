//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/fardel-io/fardel/internal/cgroup"
	"github.com/fardel-io/fardel/runtime"
)

// Stats implements [runtime.Stater].
func (d *Driver) Stats(_ context.Context, id string) (runtime.Stats, error) {
	d.mu.Lock()
	s := d.sandboxes[id]
	d.mu.Unlock()
	name := id
	if s == nil {
		c, err := d.container(id)
		if err != nil {
			return runtime.Stats{}, err
		}
		name = filepath.Join(c.record.Spec.SandboxID, id)
	}
	stats, err := d.cgroups.Stats(name)
	if errors.Is(err, cgroup.ErrNoGroup) {
		return runtime.Stats{}, fmt.Errorf("%s has ended: %w", id, runtime.ErrNotRunning)
	}
	return stats, err
}
