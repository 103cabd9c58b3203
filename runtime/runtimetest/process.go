package runtimetest

import (
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

var processChecks = []namedCheck{
	{"ExitCodes", exitCodes},
	{"Command", command},
	{"Environment", environment},
	{"SecretEnvironment", secretEnvironment},
	{"WorkingDirectory", workingDirectory},
	{"BadCommand", badCommand},
	{"UnknownUser", unknownUser},
	{"Stdin", stdin},
	{"Terminal", terminal},
	{"InitProcess", initProcess},
}

func exitCodes(c *check) {
	s := c.sandbox()
	for _, want := range []int{0, 1, 2, 42, 126, 127, 137, 255} {
		if exit, _ := c.run(c.spec(s, "exit "+strconv.Itoa(want))); exit.Code != want || exit.OOMKilled {
			c.t.Errorf("exit %d: got %+v", want, exit)
		}
	}
}

func command(c *check) {
	s := c.sandbox()
	c.equal("the image's command", c.output(s, func(spec *runtime.ContainerSpec) { spec.Command = nil }), "from the image\n")
	c.equal("a command", c.output(s, nil, "args", "out of  spaces"), "/guest\nargs\nout of  spaces\nof  spaces\n")
	c.equal("an entry point", c.output(s, func(spec *runtime.ContainerSpec) {
		spec.Entrypoint, spec.Command = []string{"/guest", "args"}, nil
	}), "/guest\nargs\n")
	c.equal("both", c.output(s, func(spec *runtime.ContainerSpec) {
		spec.Entrypoint, spec.Command = []string{"/guest", "out one"}, []string{"out two"}
	}), "one\ntwo\n")
	c.equal("no entry point", c.output(s, func(spec *runtime.ContainerSpec) {
		spec.Entrypoint, spec.Command = []string{}, []string{"/guest", "out direct"}
	}), "direct\n")
}

// secretEnvironment wants variables that a process has and nothing else: the call can be repeated without them.
func secretEnvironment(c *check) {
	s := c.sandbox()
	spec := c.spec(s, "env PASSWORD", "env BOTH", "env EMPTY", "hang")
	spec.Env = []string{"BOTH=spec"}
	spec.SecretEnv = runtime.Secrets{"PASSWORD=hunter=2", "BOTH=secret", "EMPTY="}
	c.create(spec)
	spec.SecretEnv = nil
	c.create(spec)
	c.ok("Start", c.Driver.Start(c.ctx, spec.ID))
	c.awaitLog(spec.Log, "EMPTY")
	c.equal("secrets", c.log(spec.Log), "PASSWORD=hunter=2\nBOTH=secret\nEMPTY=\n")
	bad := c.spec(s, "exit 0")
	bad.SecretEnv = runtime.Secrets{"hunter2"}
	err := c.Driver.CreateContainer(c.ctx, bad)
	c.want("CreateContainer", err, runtime.ErrInvalid)
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		c.t.Errorf("the error has the secret: %v", err)
	}
}

func environment(c *check) {
	s := c.sandbox(func(s *runtime.SandboxSpec) { s.Hostname = "ip-10-0-0-7" })
	got := c.output(s, func(spec *runtime.ContainerSpec) {
		spec.Env = []string{"BOTH=spec", "NEW=a=b c", "EMPTY=", "TWICE=1", "TWICE=2"}
	}, "env IMAGE", "env BOTH", "env NEW", "env EMPTY", "env TWICE", "env PATH", "env HOSTNAME", "env TERM", "env NONE")
	c.equal("environment", got, "IMAGE=yes\nBOTH=spec\nNEW=a=b c\nEMPTY=\nTWICE=2\nPATH=/image/bin:/bin\nHOSTNAME=ip-10-0-0-7\nTERM=unset\nNONE=unset\n")

	bare := c.addImage("fardel.test/guest:bare", runtime.Image{Entrypoint: []string{"/guest"}})
	got = c.output(s, func(spec *runtime.ContainerSpec) { spec.Image = bare.Ref }, "env PATH", "env IMAGE", "dir")
	c.equal("environment of a bare image", got, "PATH="+runtime.DefaultPath+"\nIMAGE=unset\n/\n")
}

func workingDirectory(c *check) {
	s := c.sandbox()
	c.equal("the image's", c.output(s, nil, "dir"), "/work\n")
	c.equal("the spec's", c.output(s, func(spec *runtime.ContainerSpec) { spec.WorkingDir = "/tmp" }, "dir"), "/tmp\n")
	c.need(Kernel)
	c.equal("one that the image lacks", c.output(s, func(spec *runtime.ContainerSpec) { spec.WorkingDir = "/new/dir" }, "dir"), "/new/dir\n")
}

func badCommand(c *check) {
	s := c.sandbox()
	for _, args := range [][]string{{"/no/such/program"}, {"no-such-program"}} {
		spec := c.spec(s)
		spec.Entrypoint, spec.Command = args, nil
		err := c.Driver.CreateContainer(c.ctx, spec)
		if c.lacks(EarlyCommand) {
			c.ok("CreateContainer", err)
			err = c.Driver.Start(c.ctx, spec.ID)
		}
		c.want("CreateContainer or Start of "+args[0], err, runtime.ErrCommandNotFound)
		if err != nil && !strings.Contains(err.Error(), args[0]) {
			c.t.Errorf("%q does not name %s", err, args[0])
		}
		if c.lacks(EarlyCommand) {
			c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, spec.ID))
		}
		if _, ok := c.status(spec.ID); ok {
			c.t.Errorf("the container that could not be made for %s is listed", args[0])
		}
	}
	empty := c.addImage("fardel.test/guest:empty", runtime.Image{})
	spec := c.spec(s)
	spec.Image, spec.Command = empty.Ref, nil
	c.want("CreateContainer without any command", c.Driver.CreateContainer(c.ctx, spec), runtime.ErrInvalid)

	spec.Command = []string{"/guest", "exit 3"}
	if exit, _ := c.run(spec); exit.Code != 3 {
		c.t.Errorf("the ID of a container that could not be made: got %+v", exit)
	}
}

func unknownUser(c *check) {
	s := c.sandbox()
	for _, user := range []string{"nobody-here", "app:no-such-group", "-1", "0:99999999999"} {
		spec := c.spec(s, "exit 0")
		spec.User = user
		err := c.Driver.CreateContainer(c.ctx, spec)
		c.want("CreateContainer as "+user, err, runtime.ErrInvalid)
		if err != nil && !strings.Contains(err.Error(), user) {
			c.t.Errorf("%q does not name %s", err, user)
		}
	}
	c.output(s, func(spec *runtime.ContainerSpec) { spec.User = "app" }, "exit 0")
	c.output(s, func(spec *runtime.ContainerSpec) { spec.User = "4242:4343" }, "exit 0")
}

func stdin(c *check) {
	s := c.sandbox()
	c.equal("without interactive, stdin is empty", c.output(s, nil, "cat", "out end"), "end\n")
	open := c.start(func() runtime.ContainerSpec {
		spec := c.spec(s, "out up", "cat", "out end")
		spec.Stdin = true
		return spec
	}())
	c.awaitLog(open.Log, "up")
	if got, _ := c.status(open.ID); got.State != runtime.StateRunning {
		c.t.Errorf("with interactive, stdin stays open, and yet it is %s", got.State)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, open.ID, "SIGKILL"))
	c.wait(open.ID)
	c.equal("its log", c.log(open.Log), "up\n")
}

func terminal(c *check) {
	s := c.sandbox()
	tty := func(spec *runtime.ContainerSpec) { spec.Terminal = true }
	got := strings.ReplaceAll(c.output(s, tty, "env TERM", "err to stderr"), "\r\n", "\n")
	c.equal("with a terminal", got, "TERM=xterm\nto stderr\n")
	if got := c.output(s, tty, "size"); strings.TrimSpace(got) == "none" {
		c.t.Error("stdout is not a terminal")
	}
	c.equal("without", c.output(s, nil, "size"), "none\n")
}

func initProcess(c *check) {
	c.need(Init)
	s := c.sandbox()
	withInit := func(spec *runtime.ContainerSpec) { spec.Init = true }
	if exit, _ := c.run(func() runtime.ContainerSpec { spec := c.spec(s, "exit 11"); withInit(&spec); return spec }()); exit.Code != 11 {
		c.t.Errorf("exit code through the init: %+v", exit)
	}
	spec := c.spec(s, "out up", "hang")
	withInit(&spec)
	c.start(spec)
	c.awaitLog(spec.Log, "up")
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGTERM"))
	if exit := c.wait(spec.ID); exit.Code != 143 {
		c.t.Errorf("SIGTERM through the init: %+v", exit)
	}
	c.need(Kernel)
	if got := strings.TrimSpace(c.output(s, withInit, "pid")); got == "1" {
		c.t.Error("the program is process 1, not the init")
	}
}
