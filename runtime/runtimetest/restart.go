package runtimetest

import (
	"context"
	"errors"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

var restartChecks = []namedCheck{
	{"Restart", restart},
	{"RestartFileSystem", restartFileSystem},
	{"RestartStorage", restartStorage},
	{"RestartReopen", restartReopen},
	{"RestartSecrets", restartSecrets},
}

func (c *check) restarter() runtime.Restarter {
	c.t.Helper()
	r, ok := c.Driver.(runtime.Restarter)
	if !ok {
		c.t.Skip("this driver is no Restarter")
	}
	return r
}

// again readies a container for a run and starts it.
func (c *check) again(id string, n int) {
	c.t.Helper()
	c.ok("Restart", c.restarter().Restart(c.ctx, id, n, nil))
	c.ok("Start", c.Driver.Start(c.ctx, id))
}

func restart(c *check) {
	r := c.restarter()
	s := c.sandbox()
	c.want("Restart of an unknown container", r.Restart(c.ctx, "unknown", 1, nil), runtime.ErrNotFound)
	spec := c.spec(s, "catch TERM 4", "out run", "hang")
	c.create(spec)
	c.want("Restart of a created container", r.Restart(c.ctx, spec.ID, 1, nil), runtime.ErrInvalid)
	for n := range 3 {
		if n > 0 {
			c.ok("Restart", r.Restart(c.ctx, spec.ID, n, nil))
			c.ok("Restart again", r.Restart(c.ctx, spec.ID, n, nil))
			if got, _ := c.status(spec.ID); got.State != runtime.StateCreated || got.Restarts != n || got.Exit != nil || !got.StartedAt.IsZero() {
				c.t.Errorf("restarted %d times: %+v", n, got)
			}
		}
		c.ok("Start", c.Driver.Start(c.ctx, spec.ID))
		c.ok("Start again", c.Driver.Start(c.ctx, spec.ID))
		c.awaitLog(spec.Log, strings.Repeat("run\ncaught TERM\n", n)+"run\n")
		c.want("Restart of a running container", r.Restart(c.ctx, spec.ID, n+1, nil), runtime.ErrInvalid)
		c.create(spec) // the same as before
		c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGTERM"))
		if exit := c.wait(spec.ID); exit.Code != 4 {
			c.t.Errorf("run %d ended with %+v, want code 4", n, exit)
		}
		c.ok("Restart of a run that is over", r.Restart(c.ctx, spec.ID, n, nil))
		if got, _ := c.status(spec.ID); got.State != runtime.StateStopped {
			c.t.Errorf("a repeated restart made it %s", got.State)
		}
		c.want("Restart of the run after next", r.Restart(c.ctx, spec.ID, n+2, nil), runtime.ErrInvalid)
	}
	c.equal("log", c.log(spec.Log), strings.Repeat("run\ncaught TERM\n", 3))
}

// restartFileSystem checks that a run finds what the one before it has written, and nobody else's.
func restartFileSystem(c *check) {
	c.need(Kernel)
	c.keepsFiles(c.sandbox())
}

// restartStorage checks the same where the file system is on a disk of the sandbox.
func restartStorage(c *check) {
	c.need(Kernel, Storage)
	c.keepsFiles(c.sandbox(func(s *runtime.SandboxSpec) { s.Storage = 48 }))
}

func (c *check) keepsFiles(s runtime.SandboxSpec) {
	c.t.Helper()
	spec := c.start(c.spec(s, "exists /work/kept", "write /work/kept", "exit 3"))
	c.wait(spec.ID)
	c.again(spec.ID, 1)
	if exit := c.wait(spec.ID); exit.Code != 3 {
		c.t.Errorf("second run ended with %+v", exit)
	}
	lines := strings.Split(c.log(spec.Log), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[0], "exists: ") || lines[1] != "written" || lines[2] != "exists" {
		c.t.Errorf("log %q, want that the second run finds what the first wrote", lines)
	}
}

// restartSecrets checks that a new run has the secrets that it is given, and that nobody is asked for those of an old one.
func restartSecrets(c *check) {
	r := c.restarter()
	spec := c.spec(c.sandbox(), "env PASSWORD", "exit 0")
	spec.SecretEnv = runtime.Secrets{"PASSWORD=first"}
	c.start(spec)
	c.wait(spec.ID)
	bad := errors.New("no secrets today")
	err := r.Restart(c.ctx, spec.ID, 1, func(context.Context) (runtime.Secrets, error) { return nil, bad })
	c.want("Restart without the secrets", err, bad)
	c.ok("Restart", r.Restart(c.ctx, spec.ID, 1, func(context.Context) (runtime.Secrets, error) { return runtime.Secrets{"PASSWORD=second"}, nil }))
	c.ok("Start", c.Driver.Start(c.ctx, spec.ID))
	c.wait(spec.ID)
	c.ok("Restart again", r.Restart(c.ctx, spec.ID, 1, func(context.Context) (runtime.Secrets, error) { return nil, bad }))
	c.equal("log", c.log(spec.Log), "PASSWORD=first\nPASSWORD=second\n")
}

// restartReopen checks that a restart is known after the end of the program that asked for it.
func restartReopen(c *check) {
	if c.Reopen == nil {
		c.t.Skip("this driver cannot be reopened")
	}
	c.restarter()
	s := c.sandbox()
	created, running, ended := c.start(c.spec(s, "out created", "exit 1")), c.start(c.spec(s, "catch TERM 2", "out run", "out ready", "hang")), c.start(c.spec(s, "exit 3"))
	c.wait(created.ID)
	c.ok("Restart", c.restarter().Restart(c.ctx, created.ID, 1, nil))
	c.awaitLog(running.Log, "ready")
	c.ok("Kill", c.Driver.Kill(c.ctx, running.ID, "SIGTERM"))
	c.wait(running.ID)
	c.again(running.ID, 1)
	c.awaitLog(running.Log, "caught TERM\nrun\nready")
	c.wait(ended.ID)
	c.again(ended.ID, 1)
	c.wait(ended.ID)

	c.Driver = c.Reopen(c.t)
	for id, want := range map[string]runtime.State{created.ID: runtime.StateCreated, running.ID: runtime.StateRunning, ended.ID: runtime.StateStopped} {
		if got, _ := c.status(id); got.State != want || got.Restarts != 1 {
			c.t.Errorf("got %+v, want it %s after one restart", got, want)
		}
		c.ok("Restart as before", c.restarter().Restart(c.ctx, id, 1, nil))
	}
	c.ok("Start", c.Driver.Start(c.ctx, created.ID))
	c.ok("Kill", c.Driver.Kill(c.ctx, running.ID, "SIGTERM"))
	for id, want := range map[string]int{created.ID: 1, running.ID: 2, ended.ID: 3} {
		if exit := c.wait(id); exit.Code != want {
			c.t.Errorf("got %+v, want code %d", exit, want)
		}
	}
	c.again(ended.ID, 2)
	c.wait(ended.ID)
}
