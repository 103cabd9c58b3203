package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

// Limits of task scale-in protection (ECS).
const (
	defaultProtection = 2 * time.Hour
	maxProtection     = 2880 * time.Minute
)

// TaskProtection is whether a service may end a task when it scales in or deploys.
type TaskProtection struct {
	TaskARN        string
	Enabled        bool
	ExpirationDate time.Time // when it ends; zero unless enabled
}

// ProtectionFailure says why a task cannot be protected. It matches [ErrInvalid].
type ProtectionFailure struct {
	TaskARN string
	Reason  string // TASK_NOT_VALID: the task is no service's
	Detail  string
}

// Error names the task, the reason and the detail.
func (f *ProtectionFailure) Error() string {
	return "scheduler: task protection of " + f.TaskARN + ": " + f.Reason + ": " + f.Detail
}

// Is reports whether target is [ErrInvalid].
func (f *ProtectionFailure) Is(target error) bool { return target == ErrInvalid }

// protectionRecord is what a task's record in the store holds of its protection.
type protectionRecord struct {
	Until time.Time `json:"until"`
}

// at is the protection at a moment. It ends by itself.
func (p *protectionRecord) at(arn string, now time.Time) TaskProtection {
	if p == nil || !now.Before(p.Until) {
		return TaskProtection{TaskARN: arn}
	}
	return TaskProtection{TaskARN: arn, Enabled: true, ExpirationDate: p.Until}
}

// TaskProtection returns the protection of a task, named by ID or ARN. It fails with a [*ProtectionFailure] for a task
// that is no service's.
func (c *Cluster) TaskProtection(ctx context.Context, name string) (TaskProtection, error) {
	id, err := c.protectable(ctx, "ecs:GetTaskProtection", name)
	if err != nil {
		return TaskProtection{}, err
	}
	var rec taskRecord
	at, err := load(ctx, c.cfg.Store, prefixTasks+id, &rec)
	if err != nil {
		return TaskProtection{}, err
	}
	if at == 0 {
		return TaskProtection{}, fmt.Errorf("%w: task %s", ErrNotFound, id)
	}
	return rec.Protection.at(rec.Task.TaskARN, time.Now()), nil
}

// SetTaskProtection protects a task, named by ID or ARN, for a time, or no longer. expires is 1 minute to 48 hours in
// whole minutes, and 0 two hours. It fails as [Cluster.TaskProtection] does.
func (c *Cluster) SetTaskProtection(ctx context.Context, name string, enabled bool, expires time.Duration) (TaskProtection, error) {
	if expires == 0 {
		expires = defaultProtection
	}
	if enabled && (expires < time.Minute || expires > maxProtection || expires%time.Minute != 0) {
		return TaskProtection{}, fmt.Errorf("%w: expiresInMinutes must be 1 to 2880, not %v", ErrInvalid, expires.Minutes())
	}
	id, err := c.protectable(ctx, "ecs:UpdateTaskProtection", name)
	if err != nil {
		return TaskProtection{}, err
	}
	for {
		var rec taskRecord
		at, err := load(ctx, c.cfg.Store, prefixTasks+id, &rec)
		if err != nil {
			return TaskProtection{}, err
		}
		if at == 0 {
			return TaskProtection{}, fmt.Errorf("%w: task %s", ErrNotFound, id)
		}
		now := time.Now().UTC()
		rec.Protection = nil
		if enabled {
			rec.Protection = &protectionRecord{Until: now.Add(expires)}
		}
		change, err := put(prefixTasks+id, rec, at)
		if err != nil {
			return TaskProtection{}, err
		}
		if _, err = c.cfg.Store.Update(ctx, change); err == nil {
			return rec.Protection.at(rec.Task.TaskARN, now), nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return TaskProtection{}, err
		}
	}
}

// protectable authorizes and returns the ID of a task that a service runs.
func (c *Cluster) protectable(ctx context.Context, action, name string) (string, error) {
	if err := c.await(ctx); err != nil {
		return "", err
	}
	id, err := c.taskID(name)
	if err != nil {
		return "", err
	}
	t, err := c.authorizeTask(ctx, action, id)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(t.Group, "service:") {
		return "", &ProtectionFailure{TaskARN: t.TaskARN, Reason: "TASK_NOT_VALID", Detail: "the task does not belong to a service"}
	}
	if t.DesiredStatus >= task.Stopped {
		return "", &ProtectionFailure{TaskARN: t.TaskARN, Reason: "TASK_NOT_VALID", Detail: "the task is stopping"}
	}
	return id, nil
}

// protector is the way of tasks to their own protection, through the endpoint that they reach. What a task may do is what
// its role may.
type protector struct{ c *core }

// TaskProtection implements [metadata.Protector].
func (p protector) TaskProtection(ctx context.Context, s *metadata.Snapshot) (metadata.Protection, error) {
	c, err := p.as(s)
	if err != nil {
		return metadata.Protection{}, err
	}
	got, err := c.TaskProtection(ctx, s.Task.TaskARN)
	return metadata.Protection{Enabled: got.Enabled, ExpirationDate: got.ExpirationDate}, toTask(err)
}

// UpdateTaskProtection implements [metadata.Protector].
func (p protector) UpdateTaskProtection(ctx context.Context, s *metadata.Snapshot, u metadata.ProtectionUpdate) (metadata.Protection, error) {
	expires := defaultProtection
	if m := u.ExpiresInMinutes; m != nil {
		expires = -time.Minute // what does not fit is out of range all the same
		if *m >= 1 && *m <= int64(maxProtection/time.Minute) {
			expires = time.Duration(*m) * time.Minute
		}
	}
	c, err := p.as(s)
	if err != nil {
		return metadata.Protection{}, err
	}
	got, err := c.SetTaskProtection(ctx, s.Task.TaskARN, u.Enabled, expires)
	return metadata.Protection{Enabled: got.Enabled, ExpirationDate: got.ExpirationDate}, toTask(err)
}

// as is the cluster as the task's role may use it.
func (p protector) as(s *metadata.Snapshot) (*Cluster, error) {
	return p.c.inRole(s.Definition.TaskRoleARN, s.Task.TaskARN)
}

// toTask is an error as the API of ECS tells it.
func toTask(err error) error {
	var failure *ProtectionFailure
	var denied *AccessDeniedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		return &metadata.ProtectionFailure{Reason: failure.Reason, Detail: failure.Detail}
	case errors.As(err, &denied):
		return &metadata.ProtectionError{Code: "AccessDeniedException", Message: denied.Message, StatusCode: 400}
	case errors.Is(err, ErrInvalid):
		return &metadata.ProtectionError{Code: "InvalidParameterException", Message: err.Error(), StatusCode: 400}
	case errors.Is(err, ErrNotFound):
		return &metadata.ProtectionFailure{Reason: "MISSING"}
	}
	return err
}
