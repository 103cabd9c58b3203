package metadata

import (
	"strconv"
	"strings"
	"time"

	"github.com/fardel-io/fardel/task"
)

// taskV2 is a task in versions 2 and 3, and what version 4 begins with.
type taskV2 struct {
	Cluster               string            `json:"Cluster"`
	TaskARN               string            `json:"TaskARN"`
	Family                string            `json:"Family"`
	Revision              string            `json:"Revision"`
	DesiredStatus         string            `json:"DesiredStatus,omitempty"`
	KnownStatus           string            `json:"KnownStatus"`
	Containers            []containerV2     `json:"Containers,omitempty"`
	Limits                *limits           `json:"Limits,omitempty"`
	PullStartedAt         *time.Time        `json:"PullStartedAt,omitempty"`
	PullStoppedAt         *time.Time        `json:"PullStoppedAt,omitempty"`
	ExecutionStoppedAt    *time.Time        `json:"ExecutionStoppedAt,omitempty"`
	AvailabilityZone      string            `json:"AvailabilityZone,omitempty"`
	TaskTags              map[string]string `json:"TaskTags,omitempty"`
	ContainerInstanceTags map[string]string `json:"ContainerInstanceTags,omitempty"`
	LaunchType            string            `json:"LaunchType,omitempty"` // version 4
	Errors                []tagErrorAnswer  `json:"Errors,omitempty"`     // version 4
}

// taskV4 is a task in version 4.
type taskV4 struct {
	taskV2
	Containers              []containerV4   `json:"Containers,omitempty"`
	VPCID                   string          `json:"VPCID,omitempty"`
	ServiceName             string          `json:"ServiceName,omitempty"`
	Group                   string          `json:"Group,omitempty"`
	ClockDrift              *clockAnswer    `json:"ClockDrift,omitempty"`
	EphemeralStorageMetrics *storageMetrics `json:"EphemeralStorageMetrics,omitempty"`
	FaultInjectionEnabled   bool            `json:"FaultInjectionEnabled"`
	AvailabilityZoneID      string          `json:"AvailabilityZoneID,omitempty"`
}

// limits are of a task, where CPU is in vCPU, or of a container, where it is in CPU units. Memory is in MiB.
type limits struct {
	CPU    *float64 `json:"CPU,omitempty"`
	Memory *int64   `json:"Memory,omitempty"`
}

type tagErrorAnswer struct {
	ErrorField   string `json:"ErrorField,omitempty"`
	ErrorCode    string `json:"ErrorCode,omitempty"`
	ErrorMessage string `json:"ErrorMessage,omitempty"`
	StatusCode   int    `json:"StatusCode,omitempty"`
	RequestID    string `json:"RequestId,omitempty"`
	ResourceARN  string `json:"ResourceARN,omitempty"`
}

type clockAnswer struct {
	ClockErrorBound            float64    `json:"ClockErrorBound,omitempty"` // milliseconds
	ReferenceTimestamp         *time.Time `json:"ReferenceTimestamp,omitempty"`
	ClockSynchronizationStatus string     `json:"ClockSynchronizationStatus,omitempty"`
}

type storageMetrics struct {
	Utilized int64 `json:"Utilized"` // MiB
	Reserved int64 `json:"Reserved"`
}

// taskAnswer returns a task in the form of a version.
func (h *handler) taskAnswer(s *Snapshot, version int, tags bool) any {
	a := newTaskV2(s)
	if tags {
		a.TaskTags = tagMap(s.Task.Tags)
		a.ContainerInstanceTags = s.ContainerInstanceTags
	}
	if version < 4 {
		a.Containers = containersV2(s)
		return a
	}
	a.LaunchType = string(s.Task.LaunchType)
	if tags {
		for _, e := range s.TagErrors {
			a.Errors = append(a.Errors, tagErrorAnswer{e.Field, e.Code, e.Message, e.StatusCode, e.RequestID, e.ResourceARN})
		}
	}
	v4 := taskV4{
		taskV2:                a,
		Containers:            containersV4(s),
		VPCID:                 s.VPCID,
		Group:                 s.Task.Group,
		ClockDrift:            newClockAnswer(s.ClockDrift),
		FaultInjectionEnabled: s.Definition.EnableFaultInjection && h.cfg.Faults != nil,
		AvailabilityZoneID:    s.AvailabilityZoneID,
	}
	if name, ok := strings.CutPrefix(s.Task.Group, "service:"); ok {
		v4.ServiceName = name
	}
	if e := s.EphemeralStorage; e != nil {
		v4.EphemeralStorageMetrics = &storageMetrics{int64(e.Utilized), int64(e.Reserved)}
	}
	return v4
}

// newTaskV2 fills in what all versions have, but for the containers.
func newTaskV2(s *Snapshot) taskV2 {
	family, revision := familyRevision(s)
	a := taskV2{
		Cluster:            clusterName(s),
		TaskARN:            s.Task.TaskARN,
		Family:             family,
		Revision:           revision,
		DesiredStatus:      s.Task.DesiredStatus.String(),
		KnownStatus:        s.Task.LastStatus.String(),
		PullStartedAt:      timeOrNil(s.Task.PullStartedAt),
		PullStoppedAt:      timeOrNil(s.Task.PullStoppedAt),
		ExecutionStoppedAt: timeOrNil(s.Task.ExecutionStoppedAt),
		AvailabilityZone:   s.Task.AvailabilityZone,
	}
	if size, err := s.Definition.Size(); err == nil && size != (task.Size{}) { // check has seen that it is right
		a.Limits = &limits{}
		if size.CPU != 0 {
			vcpu := size.CPU.VCPU()
			a.Limits.CPU = &vcpu
		}
		if size.Memory != 0 {
			memory := int64(size.Memory)
			a.Limits.Memory = &memory
		}
	}
	return a
}

// clusterName is the cluster's ARN on Fargate and its name elsewhere: ECS fills it in twice.
func clusterName(s *Snapshot) string {
	if s.Task.LaunchType == task.LaunchTypeFargate {
		return s.Task.ClusterARN
	}
	return s.Task.ClusterARN[strings.LastIndexByte(s.Task.ClusterARN, '/')+1:]
}

// familyRevision returns the definition's family and revision. A definition that was never registered has no
// revision of its own; then the ARN that the task was started from may.
func familyRevision(s *Snapshot) (family, revision string) {
	if s.Definition.Revision != 0 {
		return s.Definition.Family, strconv.Itoa(s.Definition.Revision)
	}
	f, n, err := task.ParseFamilyRevision(s.Task.TaskDefinitionARN)
	if err == nil && f == s.Definition.Family && n != 0 {
		return f, strconv.Itoa(n)
	}
	return s.Definition.Family, ""
}

func newClockAnswer(c *ClockDrift) *clockAnswer {
	if c == nil {
		return nil
	}
	status := "NOT_SYNCHRONIZED"
	if c.Synchronized {
		status = "SYNCHRONIZED"
	}
	return &clockAnswer{c.ErrorBound.Seconds() * 1000, timeOrNil(c.ReferenceAt), status}
}

func tagMap(tags []task.Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// timeOrNil leaves out times that have not come.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
