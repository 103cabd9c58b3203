package scheduler

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fardel-io/fardel/task"
)

// Errors of the verbs.
var (
	ErrNotFound     = errors.New("scheduler: not found")
	ErrInvalid      = errors.New("scheduler: invalid request")
	ErrAccessDenied = errors.New("scheduler: access denied")
	ErrConflict     = errors.New("scheduler: client token was used with other parameters")
	ErrInactive     = errors.New("scheduler: task definition is inactive")
	ErrRole         = errors.New("scheduler: role cannot be assumed")
	ErrNoExec       = errors.New("scheduler: The execute command failed because execute command was not enabled when the task was run or the execute command agent isn't running. Wait and try again or run a new task with execute command enabled and try again.")
	ErrNoLogs       = errors.New("scheduler: output is not kept")
	ErrClosed       = errors.New("scheduler: cluster is closed")
)

// AccessDeniedError is the error of a verb that the authorizer refused. It matches [ErrAccessDenied].
type AccessDeniedError struct {
	Message string // AWS's text
	Err     error  // of the authorizer
}

// Error is the error as ECS reports it: its code, and AWS's text.
func (e *AccessDeniedError) Error() string { return "AccessDeniedException: " + e.Message }

// Is matches [ErrAccessDenied].
func (e *AccessDeniedError) Is(target error) bool { return target == ErrAccessDenied }

// Unwrap is the authorizer's error.
func (e *AccessDeniedError) Unwrap() error { return e.Err }

// PlacementError says why a task fits nowhere, in the words of ECS's failures.
type PlacementError struct {
	Reason string // RESOURCE:CPU, RESOURCE:MEMORY, RESOURCE:ENI, RESOURCE:PORTS:TCP, RESOURCE:PORTS:UDP
	Detail string // what was asked for and what there is
}

// Error implements error.
func (e *PlacementError) Error() string { return "scheduler: " + e.Reason + ": " + e.Detail }

// UnsupportedError lists what a valid task definition asks for and this cluster does not do.
type UnsupportedError struct {
	Family   string
	Problems []task.Problem
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scheduler: task definition %s asks for what cannot be run here", e.Family)
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n%s: %s", p.Path, p.Reason)
	}
	return b.String()
}

// StoppedError is returned by [Run.WaitRunning] for a task that stopped before it was RUNNING.
type StoppedError struct {
	Task *task.Task
}

// Error implements error.
func (e *StoppedError) Error() string {
	return fmt.Sprintf("scheduler: task %s stopped before it was RUNNING: %s: %s", e.Task.ID(), e.Task.StopCode, e.Task.StoppedReason)
}
