package task

import (
	"strings"
	"time"
)

// TaskDefinition describes a task: its containers, their shared resources and
// how they are isolated. It holds every member of the ECS RegisterTaskDefinition
// request and, below, the members only ECS fills in.
type TaskDefinition struct {
	// Family names the revision series; required.
	Family string `json:"family,omitempty"`
	// TaskRoleARN is the role (ARN or name) the containers act as.
	TaskRoleARN string `json:"taskRoleArn,omitempty"`
	// ExecutionRoleARN is the role (ARN or name) used on the task's behalf to
	// pull images, read secrets and environment files, and write logs.
	ExecutionRoleARN string `json:"executionRoleArn,omitempty"`
	// NetworkMode is awsvpc on Fargate; empty means bridge elsewhere.
	NetworkMode NetworkMode `json:"networkMode,omitempty"`
	// ContainerDefinitions are the task's 1..10 containers.
	ContainerDefinitions []ContainerDefinition `json:"containerDefinitions,omitempty"`
	// Volumes are what MountPoints of the containers name.
	Volumes []Volume `json:"volumes,omitempty"`
	// PlacementConstraints restrict the container instances; not on Fargate.
	PlacementConstraints []PlacementConstraint `json:"placementConstraints,omitempty"`
	// RequiresCompatibilities are the launch types ECS validates against.
	RequiresCompatibilities []LaunchType `json:"requiresCompatibilities,omitempty"`
	// CPU is the task's CPU as written: "256", ".25 vCPU". See Size.
	CPU string `json:"cpu,omitempty"`
	// Memory is the task's memory as written: "512", "0.5 GB". See Size.
	Memory string `json:"memory,omitempty"`
	// Tags are attached to the definition, at most 50.
	Tags []Tag `json:"tags,omitempty"`
	// PIDMode shares a process namespace; empty means one per container.
	PIDMode PIDMode `json:"pidMode,omitempty"`
	// IPCMode shares an IPC namespace; empty leaves it to the runtime.
	IPCMode IPCMode `json:"ipcMode,omitempty"`
	// ProxyConfiguration redirects the task's traffic through one container.
	ProxyConfiguration *ProxyConfiguration `json:"proxyConfiguration,omitempty"`
	// InferenceAccelerators is a discontinued feature that still decodes.
	InferenceAccelerators []InferenceAccelerator `json:"inferenceAccelerators,omitempty"`
	// EphemeralStorage enlarges the scratch disk; nil means 20 GiB.
	EphemeralStorage *EphemeralStorage `json:"ephemeralStorage,omitempty"`
	// RuntimePlatform is the operating system and CPU architecture.
	RuntimePlatform *RuntimePlatform `json:"runtimePlatform,omitempty"`
	// EnableFaultInjection serves the fault injection endpoints in the task.
	EnableFaultInjection bool `json:"enableFaultInjection,omitempty"`

	// TaskDefinitionARN and the members below it are given by ECS when it
	// registers a definition, and ignored when one is registered.
	TaskDefinitionARN string `json:"taskDefinitionArn,omitempty"`
	// Revision counts from 1 in each family.
	Revision int `json:"revision,omitempty"`
	// Status is ACTIVE, INACTIVE or DELETE_IN_PROGRESS.
	Status DefinitionStatus `json:"status,omitempty"`
	// RequiresAttributes are attributes a container instance must have.
	RequiresAttributes []Attribute `json:"requiresAttributes,omitempty"`
	// Compatibilities are the launch types the definition is valid for.
	Compatibilities []LaunchType `json:"compatibilities,omitempty"`
	// RegisteredAt is when the revision was registered.
	RegisteredAt time.Time `json:"registeredAt,omitzero"`
	// RegisteredBy is the principal that registered it.
	RegisteredBy string `json:"registeredBy,omitempty"`
	// DeregisteredAt is when the revision became INACTIVE.
	DeregisteredAt time.Time `json:"deregisteredAt,omitzero"`
	// DeleteRequestedAt is when its deletion was asked for.
	DeleteRequestedAt time.Time `json:"deleteRequestedAt,omitzero"`

	// Extra holds unknown members and explicit zero values; see Extra.
	Extra Extra `json:"-"`
}

// Container returns the container definition of that name, or nil. The pointer
// is into d.
func (d *TaskDefinition) Container(name string) *ContainerDefinition {
	for i := range d.ContainerDefinitions {
		if d.ContainerDefinitions[i].Name == name {
			return &d.ContainerDefinitions[i]
		}
	}
	return nil
}

// Volume returns the volume of that name, or nil. The pointer is into d.
func (d *TaskDefinition) Volume(name string) *Volume {
	for i := range d.Volumes {
		if d.Volumes[i].Name == name {
			return &d.Volumes[i]
		}
	}
	return nil
}

// Requires reports whether the definition lists lt in RequiresCompatibilities.
func (d *TaskDefinition) Requires(lt LaunchType) bool {
	for _, have := range d.RequiresCompatibilities {
		if have == lt {
			return true
		}
	}
	return false
}

// IsWindows reports whether the definition asks for a Windows operating system.
func (d *TaskDefinition) IsWindows() bool {
	return d.RuntimePlatform != nil && d.RuntimePlatform.OperatingSystemFamily.IsWindows()
}

// LaunchType is the infrastructure a task runs on, and what a definition can be
// validated for.
type LaunchType string

// The launch types of ECS.
const (
	LaunchTypeEC2              LaunchType = "EC2"
	LaunchTypeFargate          LaunchType = "FARGATE"
	LaunchTypeExternal         LaunchType = "EXTERNAL"
	LaunchTypeManagedInstances LaunchType = "MANAGED_INSTANCES"
)

// NetworkMode is how the containers of a task are networked.
type NetworkMode string

// The network modes of ECS. Windows tasks that name none get NetNAT, which ECS
// prints as "default".
const (
	NetworkModeNone    NetworkMode = "none"
	NetworkModeBridge  NetworkMode = "bridge"
	NetworkModeAWSVPC  NetworkMode = "awsvpc"
	NetworkModeHost    NetworkMode = "host"
	NetworkModeDefault NetworkMode = "default"
)

// PIDMode says whose process namespace the containers share.
type PIDMode string

// The PID modes of ECS; Fargate knows only task.
const (
	PIDModeHost PIDMode = "host"
	PIDModeTask PIDMode = "task"
)

// IPCMode says whose IPC namespace the containers share.
type IPCMode string

// The IPC modes of ECS; Fargate knows none of them.
const (
	IPCModeHost IPCMode = "host"
	IPCModeTask IPCMode = "task"
	IPCModeNone IPCMode = "none"
)

// DefinitionStatus is the state of a registered revision.
type DefinitionStatus string

// The states of a registered revision, in the order it goes through them.
const (
	DefinitionActive           DefinitionStatus = "ACTIVE"
	DefinitionInactive         DefinitionStatus = "INACTIVE"
	DefinitionDeleteInProgress DefinitionStatus = "DELETE_IN_PROGRESS"
)

// OSFamily is an operating system as runtimePlatform names it.
type OSFamily string

// OSFamilyLinux is the family of every Linux task; all others start with
// WINDOWS_SERVER_.
const OSFamilyLinux OSFamily = "LINUX"

// CPUArchitecture is an instruction set.
type CPUArchitecture string

// The architectures of ECS; empty means X86_64.
const (
	CPUArchitectureX8664 CPUArchitecture = "X86_64"
	CPUArchitectureARM64 CPUArchitecture = "ARM64"
)

// RuntimePlatform is the platform a task needs.
type RuntimePlatform struct {
	CPUArchitecture       CPUArchitecture `json:"cpuArchitecture,omitempty"`
	OperatingSystemFamily OSFamily        `json:"operatingSystemFamily,omitempty"`
	Extra                 Extra           `json:"-"`
}

// EphemeralStorage is the size of a task's scratch disk.
type EphemeralStorage struct {
	// SizeInGiB is 21..200; ECS gives 20 when nothing is asked for.
	SizeInGiB int   `json:"sizeInGiB,omitempty"`
	Extra     Extra `json:"-"`
}

// PlacementConstraint restricts the container instances a task may run on.
type PlacementConstraint struct {
	// Type is memberOf in a definition; RunTask also knows distinctInstance.
	Type string `json:"type,omitempty"`
	// Expression is in the cluster query language, at most 2000 characters.
	Expression string `json:"expression,omitempty"`
	Extra      Extra  `json:"-"`
}

// ProxyConfiguration names the container that proxies the task's traffic.
type ProxyConfiguration struct {
	// Type is APPMESH, the only one; empty means it.
	Type          string         `json:"type,omitempty"`
	ContainerName string         `json:"containerName,omitempty"`
	Properties    []KeyValuePair `json:"properties,omitempty"`
	Extra         Extra          `json:"-"`
}

// Property returns the value of the named proxy property and whether it is
// there.
func (p *ProxyConfiguration) Property(name string) (string, bool) {
	for _, kv := range p.Properties {
		if kv.Name == name {
			return kv.Value, true
		}
	}
	return "", false
}

// InferenceAccelerator is an Elastic Inference device. AWS ended that service;
// the type remains so that old definitions decode.
type InferenceAccelerator struct {
	DeviceName string `json:"deviceName,omitempty"`
	DeviceType string `json:"deviceType,omitempty"`
	Extra      Extra  `json:"-"`
}

// Tag is a key and an optional value that label a resource.
type Tag struct {
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
	Extra Extra  `json:"-"`
}

// Attribute is a name, and maybe a value, that a container instance has or a
// definition requires.
type Attribute struct {
	Name       string `json:"name,omitempty"`
	Value      string `json:"value,omitempty"`
	TargetType string `json:"targetType,omitempty"`
	TargetID   string `json:"targetId,omitempty"`
	Extra      Extra  `json:"-"`
}

// IsWindows reports whether the family is a Windows one.
func (f OSFamily) IsWindows() bool { return strings.HasPrefix(string(f), "WINDOWS") }
