package metadata

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/fardel-io/fardel/task"
)

// Container holds facts of a container that ECS keeps in no record.
type Container struct {
	DockerName  string // name in the runtime; empty means the container's name
	ImageID     string // sha256:… of the image's configuration; empty means the record's ImageDigest
	Snapshotter string // what the runtime keeps layers with, such as overlayfs

	CreatedAt  time.Time
	StartedAt  time.Time
	FinishedAt time.Time
	// RestartCount is how often the restart policy restarted it; told only if there is a policy.
	RestartCount int

	// Health is the last result of the health check. Its status is that of the record.
	Health Health
	// LogOptions are the options of the log driver as they were used; nil means those of the definition.
	LogOptions map[string]string
	// Volumes are what it mounts.
	Volumes []Volume
}

// Health is the last result of a container's health check.
type Health struct {
	Since    time.Time // the status is what it is
	ExitCode int
	Output   string
}

// Volume is a mount of a container.
type Volume struct {
	Name        string // of the volume, if it has one
	Source      string // on the host; empty where the definition does not name it, which keeps the host's paths to the host
	Destination string // in the container
}

// Network is a network interface of a task.
type Network struct {
	Mode task.NetworkMode // empty means awsvpc

	IPv4 []netip.Addr
	IPv6 []netip.Addr

	// The following are told in awsvpc mode only, by version 4.

	MAC        string       // such as 0a:1b:2c:3d:4e:5f
	IPv4Subnet netip.Prefix // of the subnet
	IPv6Subnet netip.Prefix
	// Gateway4 and Gateway6 are the router's addresses with the length of the subnet's prefix, such as 10.0.0.1/24.
	// ECS tells Gateway6 only where there is no IPv4.
	Gateway4 netip.Prefix
	Gateway6 netip.Prefix

	DNSServers       []netip.Addr
	DNSSearchDomains []string
	PrivateDNSName   string
}

// Association is a device of a task, such as a GPU.
type Association struct {
	Type       string   // such as gpu
	Name       string   // unique among those of the type
	Containers []string // names of the containers that may use it
	// Content is the document told about it. It must be JSON.
	Content json.RawMessage
}

// TagError says why tags could not be had.
type TagError struct {
	Field       string // TaskTags or ContainerInstanceTags
	Code        string // such as AccessDeniedException
	Message     string
	StatusCode  int // of the HTTP answer; 0 if there was none
	RequestID   string
	ResourceARN string
}

// ClockDrift is how far the host's clock may be from the right time.
type ClockDrift struct {
	ErrorBound   time.Duration
	ReferenceAt  time.Time // the time it was measured by
	Synchronized bool
}

// EphemeralStorage is the scratch disk of a task.
type EphemeralStorage struct {
	Utilized task.MiB // not free any more; with what the file system itself takes
	Reserved task.MiB // its size
}
