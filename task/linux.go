package task

// LinuxParameters are options of the container that only Linux has.
type LinuxParameters struct {
	Capabilities *KernelCapabilities `json:"capabilities,omitempty"`
	// Devices of the host; not on Fargate.
	Devices []Device `json:"devices,omitempty"`
	// InitProcessEnabled runs an init that forwards signals and reaps zombies.
	InitProcessEnabled bool `json:"initProcessEnabled,omitempty"`
	// SharedMemorySize is the size of /dev/shm; 0 leaves the runtime's.
	SharedMemorySize MiB `json:"sharedMemorySize,omitempty"`
	// Tmpfs are memory file systems.
	Tmpfs []Tmpfs `json:"tmpfs,omitempty"`
	// MaxSwap is the swap a container may use; nil leaves it to the host, 0 is
	// none at all.
	MaxSwap *MiB `json:"maxSwap,omitempty"`
	// Swappiness is 0..100; nil means 60, and it counts only with MaxSwap.
	Swappiness *int  `json:"swappiness,omitempty"`
	Extra      Extra `json:"-"`
}

// KernelCapabilities change the runtime's default set: Drop first, then Add.
// Add of ALL gives the default set without Drop; Drop of ALL leaves only Add.
//
// A container that adds SYS_PTRACE has no health check and no ECS Exec, and restricts the others with pidMode "task", unless tasks
// have user namespaces: the driver's runtime.TraceLimiter says why.
type KernelCapabilities struct {
	Add   []string `json:"add,omitempty"`
	Drop  []string `json:"drop,omitempty"`
	Extra Extra    `json:"-"`
}

// Device is a device of the host given to a container.
type Device struct {
	HostPath string `json:"hostPath,omitempty"`
	// ContainerPath is HostPath when empty.
	ContainerPath string `json:"containerPath,omitempty"`
	// Permissions are read, write and mknod; none means all three.
	Permissions []string `json:"permissions,omitempty"`
	Extra       Extra    `json:"-"`
}

// Tmpfs is a memory file system.
type Tmpfs struct {
	ContainerPath string   `json:"containerPath,omitempty"`
	Size          MiB      `json:"size,omitempty"`
	MountOptions  []string `json:"mountOptions,omitempty"`
	Extra         Extra    `json:"-"`
}

// Ulimit is a resource limit of a container's processes. A limit of -1 is no
// limit.
type Ulimit struct {
	// Name is one of core cpu data fsize locks memlock msgqueue nice nofile
	// nproc rss rtprio rttime sigpending stack.
	Name      string `json:"name,omitempty"`
	SoftLimit int64  `json:"softLimit,omitempty"`
	HardLimit int64  `json:"hardLimit,omitempty"`
	Extra     Extra  `json:"-"`
}

// SystemControl is a namespaced kernel parameter.
type SystemControl struct {
	// Namespace is the parameter's name, such as net.core.somaxconn.
	Namespace string `json:"namespace,omitempty"`
	Value     string `json:"value,omitempty"`
	Extra     Extra  `json:"-"`
}
