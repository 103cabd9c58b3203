package runtimetest

import (
	"context"
	"slices"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

var limitChecks = []namedCheck{
	{"OutOfMemoryOwnLimit", outOfMemoryOwnLimit},
	{"OutOfMemoryTaskLimit", outOfMemoryTaskLimit},
	{"ProcessLimit", processLimit},
	{"Stats", stats},
	{"CPUQuota", cpuQuota},
}

func outOfMemoryOwnLimit(c *check) {
	c.need(Memory)
	s := c.sandbox()
	neighbour := c.start(c.spec(s, "out up", "hang"))
	c.awaitLog(neighbour.Log, "up")
	spec := c.spec(s, "alloc 96", "out survived")
	spec.Memory = 32
	exit, log := c.run(spec)
	if exit.Code != 137 || !exit.OOMKilled || log != "" {
		c.t.Errorf("beyond its own limit: got %+v and %q", exit, log)
	}
	within := c.spec(s, "alloc 16", "out survived")
	within.Memory = 64
	if exit, log := c.run(within); exit.Code != 0 || exit.OOMKilled || log != "survived\n" {
		c.t.Errorf("within its limit: got %+v and %q", exit, log)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, neighbour.ID, "SIGKILL"))
	if exit := c.wait(neighbour.ID); exit.OOMKilled {
		c.t.Errorf("the neighbour is blamed: %+v", exit)
	}
}

func outOfMemoryTaskLimit(c *check) {
	c.need(Memory)
	s := c.sandbox(func(s *runtime.SandboxSpec) { s.Size.Memory = 64 })
	modest := c.start(c.spec(s, "alloc 8", "out up", "hang"))
	c.awaitLog(modest.Log, "up")
	exit, _ := c.run(c.spec(s, "alloc 128"))
	if exit.Code != 137 || !exit.OOMKilled {
		c.t.Errorf("beyond the task's limit: got %+v", exit)
	}
	if !c.lacks(MemoryVictim) {
		if got, _ := c.status(modest.ID); got.State != runtime.StateRunning {
			c.t.Errorf("the modest container is %s", got.State)
		}
		c.ok("Kill", c.Driver.Kill(c.ctx, modest.ID, "SIGKILL"))
		if exit := c.wait(modest.ID); exit.Code != 137 || exit.OOMKilled {
			c.t.Errorf("the modest container is blamed: %+v", exit)
		}
	}
	other := c.sandbox()
	if exit, log := c.run(c.spec(other, "alloc 128", "out survived")); exit.OOMKilled || log != "survived\n" {
		c.t.Errorf("another task: got %+v and %q", exit, log)
	}
}

// processLimit wants a fork bomb to stop at the sandbox's limit, and others to have processes.
func processLimit(c *check) {
	c.need(Kernel, ProcessLimit)
	s, other := c.sandbox(func(s *runtime.SandboxSpec) { s.PIDs = 48 }), c.sandbox()
	c.equal("beyond the limit", c.output(s, nil, "fork 100"), "fork: resource temporarily unavailable\n")
	c.equal("another sandbox", c.output(other, nil, "fork 100"), "forked\n")
}

func stats(c *check) {
	driver, ok := c.Driver.(runtime.Stater)
	if !ok {
		c.t.Skip("this driver is no Stater")
	}
	c.need(Memory)
	s := c.sandbox(func(s *runtime.SandboxSpec) { s.PIDs = 64 })
	spec := c.spec(s, "alloc 24", "out up", "hang")
	spec.Memory = 96
	c.start(spec)
	c.awaitLog(spec.Log, "up")
	container, err := driver.Stats(c.ctx, spec.ID)
	c.ok("Stats of the container", err)
	whole, err := driver.Stats(c.ctx, s.ID)
	c.ok("Stats of the sandbox", err)
	if container.MemoryLimit != 96<<20 || whole.MemoryLimit != 256<<20 {
		c.t.Errorf("limits: container %d, sandbox %d", container.MemoryLimit, whole.MemoryLimit)
	}
	for what, got := range map[string]runtime.Stats{"container": container, "sandbox": whole} {
		if got.MemoryWorkingSet < 24<<20 || got.MemoryWorkingSet > 96<<20 || got.Memory < got.MemoryWorkingSet {
			c.t.Errorf("%s: working set %d of %d bytes in use, want a little more than 24 MiB", what, got.MemoryWorkingSet, got.Memory)
		}
		if age := time.Since(got.At); age < 0 || age > time.Minute {
			c.t.Errorf("%s: measured %s ago", what, age)
		}
		if got.HostCPU < got.CPU || got.OnlineCPUs < 1 || got.MemoryDetails == nil {
			c.t.Errorf("%s: host's CPU time %v on %d processors, memory in detail %v", what, got.HostCPU, got.OnlineCPUs, got.MemoryDetails)
		}
		if got.PIDs == 0 || got.OOMKills != 0 {
			c.t.Errorf("%s: %d processes, %d OOM kills", what, got.PIDs, got.OOMKills)
		}
	}
	if whole.PIDsLimit != 64 {
		c.t.Errorf("sandbox: process limit %d, want 64", whole.PIDsLimit)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGKILL"))
	c.wait(spec.ID)
}

// cpuQuota measures that a program that wants a whole processor gets what its task's size says: never more, and, as soon
// as the machine has that much to spare, no less.
func cpuQuota(c *check) {
	c.need(CPUQuota)
	driver, ok := c.Driver.(runtime.Stater)
	if !ok {
		c.t.Skip("this driver is no Stater")
	}
	s := c.sandbox(func(s *runtime.SandboxSpec) { s.Size = task.Size{CPU: 256, Memory: 128} })
	spec := c.start(c.spec(s, "out up", "spin"))
	c.awaitLog(spec.Log, "up")
	const want, tolerance, period = 0.25, 0.05, 100 * time.Millisecond
	var shares []float64
	before, err := driver.Stats(c.ctx, s.ID)
	c.ok("Stats", err)
	first := before
	for len(shares) < 3 {
		pause(c.ctx, 3*time.Second)
		after, err := driver.Stats(c.ctx, s.ID)
		c.ok("Stats", err)
		share := float64(after.CPU-before.CPU) / float64(after.At.Sub(before.At))
		shares = append(shares, share)
		before = after
		if share > want*(1-tolerance) && share < want*(1+tolerance) {
			break
		}
	}
	throttled := before.CPUThrottled - first.CPUThrottled
	if throttled == 0 || before.CPUPeriods < before.CPUThrottled {
		c.t.Errorf("throttled in %d of %d periods", before.CPUThrottled, before.CPUPeriods)
	}
	// One measurement may be wrong on a busy machine: between the counter and the clock others may run.
	if slices.Min(shares) > want*(1+tolerance) {
		c.t.Errorf("0.25 vCPU: the task used %.4f processors, one measurement after the other", shares)
	}
	// On a machine that has no processor to spare it gets less, but in every period that ended with throttling it had
	// all that its size gives it.
	had := time.Duration(float64(throttled) * float64(period) * want)
	if used := before.CPU - first.CPU; slices.Max(shares) < want*(1-tolerance) && float64(used) < float64(had)*(1-tolerance) {
		c.t.Errorf("0.25 vCPU: the task used %.4f processors, and was throttled %d times after %s instead of %s",
			shares, throttled, used, had)
	}
	container, err := driver.Stats(c.ctx, spec.ID)
	c.ok("Stats of the container", err)
	if container.CPU < before.CPU/2 || container.CPU > before.CPU+time.Second {
		c.t.Errorf("the container used %s, its task %s", container.CPU, before.CPU)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGKILL"))
	c.wait(spec.ID)
}

// pause lets time pass that a measurement needs.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
