//go:build linux

package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// Files of a sandbox's and of a container's directory. None is synced to disk: what they describe does not outlive
// the machine's power, and one that is empty or torn counts as absent.
const (
	sandboxFile   = "sandbox.json"
	shimFile      = "shim.json"
	pauseFile     = "pause.json"
	containerFile = "container.json" // written first
	createdFile   = "created.json"   // written when the container is ready to start; without it the container is swept
	startedFile   = "started.json"
	exitFile      = "exited.json"
	apartFile     = "apart" // its streams have a pipe each, see wrapper
)

// containerRecord is what a driver must know of a container after a restart.
type containerRecord struct {
	Spec        runtime.ContainerSpec
	StopSignal  int    // what Kill("") sends
	Snapshot    string // key of its root file system
	Snapshotter string
}

// createdRecord is of the present run of a container, the one after so many restarts. What the other files say of
// another run is over: writing this file is what makes a restart happen.
type createdRecord struct {
	At       time.Time
	PID      int
	Restarts int `json:",omitempty"`
}

type startedRecord struct {
	At       time.Time
	Restarts int `json:",omitempty"`
}

type exitRecord struct {
	runtime.Exit
	Restarts int `json:",omitempty"`
}

// process identifies a process of ours beyond its number, which the kernel uses again.
type process struct {
	PID   int
	Start uint64 // in clock ticks since boot, from /proc/<pid>/stat
	Boot  string // of the machine, from /proc/sys/kernel/random/boot_id
}

// idPattern is of what can be the name of a file, a cgroup and a container of an OCI runtime.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,75}$`)

func checkID(what, id string) error {
	if !idPattern.MatchString(id) {
		return fmt.Errorf("%s ID %q: want 1 to 76 of A-Z, a-z, 0-9, '_', '.' and '-', the first not '.' or '-': %w", what, id, runtime.ErrInvalid)
	}
	return nil
}

// writeJSON replaces a file. A reader sees the old or the new content.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// readJSON reports false if there is no such file, or none that can be read after a power failure.
func readJSON(path string, v any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return json.Unmarshal(data, v) == nil, nil
}

// sameSpec compares specs as they come back from a file.
func sameSpec[T any](a, b T) bool {
	var x, y T
	for _, p := range []struct{ from, to *T }{{&a, &x}, {&b, &y}} {
		data, err := json.Marshal(p.from)
		if err != nil || json.Unmarshal(data, p.to) != nil {
			return false
		}
	}
	return reflect.DeepEqual(x, y)
}
