package runtime

import (
	"errors"
	"fmt"
)

// Errors of every driver. They are matched with errors.Is; the error itself says on what and why.
var (
	ErrNotFound        = errors.New("runtime: not found")
	ErrExists          = errors.New("runtime: exists with another spec")
	ErrInvalid         = errors.New("runtime: invalid spec")
	ErrNotRunning      = errors.New("runtime: container is not running")
	ErrCommandNotFound = errors.New("runtime: command not found in image")
	ErrClosed          = errors.New("runtime: driver is closed")
)

// Errors about images.
var (
	ErrImageNotFound = errors.New("runtime: image not found")
	ErrImagePlatform = errors.New("runtime: image is for another platform")
	ErrImageCorrupt  = errors.New("runtime: image is broken")
	ErrUnauthorized  = errors.New("runtime: registry refuses these credentials")

	ErrRegistryUnavailable = errors.New("runtime: registry cannot be reached")
	ErrTooManyRequests     = errors.New("runtime: registry wants fewer requests")
	ErrNoSpace             = errors.New("runtime: no space left for images")

	ErrRegistryNotAllowed = errors.New("runtime: registry wants what is not allowed")
	ErrImageLimit         = errors.New("runtime: image is beyond a limit")
)

// PullStep is a part of a pull.
type PullStep string

// The parts of a pull, in their order.
const (
	PullManifest PullStep = "manifest" // what the name means, and of what the image is made
	PullLayers   PullStep = "layers"   // the content
	PullUnpack   PullStep = "unpack"   // the content as file systems
)

// PullError is why an image could not be pulled. What it wraps matches one of the errors about images, unless the reason is
// none of them.
type PullError struct {
	Ref      string   // full name, docker.io/library/nginx:latest
	Platform string   // that the image was to be for, "linux/amd64"
	Step     PullStep // that did not work
	Attempts int      // how often it was tried in vain, at least 1
	Err      error
}

// Error implements error.
func (e *PullError) Error() string {
	if e.Attempts > 1 {
		return fmt.Sprintf("%v (tried %d times)", e.Err, e.Attempts)
	}
	return e.Err.Error()
}

// Unwrap returns the reason.
func (e *PullError) Unwrap() error { return e.Err }

// ErrUnsupported is matched by every [*UnsupportedError].
var ErrUnsupported = errors.New("runtime: unsupported")

// UnsupportedError says what this machine or driver cannot do and what it would take.
type UnsupportedError struct {
	Feature string // what was asked for: "containers", "memory limits"
	Needs   string // what is missing and how to get it: "runc in PATH: apt-get install runc"
}

// Error implements error.
func (e *UnsupportedError) Error() string { return "runtime: " + e.Feature + " needs " + e.Needs }

// Is reports whether target is [ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }
