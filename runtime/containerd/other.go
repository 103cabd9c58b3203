//go:build !linux

package containerd

import (
	"context"

	"github.com/fardel-io/fardel/runtime"
)

// Driver runs containers on Linux.
type Driver struct {
	runtime.Driver
	runtime.ImageStore
	runtime.ImageCollector
}

// Close does nothing.
func (d *Driver) Close() error { return nil }

// Embed works on Linux alone.
func Embed(context.Context, Config) (*Driver, error) { return nil, errLinux }

// Connect works on Linux alone.
func Connect(context.Context, string, Config) (*Driver, error) { return nil, errLinux }

// Reexec does nothing.
func Reexec() bool { return false }

var errLinux = &runtime.UnsupportedError{Feature: "running containers", Needs: "Linux"}
