package store

import (
	"errors"
	"fmt"
)

// Errors of every store.
var (
	ErrNotFound = errors.New("store: no such key")
	ErrConflict = errors.New("store: conflict")
	ErrInvalid  = errors.New("store: invalid update")
	ErrUnknown  = errors.New("store: outcome of update unknown")
	ErrClosed   = errors.New("store: closed")
	ErrInUse    = errors.New("store: in use")
	ErrCorrupt  = errors.New("store: corrupt")
)

// ConflictError says which condition of an update did not hold. It matches [ErrConflict].
type ConflictError struct {
	Key string
	At  Revision // where the key is; 0 if it is not there
}

// Error implements error.
func (e *ConflictError) Error() string {
	if e.At == 0 {
		return fmt.Sprintf("store: conflict: %q is not there", e.Key)
	}
	return fmt.Sprintf("store: conflict: %q is at revision %d", e.Key, e.At)
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
