package runtime

import "time"

// State is where a container is in its life.
type State string

// The states of a container.
const (
	StateCreated State = "created"
	StateRunning State = "running"
	StateStopped State = "stopped"
)

// Inventory is everything a driver has made and not removed.
type Inventory struct {
	Sandboxes  []SandboxStatus
	Containers []ContainerStatus
}

// SandboxStatus is one sandbox of an inventory.
type SandboxStatus struct {
	ID     string
	Labels map[string]string
}

// ContainerStatus is one container of an inventory.
type ContainerStatus struct {
	ID        string
	SandboxID string
	State     State
	Restarts  int       // how often it was readied to run again
	PID       int       // of its first process in the host's PID namespace; 0 unless running
	StartedAt time.Time // zero before Start
	Exit      *Exit     // nil unless stopped
	Labels    map[string]string
}

// Stats is what a container or a sandbox has used. Counters start at its creation.
type Stats struct {
	At               time.Time
	CPU              time.Duration // processor time used, all cores together
	CPUUser          time.Duration
	CPUSystem        time.Duration
	CPUPeriods       uint64        // enforcement periods in which it wanted to run
	CPUThrottled     uint64        // those in which its quota ran out
	CPUThrottledTime time.Duration // time it waited for quota
	Memory           uint64        // bytes in use, with page cache
	MemoryWorkingSet uint64        // bytes in use without inactive page cache
	MemoryLimit      uint64        // bytes; 0 is none
	MemoryPeak       uint64        // most bytes in use so far; 0 where the kernel does not say
	OOMKills         uint64
	PIDs             uint64
	PIDsLimit        uint64 // 0 is none
	ReadBytes        uint64 // from block devices
	WriteBytes       uint64

	PerCPU         []time.Duration   // CPU by processor; nil where the kernel does not say, as with cgroup v2
	HostCPU        time.Duration     // processor time that passed on the whole host, idle or not, since it started
	OnlineCPUs     int               // processors of the host
	MemoryFailures uint64            // how often the memory limit was hit
	MemoryDetails  map[string]uint64 // the lines of the group's memory.stat
	BlockIO        []BlockIO         // ReadBytes and WriteBytes by device, sorted
	// Networks are the interfaces of the sandbox but the loopback, by name, the same for all its containers; nil when
	// nothing runs in it.
	Networks map[string]NetworkCounters

	// What its processes waited for, as the kernel's pressure stall information has it: with cgroup v2 and a kernel that
	// measures it, else zero.
	CPUPressure, MemoryPressure, IOPressure Pressure
}

// Storage is what a sandbox keeps its files with.
type Storage struct {
	// Size is that of the sandbox's own disk in bytes, 0 if it has none, and Free what can still be written to it. The rest
	// is what its containers and volumes hold, and what the file system takes for itself.
	Size, Free uint64

	// Snapshotters are what the root file systems of its containers come from, such as overlayfs, by ID. They have those
	// that were created and not removed.
	Snapshotters map[string]string
}

// BlockIO is traffic with one block device.
type BlockIO struct {
	Major, Minor uint64 // device number
	ReadBytes    uint64
	WriteBytes   uint64
	Reads        uint64 // operations
	Writes       uint64
}

// NetworkCounters are those of one interface, seen from the containers.
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

// Pressure is time lost for want of a resource, since the group was made.
type Pressure struct {
	Some time.Duration // at least one process waited
	Full time.Duration // all that had something to do waited
}
