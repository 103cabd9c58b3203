package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// How often a log is looked at for more: quickly after it grew, and less and less often while it does not.
const (
	pollFirst = 10 * time.Millisecond
	pollMost  = 250 * time.Millisecond
)

// Logs reads what a container of the task writes to stdout and stderr, from its start, and follows it until it has
// ended. It works before the container has started and after the task has stopped, for Config.Retention. The container
// can be "" when the task has one. Read fails with ctx's error when ctx ends, which need not be an error to the reader
// of a container that goes on. It works whatever the log driver, but for none, where it is [ErrNoLogs]. What is kept is
// bounded by Config.LogLimit: a reader that is further behind goes on with the oldest output there is.
func (r *Run) Logs(ctx context.Context, container string) io.ReadCloser {
	return &logReader{ctx: ctx, r: r, container: container, follow: true}
}

// Output returns what a container of the task has written so far.
func (r *Run) Output(ctx context.Context, container string) ([]byte, error) {
	l := &logReader{ctx: ctx, r: r, container: container}
	defer l.Close()
	return io.ReadAll(l)
}

// logReader reads one container's log. Like an *os.File it is for one reader at a time.
type logReader struct {
	ctx       context.Context // of Logs: io.Reader has no place for one
	r         *Run
	container string
	follow    bool

	allowed bool
	log     io.ReadCloser // nil until the container has one
	wait    time.Duration
}

// Read implements io.Reader.
func (l *logReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		// Asked before reading: what is written before the end is read after it.
		ended, err := l.ended()
		if err != nil {
			return 0, err
		}
		n, err := l.read(p)
		switch {
		case n > 0:
			l.wait = pollFirst
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return 0, err
		case ended || !l.follow:
			return 0, io.EOF
		}
		if err := l.pause(); err != nil {
			return 0, err
		}
	}
}

// Close implements io.Closer.
func (l *logReader) Close() error {
	if l.log == nil {
		return nil
	}
	return l.log.Close()
}

// ended reports whether the container will write no more.
func (l *logReader) ended() (bool, error) {
	t, err := l.r.c.describe(l.ctx, l.r.id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	if l.container == "" && t != nil && len(t.Containers) == 1 {
		l.container = t.Containers[0].Name
	}
	if !l.allowed {
		k := l.r.c.onTask(t)
		k.set("ecs:container-name", l.container)
		if denied := l.r.c.authorize(l.ctx, "logs:GetLogEvents", l.r.ARN(), k); denied != nil {
			return false, denied
		}
		l.allowed = true
	}
	if err != nil {
		return false, err
	}
	c := t.Container(l.container)
	if c == nil {
		return false, fmt.Errorf("%w: task %s has no container %q", ErrNotFound, l.r.id, l.container)
	}
	return t.LastStatus >= task.Stopped || c.LastStatus == task.ContainerStopped, nil
}

// read reads what is there. io.EOF means nothing more at present.
func (l *logReader) read(p []byte) (int, error) {
	if l.log == nil {
		log, err := l.r.c.engine.OpenLog(l.ctx, l.r.id, l.container)
		if errors.Is(err, runtime.ErrNotFound) {
			return 0, l.none()
		}
		if err != nil {
			return 0, err
		}
		l.log = log
	}
	return l.log.Read(p)
}

// none is why there is no log: io.EOF when there is none yet, or no more.
func (l *logReader) none() error {
	t, err := l.r.c.describe(l.ctx, l.r.id)
	if err != nil {
		return err
	}
	def, err := l.r.c.definition(l.ctx, t.TaskDefinitionARN)
	if err != nil {
		return err
	}
	if c := def.Container(l.container); c != nil && c.LogConfiguration != nil && c.LogConfiguration.LogDriver == task.LogDriverNone {
		return fmt.Errorf("%w: container %s has the log driver none", ErrNoLogs, l.container)
	}
	return io.EOF
}

// pause waits for more: for the task to change, or for a while.
func (l *logReader) pause() error {
	l.wait = min(max(2*l.wait, pollFirst), pollMost)
	changes, cancel := l.r.c.hub.subscribe(l.r.id)
	defer cancel()
	t := time.NewTimer(l.wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changes:
	case <-l.r.c.done:
		return l.r.c.closed()
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
	return nil
}
