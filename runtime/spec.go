package runtime

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"

	"github.com/fardel-io/fardel/task"
)

// SandboxSpec is what the containers of one task share.
type SandboxSpec struct {
	ID    string    // the task's ID, 32 hex digits; unique per driver // required
	Size  task.Size // CPU as a hard quota over 100 ms and memory as a hard limit; 0 leaves that one unlimited
	NetNS string    // path of the network namespace that every container joins; "" is the host's

	// CPUShares is the task's weight where Size.CPU is 0 (EC2): the sum of its containers' shares. 0 is the kernel's
	// default of 1024.
	CPUShares uint64

	// Storage is the size of a disk that the sandbox gets for everything that its containers write, and for its volumes. 0
	// is none of its own: they share what the driver has. A driver that cannot make one says so with [ErrUnsupported].
	Storage task.MiB

	// Scratch is a directory, absolute, for what the caller keeps for the containers of the sandbox and they may write to, such
	// as /etc/hosts. It is empty, and the caller writes there when the sandbox was created. Until the sandbox is removed it
	// holds a mebibyte at most, in memory, so that no container fills what the caller has by what is mounted from there. ""
	// is none. A driver that makes no mounts leaves it as it is.
	Scratch string `json:",omitempty"`

	PIDs     int64             // most processes and threads in the task; 0 is no limit
	SharePID bool              // one PID namespace for all containers (pidMode "task")
	Hostname string            // UTS hostname of every container; "" is the runtime's default
	Labels   map[string]string // kept with the sandbox and returned by List
}

// ContainerSpec is one container of a sandbox. Zero values mean what the image says, and else Fargate's defaults.
type ContainerSpec struct {
	ID        string // unique per driver, at most 76 of [A-Za-z0-9_.-] // required
	SandboxID string // required
	Name      string // name in the task definition, for messages
	Image     string // Image.Ref as Pull returned it // required

	Entrypoint []string // nil is the image's. Set, the image's Cmd is not used either, as with Docker
	Command    []string // nil is the image's Cmd
	Env        []string // "KEY=value", over the image's; later entries win
	SecretEnv  Secrets  `json:"-"` // as Env, and over it; see Secrets
	WorkingDir string   // "" is the image's, and else "/"
	User       string   // "user", "uid", "user:group" in any mix of names and numbers; "" is the image's
	StopSignal string   // what Kill("") sends; "" is the image's, and else SIGTERM

	CPUShares         uint64   // weight among the task's containers, ContainerDefinition.cpu; below 2 counts as 2
	Memory            task.MiB // hard limit; 0 is only the task's
	MemoryReservation task.MiB // soft limit; 0 is none
	SharedMemory      task.MiB // size of /dev/shm; 0 is 64
	Swappiness        *uint64  // 0 to 100; nil is the kernel's default
	Swap              task.MiB // beyond Memory; 0 is none

	ReadonlyRootfs  bool
	Privileged      bool
	NoNewPrivileges bool
	AppArmorProfile string        // loaded in the kernel, or "unconfined"; "" is the driver's choice. See AppArmorChecker
	NoNetwork       bool          // a network namespace of its own with nothing but loopback, not the sandbox's
	Hostname        string        // UTS hostname; "" is the sandbox's
	Init            bool          // a small init as process 1 that reaps and forwards signals (initProcessEnabled)
	Terminal        bool          // pseudoTerminal
	Stdin           bool          // interactive: stdin stays open
	CapAdd, CapDrop []string      // without CAP_, "ALL" allowed; drop is applied first, then add
	Ulimits         []task.Ulimit // over the default nofile 65535:65535
	Sysctls         map[string]string
	Tmpfs           []task.Tmpfs
	Devices         []task.Device
	Mounts          []Mount
	ExtraHosts      []HostEntry // for drivers that write /etc/hosts themselves

	Log        string            // path under which stdout and stderr are kept, see LogReader; "" discards them
	LogOptions LogOptions        // how much of them
	Labels     map[string]string // kept with the container and returned by List
}

// Secrets are variables whose values must be kept nowhere: a driver writes them neither to its own records nor to a log,
// does not compare them when a call is repeated, and does not know them any more after the container was created. They do
// not print.
type Secrets []string

// String says how many there are.
func (s Secrets) String() string { return fmt.Sprintf("[%d secret variables]", len(s)) }

// GoString is as String.
func (s Secrets) GoString() string { return s.String() }

// LogValue implements [slog.LogValuer].
func (s Secrets) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes null.
func (s Secrets) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Mount is a file or directory of the host, or a volume of the sandbox, inside a container. Set Source or Volume.
type Mount struct {
	Source      string `json:",omitempty"` // absolute path on the host
	Destination string // absolute path in the container
	ReadOnly    bool

	// Root, with Source, is a directory that Source is looked up in as after chroot: no symbolic link in Source leads out
	// of it, whoever writes there at the same time. "" is the host's root directory.
	Root string `json:",omitempty"`

	// Volume is the name of a directory that the containers of the sandbox share: 1 to 255 of [A-Za-z0-9_-]. It is made
	// when the first container that names it is created, owned by root with mode 0755, and removed with the sandbox.
	Volume string `json:",omitempty"`

	// Populate has an empty directory get what the image has at Destination, with owners and modes, and the owner and
	// mode of that directory itself, before the container is created: the rule of Docker's volumes. Of two containers
	// that could populate one volume the first created does. What is there already is never replaced. Of a Source the
	// driver notes beside it, in its parent directory, that a copy is under way.
	Populate bool `json:",omitempty"`
}

// HostEntry is one line of /etc/hosts.
type HostEntry struct {
	Name string
	Addr netip.Addr
}

// ExecSpec is a further process in a running container.
type ExecSpec struct {
	Args       []string // required
	Env        []string // over the container's
	WorkingDir string   // "" is the container's
	User       string   // "" is the container's; ECS Exec uses "root"
	Terminal   bool     // Stdout has both streams then
	Stdin      io.Reader
	Stdout     io.Writer
	Stderr     io.Writer
	Resize     <-chan WindowSize // with Terminal; the caller may close it
}

// WindowSize is a terminal's size in characters.
type WindowSize struct{ Width, Height uint16 }
