package metadata

import "time"

// Stats is what a container uses, at two moments, so that readers can tell rates.
type Stats struct {
	Current Sample
	// Previous is the sample before, about a second or more older; zero if there is none.
	Previous Sample
}

// Sample is what a container has used up to a moment. Counters start at its creation.
type Sample struct {
	At time.Time

	CPU        time.Duration // processor time used, all processors together
	CPUUser    time.Duration
	CPUSystem  time.Duration
	PerCPU     []time.Duration // by processor; nil if that is not known
	HostCPU    time.Duration   // processor time that the whole host has spent, idle or not, since it started
	OnlineCPUs int             // processors of the host

	CPUPeriods       uint64        // enforcement periods in which it wanted to run
	CPUThrottled     uint64        // those in which its quota ran out
	CPUThrottledTime time.Duration // time it waited for quota

	Memory         uint64 // bytes in use, with page cache
	MemoryPeak     uint64 // most bytes in use so far; 0 if that is not known
	MemoryLimit    uint64 // bytes; where the container has no limit, the task's or the host's memory
	MemoryFailures uint64 // how often the limit was hit
	// MemoryDetails are the lines of the cgroup's memory.stat. Readers subtract "cache" or "inactive_file" from Memory.
	MemoryDetails map[string]uint64

	PIDs      uint64
	PIDsLimit uint64 // 0 is none

	BlockIO []BlockIO
	// Networks are the interfaces, by name. Those of a task are of all its containers alike.
	Networks map[string]NetworkCounters
}

// BlockIO is traffic with one block device.
type BlockIO struct {
	Major, Minor uint64 // device number
	ReadBytes    uint64
	WriteBytes   uint64
	Reads        uint64 // operations
	Writes       uint64
}

// NetworkCounters are those of one interface, seen from the container.
type NetworkCounters struct {
	ReceivedBytes   uint64
	ReceivedPackets uint64
	ReceivedErrors  uint64
	ReceivedDropped uint64
	SentBytes       uint64
	SentPackets     uint64
	SentErrors      uint64
	SentDropped     uint64
}

// rates returns the bytes a second that came in and went out between the samples. False if that cannot be told: one
// sample only, or counters that began again.
func (s *Stats) rates() (received, sent float64, ok bool) {
	seconds := s.Current.At.Sub(s.Previous.At).Seconds()
	if s.Previous.At.IsZero() || seconds <= 0 || len(s.Current.Networks) == 0 {
		return 0, 0, false
	}
	for name, now := range s.Current.Networks {
		before, ok := s.Previous.Networks[name]
		if !ok || now.ReceivedBytes < before.ReceivedBytes || now.SentBytes < before.SentBytes {
			return 0, 0, false
		}
		received += float64(now.ReceivedBytes - before.ReceivedBytes)
		sent += float64(now.SentBytes - before.SentBytes)
	}
	return received / seconds, sent / seconds, true
}
