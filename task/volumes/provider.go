package volumes

import (
	"context"
	"errors"

	"github.com/fardel-io/fardel/task"
)

// ErrUnsupported is matched when a provider does not have volumes of this kind, or not with these settings.
var ErrUnsupported = errors.New("volumes: not supported")

// Request is a volume that a task mounts.
type Request struct {
	TaskARN          string
	TaskRoleARN      string // of EFS with IAM and of S3 Files; "" is none
	ExecutionRoleARN string // "" is none
	Volume           task.Volume

	// Configuration is what RunTask said of a volume that is configured at launch, and nil for all others.
	Configuration *task.VolumeConfiguration
}

// Storage is a directory of this machine.
type Storage struct {
	// Path is absolute. With Root it is looked up below Root as after chroot, so that a symbolic link that some task has
	// put there leads nowhere else. Root "" is this machine's root directory.
	Root, Path string

	// Populate has the directory, if it is empty, filled with what the image of the first container has at its mount
	// point. Not with Root. The directory's parent is the provider's then: a copy that is under way is noted there.
	Populate bool
}

// Provider makes volumes available. Its methods may be called at the same time for different tasks, and any number of
// times for one.
type Provider interface {
	// Supports says why a volume cannot be had, before a task is accepted. It does no I/O. The error matches
	// [ErrUnsupported].
	Supports(v task.Volume) error

	// Mount makes a volume available to a task and says where. It may take as long as ctx lasts. What it returned before,
	// also to an earlier process, it returns again.
	Mount(ctx context.Context, r Request) (Storage, error)

	// Unmount is called when no container of the task is left. No error if there is nothing to do.
	Unmount(ctx context.Context, r Request) error
}
