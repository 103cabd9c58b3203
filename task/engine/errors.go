package engine

import (
	"errors"
	"strings"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// startError is why a task could not start, under the name that ECS gives it.
type startError struct {
	name      string // CannotPullContainerError and the like
	container string // "" when it is the task's
	err       error
}

func (e *startError) Error() string {
	if e.container == "" {
		return e.reason()
	}
	return "container " + e.container + ": " + e.reason()
}

func (e *startError) Unwrap() error { return e.err }

// reason is the text that ECS shows: the name, and what happened in one line.
func (e *startError) reason() string {
	return task.FailureReason(e.name, strings.ReplaceAll(e.err.Error(), "\n", "; "))
}

// createError names an error of CreateContainer. A command that the image lacks is an error of starting, where Docker
// and ECS report it.
func createError(container string, err error) error {
	name := task.ErrorCannotCreateContainer
	if errors.Is(err, runtime.ErrCommandNotFound) {
		name = task.ErrorCannotStartContainer
	}
	return &startError{name, container, err}
}

// closed reports whether an error says nothing of the task, only that nothing can be done about it in this process any
// more.
func closed(err error) bool {
	return errors.Is(err, runtime.ErrClosed) || errors.Is(err, network.ErrClosed)
}
