package runtimetest

import (
	"strings"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

var lifeCycleChecks = []namedCheck{
	{"LifeCycle", lifeCycle},
	{"List", list},
	{"RemoveRunning", removeRunning},
	{"RemoveSandboxWithContainers", removeSandboxWithContainers},
	{"SameIDAgain", sameIDAgain},
	{"Reopen", reopen},
	{"ReopenAfterEnd", reopenAfterEnd},
	{"EightSandboxes", eightSandboxes},
}

func lifeCycle(c *check) {
	s := c.sandbox()
	spec := c.spec(s, "out started", "hang")
	before := time.Now()
	c.create(spec)
	if got, ok := c.status(spec.ID); !ok || got.State != runtime.StateCreated || !got.StartedAt.IsZero() || got.Exit != nil {
		c.t.Errorf("after CreateContainer: got %+v, %t", got, ok)
	}
	if log, _ := c.readLog(spec.Log); log != "" {
		c.t.Errorf("a created container has written %q", log)
	}
	c.ok("Start", c.Driver.Start(c.ctx, spec.ID))
	c.awaitLog(spec.Log, "started\n")
	got, ok := c.status(spec.ID)
	if !ok || got.State != runtime.StateRunning || got.StartedAt.Before(before.Add(-time.Second)) || got.Exit != nil {
		c.t.Errorf("after Start: got %+v, %t", got, ok)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGKILL"))
	exit := c.wait(spec.ID)
	if exit.Code != 137 || exit.OOMKilled || exit.At.Before(got.StartedAt) || exit.At.After(time.Now().Add(time.Second)) {
		c.t.Errorf("Wait after SIGKILL: got %+v", exit)
	}
	if got, ok := c.status(spec.ID); !ok || got.State != runtime.StateStopped || got.PID != 0 || got.Exit == nil || got.Exit.Code != 137 {
		c.t.Errorf("after the end: got %+v, %t", got, ok)
	}
	c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, spec.ID))
	if _, ok := c.status(spec.ID); ok {
		c.t.Error("a removed container is listed")
	}
	c.equal("log after RemoveContainer", c.log(spec.Log), "started\n")
	c.ok("RemoveSandbox", c.Driver.RemoveSandbox(c.ctx, s.ID))
	c.nothingLeft()
}

func list(c *check) {
	one := c.sandbox(func(s *runtime.SandboxSpec) { s.Labels = map[string]string{"taskArn": "arn:aws:ecs:x", "empty": ""} })
	two := c.sandbox(func(s *runtime.SandboxSpec) { s.Labels = nil })
	running := c.spec(one, "hang")
	running.Labels = map[string]string{"container": "name with spaces, \"quotes\" and ünïcode"}
	c.start(running)
	ended := c.start(c.spec(two, "exit 9"))
	c.wait(ended.ID)
	created := c.spec(two, "hang")
	c.create(created)

	inventory, err := c.Driver.List(c.ctx)
	c.ok("List", err)
	states := map[string]runtime.ContainerStatus{}
	for _, got := range inventory.Containers {
		states[got.ID] = got
	}
	if len(inventory.Sandboxes) != 2 || len(states) != 3 {
		c.t.Fatalf("List: got %+v", inventory)
	}
	for _, got := range inventory.Sandboxes {
		if got.ID == one.ID && (got.Labels["taskArn"] != "arn:aws:ecs:x" || len(got.Labels) != 2) {
			c.t.Errorf("sandbox labels: got %v", got.Labels)
		}
	}
	for _, want := range []struct {
		id, sandbox string
		state       runtime.State
	}{{running.ID, one.ID, runtime.StateRunning}, {ended.ID, two.ID, runtime.StateStopped}, {created.ID, two.ID, runtime.StateCreated}} {
		if got := states[want.id]; got.State != want.state || got.SandboxID != want.sandbox {
			c.t.Errorf("%s: got %+v, want %s in %s", want.id, got, want.state, want.sandbox)
		}
	}
	if got := states[running.ID].Labels["container"]; got != running.Labels["container"] {
		c.t.Errorf("label: got %q", got)
	}
	if got := states[ended.ID].Exit; got == nil || got.Code != 9 {
		c.t.Errorf("exit of the one that ended: %+v", got)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, running.ID, "SIGKILL"))
	c.wait(running.ID)
}

func removeRunning(c *check) {
	s := c.sandbox()
	spec := c.start(c.spec(s, "ignore TERM", "out up", "hang"))
	c.awaitLog(spec.Log, "up")
	c.ok("RemoveContainer of a running one", c.Driver.RemoveContainer(c.ctx, spec.ID))
	if _, ok := c.status(spec.ID); ok {
		c.t.Error("it is listed still")
	}
	c.equal("its log", c.log(spec.Log), "up\n")
}

func removeSandboxWithContainers(c *check) {
	s := c.sandbox()
	c.start(c.spec(s, "hang"))
	c.wait(c.start(c.spec(s, "exit 0")).ID)
	c.create(c.spec(s, "hang"))
	c.ok("RemoveSandbox", c.Driver.RemoveSandbox(c.ctx, s.ID))
	c.nothingLeft()
}

func sameIDAgain(c *check) {
	s := c.sandbox()
	spec := c.spec(s, "exit 1")
	if exit, _ := c.run(spec); exit.Code != 1 {
		c.t.Errorf("got %+v", exit)
	}
	c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, spec.ID))
	spec.Command = []string{"exit 2"}
	if exit, _ := c.run(spec); exit.Code != 2 {
		c.t.Errorf("second container of the same ID: got %+v", exit)
	}
}

// reopen kills the host program, so to speak, and wants the next driver to go on where it was.
func reopen(c *check) {
	if c.Reopen == nil {
		c.t.Skip("this driver cannot be reopened")
	}
	s := c.sandbox()
	running := c.start(c.spec(s, "out one", "catch USR1 5", "out ready", "hang"))
	c.awaitLog(running.Log, "ready")
	created := c.spec(s, "exit 6")
	c.create(created)
	before, _ := c.status(running.ID)

	c.Driver = c.Reopen(c.t)
	after, ok := c.status(running.ID)
	if !ok || after.State != runtime.StateRunning || after.PID != before.PID || !after.StartedAt.Equal(before.StartedAt) {
		c.t.Errorf("running container: before %+v, after %+v, %t", before, after, ok)
	}
	if got, ok := c.status(created.ID); !ok || got.State != runtime.StateCreated || got.Labels["check"] == "" {
		c.t.Errorf("created container: got %+v, %t", got, ok)
	}
	c.ok("CreateSandbox again", c.Driver.CreateSandbox(c.ctx, s))
	c.ok("CreateContainer again", c.Driver.CreateContainer(c.ctx, running))
	c.ok("Start again", c.Driver.Start(c.ctx, running.ID))
	c.ok("Start of the created one", c.Driver.Start(c.ctx, created.ID))
	if exit := c.wait(created.ID); exit.Code != 6 {
		c.t.Errorf("created before, started after: got %+v", exit)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, running.ID, "SIGUSR1"))
	if exit := c.wait(running.ID); exit.Code != 5 {
		c.t.Errorf("started before, ended after: got %+v", exit)
	}
	c.equal("log over both", c.log(running.Log), "one\nready\ncaught USR1\n")
}

func reopenAfterEnd(c *check) {
	if c.Reopen == nil {
		c.t.Skip("this driver cannot be reopened")
	}
	s := c.sandbox()
	known := c.start(c.spec(s, "out known", "exit 7"))
	want := c.wait(known.ID)
	meanwhile := c.start(c.spec(s, "sleep 50ms", "out meanwhile", "exit 8"))
	c.Driver = c.Reopen(c.t)
	if exit := c.wait(known.ID); exit.Code != 7 || !exit.At.Equal(want.At) {
		c.t.Errorf("ended and known before: got %+v, want %+v", exit, want)
	}
	if exit := c.wait(meanwhile.ID); exit.Code != 8 {
		c.t.Errorf("ended while nobody was there: got %+v", exit)
	}
	c.equal("log", c.log(meanwhile.Log), "meanwhile\n")
	c.equal("log of the first", c.log(known.Log), "known\n")
}

// eightSandboxes lives whole lives at once, each with two containers.
func eightSandboxes(c *check) {
	const sandboxes = 8
	specs := make([]runtime.SandboxSpec, sandboxes)
	pairs := make([][2]runtime.ContainerSpec, sandboxes)
	for i := range specs {
		specs[i] = runtime.SandboxSpec{ID: c.newID()}
		pairs[i] = [2]runtime.ContainerSpec{c.spec(specs[i], "out "+specs[i].ID, "exit 3"), c.spec(specs[i], "catch TERM 4", "out up", "hang")}
	}
	errs := together(sandboxes, func(i int) error { return c.life(specs[i], pairs[i][0], pairs[i][1]) })
	for i, err := range errs {
		if err != nil {
			c.t.Errorf("sandbox %d: %v", i, err)
		}
	}
	for i := range specs {
		if got := strings.TrimSpace(c.log(pairs[i][0].Log)); got != specs[i].ID {
			c.t.Errorf("sandbox %d wrote %q, want its ID %q", i, got, specs[i].ID)
		}
	}
	c.nothingLeft()
}
