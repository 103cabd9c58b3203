package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// Runner runs jobs, each a command in a fresh task. It knows a cluster and nothing of what is below it, so that its
// tests can give it one made of fakes.
type Runner struct {
	Cluster *scheduler.Cluster
	Image   string        // that jobs run in
	Timeout time.Duration // of one job; 0 is none
}

// Result is how a job ended.
type Result struct {
	ExitCode int
	Took     time.Duration // from the start of the command to its end
}

// ErrTimeout is matched when a job took longer than Runner.Timeout.
var ErrTimeout = errors.New("job took too long")

// Do runs a command, copies what it writes to out, and returns when it has ended and nothing of it is left.
func (r *Runner) Do(ctx context.Context, command []string, out io.Writer) (Result, error) {
	run, err := r.Cluster.Run(ctx, r.definition(), scheduler.RunOptions{
		StartedBy: "hosttest",
		Overrides: &task.TaskOverride{ContainerOverrides: []task.ContainerOverride{{Name: "job", Command: command}}},
	})
	if err != nil {
		return Result{}, err
	}
	followCtx, cancel := ctx, context.CancelFunc(func() {})
	if r.Timeout > 0 {
		followCtx, cancel = context.WithTimeout(ctx, r.Timeout)
	}
	defer cancel()
	if _, err := io.Copy(out, run.Logs(followCtx, "job")); err != nil {
		return Result{}, r.abort(ctx, run, err)
	}
	stopped, err := run.Wait(ctx)
	if err != nil {
		return Result{}, err
	}
	return result(stopped)
}

// abort stops a job whose output could not be followed to its end, and says why.
func (r *Runner) abort(ctx context.Context, run *scheduler.Run, cause error) error {
	ctx = context.WithoutCancel(ctx) // a caller who has gone away must not leave the job behind
	if errors.Is(cause, context.DeadlineExceeded) {
		cause = fmt.Errorf("%w: more than %v", ErrTimeout, r.Timeout)
	}
	if err := run.Stop(ctx, cause.Error()); err != nil {
		return errors.Join(cause, err)
	}
	_, err := run.Wait(ctx)
	return errors.Join(cause, err)
}

// result reads a job's end from its task.
func result(t *task.Task) (Result, error) {
	c := t.Container("job")
	switch {
	case t.StopCode == task.StopCodeTaskFailedToStart:
		return Result{}, fmt.Errorf("job did not start: %s", t.StoppedReason)
	case c.ExitCode == nil:
		return Result{}, fmt.Errorf("job ended without an exit code: %s", c.Reason)
	case c.Reason != "":
		return Result{}, fmt.Errorf("job exited with %d: %s", *c.ExitCode, c.Reason)
	}
	return Result{ExitCode: *c.ExitCode, Took: t.ExecutionStoppedAt.Sub(t.StartedAt)}, nil
}

func (r *Runner) definition() *task.TaskDefinition {
	return &task.TaskDefinition{
		Family: "job", NetworkMode: task.NetworkModeAWSVPC, CPU: "256", Memory: "512",
		RequiresCompatibilities: []task.LaunchType{task.LaunchTypeFargate},
		ContainerDefinitions:    []task.ContainerDefinition{{Name: "job", Image: r.Image}},
	}
}
