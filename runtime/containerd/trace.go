//go:build linux

package containerd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

var _ runtime.TraceLimiter = (*Driver)(nil)

// LimitsTracing implements [runtime.TraceLimiter]. The OCI runtime joins a container's PID namespace with all of root's
// powers and gives them up only then, on its way to the container's program; and of a container that waits for its start
// all of its threads but one keep them. Not being dumpable does not hide it from who has SYS_PTRACE in the same user
// namespace. In gVisor no process of the host is seen, and in a user namespace of its own nobody has SYS_PTRACE over the OCI
// runtime, whose memory belongs to the machine's.
func (d *Driver) LimitsTracing() bool { return !d.isGVisor() && d.cfg.UserNamespaces == nil }

// limitsTracing is LimitsTracing for a sandbox, which may have been made with another Config. d.mu is held.
func (d *Driver) limitsTracing(s *sandbox) bool { return !d.isGVisor() && s.ids == nil }

// neighbour is a container in the PID namespace of another, or that other itself.
type neighbour struct {
	id       string
	mayTrace bool
	state    runtime.State
}

// checkEntry says whether processes of the OCI runtime may come to these.
func checkEntry(there []neighbour) error {
	for _, n := range there {
		if n.mayTrace && n.state == runtime.StateRunning {
			return traced(n.id)
		}
	}
	return nil
}

// checkTracer says whether a container that may trace can start with these.
func checkTracer(id string, there []neighbour) error {
	for _, n := range there {
		if n.id != id && n.state == runtime.StateCreated {
			return &runtime.UnsupportedError{
				Feature: "a container with the capability SYS_PTRACE",
				Needs:   "those that share its processes to be started before it, and " + n.id + " is not",
			}
		}
	}
	return nil
}

func traced(by string) error {
	return &runtime.UnsupportedError{
		Feature: "adding a process",
		Needs:   "containers without the capability SYS_PTRACE, and " + by + " has it: it would reach the host through the OCI runtime on its way in",
	}
}

// neighbours are the containers in the PID namespace of one.
func (d *Driver) neighbours(s *sandbox, id string) []neighbour {
	d.mu.Lock()
	defer d.mu.Unlock()
	var there []neighbour
	for _, c := range d.containers {
		state := c.current()
		if state != "" && c.record.Spec.SandboxID == s.spec.ID && (s.spec.SharePID || c.id == id) {
			there = append(there, neighbour{c.id, c.record.Spec.MayTrace(), state})
		}
	}
	return there
}

// enterProcesses is called before the OCI runtime joins the PID namespace of a container, and what it returns when it has
// become the container's program, or the container is known to wait for its start.
func (d *Driver) enterProcesses(t target) (leave func(), err error) {
	d.mu.Lock()
	s := d.sandboxes[t.sandbox]
	limits := s != nil && d.limitsTracing(s)
	d.mu.Unlock()
	if !limits {
		return func() {}, nil
	}
	if !s.entry.TryRLock() {
		return nil, traced("one that starts")
	}
	if err := checkEntry(d.neighbours(s, t.container)); err != nil {
		s.entry.RUnlock()
		return nil, err
	}
	return s.entry.RUnlock, nil
}

// entryPatience is how long a container that may trace waits for processes that are being added.
const entryPatience = 20 * time.Second

// startTracer is called before the program of a container that may trace is let go, and what it returns when the container
// is known to run. It waits until no process of the OCI runtime is in its PID namespace.
func (d *Driver) startTracer(ctx context.Context, c *container) (started func(), err error) {
	t := c.target()
	d.mu.Lock()
	s := d.sandboxes[t.sandbox]
	limits := s != nil && d.limitsTracing(s)
	d.mu.Unlock()
	if !limits || !s.spec.SharePID || !c.record.Spec.MayTrace() {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, entryPatience, fmt.Errorf("start container %s: %w", c.id, traced(c.id)))
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.entry.TryLock() {
			err := checkTracer(c.id, d.neighbours(s, c.id))
			entering := false
			if err == nil {
				entering, err = d.entering(s, c)
			}
			if err == nil && !entering {
				return s.entry.Unlock, nil
			}
			s.entry.Unlock()
			if err != nil {
				return nil, fmt.Errorf("start container %s: %w", c.id, err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// entering reports whether the OCI runtime is in a sandbox, other than to wait for the start of a container: it has not become
// a container's program when its own start has returned, and one that a dead driver asked for may be late.
func (d *Driver) entering(s *sandbox, waits *container) (bool, error) {
	pids, err := d.cgroups.Processes(s.spec.ID, "")
	if err != nil {
		return false, err
	}
	for _, pid := range pids {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil || pid == waits.pid { // ended, or itself
			continue
		}
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err == nil && isRuntime(strings.TrimSpace(string(comm)), exe, filepath.Base(d.cfg.Runtime)) {
			return true, nil
		}
	}
	return false, nil
}

// isRuntime says whether a process is the OCI runtime, by its name and its executable. runc names itself "runc:[2:INIT]" and runs
// from a mount of its file alone; it and crun may run from a copy in memory. Neither says what their file is called.
func isRuntime(comm, exe, ociRuntime string) bool {
	isCopy := func(of string) bool { return strings.HasPrefix(exe, "/memfd:"+of) }
	return strings.HasPrefix(comm, "runc:[") || strings.HasPrefix(comm, ociRuntime+":[") ||
		filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == ociRuntime ||
		isCopy(ociRuntime) || isCopy("runc_cloned") || isCopy("crun_cloned")
}
