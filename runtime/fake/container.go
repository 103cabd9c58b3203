package fake

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// container is guarded by the machine's lock.
type container struct {
	spec      runtime.ContainerSpec
	identity  string // of the spec when it came
	image     *image
	order     int
	args, env []string
	program   Program
	stop      Signal // what Kill("") sends

	restarts  int
	state     runtime.State
	removed   bool
	pid       int
	startedAt time.Time
	exit      runtime.Exit
	done      chan struct{} // closed when it has ended or was removed
	first     *Process      // nil before Start
	executed  map[*Process]bool

	memory, peak         int64
	oomKills             uint64
	cpu, elapsed, waited time.Duration
}

// newProcess makes a process of the container. The caller holds the machine's lock and runs it with Machine.run.
func (c *container) newProcess(m *Machine, cancel context.CancelFunc) *Process {
	p := &Process{
		Args: slices.Clone(c.args), Env: slices.Clone(c.env), Container: c.spec, Sandbox: m.sandboxes[c.spec.SandboxID].spec,
		Dir: firstOf(c.spec.WorkingDir, c.image.config.WorkingDir, "/"), User: firstOf(c.spec.User, c.image.config.User),
		machine: m, container: c, ended: make(chan struct{}), cancel: cancel,
		handlers: map[Signal][]chan Signal{}, ignored: map[Signal]bool{},
	}
	p.Stdin, p.Stdout, p.Stderr = strings.NewReader(""), io.Discard, io.Discard
	return p
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// start runs the container's first process. The caller holds the machine's lock.
func (c *container) start(m *Machine) {
	ctx, cancel := context.WithCancel(context.Background())
	p := c.newProcess(m, cancel)
	if l := m.logs[c.spec.Log]; l != nil {
		p.Stdout, p.Stderr = p.stream(logStream{l, p, false}), p.stream(logStream{l, p, c.spec.LogOptions.Streams && !c.spec.Terminal})
	}
	if c.spec.Stdin {
		p.Stdin = open{p}
	}
	if c.spec.Terminal {
		p.terminal, p.size = true, runtime.WindowSize{Width: 80, Height: 24}
	}
	c.first = p
	m.lastPID++
	c.state, c.pid, c.startedAt = runtime.StateRunning, m.lastPID, now()
	m.run(ctx, p, c.program)
}

// end ends the container whatever state it is in. The caller holds the machine's lock.
func (c *container) end(m *Machine, exit runtime.Exit) {
	switch c.state {
	case runtime.StateRunning:
		c.first.finish(exit)
	case runtime.StateCreated:
		c.state = runtime.StateStopped
		close(c.done)
	}
}

// ended notes that the first process has, which takes all others with it.
func (c *container) ended(m *Machine, exit runtime.Exit) {
	c.state, c.pid, c.exit, c.memory = runtime.StateStopped, 0, exit, 0
	for p := range c.executed {
		p.finish(killed)
	}
	close(c.done)
}

// outOfMemory kills the container as the kernel does. The caller holds the machine's lock.
func (c *container) outOfMemory(m *Machine) {
	c.oomKills++
	c.end(m, runtime.Exit{Code: killed.Code, OOMKilled: true})
}

func (c *container) status() runtime.ContainerStatus {
	s := runtime.ContainerStatus{
		ID: c.spec.ID, SandboxID: c.spec.SandboxID, State: c.state, Restarts: c.restarts, PID: c.pid, StartedAt: c.startedAt, Labels: c.spec.Labels,
	}
	if c.state == runtime.StateStopped {
		s.Exit = new(c.exit)
	}
	return s
}

// runningIn lists the running containers of a sandbox, oldest first. The caller holds the lock.
func (m *Machine) runningIn(sandboxID string) []*container {
	var list []*container
	for _, c := range m.containers {
		if c.spec.SandboxID == sandboxID && c.state == runtime.StateRunning {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *container) int { return a.order - b.order })
	return list
}
