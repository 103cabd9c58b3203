//go:build linux

package containerd

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

// List implements [runtime.Driver].
func (d *Driver) List(context.Context) (runtime.Inventory, error) {
	if err := d.open(); err != nil {
		return runtime.Inventory{}, err
	}
	d.mu.Lock()
	sandboxes := slices.Collect(maps.Values(d.sandboxes))
	containers := slices.Collect(maps.Values(d.containers))
	d.mu.Unlock()
	var inv runtime.Inventory
	for _, s := range sandboxes {
		inv.Sandboxes = append(inv.Sandboxes, runtime.SandboxStatus{ID: s.spec.ID, Labels: maps.Clone(s.spec.Labels)})
	}
	for _, c := range containers {
		if status := c.status(); status.State != "" {
			inv.Containers = append(inv.Containers, status)
		}
	}
	slices.SortFunc(inv.Sandboxes, func(a, b runtime.SandboxStatus) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(inv.Containers, func(a, b runtime.ContainerStatus) int { return strings.Compare(a.ID, b.ID) })
	return inv, nil
}

func (c *container) status() runtime.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == "" {
		return runtime.ContainerStatus{}
	}
	s := runtime.ContainerStatus{
		ID: c.id, SandboxID: c.record.Spec.SandboxID, State: c.state, Restarts: c.restarts,
		StartedAt: c.startedAt, Labels: maps.Clone(c.record.Spec.Labels),
	}
	if c.state == runtime.StateRunning {
		s.PID = c.pid
	}
	if c.exit != nil {
		s.Exit = new(*c.exit)
	}
	return s
}
