//go:build !linux

package local

import (
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// machineSize is not known here, where no task can run.
func machineSize() (task.Size, error) {
	return task.Size{}, &runtime.UnsupportedError{Feature: "a cluster on this machine", Needs: "Linux"}
}
