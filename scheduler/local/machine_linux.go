package local

import (
	"fmt"
	goruntime "runtime"
	"syscall"

	"github.com/fardel-io/fardel/task"
)

// machineSize is what this machine has.
func machineSize() (task.Size, error) {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return task.Size{}, fmt.Errorf("local: size of this machine: %w", err)
	}
	return task.Size{
		CPU:    task.CPUUnits(goruntime.NumCPU()) * 1024,
		Memory: task.MiB(uint64(info.Totalram) * uint64(info.Unit) >> 20),
	}, nil
}
