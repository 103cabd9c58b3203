//go:build linux

package containerd

import (
	"context"
	"time"

	taskv1 "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

// tasks is what runs containers: shims of our own, or a containerd daemon. A task is a container that was created and
// not deleted; it is named by its container. Errors are those of containerd's errdefs.
type tasks interface {
	sandboxes
	lives
	remains
	breaks
	execs
}

// sandboxes is what tasks of one sandbox share.
type sandboxes interface {
	// openSandbox readies a sandbox for tasks. It may be repeated, also after a restart.
	openSandbox(ctx context.Context, id string) error
	// closeSandbox ends what openSandbox started. No error if there is none.
	closeSandbox(ctx context.Context, id string) error
	// mayReturn reports whether what is unavailable may be back later: a daemon is restarted, a shim is not.
	mayReturn() bool
}

// lives is the life of processes.
type lives interface {
	create(ctx context.Context, t target, c creation) (pid int, err error)
	// conceal replaces what is kept of the configuration of a task that was created.
	conceal(ctx context.Context, t target, spec *specs.Spec) error
	start(ctx context.Context, t target) error
	// wait blocks until the process has ended.
	wait(ctx context.Context, t target) (ended, error)
	state(ctx context.Context, t target) (taskState, error)
	kill(ctx context.Context, t target, signal int, all bool) error
	// delete forgets a process that has ended when its output is copied.
	delete(ctx context.Context, t target) error
}

// remains is the removal of what a crash left.
type remains interface {
	// reclaim removes a task whatever its state, also when what ran it is gone, and says how it ended if that is known.
	reclaim(ctx context.Context, t target) (ended, bool, error)
	// forget removes what is kept for a container without task.
	forget(ctx context.Context, t target) error
	// sweep removes what there is of containers that are not known.
	sweep(ctx context.Context, known func(container string) bool) error
}

// breaks is how that goes on without the help of what runs the tasks, or of the OCI runtime.
type breaks interface {
	// runtimeID is the name that a container has with the OCI runtime.
	runtimeID(container string) string
	// abandon ends what runs a task and does not answer, with all else that it runs. Calls that wait for it return.
	abandon(t target) error
	// discard removes what the OCI runtime has left of a task whose processes have been killed.
	discard(ctx context.Context, t target) error
}

// execs is what further processes need beyond their life.
type execs interface {
	exec(ctx context.Context, t target, p *specs.Process, streams cio.Config) error
	resize(ctx context.Context, t target, width, height uint16) error
	closeStdin(ctx context.Context, t target) error
}

// target names a process: the first one of a container, or one that was added to it.
type target struct {
	sandbox, container string
	exec               string // "" for the first process
}

// creation is what a task is made of.
type creation struct {
	spec     *specs.Spec
	rootfs   []mount.Mount
	log      string             // spool that takes stdout and stderr; "" discards them
	bounds   runtime.LogOptions // of it
	terminal bool
	stdin    bool // stdin is held open
	image    string

	snapshot, snapshotter string
}

// taskState is where a process is in its life.
type taskState struct {
	status taskv1.Status
	pid    int
}

// ended is how a process ended.
type ended struct {
	code int
	at   time.Time
}
