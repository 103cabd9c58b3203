package runtime

import (
	"context"
	"io"
	"time"
)

// A Driver runs containers. All methods are safe for concurrent use and idempotent: a caller that died between a call
// and the note it meant to make of it repeats the call. Methods that take an ID return an error matching [ErrNotFound]
// when nothing has it, unless their comment says otherwise. A cancelled context ends the call, not what already runs,
// and the call leaves nothing half made: what it began it has undone or will undo in the background.
//
// A driver is the only writer of what it made; [Driver.List] finds all of it again after the host program died.
type Driver interface {
	// Pull makes an image available and says what it is. It returns at once when the image is cached; two calls for one
	// image share one transfer. It fails with [ErrImageNotFound], [ErrImagePlatform], [ErrImageCorrupt],
	// [ErrUnauthorized], [ErrRegistryUnavailable], [ErrTooManyRequests] or [ErrNoSpace], which a [*PullError] says more of.
	Pull(ctx context.Context, spec ImageSpec) (Image, error)

	// CreateSandbox makes the task cgroup with its size. The namespace at SandboxSpec.NetNS is the caller's.
	CreateSandbox(ctx context.Context, spec SandboxSpec) error

	// CreateContainer prepares a container up to the moment before its first instruction, so that Start has little left
	// to do. [ErrExists] if another spec holds the ID; [ErrCommandNotFound] if the image lacks the command;
	// [ErrInvalid] if the spec cannot be run, such as a user that the image does not know.
	CreateContainer(ctx context.Context, spec ContainerSpec) error

	// Start runs a created container. It does nothing for one that runs or has ended: a container runs once, unless
	// [Restarter] has it run again.
	Start(ctx context.Context, id string) error

	// Wait blocks until the container has ended and what it wrote has reached its log, and returns how it ended. It
	// returns at once for one that ended before, also before a restart of the host program.
	Wait(ctx context.Context, id string) (Exit, error)

	// Kill sends a signal by name ("SIGTERM") or number ("15") to the container's first process; "" is the container's
	// stop signal. SIGKILL ends every process in it. No error if it has ended already.
	Kill(ctx context.Context, id, signal string) error

	// RemoveContainer removes a container that does not run, and ends and removes one that does. Its log stays. No error
	// if there is none.
	RemoveContainer(ctx context.Context, id string) error

	// RemoveSandbox removes the task cgroup and whatever is left in it. No error if there is none.
	RemoveSandbox(ctx context.Context, id string) error

	// List returns everything that this driver made under its owner mark and has not removed.
	List(ctx context.Context) (Inventory, error)
}

// An Execer runs further processes in a running container. Optional.
type Execer interface {
	// Exec runs a process in a container, copies its streams and returns its exit code when it has ended and its output
	// is copied. Cancelling ctx ends the process. [ErrCommandNotFound] if there is no such command.
	Exec(ctx context.Context, id string, spec ExecSpec) (exitCode int, err error)
}

// A Restarter runs containers again. Optional.
type Restarter interface {
	// Restart readies a container that has ended for its n-th run after the first, with its file system as it left it: it
	// is created again then, what the other methods say is about the new run, and its log goes on. It does nothing if that
	// was done before, whatever became of the run. [ErrInvalid] if the container has not ended, or n is not its next run.
	// secret, which may be nil, is asked for the ContainerSpec.SecretEnv that the driver has forgotten, and only if it is
	// going to make the new run.
	Restart(ctx context.Context, id string, n int, secret func(context.Context) (Secrets, error)) error
}

// A TraceLimiter may have to keep containers that trace, see [ContainerSpec.MayTrace], from what makes others. Optional; a
// driver without it does not.
type TraceLimiter interface {
	// LimitsTracing reports whether processes that have more power than any container pass through a PID namespace when
	// containers or processes are added to it. They are then not added while a container that may trace runs there: Exec in
	// it, and CreateContainer, Restart and Exec of all that share their PID namespace with it, fail with [ErrUnsupported],
	// and so does its Start while one of those waits for its own. It does not block.
	LimitsTracing() bool
}

// A Stater measures what runs. Optional.
type Stater interface {
	// Stats returns the use of one container, or of a whole sandbox when given a sandbox's ID.
	Stats(ctx context.Context, id string) (Stats, error)
}

// A StorageReporter says what a sandbox keeps its files with. Optional.
type StorageReporter interface {
	// Storage asks the kernel and the driver's records and reads no directory: it costs the same however many files there
	// are. [ErrNotFound] if there is no such sandbox.
	Storage(ctx context.Context, sandboxID string) (Storage, error)
}

// An AppArmorChecker gives containers the AppArmor profile that they name. Optional; other drivers ignore
// ContainerSpec.AppArmorProfile.
type AppArmorChecker interface {
	// CheckAppArmor reports whether a container can have a profile now; if not, the error matches [ErrUnsupported]. It does
	// not block.
	CheckAppArmor(profile string) error
}

// A LogReader reads what containers wrote. Optional; a driver without one has its output read by a log driver.
type LogReader interface {
	// OpenLog opens the log of the container whose spec had this Log path, as it is so far. Read returns io.EOF at the
	// present end and may be called again for what came after; it goes on with the oldest output that is left when what
	// it was at has been dropped. The log stays readable after RemoveContainer. [ErrNotFound] before the container was
	// created and after RemoveLog.
	OpenLog(ctx context.Context, path string) (io.ReadCloser, error)

	// RemoveLog deletes a log. No error if there is none.
	RemoveLog(ctx context.Context, path string) error
}

// An ImageStore manages the images of a driver beyond Pull. Optional.
type ImageStore interface {
	// ImportImage reads an OCI image layout as a tar archive, or an archive of docker save, plain or gzipped, and
	// returns the images it holds. They can be named in a ContainerSpec from then on and are never looked up in a
	// registry. ref names an image whose archive does not, and is otherwise "". [ErrImageCorrupt] for a broken archive.
	ImportImage(ctx context.Context, ref string, archive io.Reader) ([]Image, error)

	// Images lists the images present.
	Images(ctx context.Context) ([]Image, error)

	// RemoveImage removes an image by reference; its content goes when nothing else uses it. No error if there is none.
	RemoveImage(ctx context.Context, ref string) error
}

// An ImageCollector keeps the images of a driver within bounds. Optional.
type ImageCollector interface {
	// CollectImages removes images that were pulled, the least recently used first, until what is left of them takes no
	// more than the limit. It spares what was imported, what containers were made of, whatever their state, what is being
	// pulled, and what is held; so there may be more left than the limit. Content that others share stays.
	CollectImages(ctx context.Context, limit ImageLimit) (ImageCollection, error)

	// HoldImages keeps CollectImages from what references name, now or once they are pulled, until ReleaseImages of the
	// same holder. It does not outlive the driver. References that cannot be parsed are ignored. It does not block.
	HoldImages(holder string, refs ...string)

	// ReleaseImages ends everything that a holder holds, by HoldImages or by [ImageSpec].Holder. It does not block.
	ReleaseImages(holder string)
}

// ImageLimit is how much pulled images may take.
type ImageLimit struct {
	// MaxBytes is what they may take on disk together, compressed and unpacked, with downloads that were broken off. What
	// several share counts once; what an imported image shares does not count.
	MaxBytes int64

	MinAge time.Duration // how long an image must not have been used before it is removed
}

// ImageCollection is what [ImageCollector.CollectImages] did.
type ImageCollection struct {
	Removed []Image // in this order; of an image with several tags, one of them
	Bytes   int64   // that pulled images take now
}

// Exit is how a container ended.
type Exit struct {
	Code      int       // as a shell would say: 0 to 255, 128+n when ended by signal n
	At        time.Time // when it ended
	OOMKilled bool      // the kernel killed a process of it because the container or its task was out of memory
}
