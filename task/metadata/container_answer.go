package metadata

import (
	"cmp"
	"time"

	"github.com/fardel-io/fardel/task"
)

// containerV2 is a container in versions 2 and 3, and what version 4 begins with.
type containerV2 struct {
	DockerID      string            `json:"DockerId"`
	Name          string            `json:"Name"`
	DockerName    string            `json:"DockerName"`
	Image         string            `json:"Image"`
	ImageID       string            `json:"ImageID"`
	Ports         []portAnswer      `json:"Ports,omitempty"`
	Labels        map[string]string `json:"Labels,omitempty"`
	DesiredStatus string            `json:"DesiredStatus"`
	KnownStatus   string            `json:"KnownStatus"`
	ExitCode      *int              `json:"ExitCode,omitempty"`
	Limits        limits            `json:"Limits"`
	CreatedAt     *time.Time        `json:"CreatedAt,omitempty"`
	StartedAt     *time.Time        `json:"StartedAt,omitempty"`
	FinishedAt    *time.Time        `json:"FinishedAt,omitempty"`
	Type          string            `json:"Type"`
	Networks      []networkV2       `json:"Networks,omitempty"`
	Health        *healthAnswer     `json:"Health,omitempty"`
	Volumes       []volumeAnswer    `json:"Volumes,omitempty"`
	LogDriver     string            `json:"LogDriver,omitempty"`    // version 4
	LogOptions    map[string]string `json:"LogOptions,omitempty"`   // version 4
	ContainerARN  string            `json:"ContainerARN,omitempty"` // version 4
}

// containerV4 is a container in version 4.
type containerV4 struct {
	containerV2
	Networks     []networkV4 `json:"Networks,omitempty"`
	Snapshotter  string      `json:"Snapshotter,omitempty"`
	RestartCount *int        `json:"RestartCount,omitempty"`
}

type portAnswer struct {
	ContainerPort int    `json:"ContainerPort,omitempty"`
	Protocol      string `json:"Protocol,omitempty"`
	HostPort      int    `json:"HostPort,omitempty"`
	HostIP        string `json:"HostIp,omitempty"` // version 4
}

type healthAnswer struct {
	Status   string     `json:"status,omitempty"` // left out while it is UNKNOWN
	Since    *time.Time `json:"statusSince,omitempty"`
	ExitCode int        `json:"exitCode,omitempty"`
	Output   string     `json:"output,omitempty"`
}

type volumeAnswer struct {
	DockerName  string `json:"DockerName,omitempty"`
	Source      string `json:"Source,omitempty"`
	Destination string `json:"Destination,omitempty"`
}

// minCPU is what a container gets that asks for 0 or 1 CPU units: Linux knows no fewer than 2 shares.
const minCPU = 2

// typeNormal is the type of a container of a definition, as opposed to those that ECS adds on its own machines.
const typeNormal = "NORMAL"

// containerAnswer returns a created container in the form of a version.
func (h *handler) containerAnswer(s *Snapshot, name string, version int) any {
	if version < 4 {
		return newContainerV2(s, name)
	}
	return newContainerV4(s, name)
}

// containersV2 returns the containers that were created, in the order of the definition.
func containersV2(s *Snapshot) (answers []containerV2) {
	for i := range s.Definition.ContainerDefinitions {
		name := s.Definition.ContainerDefinitions[i].Name
		if _, record := s.container(name); record.RuntimeID != "" {
			answers = append(answers, newContainerV2(s, name))
		}
	}
	return answers
}

// containersV4 returns the containers whose image is there, in the order of the definition.
func containersV4(s *Snapshot) (answers []containerV4) {
	for i := range s.Definition.ContainerDefinitions {
		name := s.Definition.ContainerDefinitions[i].Name
		_, record := s.container(name)
		if knownStatus(record, s.Containers[name]) != statusNone {
			answers = append(answers, newContainerV4(s, name))
		}
	}
	return answers
}

func newContainerV4(s *Snapshot, name string) containerV4 {
	def, record := s.container(name)
	facts := s.Containers[name]
	a := containerV4{containerV2: newContainerV2(s, name), Snapshotter: facts.Snapshotter}
	a.containerV2.Networks = nil
	a.ContainerARN = record.ContainerARN
	if log := def.LogConfiguration; log != nil {
		a.LogDriver, a.LogOptions = string(log.LogDriver), log.Options
		if facts.LogOptions != nil {
			a.LogOptions = facts.LogOptions
		}
	}
	if record.RuntimeID != "" {
		a.Networks = networksV4(s, def)
		a.Ports = ports(s, def, record, true)
	}
	if def.RestartPolicy != nil && def.RestartPolicy.Enabled {
		a.RestartCount = &facts.RestartCount
	}
	return a
}

func newContainerV2(s *Snapshot, name string) containerV2 {
	def, record := s.container(name)
	facts := s.Containers[name]
	cpu, memory := float64(max(def.CPU, minCPU)), int64(def.Memory)
	a := containerV2{
		DockerID:      record.RuntimeID,
		Name:          name,
		Image:         cmp.Or(record.Image, def.Image),
		ImageID:       cmp.Or(facts.ImageID, record.ImageDigest),
		Labels:        labels(s, def),
		DesiredStatus: task.ContainerRunning.String(),
		KnownStatus:   knownStatus(record, facts),
		ExitCode:      record.ExitCode,
		Limits:        limits{&cpu, &memory},
		CreatedAt:     timeOrNil(facts.CreatedAt),
		StartedAt:     timeOrNil(facts.StartedAt),
		FinishedAt:    timeOrNil(facts.FinishedAt),
		Type:          typeNormal,
	}
	if s.Task.DesiredStatus >= task.Stopped {
		a.DesiredStatus = task.ContainerStopped.String()
	}
	if def.HealthCheck != nil {
		a.Health = newHealthAnswer(record.HealthStatus, facts.Health)
	}
	for _, v := range facts.Volumes {
		a.Volumes = append(a.Volumes, volumeAnswer{v.Name, v.Source, v.Destination})
	}
	if record.RuntimeID != "" {
		a.DockerName = cmp.Or(facts.DockerName, name)
		a.Ports = ports(s, def, record, false)
		a.Networks = networksV2(s, def)
	}
	return a
}

// The states of a container that the endpoint knows and the record of ECS does not.
const (
	statusNone    = "NONE"
	statusPulled  = "PULLED"
	statusCreated = "CREATED"
)

// knownStatus returns a container's state in the words of the endpoint, which are finer than the record's PENDING.
func knownStatus(record task.Container, facts Container) string {
	switch {
	case record.RuntimeID == "" && record.LastStatus >= task.ContainerStopped:
		return statusNone // it never was
	case record.RuntimeID == "" && facts.ImageID == "" && record.ImageDigest == "":
		return statusNone
	case record.RuntimeID == "":
		return statusPulled
	case record.LastStatus < task.ContainerRunning:
		return statusCreated
	default:
		return record.LastStatus.String()
	}
}

// labels returns the definition's labels and those that ECS gives each container, which win.
func labels(s *Snapshot, def *task.ContainerDefinition) map[string]string {
	const prefix = "com.amazonaws.ecs."
	family, revision := familyRevision(s)
	m := make(map[string]string, len(def.DockerLabels)+5)
	for k, v := range def.DockerLabels {
		m[k] = v
	}
	m[prefix+"cluster"] = clusterName(s)
	m[prefix+"container-name"] = def.Name
	m[prefix+"task-arn"] = s.Task.TaskARN
	m[prefix+"task-definition-family"] = family
	m[prefix+"task-definition-version"] = revision
	return m
}

// ports returns where a container's ports are: on the task's own address the port itself, on the host's what the
// record says.
func ports(s *Snapshot, def *task.ContainerDefinition, record task.Container, hostIP bool) (answers []portAnswer) {
	if s.Definition.NetworkMode == task.NetworkModeAWSVPC {
		for i := range def.PortMappings {
			p := &def.PortMappings[i]
			if p.ContainerPort != 0 {
				answers = append(answers, portAnswer{ContainerPort: p.ContainerPort, Protocol: string(p.Transport()), HostPort: p.ContainerPort})
			}
		}
		return answers
	}
	for _, b := range record.NetworkBindings {
		if b.ContainerPort == 0 {
			continue
		}
		a := portAnswer{ContainerPort: b.ContainerPort, Protocol: cmp.Or(string(b.Protocol), string(task.ProtocolTCP)), HostPort: b.HostPort}
		if hostIP {
			a.HostIP = b.BindIP
		}
		answers = append(answers, a)
	}
	return answers
}

func newHealthAnswer(status task.HealthStatus, h Health) *healthAnswer {
	if status == task.HealthUnknown {
		status = ""
	}
	return &healthAnswer{string(status), timeOrNil(h.Since), h.ExitCode, h.Output}
}
