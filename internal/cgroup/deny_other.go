//go:build !linux

package cgroup

import "errors"

// Device is a character device.
type Device struct{ Major, Minor uint32 }

// DenyDevice is for Linux.
func (t *Tree) DenyDevice(string, Device) error { return errors.ErrUnsupported }
