package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/fardel-io/fardel/runtime"
)

// Stats is what a task uses: the whole of it, and each container by name.
type Stats struct {
	Task       runtime.Stats
	Containers map[string]runtime.Stats

	// Dropped is how many lines of a container's output its log driver was too slow for, in mode non-blocking, since this
	// process runs it. Containers that lost none are left out.
	Dropped map[string]uint64
}

// Exec runs a process in a container of a task on this host and returns its exit code. See [runtime.Execer].
func (e *Engine) Exec(ctx context.Context, taskID, containerName string, spec runtime.ExecSpec) (int, error) {
	x, ok := e.cfg.Driver.(runtime.Execer)
	if !ok {
		return 0, &runtime.UnsupportedError{Feature: "exec", Needs: "a driver that implements runtime.Execer"}
	}
	c, err := e.container(taskID, containerName)
	if err != nil {
		return 0, err
	}
	if w := e.worker(taskID); w != nil {
		own, err := w.unseal(ctx, c)
		if err != nil {
			return 0, fmt.Errorf("exec in container %s: %w", containerName, err)
		}
		spec.Env = slices.Concat(own, spec.Env)
	}
	return x.Exec(ctx, c.id, spec)
}

// Stats measures a task on this host. Containers that do not run are left out.
func (e *Engine) Stats(ctx context.Context, taskID string) (Stats, error) {
	s, ok := e.cfg.Driver.(runtime.Stater)
	if !ok {
		return Stats{}, &runtime.UnsupportedError{Feature: "stats", Needs: "a driver that implements runtime.Stater"}
	}
	w := e.worker(taskID)
	if w == nil {
		return Stats{}, fmt.Errorf("%w: task %s does not run here", ErrNotFound, taskID)
	}
	total, err := s.Stats(ctx, taskID)
	if err != nil {
		return Stats{}, err
	}
	out := Stats{Task: total, Containers: map[string]runtime.Stats{}, Dropped: map[string]uint64{}}
	for _, c := range w.containers {
		if n := c.dropped.Load(); n > 0 {
			out.Dropped[c.def.Name] = n
		}
		one, err := s.Stats(ctx, c.id)
		switch {
		case err == nil:
			out.Containers[c.def.Name] = one
		case !errors.Is(err, runtime.ErrNotFound) && !errors.Is(err, runtime.ErrNotRunning):
			return Stats{}, fmt.Errorf("container %s: %w", c.def.Name, err)
		}
	}
	return out, nil
}

// OpenLog opens what a container has written so far; see [runtime.LogReader]. It works for tasks that are over, too,
// until RemoveLogs.
func (e *Engine) OpenLog(ctx context.Context, taskID, containerName string) (io.ReadCloser, error) {
	r, ok := e.cfg.Driver.(runtime.LogReader)
	if !ok {
		return nil, &runtime.UnsupportedError{Feature: "logs", Needs: "a driver that implements runtime.LogReader"}
	}
	return r.OpenLog(ctx, LogPath(e.cfg.Dir, taskID, containerName))
}

// RemoveLogs deletes what the containers of a task have written. No error if there is nothing.
func (e *Engine) RemoveLogs(ctx context.Context, taskID string, containerNames []string) error {
	e.tails.stop(taskID)
	r, ok := e.cfg.Driver.(runtime.LogReader)
	if !ok {
		return nil
	}
	var errs []error
	for _, name := range containerNames {
		errs = append(errs, r.RemoveLog(ctx, LogPath(e.cfg.Dir, taskID, name)))
		if e.cfg.Logs != nil {
			errs = append(errs, e.cfg.Logs.Remove(taskID, name))
		}
	}
	if e.cfg.Dir != "" {
		if err := os.Remove(undeliveredPath(e.cfg.Dir, taskID)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		if err := os.Remove(filepath.Dir(LogPath(e.cfg.Dir, taskID, "x"))); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// container finds a container of a task that the engine has.
func (e *Engine) container(taskID, name string) (*container, error) {
	w := e.worker(taskID)
	if w == nil {
		return nil, fmt.Errorf("%w: task %s does not run here", ErrNotFound, taskID)
	}
	if c := w.container(name); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%w: task %s has no container %q", ErrNotFound, taskID, name)
}
