package network

import "errors"

// Errors of every fabric and of the allocator. They are matched with errors.Is; the error itself says on what and why.
var (
	ErrNotFound     = errors.New("network: not found")
	ErrExists       = errors.New("network: exists with other properties")
	ErrInvalid      = errors.New("network: invalid")
	ErrAddressInUse = errors.New("network: address in use")
	ErrNoAddress    = errors.New("network: no free address")
	ErrConflict     = errors.New("network: conflicts with a network of the host")
	ErrClosed       = errors.New("network: fabric is closed")
)

// ErrUnsupported is matched by every [*UnsupportedError].
var ErrUnsupported = errors.New("network: unsupported")

// UnsupportedError says what this machine or fabric cannot do and what it would take.
type UnsupportedError struct {
	Feature string // what was asked for: "network namespaces"
	Needs   string // what is missing and how to get it: "root or CAP_NET_ADMIN and CAP_SYS_ADMIN"
	Err     error  // what the system answered; may be nil
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	s := "network: " + e.Feature + " needs " + e.Needs
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is reports whether target is [ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// Unwrap returns what the system answered.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// ValidationError is one thing that is wrong in a State. It matches [ErrInvalid].
type ValidationError struct {
	Path   string // where: "securityGroups[2].ingress[0].cidrs[1]"
	Code   string // EC2's error code where it has one: "InvalidSubnet.Conflict"
	Reason string // EC2's text where it is known
}

// Error implements error.
func (e *ValidationError) Error() string { return e.Path + ": " + e.Code + ": " + e.Reason }

// Is reports whether target is [ErrInvalid].
func (e *ValidationError) Is(target error) bool { return target == ErrInvalid }
