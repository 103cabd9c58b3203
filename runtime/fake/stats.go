package fake

import (
	"context"
	"fmt"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// Stats implements [runtime.Stater].
func (d *Driver) Stats(ctx context.Context, id string) (runtime.Stats, error) {
	var stats runtime.Stats
	err := d.do(ctx, "Stats", id, func(m *Machine) error {
		if c := m.containers[id]; c != nil {
			c.addTo(&stats)
			stats.MemoryLimit = uint64(c.spec.Memory.Bytes())
			if s := m.sandboxes[c.spec.SandboxID]; s != nil && stats.MemoryLimit == 0 {
				stats.MemoryLimit = uint64(s.spec.Size.Memory.Bytes())
			}
			return nil
		}
		s := m.sandboxes[id]
		if s == nil {
			return fmt.Errorf("container or sandbox %s: %w", id, runtime.ErrNotFound)
		}
		for _, c := range m.containers {
			if c.spec.SandboxID == id {
				c.addTo(&stats)
			}
		}
		stats.MemoryLimit, stats.PIDsLimit = uint64(s.spec.Size.Memory.Bytes()), uint64(s.spec.PIDs)
		return nil
	})
	if err != nil {
		return runtime.Stats{}, err
	}
	stats.At = now()
	// The machine has one processor and has been up since 1970.
	stats.HostCPU, stats.OnlineCPUs, stats.PerCPU = time.Duration(stats.At.UnixNano()), 1, []time.Duration{stats.CPU}
	stats.MemoryDetails = map[string]uint64{"cache": 0, "rss": stats.Memory, "inactive_file": 0}
	return stats, nil
}

// addTo adds what the container has used. The caller holds the machine's lock.
func (c *container) addTo(s *runtime.Stats) {
	s.CPU += c.cpu
	s.CPUUser += c.cpu
	s.CPUPeriods += uint64(c.elapsed / quotaPeriod)
	if c.waited > 0 {
		s.CPUThrottled += uint64(c.elapsed / quotaPeriod)
	}
	s.CPUThrottledTime += c.waited
	s.Memory += uint64(c.memory)
	s.MemoryWorkingSet += uint64(c.memory)
	s.MemoryPeak += uint64(c.peak)
	s.OOMKills += c.oomKills
	if c.state == runtime.StateRunning {
		s.PIDs += 1 + uint64(len(c.executed))
	}
}
