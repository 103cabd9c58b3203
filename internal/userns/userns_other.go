//go:build !linux

package userns

import (
	"errors"
	"os"
)

// New makes a user namespace.
func New(uint32) (*os.File, error) { return nil, errors.ErrUnsupported }

// NewNet makes a network namespace with a user namespace of its own.
func NewNet(uint32) (*os.File, error) { return nil, errors.ErrUnsupported }

// Owner opens the user namespace that a network namespace belongs to.
func Owner(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
