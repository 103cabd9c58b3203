package runtimetest

import (
	"errors"
	"io"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

var logChecks = []namedCheck{
	{"LogBothStreams", logBothStreams},
	{"LogLarge", logLarge},
	{"LogAppends", logAppends},
	{"LogFollow", logFollow},
	{"LogNone", logNone},
	{"LogRemove", logRemove},
	{"LogTail", logTail},
	{"LogBlocks", logBlocks},
	{"LogDrops", logDrops},
}

func logBothStreams(c *check) {
	s := c.sandbox()
	c.equal("log", c.output(s, nil, "out one", "err two", "out three", "out "), "one\ntwo\nthree\n\n")
}

// logLarge writes more than any pipe or buffer holds, and ends at once.
func logLarge(c *check) {
	s := c.sandbox()
	const size = 8 << 20
	exit, got := c.run(c.spec(s, "flood 8388608", "out end"))
	if exit.Code != 0 || len(got) != size+len("end\n") || !strings.HasSuffix(got, "\nend\n") {
		c.t.Errorf("ended with %+v and %d bytes, want %d", exit, len(got), size+4)
	}
	if lines := strings.Count(got, "\n"); lines != size/64+1 {
		c.t.Errorf("%d lines, want %d", lines, size/64+1)
	}
}

// logAppends gives two containers one log, as a restart does.
func logAppends(c *check) {
	s := c.sandbox()
	first := c.spec(s, "out first")
	c.run(first)
	second := c.spec(s, "out second")
	second.Log = first.Log
	_, got := c.run(second)
	c.equal("log", got, "first\nsecond\n")
}

func logFollow(c *check) {
	driver, ok := c.Driver.(runtime.LogReader)
	if !ok {
		c.t.Skip("this driver is no LogReader")
	}
	s := c.sandbox()
	spec := c.start(c.spec(s, "out one", "catch USR1 0", "out two", "hang"))
	c.awaitLog(spec.Log, "two")
	log, err := driver.OpenLog(c.ctx, spec.Log)
	c.ok("OpenLog", err)
	defer log.Close()
	content, err := io.ReadAll(log)
	c.ok("Read", err)
	c.equal("log so far", string(content), "one\ntwo\n")
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGUSR1"))
	c.wait(spec.ID)
	content, err = io.ReadAll(log)
	c.ok("Read after io.EOF", err)
	c.equal("log since", string(content), "caught USR1\n")
}

func logNone(c *check) {
	s := c.sandbox()
	spec := c.spec(s, "flood 262144", "exit 5")
	spec.Log = ""
	c.start(spec)
	if exit := c.wait(spec.ID); exit.Code != 5 {
		c.t.Errorf("without a log: got %+v", exit)
	}
}

func logRemove(c *check) {
	driver, ok := c.Driver.(runtime.LogReader)
	if !ok {
		c.t.Skip("this driver is no LogReader")
	}
	s := c.sandbox()
	spec := c.spec(s, "out hello")
	_, err := driver.OpenLog(c.ctx, spec.Log)
	c.want("OpenLog before the container was created", err, runtime.ErrNotFound)
	c.run(spec)
	c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, spec.ID))
	c.equal("log after RemoveContainer", c.log(spec.Log), "hello\n")
	for range 2 {
		c.ok("RemoveLog", driver.RemoveLog(c.ctx, spec.Log))
	}
	if _, err := driver.OpenLog(c.ctx, spec.Log); !errors.Is(err, runtime.ErrNotFound) {
		c.t.Errorf("OpenLog after RemoveLog: got %v, want ErrNotFound", err)
	}
}
