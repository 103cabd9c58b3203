package runtimetest

import (
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

var sandboxChecks = []namedCheck{
	{"TwoContainers", twoContainers},
	{"Hostname", hostname},
	{"NetNS", netNS},
	{"NoNetwork", noNetwork},
	{"SharedPID", sharedPID},
	{"PrivatePID", privatePID},
}

func twoContainers(c *check) {
	s := c.sandbox()
	long := c.start(c.spec(s, "catch TERM 4", "out up", "hang"))
	c.awaitLog(long.Log, "up")
	c.equal("the second", c.output(s, nil, "out second"), "second\n")
	if got, _ := c.status(long.ID); got.State != runtime.StateRunning {
		c.t.Errorf("the end of the second left the first %s", got.State)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, long.ID, "SIGTERM"))
	if exit := c.wait(long.ID); exit.Code != 4 {
		c.t.Errorf("the first: got %+v", exit)
	}
}

func hostname(c *check) {
	c.need(Kernel)
	named := c.sandbox(func(s *runtime.SandboxSpec) { s.Hostname = "ip-10-0-0-7" })
	c.equal("host name", c.output(named, nil, "hostname", "env HOSTNAME"), "ip-10-0-0-7\nHOSTNAME=ip-10-0-0-7\n")
	other := c.sandbox()
	got := strings.Fields(c.output(other, nil, "hostname", "env HOSTNAME"))
	if len(got) != 2 || got[1] != "HOSTNAME="+got[0] || got[0] == "" {
		c.t.Errorf("default host name: got %q", got)
	}
}

func netNS(c *check) {
	c.need(Kernel)
	if c.NetNS == "" {
		c.t.Skip("this fixture has no network namespace")
	}
	const link = "link /proc/self/ns/net"
	s := c.sandbox(func(s *runtime.SandboxSpec) { s.NetNS = c.NetNS })
	for range 2 {
		c.equal("network namespace", c.output(s, nil, link), c.NetNSLink+"\n")
	}
	if host := c.output(c.sandbox(), nil, link); host == c.NetNSLink+"\n" {
		c.t.Error("a sandbox without a path has the other's network namespace")
	}
}

// noNetwork has a container, and one that is made again for another run, be alone beside others in the sandbox's network.
func noNetwork(c *check) {
	c.need(Kernel, NamespaceNames)
	s := c.sandbox(func(s *runtime.SandboxSpec) { s.NetNS, s.Hostname = c.NetNS, "shared" })
	const link = "link /proc/self/ns/net"
	alone := func(spec *runtime.ContainerSpec) { spec.NoNetwork, spec.Hostname = true, "alone" }
	shared := c.output(s, nil, link)
	first := c.output(s, alone, link)
	if second := c.output(s, alone, link); first == shared || second == shared {
		c.t.Errorf("network namespaces %q and %q, want others than the sandbox's %q", first, second, shared)
	}
	c.equal("host name", c.output(s, alone, "hostname", "env HOSTNAME"), "alone\nHOSTNAME=alone\n")
	c.equal("host name of others", c.output(s, nil, "hostname"), "shared\n")
	c.equal("listening on loopback", c.output(s, alone, "tell up", "await up"), "told up\nheard up\n")
	var links []string
	for line := range strings.Lines(c.output(s, alone, "read /proc/net/dev")) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			links = append(links, strings.TrimSpace(name))
		}
	}
	c.equal("interfaces", strings.Join(links, " "), "lo")
}

// countOf says how often a word occurs, as text.
func countOf(text, word string) string {
	const digits = "0123456789"
	n := min(strings.Count(text, word), 9)
	return digits[n : n+1]
}

func sharedPID(c *check) {
	c.need(Kernel, SharedPID)
	s := c.sandbox(func(s *runtime.SandboxSpec) { s.SharePID = true })
	first := c.start(c.spec(s, "out up", "hang"))
	c.awaitLog(first.Log, "up")
	second := c.start(c.spec(s, "out up", "hang"))
	c.awaitLog(second.Log, "up")
	c.equal("hanging processes that a third container sees", countOf(c.output(s, nil, "pids"), "hang"), "2")
	c.ok("Kill", c.Driver.Kill(c.ctx, first.ID, "SIGKILL"))
	c.wait(first.ID)
	c.equal("after the end of the first", countOf(c.output(s, nil, "pids"), "hang"), "1")
	if got, _ := c.status(second.ID); got.State != runtime.StateRunning {
		c.t.Errorf("the end of the first container left the second %s", got.State)
	}
}

func privatePID(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	first := c.start(c.spec(s, "out up", "hang"))
	c.awaitLog(first.Log, "up")
	c.equal("hanging processes that another container sees", countOf(c.output(s, nil, "pids"), "hang"), "0")
	c.equal("its own number", c.output(s, nil, "pid"), "1\n")
}
