package runtimetest

import (
	"github.com/fardel-io/fardel/runtime"
)

var killChecks = []namedCheck{
	{"KillNamesAndNumbers", killNamesAndNumbers},
	{"KillDefaultAction", killDefaultAction},
	{"StopSignal", stopSignal},
	{"KillIgnored", killIgnored},
	{"KillEndsChildren", killEndsChildren},
	{"KillInvalid", killInvalid},
}

// killed starts a container that catches the signals it is told, kills it and returns how it ended.
func (c *check) killed(spec runtime.ContainerSpec, signal string) runtime.Exit {
	c.t.Helper()
	c.start(spec)
	c.awaitLog(spec.Log, "up")
	c.ok("Kill("+signal+")", c.Driver.Kill(c.ctx, spec.ID, signal))
	return c.wait(spec.ID)
}

func killNamesAndNumbers(c *check) {
	s := c.sandbox()
	for signal, want := range map[string]int{"SIGTERM": 15, "TERM": 15, "15": 15, "SIGUSR1": 10, "10": 10, "SIGINT": 2, "sighup": 1} {
		spec := c.spec(s, "catch TERM 15", "catch USR1 10", "catch INT 2", "catch HUP 1", "out up", "hang")
		if exit := c.killed(spec, signal); exit.Code != want {
			c.t.Errorf("Kill(%s): got %+v, want %d", signal, exit, want)
		}
	}
}

func killDefaultAction(c *check) {
	s := c.sandbox()
	for signal, want := range map[string]int{"SIGTERM": 143, "SIGINT": 130, "SIGKILL": 137, "9": 137, "SIGQUIT": 131} {
		if exit := c.killed(c.spec(s, "out up", "hang"), signal); exit.Code != want || exit.OOMKilled {
			c.t.Errorf("Kill(%s): got %+v, want %d", signal, exit, want)
		}
	}
}

func stopSignal(c *check) {
	s := c.sandbox()
	image := c.addImage("fardel.test/guest:stopsignal", runtime.Image{Entrypoint: []string{"/guest"}, StopSignal: "SIGUSR2"})
	for _, tt := range []struct {
		what   string
		change func(*runtime.ContainerSpec)
		want   int
	}{
		{"neither names one", func(*runtime.ContainerSpec) {}, 15},
		{"the image names one", func(spec *runtime.ContainerSpec) { spec.Image = image.Ref }, 12},
		{"both do", func(spec *runtime.ContainerSpec) { spec.Image, spec.StopSignal = image.Ref, "SIGINT" }, 2},
		{"a number", func(spec *runtime.ContainerSpec) { spec.StopSignal = "10" }, 10},
	} {
		spec := c.spec(s, "catch TERM 15", "catch USR1 10", "catch USR2 12", "catch INT 2", "out up", "hang")
		tt.change(&spec)
		if exit := c.killed(spec, ""); exit.Code != tt.want {
			c.t.Errorf("stop signal when %s: got %+v, want %d", tt.what, exit, tt.want)
		}
	}
}

func killIgnored(c *check) {
	s := c.sandbox()
	spec := c.start(c.spec(s, "ignore TERM", "out up", "catch USR1 0", "hang"))
	c.awaitLog(spec.Log, "up")
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGTERM"))
	if got, _ := c.status(spec.ID); got.State != runtime.StateRunning {
		c.t.Errorf("after an ignored SIGTERM it is %s", got.State)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGKILL"))
	if exit := c.wait(spec.ID); exit.Code != 137 {
		c.t.Errorf("SIGKILL: got %+v", exit)
	}
}

// killEndsChildren wants that what the first process started does not outlive it.
func killEndsChildren(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	for _, share := range []bool{false, true} {
		if share && c.lacks(SharedPID) {
			return
		}
		if share {
			s = c.sandbox(func(s *runtime.SandboxSpec) { s.SharePID = true })
		}
		spec := c.start(c.spec(s, "spawn hang", "spawn hang", "out up", "hang"))
		c.awaitLog(spec.Log, "up")
		c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGKILL"))
		c.wait(spec.ID)
		if share {
			witness := c.output(s, nil, "pids")
			c.equal("processes of the task after its end", countOf(witness, "hang"), "0")
		}
		c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, spec.ID))
	}
}

func killInvalid(c *check) {
	s := c.sandbox()
	spec := c.start(c.spec(s, "out up", "hang"))
	for _, signal := range []string{"SIGNOPE", "0", "-9", "65", "TERM "} {
		c.want("Kill("+signal+")", c.Driver.Kill(c.ctx, spec.ID, signal), runtime.ErrInvalid)
	}
	spec = c.spec(s, "exit 0")
	spec.StopSignal = "SIGNOPE"
	c.want("CreateContainer with a stop signal that is none", c.Driver.CreateContainer(c.ctx, spec), runtime.ErrInvalid)
}
