//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/internal/cgroup"
	"github.com/fardel-io/fardel/runtime"
)

// Stats implements [runtime.Stater].
func (d *Driver) Stats(_ context.Context, id string) (runtime.Stats, error) {
	d.mu.Lock()
	s := d.sandboxes[id]
	d.mu.Unlock()
	name, inside := id, d.networked(d.containersOf(id))
	if s == nil {
		c, err := d.container(id)
		if err != nil {
			return runtime.Stats{}, err
		}
		name, inside = filepath.Join(c.record.Spec.SandboxID, id), []string{id}
	}
	stats, err := d.cgroups.Stats(name)
	if errors.Is(err, cgroup.ErrNoGroup) {
		return runtime.Stats{}, fmt.Errorf("%s has ended: %w", id, runtime.ErrNotRunning)
	}
	if err != nil {
		return runtime.Stats{}, err
	}
	stats.Networks = d.counters(inside)
	return stats, nil
}

// networked are those of the containers that are in their sandbox's network.
func (d *Driver) networked(ids []string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(ids, func(id string) bool {
		c := d.containers[id]
		return c == nil || c.current() == "" || c.record.Spec.NoNetwork
	})
}

// counters are those of the network namespace that containers share, as one that runs sees it; nil if none runs.
func (d *Driver) counters(ids []string) map[string]runtime.NetworkCounters {
	for _, id := range ids {
		pid := d.runningPID(id)
		if pid == 0 {
			continue
		}
		// A process that ends meanwhile leaves no such file, or a number that another process has is not of our cgroups: the
		// state is looked at again after the file was read.
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
		if err == nil && d.runningPID(id) == pid {
			return parseCounters(string(text))
		}
	}
	return nil
}

// runningPID is the first process of a container that runs, else 0.
func (d *Driver) runningPID(id string) int {
	d.mu.Lock()
	c := d.containers[id]
	d.mu.Unlock()
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != runtime.StateRunning {
		return 0
	}
	return c.pid
}

// parseCounters reads a table of interfaces as in /proc/net/dev: after two lines of headings "eth0: " and 8 numbers of what
// came in (bytes, packets, errors, dropped, …), then 8 of what went out.
func parseCounters(table string) map[string]runtime.NetworkCounters {
	m := map[string]runtime.NetworkCounters{}
	for line := range strings.Lines(table) {
		name, numbers, ok := strings.Cut(line, ":")
		f := strings.Fields(numbers)
		if name = strings.TrimSpace(name); !ok || len(f) < 12 || name == "lo" {
			continue
		}
		var n [12]uint64
		for i := range n {
			n[i], _ = strconv.ParseUint(f[i], 10, 64)
		}
		m[name] = runtime.NetworkCounters{
			ReceivedBytes: n[0], ReceivedPackets: n[1], ReceivedErrors: n[2], ReceivedDropped: n[3],
			SentBytes: n[8], SentPackets: n[9], SentErrors: n[10], SentDropped: n[11],
		}
	}
	return m
}
