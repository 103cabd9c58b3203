package engine

import (
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task/metadata"
)

// samples are the last measurements of a container that somebody asked for. Nothing is measured for nobody: hundreds of
// idle tasks cost nothing.
type samples struct {
	mu     sync.Mutex // guards what follows
	last   metadata.Sample
	before metadata.Sample // at least sampleGap older than last
}

// sampleGap is how far apart two samples are that a rate is told from. Docker takes one a second.
const sampleGap = time.Second

// add takes the newest sample and returns it with one that is at least sampleGap older. Until there is one, that is what
// a sample at the container's start would have shown: nothing used.
func (s *samples) add(now metadata.Sample, startedAt time.Time) metadata.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.last.At.Before(startedAt): // the first, or the first since a restart
		s.before, s.last = startSample(now, startedAt), now
	case now.At.Sub(s.last.At) >= sampleGap:
		s.before, s.last = s.last, now
	}
	return metadata.Stats{Current: now, Previous: s.before}
}

// startSample is what a container had used when it started. The processors of the host spend as much time as passes.
func startSample(now metadata.Sample, startedAt time.Time) metadata.Sample {
	if startedAt.IsZero() || now.HostCPU == 0 || !startedAt.Before(now.At) {
		return metadata.Sample{}
	}
	s := metadata.Sample{
		At: startedAt, PerCPU: make([]time.Duration, len(now.PerCPU)), OnlineCPUs: now.OnlineCPUs,
		HostCPU: now.HostCPU - min(now.HostCPU, time.Duration(now.OnlineCPUs)*now.At.Sub(startedAt)),
	}
	for name := range now.Networks {
		if s.Networks == nil {
			s.Networks = map[string]metadata.NetworkCounters{}
		}
		s.Networks[name] = metadata.NetworkCounters{}
	}
	return s
}

// sample is a driver's measurement in the words of the endpoint.
func sample(s runtime.Stats) metadata.Sample {
	out := metadata.Sample{
		At:  s.At,
		CPU: s.CPU, CPUUser: s.CPUUser, CPUSystem: s.CPUSystem,
		PerCPU: s.PerCPU, HostCPU: s.HostCPU, OnlineCPUs: s.OnlineCPUs,
		CPUPeriods: s.CPUPeriods, CPUThrottled: s.CPUThrottled, CPUThrottledTime: s.CPUThrottledTime,
		Memory: s.Memory, MemoryPeak: s.MemoryPeak, MemoryLimit: s.MemoryLimit, MemoryFailures: s.MemoryFailures,
		MemoryDetails: s.MemoryDetails,
		PIDs:          s.PIDs, PIDsLimit: s.PIDsLimit,
	}
	for _, b := range s.BlockIO {
		out.BlockIO = append(out.BlockIO, metadata.BlockIO(b))
	}
	for name, n := range s.Networks {
		if out.Networks == nil {
			out.Networks = make(map[string]metadata.NetworkCounters, len(s.Networks))
		}
		out.Networks[name] = metadata.NetworkCounters(n)
	}
	return out
}
