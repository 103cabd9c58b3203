package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
)

// Run is a handle to one task. It holds no state: any number of handles to a task are the same, and one can be had again
// with [Cluster.Lookup].
type Run struct {
	c  *Cluster
	id string
}

// Stats is what a task uses: the whole of it, and each container by name.
type Stats = engine.Stats

// handle returns the handle of a task that exists, nil for "".
func (c *Cluster) handle(id string) *Run {
	if id == "" {
		return nil
	}
	return &Run{c: c, id: id}
}

// Lookup returns a handle to a task, named by ID or ARN: one that another Cluster.Run started, perhaps in an earlier
// process.
func (c *Cluster) Lookup(ctx context.Context, name string) (*Run, error) {
	t, err := c.Describe(ctx, name)
	if err != nil {
		return nil, err
	}
	return c.handle(t.ID()), nil
}

// ID is the task's ID, 32 hexadecimal digits.
func (r *Run) ID() string { return r.id }

// ARN is the task's ARN.
func (r *Run) ARN() string { return r.c.taskARN(r.id) }

// Describe returns the task's record as it is now.
func (r *Run) Describe(ctx context.Context) (*task.Task, error) { return r.c.Describe(ctx, r.id) }

// Wait blocks until the task is STOPPED and everything it held is released, and returns its last record. How it ended is
// in the record: exit codes, stop code, reason. An error means that waiting failed, not the task.
func (r *Run) Wait(ctx context.Context) (*task.Task, error) { return r.WaitStatus(ctx, task.Stopped) }

// WaitRunning blocks until the task is RUNNING and returns its record. It fails with a [*StoppedError] for a task that
// never was.
func (r *Run) WaitRunning(ctx context.Context) (*task.Task, error) {
	t, err := r.WaitStatus(ctx, task.Running)
	if err == nil && t.StartedAt.IsZero() {
		if t, err = r.Wait(ctx); err == nil {
			err = &StoppedError{Task: t}
		}
	}
	return t, err
}

// WaitStatus blocks until the task has reached a status, or gone beyond it, and returns its record.
func (r *Run) WaitStatus(ctx context.Context, s task.Status) (*task.Task, error) {
	if _, err := r.c.authorizeTask(ctx, "ecs:DescribeTasks", r.id); err != nil {
		return nil, err
	}
	return r.c.waitFor(ctx, r.id, func(t *task.Task) bool { return t.LastStatus >= s })
}

// waitFor blocks until a task's record is as wanted.
func (c *core) waitFor(ctx context.Context, id string, wanted func(*task.Task) bool) (*task.Task, error) {
	changes, cancel := c.hub.subscribe(id)
	defer cancel()
	for {
		t, err := c.describe(ctx, id)
		if err != nil || wanted(t) {
			return t, err
		}
		select {
		case <-changes:
		case <-c.done:
			return t, c.closed()
		case <-ctx.Done():
			return t, ctx.Err()
		}
	}
}

// Stop has the task stopped; see [Cluster.Stop]. It does not wait.
func (r *Run) Stop(ctx context.Context, reason string) error {
	_, err := r.c.Stop(ctx, r.id, reason)
	return err
}

// ContainerUser is a User for [Run.Exec]: the container's own, of its definition or else its image.
const ContainerUser = ":container"

// Exec runs a process in a container of the task and returns its exit code, as ECS Exec does: as root unless spec names
// another user, such as [ContainerUser], and only in a task that was run with EnableExecuteCommand and is RUNNING, else it fails with [ErrNoExec].
// The container can be "" when the task has one. Cancelling ctx ends the process.
func (r *Run) Exec(ctx context.Context, container string, spec runtime.ExecSpec) (exitCode int, err error) {
	t, container, err := r.authorizeExec(ctx, container)
	if err != nil {
		return 0, err
	}
	switch {
	case !t.EnableExecuteCommand:
		return 0, fmt.Errorf("%w (task %s was run without)", ErrNoExec, r.id)
	case t.LastStatus != task.Running:
		return 0, fmt.Errorf("%w (task %s is %s)", ErrNoExec, r.id, t.LastStatus)
	case container == "":
		return 0, fmt.Errorf("%w: task %s has %d containers: name one", ErrInvalid, r.id, len(t.Containers))
	}
	switch spec.User {
	case "":
		spec.User = "0:0"
	case ContainerUser:
		spec.User = "" // the driver's word for it
	}
	code, err := r.c.engine.Exec(ctx, r.id, container, spec)
	return code, translate(err)
}

// authorizeExec asks for ExecuteCommand on the task and on its cluster, as ECS does, and returns the task and the name of
// the container.
func (r *Run) authorizeExec(ctx context.Context, container string) (*task.Task, string, error) {
	t, err := r.c.describe(ctx, r.id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, "", err
	}
	if container == "" && t != nil && len(t.Containers) == 1 {
		container = t.Containers[0].Name
	}
	k := r.c.onTask(t)
	k.set("ecs:container-name", container)
	k.set("ecs:task", r.ARN())
	if denied := r.c.authorize(ctx, "ecs:ExecuteCommand", r.ARN(), k); denied != nil {
		return nil, "", denied
	}
	k = r.c.onCluster() // its tags: a cluster has none
	k.set("ecs:container-name", container)
	k.set("ecs:task", r.ARN())
	if denied := r.c.authorize(ctx, "ecs:ExecuteCommand", r.c.ARN(), k); denied != nil {
		return nil, "", denied
	}
	return t, container, err
}

// Stats measures the task. It fails with [ErrNotFound] for one that does not run.
func (r *Run) Stats(ctx context.Context) (Stats, error) {
	if _, err := r.c.authorizeTask(ctx, "ecs:DescribeTasks", r.id); err != nil {
		return Stats{}, err
	}
	s, err := r.c.engine.Stats(ctx, r.id)
	return s, translate(err)
}

// translate makes the engine's and driver's "not found" the cluster's.
func translate(err error) error {
	if errors.Is(err, engine.ErrNotFound) || errors.Is(err, runtime.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

func sortByCreation(tasks []*task.Task) {
	slices.SortFunc(tasks, func(a, b *task.Task) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.TaskARN, b.TaskARN))
	})
}
