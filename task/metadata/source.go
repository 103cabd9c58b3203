package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/fardel-io/fardel/task"
)

// ErrNotFound is what a [Source] returns when no task has the address, or no container the name.
var ErrNotFound = errors.New("metadata: not found")

// A Source knows the tasks of one VPC on this host. Its methods are safe for concurrent use. They are called once or
// a few times per request and should not wait for anything slow; the context ends with the request.
type Source interface {
	// Task returns a snapshot of the task whose network interface has the address, [ErrNotFound] if none has. The
	// address is never an IPv4 one in IPv6 form. The handler reads the snapshot until the request ends and changes
	// nothing in it: the source may hand out what it keeps, as long as nobody changes it meanwhile.
	Task(ctx context.Context, addr netip.Addr) (*Snapshot, error)

	// Stats returns what a container of a task uses. [ErrNotFound] if it does not run.
	Stats(ctx context.Context, taskARN, containerName string) (Stats, error)
}

// Snapshot is all that a task may know of itself at one moment.
type Snapshot struct {
	// Task is the record of the task. Of its containers, those that were created have a RuntimeID, which is their
	// DockerId here. Required.
	Task task.Task
	// Definition is what the task runs, with the overrides of this run applied. It has a definition for every
	// container. Required.
	Definition *task.TaskDefinition
	// Containers are facts that the record does not hold, by the name of the container.
	Containers map[string]Container
	// Networks are the task's network interfaces, the primary one first.
	Networks []Network
	// Associations are the devices of the task.
	Associations []Association

	VPCID              string
	AvailabilityZoneID string // such as euc1-az2
	// ContainerInstanceTags are the tags of the machine; none on Fargate.
	ContainerInstanceTags map[string]string
	// TagErrors say which tags could not be had; version 4 prints them.
	TagErrors []TagError
	// ClockDrift is nil if it is not known.
	ClockDrift *ClockDrift
	// EphemeralStorage is nil if the task has no disk of its own, whose use can be told without reading its directories.
	EphemeralStorage *EphemeralStorage
}

// check says what a snapshot lacks.
func (s *Snapshot) check() error {
	switch {
	case s.Task.TaskARN == "":
		return errors.New("metadata: snapshot without a task ARN: Source.Task must fill Task")
	case s.Definition == nil:
		return fmt.Errorf("metadata: snapshot of %s without a definition: Source.Task must fill Definition", s.Task.TaskARN)
	}
	_, err := s.Definition.Size()
	return err
}

// container returns the definition and the record of a container; a zero record before there is one.
func (s *Snapshot) container(name string) (*task.ContainerDefinition, task.Container) {
	if c := s.Task.Container(name); c != nil {
		return s.Definition.Container(name), *c
	}
	return s.Definition.Container(name), task.Container{Name: name}
}

// byEndpoint returns the name of the container with an endpoint ID, "" if the task has none.
func (s *Snapshot) byEndpoint(id string) string {
	taskID := s.Task.ID()
	for i := range s.Definition.ContainerDefinitions {
		if name := s.Definition.ContainerDefinitions[i].Name; EndpointID(taskID, name) == id {
			return name
		}
	}
	return ""
}

// byRuntimeID returns the name of the container with a runtime ID, "" if the task has none.
func (s *Snapshot) byRuntimeID(id string) string {
	for i := range s.Task.Containers {
		if c := &s.Task.Containers[i]; id != "" && c.RuntimeID == id && s.Definition.Container(c.Name) != nil {
			return c.Name
		}
	}
	return ""
}
