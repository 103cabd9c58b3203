package runtime

import "errors"

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
)

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
