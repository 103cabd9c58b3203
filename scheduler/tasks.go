package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

// Stop has a task stopped, named by ID or ARN, and returns its record as it is then; it does not wait. Every container
// gets its stop signal, and SIGKILL after its stopTimeout. reason is what the record says, "" is "Task stopped by user".
// Stopping a task that stops already does nothing.
func (c *Cluster) Stop(ctx context.Context, name, reason string) (*task.Task, error) {
	if err := c.await(ctx); err != nil {
		return nil, err
	}
	id, err := c.taskID(name)
	if err != nil {
		return nil, err
	}
	if _, err := c.authorizeTask(ctx, "ecs:StopTask", id); err != nil {
		return nil, err
	}
	if reason == "" {
		reason = task.ReasonStoppedByUser
	}
	return c.stop(ctx, id, task.StopCodeUserInitiated, reason)
}

// stop writes down that a task is to stop; the watch tells the engine.
func (c *core) stop(ctx context.Context, id string, code task.StopCode, reason string) (*task.Task, error) {
	for {
		var rec taskRecord
		at, err := load(ctx, c.cfg.Store, prefixTasks+id, &rec)
		switch {
		case err != nil:
			return nil, err
		case at == 0:
			return nil, fmt.Errorf("%w: task %s", ErrNotFound, id)
		case rec.Task.DesiredStatus >= task.Stopped:
			return &rec.Task, nil
		}
		rec.Task.DesiredStatus, rec.Task.StopCode, rec.Task.StoppedReason = task.Stopped, code, reason
		rec.Task.Version++
		change, err := put(prefixTasks+id, rec, at)
		if err != nil {
			return nil, err
		}
		if _, err = c.cfg.Store.Update(ctx, change); err == nil {
			return &rec.Task, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
}

// Describe returns the record of a task, named by ID or ARN. Stopped tasks stay for Config.Retention.
func (c *Cluster) Describe(ctx context.Context, name string) (*task.Task, error) {
	if err := c.await(ctx); err != nil {
		return nil, err
	}
	id, err := c.taskID(name)
	if err != nil {
		return nil, err
	}
	return c.authorizeTask(ctx, "ecs:DescribeTasks", id)
}

func (c *core) describe(ctx context.Context, id string) (*task.Task, error) {
	var rec taskRecord
	at, err := load(ctx, c.cfg.Store, prefixTasks+id, &rec)
	if err != nil {
		return nil, err
	}
	if at == 0 {
		return nil, fmt.Errorf("%w: task %s", ErrNotFound, id)
	}
	if rec.Task.LastStatus >= task.Stopped {
		c.release(id) // who sees that it has stopped can have its ports and its room, also before the cluster has seen it
	}
	return &rec.Task, nil
}

// ListOptions choose tasks. Each zero value chooses all.
type ListOptions struct {
	Family        string
	Group         string
	StartedBy     string
	LaunchType    task.LaunchType
	DesiredStatus task.Status // Running or Stopped
	LastStatus    task.Status
}

// List returns the records of the tasks chosen, in the order of their creation. Stopped tasks stay for
// Config.Retention. A principal needs ecs:ListTasks, and sees the tasks that it may describe: ECS's own list has ARNs
// only.
func (c *Cluster) List(ctx context.Context, o ListOptions) ([]*task.Task, error) {
	if err := c.await(ctx); err != nil {
		return nil, err
	}
	if err := c.authorize(ctx, "ecs:ListTasks", "*", c.onCluster()); err != nil {
		return nil, err
	}
	recs, err := all[taskRecord](ctx, c.cfg.Store, prefixTasks)
	if err != nil {
		return nil, err
	}
	var tasks []*task.Task
	for i := range recs {
		t := &recs[i].Task
		if !o.chooses(t) {
			continue
		}
		switch err := c.authorize(ctx, "ecs:DescribeTasks", t.TaskARN, c.onTask(t)); {
		case err == nil:
			tasks = append(tasks, t)
		case !errors.Is(err, ErrAccessDenied):
			return nil, err
		}
	}
	sortByCreation(tasks)
	return tasks, nil
}

func (o ListOptions) chooses(t *task.Task) bool {
	return (o.Family == "" || familyOf(t) == o.Family) &&
		(o.Group == "" || t.Group == o.Group) &&
		(o.StartedBy == "" || t.StartedBy == o.StartedBy) &&
		(o.LaunchType == "" || t.LaunchType == o.LaunchType) &&
		(o.DesiredStatus == 0 || t.DesiredStatus == o.DesiredStatus) &&
		(o.LastStatus == 0 || t.LastStatus == o.LastStatus)
}

func familyOf(t *task.Task) string {
	_, name, _ := strings.Cut(t.TaskDefinitionARN, "task-definition/")
	family, _, _ := strings.Cut(name, ":")
	return family
}

// taskID reads the names that a task can be given.
func (c *core) taskID(name string) (string, error) {
	id := name
	if strings.HasPrefix(name, "arn:") {
		r, err := task.ParseResource(name)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if r.Kind != task.KindTask || (r.Cluster != "" && r.Cluster != c.cfg.Name) {
			return "", fmt.Errorf("%w: %s is no task of cluster %s", ErrNotFound, name, c.cfg.Name)
		}
		id = r.Name
	}
	if id == "" || strings.Contains(id, "/") {
		return "", fmt.Errorf("%w: %q is neither the ID nor the ARN of a task", ErrInvalid, name)
	}
	return id, nil
}

func (c *core) taskARN(id string) string { return c.cfg.scope().Task(c.cfg.Name, id).String() }

// expire forgets the tasks that stopped longer than Config.Retention ago, with their logs, and old client tokens.
func (c *core) expire(ctx context.Context, now time.Time) error {
	recs, err := all[taskRecord](ctx, c.cfg.Store, prefixTasks)
	if err != nil {
		return err
	}
	var errs []error
	for i := range recs {
		t := &recs[i].Task
		if t.LastStatus < task.Stopped || now.Sub(t.StoppedAt) < c.cfg.Retention {
			continue
		}
		var names []string
		for _, ct := range t.Containers {
			names = append(names, ct.Name)
		}
		// The record goes last: as long as it is there, the next round tries again.
		if err := c.engine.RemoveLogs(ctx, t.ID(), names); err != nil {
			errs = append(errs, err)
			continue
		}
		_, err := c.cfg.Store.Update(ctx, store.Delete(prefixTasks+t.ID()))
		errs = append(errs, err)
	}
	return errors.Join(append(errs, c.expireTokens(ctx, now))...)
}

func (c *core) expireTokens(ctx context.Context, now time.Time) error {
	var old []store.Change
	err := c.cfg.Store.View(ctx, func(r store.Reader) error {
		entries, err := r.List(ctx, prefixTokens, "", 0)
		for _, e := range entries {
			var rec tokenRecord
			if err := decode(e, &rec); err != nil {
				return err
			}
			if now.Sub(rec.At) > tokenLifetime {
				old = append(old, store.DeleteAt(e.Key, e.Revision))
			}
		}
		return err
	})
	if err != nil || len(old) == 0 {
		return err
	}
	_, err = c.cfg.Store.Update(ctx, old...)
	return err
}

// Idle reports whether no task holds anything on this machine. It works after Close, too.
func (c *Cluster) Idle(ctx context.Context) (bool, error) {
	if err := c.authorize(ctx, "ecs:DescribeClusters", c.ARN(), nil); err != nil {
		return false, err
	}
	recs, err := c.live(ctx)
	return len(recs) == 0, err
}

// live returns the tasks that are not STOPPED.
func (c *core) live(ctx context.Context) ([]taskRecord, error) {
	recs, err := all[taskRecord](ctx, c.cfg.Store, prefixTasks)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(recs, func(r taskRecord) bool { return r.Task.LastStatus >= task.Stopped }), nil
}
