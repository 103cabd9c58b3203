package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

var execChecks = []namedCheck{
	{"ExecStreams", execStreams},
	{"ExecStreamsApart", execStreamsApart},
	{"ExecEnvironment", execEnvironment},
	{"ExecCancel", execCancel},
	{"ExecCancelEarly", execCancelEarly},
	{"ExecCancelTree", execCancelTree},
	{"ExecErrors", execErrors},
	{"ExecTerminal", execTerminal},
	{"ExecEndsWithContainer", execEndsWithContainer},
	{"ExecMany", execMany},
}

// execer starts a container to execute in.
func (c *check) execer(change func(*runtime.ContainerSpec)) (runtime.Execer, runtime.ContainerSpec) {
	c.t.Helper()
	driver, ok := c.Driver.(runtime.Execer)
	if !ok {
		c.t.Skip("this driver is no Execer")
	}
	spec := c.spec(c.sandbox(), "out up", "hang")
	if change != nil {
		change(&spec)
	}
	c.start(spec)
	c.awaitLog(spec.Log, "up")
	return driver, spec
}

func guest(statements ...string) []string { return append([]string{"/guest"}, statements...) }

func execStreams(c *check) {
	driver, spec := c.execer(nil)
	var stdout, stderr bytes.Buffer
	code, err := driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{
		Args: guest("out one", "err two", "cat", "exit 7"), Stdin: strings.NewReader("three\n"), Stdout: &stdout, Stderr: &stderr,
	})
	c.ok("Exec", err)
	if code != 7 {
		c.t.Errorf("got code %d, want 7", code)
	}
	c.equal("stdout", stdout.String(), "one\nthree\n")
	c.equal("stderr", stderr.String(), "two\n")

	var large counter
	code, err = driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("flood 4194304"), Stdout: &large})
	c.ok("Exec with large output", err)
	if code != 0 || large != 4<<20 {
		c.t.Errorf("large output: code %d, %d bytes", code, large)
	}
	code, err = driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("cat", "out discarded", "exit 2")})
	if err != nil || code != 2 {
		c.t.Errorf("without streams: got %d, %v", code, err)
	}
	c.equal("the container's own log", c.log(spec.Log), "up\n")
}

// counter counts what is written to it.
type counter int

func (n *counter) Write(p []byte) (int, error) {
	*n += counter(len(p))
	return len(p), nil
}

// execStreamsApart reads nothing of stdout until something has come on stderr. Between a process and its streams the kernel
// has some room.
func execStreamsApart(c *check) {
	c.need(Kernel)
	driver, spec := c.execer(nil)
	out, stdout := io.Pipe()
	problems, stderr := io.Pipe()
	done := behind(func() error {
		_, err := driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("out one", "err two"), Stdout: stdout, Stderr: stderr})
		return errors.Join(err, stdout.Close(), stderr.Close())
	})
	for _, r := range []struct {
		from io.Reader
		want string
	}{{problems, "two\n"}, {out, "one\n"}} {
		got := make([]byte, len(r.want))
		_, err := io.ReadFull(r.from, got)
		c.ok("read of a stream", err)
		c.equal("a stream", string(got), r.want)
	}
	rest := behind(func() error { _, err := io.Copy(io.Discard, io.MultiReader(problems, out)); return err })
	c.ok("Exec", <-done)
	c.ok("read of what is left", <-rest)
}

func execEnvironment(c *check) {
	driver, spec := c.execer(func(spec *runtime.ContainerSpec) {
		spec.Env, spec.WorkingDir, spec.User = []string{"A=container", "B=container"}, "/tmp", "app"
	})
	output := func(exec runtime.ExecSpec) string {
		c.t.Helper()
		var stdout bytes.Buffer
		exec.Stdout = &stdout
		code, err := driver.Exec(c.ctx, spec.ID, exec)
		if err != nil || code != 0 {
			c.t.Errorf("Exec(%q): %d, %v", exec.Args, code, err)
		}
		return stdout.String()
	}
	c.equal("inherited", output(runtime.ExecSpec{Args: guest("env A", "env IMAGE", "dir")}), "A=container\nIMAGE=yes\n/tmp\n")
	c.equal("changed", output(runtime.ExecSpec{
		Args: guest("env A", "env B", "env C", "dir"), Env: []string{"A=exec", "C=exec"}, WorkingDir: "/work",
	}), "A=exec\nB=container\nC=exec\n/work\n")
	c.need(Kernel)
	c.equal("the container's user", output(runtime.ExecSpec{Args: guest("id")}), "1000 1000 [29 1000]\n")
	c.equal("root", output(runtime.ExecSpec{Args: guest("id"), User: "root"}), "0 0 [0]\n")
}

func execCancel(c *check) {
	driver, spec := c.execer(nil)
	ctx, cancel := context.WithCancel(c.ctx)
	reader, writer := io.Pipe()
	done := behind(func() error {
		_, err := driver.Exec(ctx, spec.ID, runtime.ExecSpec{Args: guest("ignore TERM", "out executing", "hang"), Stdout: writer})
		return errors.Join(err, writer.Close())
	})
	line := make([]byte, len("executing\n"))
	_, err := io.ReadFull(reader, line)
	c.ok("read of its output", err)
	cancel()
	c.want("Exec, cancelled", <-done, context.Canceled)
	if got, _ := c.status(spec.ID); got.State != runtime.StateRunning {
		c.t.Errorf("after a cancelled Exec the container is %s", got.State)
	}
	if stater, ok := c.Driver.(runtime.Stater); ok && slices.Contains(c.Lacks, Kernel) { // a process has no threads there
		c.eventually("the end of the process", func() bool {
			stats, err := stater.Stats(c.ctx, spec.ID)
			return err == nil && stats.PIDs == 1
		})
	}
	c.need(Kernel, ExecKill)
	c.eventually("the end of the process", func() bool {
		var stdout bytes.Buffer
		_, err := driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("pids"), Stdout: &stdout})
		return err == nil && !strings.Contains(stdout.String(), "executing")
	})
}

// execCancelEarly wants that an Exec returns when its context ends, wherever it is then, and writes nothing afterwards.
func execCancelEarly(c *check) {
	driver, spec := c.execer(nil)
	for i := range 8 {
		ctx, cancel := context.WithCancel(c.ctx)
		var stdout bytes.Buffer
		done := behind(func() error {
			_, err := driver.Exec(ctx, spec.ID, runtime.ExecSpec{Args: guest("flood 100000", "hang"), Stdout: &stdout})
			return err
		})
		select {
		case <-time.After(time.Duration(i*i) * 4 * time.Millisecond): // up to 200 ms
		case <-c.ctx.Done():
		}
		cancel()
		began := time.Now()
		c.want("Exec, cancelled", <-done, context.Canceled)
		if took := time.Since(began); took > promptly {
			c.t.Errorf("Exec returned %v after it was cancelled", took)
		}
		_ = stdout.String() // it is the caller's again, which the race detector knows
	}
	code, err := driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("exit 6")})
	if err != nil || code != 6 {
		c.t.Errorf("Exec after others were cancelled: %d, %v", code, err)
	}
}

// execCancelTree wants that what a process has started ends with it when its Exec is cancelled, and that the container goes on.
func execCancelTree(c *check) {
	c.need(Kernel, ExecKill)
	driver, spec := c.execer(nil)
	ctx, cancel := context.WithCancel(c.ctx)
	reader, writer := io.Pipe()
	done := behind(func() error {
		_, err := driver.Exec(ctx, spec.ID, runtime.ExecSpec{Args: guest("spawn sleep 1001s", "spawn sleep 1001s", "out executing", "hang"), Stdout: writer})
		return errors.Join(err, writer.Close())
	})
	read := behind(func() error { _, err := io.Copy(io.Discard, reader); return err })
	pids := func() string {
		var stdout bytes.Buffer
		_, err := driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("pids"), Stdout: &stdout})
		c.ok("Exec", err)
		return stdout.String()
	}
	c.eventually("its children", func() bool { return strings.Count(pids(), "1001s") >= 3 }) // and their parent, in its arguments
	cancel()
	c.want("Exec, cancelled", <-done, context.Canceled)
	c.ok("read of its output", <-read)
	c.eventually("the end of its children", func() bool { return !strings.Contains(pids(), "1001s") })
	if got, _ := c.status(spec.ID); got.State != runtime.StateRunning {
		c.t.Errorf("the container is %s", got.State)
	}
}

func execErrors(c *check) {
	driver, spec := c.execer(nil)
	_, err := driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: []string{"/no/such/program"}})
	c.want("Exec of a command that is not there", err, runtime.ErrCommandNotFound)
	_, err = driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{})
	c.want("Exec of nothing", err, runtime.ErrInvalid)
	_, err = driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("exit 0"), User: "nobody-here"})
	c.want("Exec as an unknown user", err, runtime.ErrInvalid)
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGKILL"))
	c.wait(spec.ID)
	_, err = driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("exit 0")})
	c.want("Exec in a container that ended", err, runtime.ErrNotRunning)
	created := c.spec(runtime.SandboxSpec{ID: spec.SandboxID}, "hang")
	c.create(created)
	_, err = driver.Exec(c.ctx, created.ID, runtime.ExecSpec{Args: guest("exit 0")})
	c.want("Exec in a container that was not started", err, runtime.ErrNotRunning)
}

func execTerminal(c *check) {
	driver, spec := c.execer(nil)
	resize := make(chan runtime.WindowSize, 1)
	resize <- runtime.WindowSize{Width: 132, Height: 43}
	reader, writer := io.Pipe()
	var code int
	done := behind(func() (err error) {
		code, err = driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{
			Args: guest("out up", "resized", "err end", "exit 3"), Terminal: true, Stdout: writer, Resize: resize,
		})
		return errors.Join(err, writer.Close())
	})
	var all bytes.Buffer
	read := behind(func() error { _, err := io.Copy(&all, reader); return err })
	// The size may be there before the program looks, so that it changes again until the program has seen a change.
	width := uint16(80)
	c.eventually("a change of the terminal's size", func() bool {
		width++
		select {
		case err := <-done:
			c.ok("Exec", err)
			return true
		case resize <- runtime.WindowSize{Width: width, Height: 25}:
		default:
		}
		return false
	})
	close(resize)
	c.ok("read of its output", <-read)
	got := strings.ReplaceAll(all.String(), "\r\n", "\n")
	if code != 3 || !strings.HasPrefix(got, "up\n") || !strings.HasSuffix(got, "end\n") || !strings.Contains(got, "x") {
		c.t.Errorf("got code %d and %q", code, got)
	}
}

func execEndsWithContainer(c *check) {
	driver, spec := c.execer(nil)
	reader, writer := io.Pipe()
	done := behind(func() error {
		_, err := driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("out executing", "hang"), Stdout: writer})
		return errors.Join(err, writer.Close())
	})
	_, err := io.ReadFull(reader, make([]byte, len("executing\n")))
	c.ok("read of its output", err)
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGKILL"))
	if err := <-done; err != nil && !errors.Is(err, runtime.ErrNotRunning) {
		c.t.Errorf("Exec when its container ended: %v", err)
	}
}

func execMany(c *check) {
	driver, spec := c.execer(nil)
	for i, err := range together(8, func(int) error {
		var stdout bytes.Buffer
		code, err := driver.Exec(c.ctx, spec.ID, runtime.ExecSpec{Args: guest("out hello", "exit 5"), Stdout: &stdout})
		if err == nil && (code != 5 || stdout.String() != "hello\n") {
			return errors.New("wrote " + stdout.String())
		}
		return err
	}) {
		if err != nil {
			c.t.Errorf("Exec %d of 8 at once: %v", i, err)
		}
	}
}
