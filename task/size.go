package task

// CPUUnits is an amount of CPU; 1024 units are one vCPU.
type CPUUnits int64

// MiB is an amount of memory in units of 2^20 bytes.
type MiB int64

// VCPU returns the amount in vCPUs.
func (c CPUUnits) VCPU() float64 { return float64(c) / 1024 }

// Bytes returns the amount in bytes.
func (m MiB) Bytes() int64 { return int64(m) << 20 }

// Size is the CPU and memory of a task. A zero member is unset.
type Size struct {
	CPU    CPUUnits
	Memory MiB
}
