package oci

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Options are what the backend knows and the specs do not say.
type Options struct {
	RootfsPath  string // root file system, absolute or relative to the bundle // required
	CgroupsPath string // as the OCI runtime takes it; below the sandbox's cgroup // required
	User        User   // who the first process is, see ResolveUser; the zero value is root

	PIDNamespace string // path of a PID namespace to join; "" makes a new one
	InitPath     string // static init binary on the host; required when ContainerSpec.Init is set

	CgroupV2         bool // the unified hierarchy is in use
	NoSwapAccounting bool // the kernel cannot limit swap (cgroup v1 without memory.memsw.*)

	AppArmorProfile string // of containers that name none and are not privileged; "" is none

	Throttling []string // what ThrottlingCounters has found

	Limits Limits // of the process that starts the OCI runtime, see ProcessLimits

	// Devices returns the device nodes of the host at a path, or below it if it is a directory, with Path as on the
	// host. Required when ContainerSpec.Devices is set or the container is privileged.
	Devices func(hostPath string) ([]specs.LinuxDevice, error)
}

// User is a resolved user.
type User struct {
	UID            uint32
	GID            uint32
	AdditionalGIDs []uint32 // supplementary groups, ascending, without GID
	Home           string   // directory that HOME is set to where nothing else sets it; "" is "/"
}
