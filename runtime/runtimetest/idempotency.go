package runtimetest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

var idempotencyChecks = []namedCheck{
	{"Repeats", repeats},
	{"RepeatsAtOnce", repeatsAtOnce},
	{"OtherSpec", otherSpec},
	{"Unknown", unknown},
	{"InvalidIDs", invalidIDs},
	{"CancelledCalls", cancelledCalls},
	{"CreateCancelled", createCancelled},
}

func repeats(c *check) {
	s := c.sandbox()
	c.ok("CreateSandbox again", c.Driver.CreateSandbox(c.ctx, s))
	spec := c.spec(s, "out once", "catch TERM 3", "out ready", "hang")
	c.create(spec)
	c.create(spec)
	c.ok("Start", c.Driver.Start(c.ctx, spec.ID))
	c.ok("Start again", c.Driver.Start(c.ctx, spec.ID))
	c.awaitLog(spec.Log, "ready")
	c.create(spec)
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGTERM"))
	first := c.wait(spec.ID)
	if second := c.wait(spec.ID); second != first || first.Code != 3 {
		c.t.Errorf("Wait twice: %+v, then %+v", first, second)
	}
	c.ok("Kill of one that ended", c.Driver.Kill(c.ctx, spec.ID, "SIGTERM"))
	c.ok("Kill of one that ended", c.Driver.Kill(c.ctx, spec.ID, "SIGKILL"))
	c.ok("Start of one that ended", c.Driver.Start(c.ctx, spec.ID))
	c.create(spec)
	if got, _ := c.status(spec.ID); got.State != runtime.StateStopped {
		c.t.Errorf("a container runs once, and yet it is %s", got.State)
	}
	c.equal("log", c.log(spec.Log), "once\nready\ncaught TERM\n")
	for range 2 {
		c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, spec.ID))
	}
	for range 2 {
		c.ok("RemoveSandbox", c.Driver.RemoveSandbox(c.ctx, s.ID))
	}
}

func repeatsAtOnce(c *check) {
	const callers = 6
	s := runtime.SandboxSpec{ID: c.newID()}
	spec := c.spec(s, "out once", "hang")
	for _, step := range []struct {
		call string
		do   func() error
	}{
		{"CreateSandbox", func() error { return c.Driver.CreateSandbox(c.ctx, s) }},
		{"CreateContainer", func() error { return c.Driver.CreateContainer(c.ctx, spec) }},
		{"Start", func() error { return c.Driver.Start(c.ctx, spec.ID) }},
		{"Kill", func() error { return c.Driver.Kill(c.ctx, spec.ID, "SIGKILL") }},
		{"Wait", func() error { return expectExit(c.ctx, c.Driver, spec.ID, 137) }},
		{"RemoveContainer", func() error { return c.Driver.RemoveContainer(c.ctx, spec.ID) }},
		{"RemoveSandbox", func() error { return c.Driver.RemoveSandbox(c.ctx, s.ID) }},
	} {
		for _, err := range together(callers, func(int) error { return step.do() }) {
			c.ok(step.call, err)
		}
		if step.call == "Start" {
			c.awaitLog(spec.Log, "once")
		}
	}
	c.equal("log", c.log(spec.Log), "once\n")
}

func otherSpec(c *check) {
	s := c.sandbox()
	spec := c.spec(s, "hang")
	c.create(spec)
	other := spec
	other.Command = []string{"exit 0"}
	c.want("CreateContainer with another command", c.Driver.CreateContainer(c.ctx, other), runtime.ErrExists)
	other = spec
	other.Env = []string{"A=1"}
	c.want("CreateContainer with another environment", c.Driver.CreateContainer(c.ctx, other), runtime.ErrExists)
	bigger := s
	bigger.Size.Memory *= 2
	c.want("CreateSandbox with another size", c.Driver.CreateSandbox(c.ctx, bigger), runtime.ErrExists)
	c.create(spec)
}

func unknown(c *check) {
	const id = "no-such-container"
	c.want("Start", c.Driver.Start(c.ctx, id), runtime.ErrNotFound)
	_, err := c.Driver.Wait(c.ctx, id)
	c.want("Wait", err, runtime.ErrNotFound)
	c.want("Kill", c.Driver.Kill(c.ctx, id, "SIGTERM"), runtime.ErrNotFound)
	c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, id))
	c.ok("RemoveSandbox", c.Driver.RemoveSandbox(c.ctx, id))
	spec := c.spec(runtime.SandboxSpec{ID: "no-such-sandbox"}, "hang")
	err = c.Driver.CreateContainer(c.ctx, spec)
	c.want("CreateContainer", err, runtime.ErrNotFound)
	if err != nil && !strings.Contains(err.Error(), "no-such-sandbox") {
		c.t.Errorf("CreateContainer: %q does not name the sandbox", err)
	}
	if driver, ok := c.Driver.(runtime.Execer); ok {
		_, err := driver.Exec(c.ctx, id, runtime.ExecSpec{Args: []string{"/guest"}})
		c.want("Exec", err, runtime.ErrNotFound)
	}
	if driver, ok := c.Driver.(runtime.Stater); ok {
		_, err := driver.Stats(c.ctx, id)
		c.want("Stats", err, runtime.ErrNotFound)
	}
	if driver, ok := c.Driver.(runtime.StorageReporter); ok {
		_, err := driver.Storage(c.ctx, "no-such-sandbox")
		c.want("Storage", err, runtime.ErrNotFound)
	}
}

func invalidIDs(c *check) {
	s := c.sandbox()
	for _, id := range []string{"", ".", "..", "../escape", "a/b", "a b", "a\x00b", "ü", strings.Repeat("a", 77)} {
		spec := c.spec(s, "exit 0")
		spec.ID = id
		c.want("CreateContainer("+id+")", c.Driver.CreateContainer(c.ctx, spec), runtime.ErrInvalid)
		c.want("CreateSandbox("+id+")", c.Driver.CreateSandbox(c.ctx, runtime.SandboxSpec{ID: id}), runtime.ErrInvalid)
	}
	spec := c.spec(s, "exit 0")
	spec.ID = strings.Repeat("Az_.-9", 13)[:76]
	if exit, _ := c.run(spec); exit.Code != 0 {
		c.t.Errorf("a container with the longest ID ended with %+v", exit)
	}
}

// cancelledCalls wants that a call with a context that is over either did what it should or nothing.
func cancelledCalls(c *check) {
	over, cancel := context.WithCancel(c.ctx)
	cancel()
	s := runtime.SandboxSpec{ID: c.newID()}
	spec := c.spec(s, "hang")
	for _, step := range []struct {
		call string
		do   func(ctx context.Context) error
	}{
		{"CreateSandbox", func(ctx context.Context) error { return c.Driver.CreateSandbox(ctx, s) }},
		{"CreateContainer", func(ctx context.Context) error { return c.Driver.CreateContainer(ctx, spec) }},
		{"Start", func(ctx context.Context) error { return c.Driver.Start(ctx, spec.ID) }},
		{"Kill", func(ctx context.Context) error { return c.Driver.Kill(ctx, spec.ID, "SIGKILL") }},
		{"RemoveContainer", func(ctx context.Context) error { return c.Driver.RemoveContainer(ctx, spec.ID) }},
		{"RemoveSandbox", func(ctx context.Context) error { return c.Driver.RemoveSandbox(ctx, s.ID) }},
	} {
		if err := step.do(over); err != nil && !errors.Is(err, context.Canceled) {
			c.t.Errorf("%s, cancelled: %v", step.call, err)
		}
		c.ok(step.call+" after it was cancelled", step.do(c.ctx))
	}
}

// createCancelled wants that a creation returns when its context ends, wherever it is then, that nothing of it is in the way
// of the next, and that a sandbox can be removed at once.
func createCancelled(c *check) {
	s := c.sandbox()
	for i := range 8 {
		spec := c.spec(s, "out up", "hang")
		ctx, cancel := context.WithCancel(c.ctx)
		created := behind(func() error { return c.Driver.CreateContainer(ctx, spec) })
		select {
		case <-time.After(time.Duration(i*i) * 4 * time.Millisecond): // up to 200 ms
		case <-c.ctx.Done():
		}
		cancel()
		began := time.Now()
		err := <-created
		if took := time.Since(began); took > promptly {
			c.t.Errorf("CreateContainer returned %v after it was cancelled", took)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			c.t.Errorf("CreateContainer, cancelled: %v", err)
		}
		if i%2 == 0 {
			c.ok("CreateContainer after it was cancelled", c.Driver.CreateContainer(c.ctx, spec))
			c.ok("Start", c.Driver.Start(c.ctx, spec.ID))
		}
	}
	c.ok("RemoveSandbox", c.Driver.RemoveSandbox(c.ctx, s.ID))
	c.nothingLeft()
}

// promptly is what a call may take after its context has ended: 100 ms, and what a machine whose cores are taken adds.
const promptly = 5 * time.Second
