package fake

import (
	"context"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// Config describes a driver. The zero value is a new machine without images.
type Config struct {
	Machine *Machine // what an earlier driver ran on; nil is a new one

	// Images is what Pull finds, by reference as a task definition has it: "app:1" is docker.io/library/app:1.
	Images   map[string]Image
	AnyImage *Image // what Pull finds for every other reference; nil is runtime.ErrImageNotFound

	// Fail is asked at the start of every method, with the method's name and the ID or image reference it was called
	// with. What it returns is returned, and the method does nothing. FailAfter is asked when the method has done its
	// work, as if the answer got lost.
	Fail      func(method, id string) error
	FailAfter func(method, id string) error

	// Delay says how long a method takes before it does anything; a cancelled context ends it early.
	Delay func(method, id string) time.Duration
}

// A Program is what runs in a container. It returns the exit code, of which the low eight bits count. When ctx is done
// the process has been ended, by a signal or with its container: what it writes from then on is lost, its code does not
// count, and it should return soon. A panic ends the process with code 2 and its message on stderr.
type Program func(ctx context.Context, p *Process) int

// Image is an image for containers of Go functions.
type Image struct {
	// Config is the image's configuration. Ref, Name and Digest are computed; Platform "" is this machine's, Size 0 is 1
	// MiB. Without an entry point and a command an image with Main has the command "main".
	Config runtime.Image

	Programs map[string]Program // by what the first argument must be, in containers and in Exec
	Main     Program            // runs every other command of a container; nil is runtime.ErrCommandNotFound
	Exec     Program            // runs every other command of Exec; nil is runtime.ErrCommandNotFound

	Users  []string // names that User may have beside "root"; nil is any
	Groups []string // names that its group may have beside "root"; nil is any
}
