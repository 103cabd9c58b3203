package fake

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// Signal is a Linux signal's number, on every operating system that tests run on.
type Signal int

// The signals that programs commonly handle, and the one that none can.
const (
	SIGHUP   Signal = 1
	SIGINT   Signal = 2
	SIGQUIT  Signal = 3
	SIGKILL  Signal = 9
	SIGUSR1  Signal = 10
	SIGUSR2  Signal = 12
	SIGTERM  Signal = 15
	SIGWINCH Signal = 28
)

// harmless are the signals whose default action does not end a process: CHLD, CONT, the four that stop it, URG, WINCH.
// A stopped process has no equivalent here, so that these do nothing.
var harmless = []Signal{17, 18, 19, 20, 21, 22, 23, 28}

// Process is a running program's view of its container.
type Process struct {
	Args      []string // command and arguments
	Env       []string // "KEY=value"
	Dir       string   // working directory
	User      string   // as the spec or the image has it; "" is root
	Container runtime.ContainerSpec
	Sandbox   runtime.SandboxSpec

	Stdin  io.Reader // io.EOF at once unless there is something to read
	Stdout io.Writer // errors with io.ErrClosedPipe when the process has ended
	Stderr io.Writer

	machine   *Machine
	container *container
	ended     chan struct{}
	cancel    context.CancelFunc
	exit      runtime.Exit // set before ended is closed

	// The machine's lock guards these.
	over     bool // ended is closed
	handlers map[Signal][]chan Signal
	ignored  map[Signal]bool
	terminal bool
	size     runtime.WindowSize
}

// Getenv returns a variable's value, and "" without one.
func (p *Process) Getenv(key string) string {
	for _, entry := range p.Env {
		if value, ok := strings.CutPrefix(entry, key+"="); ok {
			return value
		}
	}
	return ""
}

// Notify makes signals arrive on the channel instead of having their default action. Those that find it full, at eight,
// are lost. SIGKILL cannot be handled.
func (p *Process) Notify(signals ...Signal) <-chan Signal {
	p.machine.mu.Lock()
	defer p.machine.mu.Unlock()
	arrived := make(chan Signal, 8)
	for _, s := range signals {
		delete(p.ignored, s)
		p.handlers[s] = append(p.handlers[s], arrived)
	}
	return arrived
}

// Ignore makes signals have no effect. SIGKILL cannot be ignored.
func (p *Process) Ignore(signals ...Signal) {
	p.machine.mu.Lock()
	defer p.machine.mu.Unlock()
	for _, s := range signals {
		delete(p.handlers, s)
		p.ignored[s] = true
	}
}

// WindowSize returns the size of the process's terminal, and false if it has none.
func (p *Process) WindowSize() (runtime.WindowSize, bool) {
	p.machine.mu.Lock()
	defer p.machine.mu.Unlock()
	return p.size, p.terminal
}

// errEnded is what a process learns that has ended and asks for more.
var errEnded = errors.New("fake: the process has ended")

// Alloc takes memory, in bytes, until the container ends, or gives back a negative amount. If the container's limit is
// exceeded the container is killed for it, and if the task's limit is, the one of its containers that has most.
func (p *Process) Alloc(bytes int64) error {
	m := p.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.over {
		return errEnded
	}
	c := p.container
	c.memory = max(0, c.memory+bytes)
	c.peak = max(c.peak, c.memory)
	if limit := c.spec.Memory.Bytes(); limit > 0 && c.memory > limit {
		c.outOfMemory(m)
	}
	if limit := p.Sandbox.Size.Memory.Bytes(); limit > 0 {
		running := m.runningIn(c.spec.SandboxID)
		sum, biggest := int64(0), c
		for _, other := range running {
			sum += other.memory
			if other.memory > biggest.memory {
				biggest = other
			}
		}
		if sum > limit {
			biggest.outOfMemory(m)
		}
	}
	if p.over {
		return errEnded
	}
	return nil
}

// quotaPeriod is over what a task's CPU is enforced.
const quotaPeriod = 100 * time.Millisecond

// Spend uses processor time on one core and returns when a task of this size would have had it: with 256 CPU units,
// after four times as long. It does not model that the processes of a task share its quota. The error is ctx's, or says
// that the process has ended.
func (p *Process) Spend(ctx context.Context, cpu time.Duration) error {
	elapsed := cpu
	if units := time.Duration(p.Sandbox.Size.CPU); units > 0 && units < 1024 {
		elapsed = cpu * 1024 / units
	}
	timer := time.NewTimer(elapsed)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ended:
		return errEnded
	}
	p.machine.mu.Lock()
	defer p.machine.mu.Unlock()
	c := p.container
	c.cpu += cpu
	c.elapsed += elapsed
	c.waited += elapsed - cpu
	return nil
}

// signal has the effect of a signal. The caller holds the machine's lock.
func (p *Process) signal(s Signal) {
	switch {
	case p.over:
	case s == SIGKILL:
		p.finish(killed)
	case p.ignored[s]:
	case len(p.handlers[s]) > 0:
		for _, arrived := range p.handlers[s] {
			select {
			case arrived <- s:
			default:
			}
		}
	case !slices.Contains(harmless, s):
		p.finish(runtime.Exit{Code: 128 + int(s)})
	}
}

// finish ends the process, and the container if it is its first. The caller holds the machine's lock.
func (p *Process) finish(exit runtime.Exit) {
	if p.over {
		return
	}
	if exit.At.IsZero() {
		exit.At = now()
	}
	p.exit, p.over = exit, true
	close(p.ended)
	p.cancel()
	if c := p.container; c.first == p {
		c.ended(p.machine, exit)
	} else {
		delete(c.executed, p)
	}
}

// stream is what a process writes to; it takes nothing when the process has ended.
type stream struct {
	to      io.Writer
	process *Process
	writing *sync.Mutex // held while something is written
}

func (p *Process) stream(to io.Writer) stream { return stream{to, p, &sync.Mutex{}} }

func (s stream) Write(b []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	select {
	case <-s.process.ended:
		return 0, io.ErrClosedPipe
	default:
	}
	return s.to.Write(b)
}

// settle returns when nothing is being written any more by a process that has ended. A writer that blocks keeps nobody.
func settle(w io.Writer) {
	s, ours := w.(stream)
	if !ours {
		return
	}
	for range 50 {
		if s.writing.TryLock() {
			s.writing.Unlock()
			return
		}
		<-time.After(time.Millisecond)
	}
}

// open is a stdin that nobody writes to and that stays open until the process ends.
type open struct{ process *Process }

func (o open) Read([]byte) (int, error) {
	<-o.process.ended
	return 0, io.EOF
}
