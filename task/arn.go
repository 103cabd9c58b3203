package task

import (
	"fmt"
	"strconv"
	"strings"
)

// ARN is an Amazon Resource Name, arn:partition:service:region:account:resource.
// Region and Account are empty for resources that have none.
type ARN struct {
	Partition string // aws, aws-cn, aws-us-gov, ...
	Service   string // ecs, iam, s3, ...
	Region    string
	Account   string
	Resource  string // everything after the fifth colon
}

// ParseARN splits an ARN into its parts. It wants the six parts, a partition, a
// service and a resource, and no control or space characters; the parts' own
// rules are their service's.
func ParseARN(s string) (ARN, error) {
	parts := strings.SplitN(s, ":", 6)
	if parts[0] != "arn" {
		return ARN{}, fmt.Errorf("task: %q is not an ARN: it must start with \"arn:\"", s)
	}
	if len(parts) < 6 {
		return ARN{}, fmt.Errorf("task: %q is not an ARN: it has %d of the 6 parts arn:partition:service:region:account:resource", s, len(parts))
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }); i >= 0 {
		return ARN{}, fmt.Errorf("task: %q is not an ARN: it has a space or control character at %d", s, i)
	}
	a := ARN{parts[1], parts[2], parts[3], parts[4], parts[5]}
	for _, p := range []struct{ name, value string }{
		{"partition", a.Partition}, {"service", a.Service}, {"resource", a.Resource},
	} {
		if p.value == "" {
			return ARN{}, fmt.Errorf("task: %q is not an ARN: its %s is empty", s, p.name)
		}
	}
	return a, nil
}

// String returns the ARN as text. ParseARN of it gives a again.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// PartitionOf returns the partition a region lies in: aws-cn for cn-…,
// aws-us-gov for us-gov-…, the isolated partitions for us-iso…, else aws.
func PartitionOf(region string) string {
	for _, p := range []struct{ prefix, partition string }{
		{"cn-", "aws-cn"},
		{"us-gov-", "aws-us-gov"},
		{"us-isob-", "aws-iso-b"},
		{"us-isof-", "aws-iso-f"},
		{"eu-isoe-", "aws-iso-e"},
		{"us-iso-", "aws-iso"},
		{"eusc-", "aws-eusc"},
	} {
		if strings.HasPrefix(region, p.prefix) {
			return p.partition
		}
	}
	return "aws"
}

// Scope is where ECS resources live: a region of an account. Its methods make
// the ARNs of the resources in it.
type Scope struct {
	Partition string // empty means the region's, see PartitionOf
	Region    string
	Account   string // 12 digits in AWS
}

// ARN returns the ARN of an ECS resource, such as "cluster/default".
func (s Scope) ARN(resource string) ARN {
	partition := s.Partition
	if partition == "" {
		partition = PartitionOf(s.Region)
	}
	return ARN{Partition: partition, Service: "ecs", Region: s.Region, Account: s.Account, Resource: resource}
}

// Cluster returns the ARN of a cluster.
func (s Scope) Cluster(name string) ARN { return s.resource(KindCluster, name) }

// Task returns the ARN of a task; the old form, if cluster is empty.
func (s Scope) Task(cluster, id string) ARN { return s.resource(KindTask, cluster, id) }

// Service returns the ARN of a service; the old form, if cluster is empty.
func (s Scope) Service(cluster, name string) ARN { return s.resource(KindService, cluster, name) }

// TaskDefinition returns the ARN of a revision; of the family, if revision is 0.
func (s Scope) TaskDefinition(family string, revision int) ARN {
	return s.resource(KindTaskDefinition, FamilyRevision(family, revision))
}

// ContainerInstance returns the ARN of a container instance; the old form, if
// cluster is empty.
func (s Scope) ContainerInstance(cluster, id string) ARN {
	return s.resource(KindContainerInstance, cluster, id)
}

// Container returns the ARN of a container; the old form, if cluster and task
// are empty.
func (s Scope) Container(cluster, taskID, id string) ARN {
	return s.resource(KindContainer, cluster, taskID, id)
}

// TaskSet returns the ARN of a task set.
func (s Scope) TaskSet(cluster, service, id string) ARN {
	return s.resource(KindTaskSet, cluster, service, id)
}

// CapacityProvider returns the ARN of a capacity provider.
func (s Scope) CapacityProvider(name string) ARN { return s.resource(KindCapacityProvider, name) }

// Role returns the ARN of an IAM role of the account that a task definition
// names by its ARN or its name; "" stays "". A role with a path has to be named
// by its ARN.
func (s Scope) Role(role string) string {
	if role == "" || strings.HasPrefix(role, "arn:") {
		return role
	}
	a := s.ARN("role/" + role)
	a.Service, a.Region = "iam", ""
	return a.String()
}

func (s Scope) resource(kind ResourceKind, parts ...string) ARN {
	path := string(kind)
	for _, p := range parts {
		if p != "" {
			path += "/" + p
		}
	}
	return s.ARN(path)
}

// ResourceKind is the first part of an ECS resource's ARN.
type ResourceKind string

// The kinds of ECS resources.
const (
	KindCluster           ResourceKind = "cluster"
	KindTask              ResourceKind = "task"
	KindService           ResourceKind = "service"
	KindTaskDefinition    ResourceKind = "task-definition"
	KindContainerInstance ResourceKind = "container-instance"
	KindContainer         ResourceKind = "container"
	KindTaskSet           ResourceKind = "task-set"
	KindCapacityProvider  ResourceKind = "capacity-provider"
)

// Resource is an ECS resource as its ARN names it. Members that its kind, or the
// old short form of its ARN, does not have are empty.
type Resource struct {
	Scope
	Kind    ResourceKind
	Cluster string // of tasks, services, container instances, containers, task sets
	Service string // of task sets
	Task    string // ID of the task, of containers
	// Name is the resource's own name or ID; a task definition's family.
	Name     string
	Revision int // of a task definition; 0 is none
}

// String returns the ARN the resource was parsed from.
func (r Resource) String() string {
	name := r.Name
	if r.Kind == KindTaskDefinition {
		name = FamilyRevision(r.Name, r.Revision)
	}
	return r.resource(r.Kind, r.Cluster, r.Service, r.Task, name).String()
}

// ParseResource reads the ARN of an ECS resource in its long or old short form.
func ParseResource(arn string) (Resource, error) {
	a, err := ParseARN(arn)
	if err != nil {
		return Resource{}, err
	}
	if a.Service != "ecs" {
		return Resource{}, fmt.Errorf("task: %s names a resource of %s, not of ecs", arn, a.Service)
	}
	r := Resource{Scope: Scope{a.Partition, a.Region, a.Account}}
	kind, rest, _ := strings.Cut(a.Resource, "/")
	r.Kind = ResourceKind(kind)
	parts := strings.Split(rest, "/")
	for _, p := range parts {
		if p == "" || strings.Contains(p, ":") && r.Kind != KindTaskDefinition {
			return Resource{}, fmt.Errorf("task: %s: %q is not the name of a %s", arn, rest, kind)
		}
	}
	if err := r.fill(parts); err != nil {
		return Resource{}, fmt.Errorf("task: %s: %w", arn, err)
	}
	return r, nil
}

// shapes lists what the parts after the kind may be; the last one is the name.
var shapes = map[ResourceKind][]string{
	KindCluster:           {"cluster/NAME"},
	KindTask:              {"task/CLUSTER/ID", "task/ID"},
	KindService:           {"service/CLUSTER/NAME", "service/NAME"},
	KindTaskDefinition:    {"task-definition/FAMILY:REVISION"},
	KindContainerInstance: {"container-instance/CLUSTER/ID", "container-instance/ID"},
	KindContainer:         {"container/CLUSTER/TASK/ID", "container/ID"},
	KindTaskSet:           {"task-set/CLUSTER/SERVICE/ID"},
	KindCapacityProvider:  {"capacity-provider/NAME"},
}

func (r *Resource) fill(parts []string) error {
	forms, ok := shapes[r.Kind]
	if !ok {
		return fmt.Errorf("%q is not a kind of ECS resource", r.Kind)
	}
	for _, form := range forms {
		names := strings.Split(form, "/")[1:]
		if len(names) != len(parts) {
			continue
		}
		for i, name := range names {
			switch name {
			case "CLUSTER":
				r.Cluster = parts[i]
			case "SERVICE":
				r.Service = parts[i]
			case "TASK":
				r.Task = parts[i]
			default:
				r.Name = parts[i]
			}
		}
		if r.Kind != KindTaskDefinition {
			return nil
		}
		var err error
		r.Name, r.Revision, err = splitFamilyRevision(r.Name)
		return err
	}
	return fmt.Errorf("must have the form %s", strings.Join(forms, " or "))
}

// FamilyRevision returns "family:revision", or the family alone if revision is
// not positive.
func FamilyRevision(family string, revision int) string {
	if revision <= 0 {
		return family
	}
	return family + ":" + strconv.Itoa(revision)
}

// ParseFamilyRevision reads "family", "family:revision" or the ARN of a task
// definition. A revision of 0 means that none was given: the latest ACTIVE one.
func ParseFamilyRevision(s string) (family string, revision int, err error) {
	if strings.HasPrefix(s, "arn:") {
		r, err := ParseResource(s)
		if err != nil {
			return "", 0, err
		}
		if r.Kind != KindTaskDefinition {
			return "", 0, fmt.Errorf("task: %s is a %s, not a task definition", s, r.Kind)
		}
		return r.Name, r.Revision, nil
	}
	return splitFamilyRevision(s)
}

func splitFamilyRevision(s string) (family string, revision int, err error) {
	family, text, found := strings.Cut(s, ":")
	if !isName(family) {
		return "", 0, fmt.Errorf("task: %q is not a task definition: want family or family:revision, the family with 1 to 255 letters, digits, - and _", s)
	}
	if !found {
		return family, 0, nil
	}
	revision, err = strconv.Atoi(text)
	if err != nil || revision < 1 || text[0] == '+' || text[0] == '0' {
		return "", 0, fmt.Errorf("task: %q is not a task definition: revision %q is not a positive number", s, text)
	}
	return family, revision, nil
}

// isName reports whether s is a family, container, volume or service name: 1 to
// 255 letters, digits, hyphens and underscores.
func isName(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
