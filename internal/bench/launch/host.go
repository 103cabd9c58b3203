package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// A host is a copy of this program that has a cluster open, so that it can be weighed, and killed, without the one that
// measures. It is told what to do by lines on its standard input, answers each with one on its standard output, and
// releases all and ends when there are no more.

// Lines that a host is told: runMany N starts N tasks at once, awaitAll waits until all that run have ended, stopAll stops
// them.
const (
	runMany  = "run"
	awaitAll = "await"
	stopAll  = "stop"
)

// answer is what a host says. The first is to its start.
type answer struct {
	Opened time.Duration `json:"openedNs"` // the call of Open, in the first answer
	Took   time.Duration `json:"tookNs"`   // what it was told; in the first answer until all tasks are watched, from the call of Open
	Error  string        `json:"error,omitempty"`
}

// serveHost is the life of a host, which is to find so many tasks.
func serveHost(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	w, err := newWorkshop(o.inside)
	if err != nil {
		return err
	}
	began := time.Now()
	c, err := openCluster(ctx, w, o.host)
	if err != nil {
		return err
	}
	opened := answer{Opened: time.Since(began)}
	for c.phases.count("adopt") < o.tasks {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	opened.Took = time.Since(began)
	say := json.NewEncoder(out)
	if err := say.Encode(opened); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		began := time.Now()
		err := c.obey(ctx, lines.Text())
		a := answer{Took: time.Since(began)}
		if err != nil {
			a.Error = err.Error()
		}
		if err := say.Encode(a); err != nil {
			return err
		}
	}
	return c.close()
}

func (c *cluster) obey(ctx context.Context, line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case runMany:
		n, err := strconv.Atoi(rest)
		if err != nil {
			return err
		}
		var group sync.WaitGroup
		errs := make([]error, n)
		for i := range errs {
			group.Go(func() { _, errs[i] = c.launchSleep(ctx) })
		}
		group.Wait()
		return errors.Join(errs...)
	case awaitAll:
		return c.ofAll(ctx, func(run *scheduler.Run) error { _, err := run.Wait(ctx); return err })
	case stopAll:
		return c.ofAll(ctx, func(run *scheduler.Run) error {
			if err := run.Stop(ctx, "measured"); err != nil {
				return err
			}
			_, err := run.Wait(ctx)
			return err
		})
	}
	return fmt.Errorf("no such order: %q", line)
}

// ofAll does something with all tasks that are not STOPPED, at the same time.
func (c *cluster) ofAll(ctx context.Context, do func(*scheduler.Run) error) error {
	all, err := c.List(ctx, scheduler.ListOptions{})
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	errs := make([]error, len(all))
	for i, t := range all {
		if t.LastStatus >= task.Stopped {
			continue
		}
		group.Go(func() {
			run, err := c.Lookup(ctx, t.ID())
			if err == nil {
				err = do(run)
			}
			errs[i] = err
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// host is such a process.
type host struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
}

// startHost starts a host on a cluster in dir that is to take over so many tasks, and returns its first answer, too. The
// host has a copy of this program: pages that it shared with this process would make it look smaller.
func startHost(w *workshop, o options, dir string, tasks int) (*host, answer, error) {
	binary := w.path("host")
	if _, err := os.Stat(binary); err != nil {
		if err := copyFile(binary, "/proc/self/exe", 0o755); err != nil {
			return nil, answer{}, err
		}
	}
	o.inside, o.host, o.tasks = w.dir, dir, tasks
	cmd := exec.Command(binary, o.args()...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, answer{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, answer{}, err
	}
	if err := cmd.Start(); err != nil {
		return nil, answer{}, err
	}
	h := &host{cmd: cmd, in: in, answers: json.NewDecoder(out)}
	first, err := h.answer()
	if err != nil {
		return nil, first, errors.Join(err, h.kill())
	}
	return h, first, nil
}

func (h *host) answer() (answer, error) {
	var a answer
	if err := h.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("host does not answer: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// order has the host do something and returns how long it took.
func (h *host) order(format string, args ...any) (time.Duration, error) {
	if _, err := fmt.Fprintf(h.in, format+"\n", args...); err != nil {
		return 0, err
	}
	a, err := h.answer()
	return a.Took, err
}

// close has the host release everything and waits for its end.
func (h *host) close() error {
	return errors.Join(h.in.Close(), h.cmd.Wait())
}

// kill kills the host, as it might die at any moment, and returns when it is dead.
func (h *host) kill() error {
	err := h.cmd.Process.Kill()
	_ = h.cmd.Wait() // it tells that it was killed
	return err
}
