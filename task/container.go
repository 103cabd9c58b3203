package task

import "time"

// ContainerDefinition describes one container of a task.
type ContainerDefinition struct {
	// Name is unique in the task; required.
	Name string `json:"name,omitempty"`
	// Image is the reference handed to the runtime; required.
	Image string `json:"image,omitempty"`
	// RepositoryCredentials are for a private registry.
	RepositoryCredentials *RepositoryCredentials `json:"repositoryCredentials,omitempty"`
	// CPU is a relative weight on Linux; 0 and 1 count as 2.
	CPU CPUUnits `json:"cpu,omitempty"`
	// Memory is the hard limit; the container is killed above it. 0 is none.
	Memory MiB `json:"memory,omitempty"`
	// MemoryReservation is the soft limit, used for placement. 0 is none.
	MemoryReservation MiB `json:"memoryReservation,omitempty"`
	// Links are name:alias pairs; bridge mode only.
	Links []string `json:"links,omitempty"`
	// PortMappings are the ports the container listens on.
	PortMappings []PortMapping `json:"portMappings,omitempty"`
	// Essential containers end the task when they exit. nil means true; use
	// IsEssential to read it.
	Essential *bool `json:"essential,omitempty"`
	// RestartPolicy restarts the container in place.
	RestartPolicy *RestartPolicy `json:"restartPolicy,omitempty"`
	// EntryPoint replaces the image's.
	EntryPoint []string `json:"entryPoint,omitempty"`
	// Command replaces the image's.
	Command []string `json:"command,omitempty"`
	// Environment wins over EnvironmentFiles.
	Environment []KeyValuePair `json:"environment,omitempty"`
	// EnvironmentFiles are at most 10 files of VARIABLE=VALUE lines; of several
	// values for one variable the first counts.
	EnvironmentFiles []EnvironmentFile `json:"environmentFiles,omitempty"`
	// MountPoints mount the task's volumes.
	MountPoints []MountPoint `json:"mountPoints,omitempty"`
	// VolumesFrom mounts what another container mounts.
	VolumesFrom []VolumeFrom `json:"volumesFrom,omitempty"`
	// LinuxParameters are capabilities, devices, tmpfs and swap.
	LinuxParameters *LinuxParameters `json:"linuxParameters,omitempty"`
	// Secrets become environment variables, read once at start.
	Secrets []Secret `json:"secrets,omitempty"`
	// DependsOn orders start, and in reverse stop.
	DependsOn []ContainerDependency `json:"dependsOn,omitempty"`
	// StartTimeout is how many seconds containers that depend on this one wait
	// for it; 0 means for ever. Fargate: 2..120.
	StartTimeout int `json:"startTimeout,omitempty"`
	// StopTimeout is the seconds between the stop signal and SIGKILL; 0 means
	// 30. Fargate: 2..120.
	StopTimeout int `json:"stopTimeout,omitempty"`
	// VersionConsistency is enabled (default) or disabled: whether the image's
	// tag is resolved to a digest once per deployment.
	VersionConsistency string `json:"versionConsistency,omitempty"`
	// Hostname is not available in awsvpc mode.
	Hostname string `json:"hostname,omitempty"`
	// User is user, user:group, uid, uid:gid, user:gid or uid:group.
	User string `json:"user,omitempty"`
	// WorkingDirectory replaces the image's.
	WorkingDirectory string `json:"workingDirectory,omitempty"`
	// DisableNetworking turns the container's network off.
	DisableNetworking bool `json:"disableNetworking,omitempty"`
	// Privileged gives the container the host's root powers; not on Fargate.
	Privileged bool `json:"privileged,omitempty"`
	// ReadonlyRootFilesystem mounts the image read-only.
	ReadonlyRootFilesystem bool `json:"readonlyRootFilesystem,omitempty"`
	// DNSServers replace the resolvers of the network.
	DNSServers []string `json:"dnsServers,omitempty"`
	// DNSSearchDomains replace the search list of the network.
	DNSSearchDomains []string `json:"dnsSearchDomains,omitempty"`
	// ExtraHosts are added to /etc/hosts.
	ExtraHosts []HostEntry `json:"extraHosts,omitempty"`
	// DockerSecurityOptions are no-new-privileges, apparmor:…, label:…,
	// credentialspec:….
	DockerSecurityOptions []string `json:"dockerSecurityOptions,omitempty"`
	// Interactive keeps standard input open.
	Interactive bool `json:"interactive,omitempty"`
	// PseudoTerminal allocates a terminal.
	PseudoTerminal bool `json:"pseudoTerminal,omitempty"`
	// DockerLabels are labels of the container.
	DockerLabels map[string]string `json:"dockerLabels,omitempty"`
	// Ulimits are resource limits; Fargate gives nofile 65535 by default.
	Ulimits []Ulimit `json:"ulimits,omitempty"`
	// LogConfiguration says where standard output and error go; nil nowhere.
	LogConfiguration *LogConfiguration `json:"logConfiguration,omitempty"`
	// HealthCheck is run in the container; one in the image is not looked at.
	HealthCheck *HealthCheck `json:"healthCheck,omitempty"`
	// SystemControls are namespaced kernel parameters.
	SystemControls []SystemControl `json:"systemControls,omitempty"`
	// ResourceRequirements are GPUs and other accelerators.
	ResourceRequirements []ResourceRequirement `json:"resourceRequirements,omitempty"`
	// FirelensConfiguration makes this container the task's log router.
	FirelensConfiguration *FirelensConfiguration `json:"firelensConfiguration,omitempty"`
	// CredentialSpecs join the container to a Windows domain; at most one.
	CredentialSpecs []string `json:"credentialSpecs,omitempty"`

	// Extra holds unknown members and explicit zero values; see Extra.
	Extra Extra `json:"-"`
}

// DefaultStopTimeout is the time between stop signal and SIGKILL that a
// container gets when its definition names none.
const DefaultStopTimeout = 30 * time.Second

// IsEssential reports whether the exit of the container ends the task: unless
// the definition says "essential": false, it does.
func (c *ContainerDefinition) IsEssential() bool {
	return c.Essential == nil || *c.Essential
}

// StartDuration returns StartTimeout as a duration; 0 means there is none.
func (c *ContainerDefinition) StartDuration() time.Duration {
	return time.Duration(c.StartTimeout) * time.Second
}

// StopDuration returns StopTimeout as a duration, or DefaultStopTimeout.
func (c *ContainerDefinition) StopDuration() time.Duration {
	if c.StopTimeout == 0 {
		return DefaultStopTimeout
	}
	return time.Duration(c.StopTimeout) * time.Second
}

// RepositoryCredentials name the secret with a registry's user and password.
type RepositoryCredentials struct {
	// CredentialsParameter is the secret's ARN, or its name in the same region.
	CredentialsParameter string `json:"credentialsParameter,omitempty"`
	Extra                Extra  `json:"-"`
}

// DependencyCondition is what a container waits for in another one.
type DependencyCondition string

// The conditions of DependsOn.
const (
	ConditionStart    DependencyCondition = "START"    // it was started
	ConditionComplete DependencyCondition = "COMPLETE" // it exited
	ConditionSuccess  DependencyCondition = "SUCCESS"  // it exited with 0
	ConditionHealthy  DependencyCondition = "HEALTHY"  // its health check passed
)

// ContainerDependency says that a container waits for another.
type ContainerDependency struct {
	ContainerName string              `json:"containerName,omitempty"`
	Condition     DependencyCondition `json:"condition,omitempty"`
	Extra         Extra               `json:"-"`
}

// RestartPolicy says when a container that exits is started again in place.
type RestartPolicy struct {
	// Enabled is required; a policy with false does nothing.
	Enabled bool `json:"enabled,omitempty"`
	// IgnoredExitCodes, at most 50, do not lead to a restart.
	IgnoredExitCodes []int `json:"ignoredExitCodes,omitempty"`
	// RestartAttemptPeriod is the seconds a container must have run before it
	// is restarted: 60..1800, 0 means 300.
	RestartAttemptPeriod int   `json:"restartAttemptPeriod,omitempty"`
	Extra                Extra `json:"-"`
}

// Period returns how long a container must have run before it may be
// restarted: RestartAttemptPeriod, or the 300 s of ECS.
func (p *RestartPolicy) Period() time.Duration {
	if p.RestartAttemptPeriod == 0 {
		return 300 * time.Second
	}
	return time.Duration(p.RestartAttemptPeriod) * time.Second
}

// ResourceType is a kind of accelerator.
type ResourceType string

// The accelerators of ECS. InferenceAccelerator is discontinued.
const (
	ResourceGPU                  ResourceType = "GPU"
	ResourceInferenceAccelerator ResourceType = "InferenceAccelerator"
	ResourceNeuronDevice         ResourceType = "NeuronDevice"
)

// ResourceRequirement asks for accelerators.
type ResourceRequirement struct {
	Type ResourceType `json:"type,omitempty"`
	// Value is a count of GPUs, ALL, or an inference accelerator's device name.
	Value string `json:"value,omitempty"`
	// SharingStrategy shares one GPU instead of having Value whole ones.
	SharingStrategy *SharingStrategy `json:"sharingStrategy,omitempty"`
	Extra           Extra            `json:"-"`
}

// SharingStrategy is how containers share a GPU: exactly one member is set.
type SharingStrategy struct {
	NvidiaMPS *NvidiaMPSAllocation `json:"nvidiaMps,omitempty"`
	Extra     Extra                `json:"-"`
}

// NvidiaMPSAllocation is a part of a GPU under NVIDIA's Multi-Process Service.
type NvidiaMPSAllocation struct {
	// Memory of the GPU; required.
	Memory MiB `json:"memory,omitempty"`
	// MaxComputePercent limits the use of the GPU's compute; 0 is no limit.
	MaxComputePercent int   `json:"maxComputePercent,omitempty"`
	Extra             Extra `json:"-"`
}
