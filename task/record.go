package task

import (
	"strings"
	"time"
)

// Task is the record of one task, the object ECS calls Task: what it was
// started from, what became of it, and when. Two of its fields steer it:
// LastStatus is what was observed, DesiredStatus what is wanted.
//
// Its JSON has the names of ECS; times are RFC 3339 with fractions, where the
// ECS wire protocol prints epoch seconds.
type Task struct {
	TaskARN              string     `json:"taskArn,omitempty"`
	ClusterARN           string     `json:"clusterArn,omitempty"`
	TaskDefinitionARN    string     `json:"taskDefinitionArn,omitempty"`
	ContainerInstanceARN string     `json:"containerInstanceArn,omitempty"` // not on Fargate
	CapacityProviderName string     `json:"capacityProviderName,omitempty"`
	LaunchType           LaunchType `json:"launchType,omitempty"`
	PlatformFamily       string     `json:"platformFamily,omitempty"` // "Linux"
	PlatformVersion      string     `json:"platformVersion,omitempty"`
	AvailabilityZone     string     `json:"availabilityZone,omitempty"`

	LastStatus    Status       `json:"lastStatus,omitempty"`    // observed
	DesiredStatus Status       `json:"desiredStatus,omitempty"` // Running or Stopped
	HealthStatus  HealthStatus `json:"healthStatus,omitempty"`
	StopCode      StopCode     `json:"stopCode,omitempty"`
	StoppedReason string       `json:"stoppedReason,omitempty"`
	// Version grows by one with every change of state.
	Version int64 `json:"version,omitempty"`

	Group     string `json:"group,omitempty"`     // family:<family> or service:<name>
	StartedBy string `json:"startedBy,omitempty"` // for services the deployment, ecs-svc/…
	CPU       string `json:"cpu,omitempty"`       // task size in units, as a string
	Memory    string `json:"memory,omitempty"`    // task size in MiB, as a string

	Containers              []Container            `json:"containers,omitempty"`
	Attachments             []Attachment           `json:"attachments,omitempty"`
	Attributes              []Attribute            `json:"attributes,omitempty"`
	Overrides               *TaskOverride          `json:"overrides,omitempty"`
	Tags                    []Tag                  `json:"tags,omitempty"`
	InferenceAccelerators   []InferenceAccelerator `json:"inferenceAccelerators,omitempty"`
	EphemeralStorage        *EphemeralStorage      `json:"ephemeralStorage,omitempty"`
	FargateEphemeralStorage *TaskEphemeralStorage  `json:"fargateEphemeralStorage,omitempty"`
	EnableExecuteCommand    bool                   `json:"enableExecuteCommand,omitempty"`

	Connectivity   string    `json:"connectivity,omitempty"` // CONNECTED or DISCONNECTED
	ConnectivityAt time.Time `json:"connectivityAt,omitzero"`

	CreatedAt          time.Time `json:"createdAt,omitzero"`          // the task was created
	PullStartedAt      time.Time `json:"pullStartedAt,omitzero"`      // the first image pull began
	PullStoppedAt      time.Time `json:"pullStoppedAt,omitzero"`      // the last image pull ended
	StartedAt          time.Time `json:"startedAt,omitzero"`          // it became RUNNING
	StoppingAt         time.Time `json:"stoppingAt,omitzero"`         // it left RUNNING
	ExecutionStoppedAt time.Time `json:"executionStoppedAt,omitzero"` // an essential container stopped
	StoppedAt          time.Time `json:"stoppedAt,omitzero"`          // it became STOPPED
}

// ID returns the last part of the task's ARN, 32 hexadecimal digits in ECS.
func (t *Task) ID() string {
	return t.TaskARN[strings.LastIndexByte(t.TaskARN, '/')+1:]
}

// Container returns the record of the container of that name, or nil. The
// pointer is into t.
func (t *Task) Container(name string) *Container {
	for i := range t.Containers {
		if t.Containers[i].Name == name {
			return &t.Containers[i]
		}
	}
	return nil
}

// Container is the record of one container of a task.
type Container struct {
	ContainerARN string          `json:"containerArn,omitempty"`
	TaskARN      string          `json:"taskArn,omitempty"`
	Name         string          `json:"name,omitempty"`
	Image        string          `json:"image,omitempty"`
	ImageDigest  string          `json:"imageDigest,omitempty"`
	RuntimeID    string          `json:"runtimeId,omitempty"`
	LastStatus   ContainerStatus `json:"lastStatus,omitempty"`
	// ExitCode is nil until the container exited, and when it never ran.
	ExitCode     *int         `json:"exitCode,omitempty"`
	Reason       string       `json:"reason,omitempty"` // at most MaxReason characters
	HealthStatus HealthStatus `json:"healthStatus,omitempty"`

	CPU               string `json:"cpu,omitempty"` // units as a string, "0" when unset
	Memory            string `json:"memory,omitempty"`
	MemoryReservation string `json:"memoryReservation,omitempty"`

	NetworkBindings    []NetworkBinding   `json:"networkBindings,omitempty"`
	NetworkInterfaces  []NetworkInterface `json:"networkInterfaces,omitempty"`
	ManagedAgents      []ManagedAgent     `json:"managedAgents,omitempty"`
	GPUIDs             []string           `json:"gpuIds,omitempty"`
	GPUSharingStrategy *SharingStrategy   `json:"gpuSharingStrategy,omitempty"`
	NeuronDeviceIDs    []string           `json:"neuronDeviceIds,omitempty"`

	// What follows ECS keeps as well, and tells containers at the metadata
	// endpoint only. The API's Container has none of it.

	CreatedAt    time.Time `json:"createdAt,omitzero"`
	StartedAt    time.Time `json:"startedAt,omitzero"`  // the last time, if it was restarted
	FinishedAt   time.Time `json:"finishedAt,omitzero"` // the last time
	RestartCount int       `json:"restartCount,omitempty"`
}

// Attachment is something attached to a task, such as its network interface.
type Attachment struct {
	ID      string           `json:"id,omitempty"`
	Type    string           `json:"type,omitempty"` // see AttachmentENI
	Status  AttachmentStatus `json:"status,omitempty"`
	Details []KeyValuePair   `json:"details,omitempty"`
}

// AttachmentENI is the Type of the attachment that is a task's network
// interface. Its details are subnetId, networkInterfaceId, macAddress,
// privateDnsName and privateIPv4Address; the public address is not among them.
const AttachmentENI = "ElasticNetworkInterface"

// AttachmentEBS is the Type of the attachment that is a volume configured at
// launch. Its details are roleArn, volumeName, deleteOnTermination and volumeId.
const AttachmentEBS = "AmazonElasticBlockStorage"

// Detail returns the named detail, or "".
func (a *Attachment) Detail(name string) string {
	for _, kv := range a.Details {
		if kv.Name == name {
			return kv.Value
		}
	}
	return ""
}

// AttachmentStatus is the state of an attachment.
type AttachmentStatus string

// The states of an attachment.
const (
	AttachmentPrecreated AttachmentStatus = "PRECREATED"
	AttachmentCreated    AttachmentStatus = "CREATED"
	AttachmentAttaching  AttachmentStatus = "ATTACHING"
	AttachmentAttached   AttachmentStatus = "ATTACHED"
	AttachmentDetaching  AttachmentStatus = "DETACHING"
	AttachmentDetached   AttachmentStatus = "DETACHED"
	AttachmentDeleted    AttachmentStatus = "DELETED"
	AttachmentFailed     AttachmentStatus = "FAILED"
)

// NetworkBinding is a container port as it is reachable on the host.
type NetworkBinding struct {
	BindIP             string            `json:"bindIP,omitempty"`
	ContainerPort      int               `json:"containerPort,omitempty"`
	ContainerPortRange string            `json:"containerPortRange,omitempty"`
	HostPort           int               `json:"hostPort,omitempty"`
	HostPortRange      string            `json:"hostPortRange,omitempty"`
	Protocol           TransportProtocol `json:"protocol,omitempty"`
}

// NetworkInterface is a container's view of the task's network interface.
type NetworkInterface struct {
	AttachmentID       string `json:"attachmentId,omitempty"`
	PrivateIPv4Address string `json:"privateIpv4Address,omitempty"`
	IPv6Address        string `json:"ipv6Address,omitempty"`
}

// ManagedAgent is a program of ECS that runs in a container, such as the one of ECS
// Exec.
type ManagedAgent struct {
	Name          string          `json:"name,omitempty"` // ExecuteCommandAgent
	LastStatus    ContainerStatus `json:"lastStatus,omitempty"`
	LastStartedAt time.Time       `json:"lastStartedAt,omitzero"`
	Reason        string          `json:"reason,omitempty"`
}

// TaskEphemeralStorage is the scratch disk a Fargate task was given.
type TaskEphemeralStorage struct {
	SizeInGiB int    `json:"sizeInGiB,omitempty"` // 20..200
	KMSKeyID  string `json:"kmsKeyId,omitempty"`
}
