package fake

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// Machine is the state that outlives a driver: images, sandboxes, containers and logs. The zero value is ready for use.
type Machine struct {
	life life

	mu         sync.Mutex
	registry   map[string]*image // what Pull finds, by full name
	names      map[string]*image // images present, by full name
	refs       map[string]*image // images present, by Ref
	kept       map[string]*kept  // what is known of images present, by Ref
	holds      map[*Driver]map[string][]string
	sandboxes  map[string]*sandbox
	containers map[string]*container
	logs       map[string]*log
	drivers    []*Driver
	lastPID    int
	uses       int // of images, so far; orders them
}

type sandbox struct {
	spec       runtime.SandboxSpec
	identity   string // of the spec when it came
	containers int    // made so far; orders them
}

// init makes the maps of a machine. The caller holds mu.
func (m *Machine) init() {
	if m.registry != nil {
		return
	}
	m.registry, m.names, m.refs = map[string]*image{}, map[string]*image{}, map[string]*image{}
	m.kept, m.holds = map[string]*kept{}, map[*Driver]map[string][]string{}
	m.sandboxes, m.containers, m.logs = map[string]*sandbox{}, map[string]*container{}, map[string]*log{}
	m.lastPID = 1000
}

// Crash ends all drivers of the machine as a SIGKILL to the host program would: their calls return runtime.ErrClosed,
// executed processes end, containers go on.
func (m *Machine) Crash() {
	m.mu.Lock()
	drivers := m.drivers
	m.drivers = nil
	clear(m.holds)
	m.mu.Unlock()
	for _, d := range drivers {
		d.detach()
	}
}

// Close ends all drivers and containers and waits until their programs have returned. The machine is empty then.
func (m *Machine) Close() {
	m.Crash()
	m.mu.Lock()
	m.init()
	for _, c := range m.containers {
		c.removed = true
		c.end(m, killed)
	}
	clear(m.containers)
	clear(m.sandboxes)
	clear(m.logs)
	m.mu.Unlock()
	m.life.wait()
}

// End ends a container from outside of it, such as with runtime.Exit{Code: 137, OOMKilled: true}; At is set if it is
// zero. It reports whether the container was running.
func (m *Machine) End(id string, exit runtime.Exit) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.containers[id]
	if c == nil || c.state != runtime.StateRunning {
		return false
	}
	c.end(m, exit)
	return true
}

// Log is what a container whose spec had this Log path has written so far, also after its removal.
func (m *Machine) Log(path string) string {
	m.mu.Lock()
	l := m.logs[path]
	m.mu.Unlock()
	if l == nil {
		return ""
	}
	return l.String()
}

// Running lists the containers that run, sorted by ID.
func (m *Machine) Running() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id, c := range m.containers {
		if c.state == runtime.StateRunning {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// killed is the end of a container that was sent SIGKILL.
var killed = runtime.Exit{Code: 128 + int(SIGKILL)}

// maxID is the length that runtime.ContainerSpec allows.
const maxID = 76

func checkID(what, id string) error {
	bad := strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("_.-", r)
	})
	if bad || id == "" || id == "." || id == ".." || len(id) > maxID {
		return fmt.Errorf("%s ID %q: want 1 to %d of A-Z a-z 0-9 _ . -: %w", what, id, maxID, runtime.ErrInvalid)
	}
	return nil
}

// identity tells specs apart, also when the caller goes on to change what it passed.
func identity(spec any) string {
	text, err := json.Marshal(spec)
	if err != nil { // specs are plain data
		return err.Error()
	}
	return string(text)
}

// now is when something ended, without the monotonic clock, which a record on disk would not have either.
func now() time.Time { return time.Now().Round(0) }
