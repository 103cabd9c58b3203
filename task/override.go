package task

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxOverride is how many characters of JSON ECS allows an override.
const MaxOverride = 8192

// TaskOverride changes a definition for one run. Members that are unset leave
// the definition as it is.
type TaskOverride struct {
	ContainerOverrides            []ContainerOverride    `json:"containerOverrides,omitempty"`
	CPU                           string                 `json:"cpu,omitempty"`
	InferenceAcceleratorOverrides []InferenceAccelerator `json:"inferenceAcceleratorOverrides,omitempty"`
	ExecutionRoleARN              string                 `json:"executionRoleArn,omitempty"`
	Memory                        string                 `json:"memory,omitempty"`
	TaskRoleARN                   string                 `json:"taskRoleArn,omitempty"`
	EphemeralStorage              *EphemeralStorage      `json:"ephemeralStorage,omitempty"`
	Extra                         Extra                  `json:"-"`
}

// ContainerOverride changes one container of a definition for one run.
type ContainerOverride struct {
	// Name of the container; required if anything else is set.
	Name string `json:"name,omitempty"`
	// Command replaces the definition's.
	Command []string `json:"command,omitempty"`
	// Environment adds variables, or replaces those of the same name.
	Environment []KeyValuePair `json:"environment,omitempty"`
	// EnvironmentFiles replace the definition's.
	EnvironmentFiles     []EnvironmentFile     `json:"environmentFiles,omitempty"`
	CPU                  CPUUnits              `json:"cpu,omitempty"`
	Memory               MiB                   `json:"memory,omitempty"`
	MemoryReservation    MiB                   `json:"memoryReservation,omitempty"`
	ResourceRequirements []ResourceRequirement `json:"resourceRequirements,omitempty"`
	Extra                Extra                 `json:"-"`
}

// OverrideError lists everything that makes an override impossible to apply.
type OverrideError struct {
	// Family is that of the definition it was meant for.
	Family string
	// Problems have paths such as containerOverrides[0].name.
	Problems []Problem
}

// Error returns all problems, one a line.
func (e *OverrideError) Error() string {
	return fmt.Sprintf("task: override of definition %q:", e.Family) + list(e.Problems)
}

// WithOverrides returns a copy of d with o applied. Roles, sizes, commands and
// environment files replace those of d, environment variables are added or
// replace those of the same name. An override that names a container d does not
// have, names one twice, or is longer than MaxOverride is an [*OverrideError].
//
// The result may break the rules of ECS, by a size that Fargate does not have
// for instance: validate it.
func (d *TaskDefinition) WithOverrides(o TaskOverride) (*TaskDefinition, error) {
	e := &OverrideError{Family: d.Family}
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if n := utf8.RuneCount(data); n > MaxOverride {
		e.bad("", "has %d characters as JSON, ECS allows %d", n, MaxOverride)
	}
	o = o.Clone()
	out := d.Clone()
	replace(&out.CPU, o.CPU)
	replace(&out.Memory, o.Memory)
	replace(&out.TaskRoleARN, o.TaskRoleARN)
	replace(&out.ExecutionRoleARN, o.ExecutionRoleARN)
	if o.EphemeralStorage != nil {
		out.EphemeralStorage = o.EphemeralStorage
	}
	for i, a := range o.InferenceAcceleratorOverrides {
		path := fmt.Sprintf("inferenceAcceleratorOverrides[%d].deviceName", i)
		e.accelerator(path, out, a)
	}
	first := make(map[string]int)
	for i := range o.ContainerOverrides {
		c := &o.ContainerOverrides[i]
		path := fmt.Sprintf("containerOverrides[%d].name", i)
		if c.isEmpty() {
			continue
		}
		if j, ok := first[c.Name]; ok && c.Name != "" {
			e.bad(path, "container %q is overridden by containerOverrides[%d] already", c.Name, j)
			continue
		}
		first[c.Name] = i
		e.container(path, out, c)
	}
	if len(e.Problems) > 0 {
		return nil, e
	}
	return out, nil
}

func (e *OverrideError) bad(path, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{path, fmt.Sprintf(format, args...)})
}

// container applies an override to the container of d that it names.
func (e *OverrideError) container(path string, d *TaskDefinition, o *ContainerOverride) {
	c := d.Container(o.Name)
	if o.Name == "" {
		c = nil
	}
	if c == nil {
		e.bad(path, "%s", d.noContainer(o.Name))
		return
	}
	if len(o.Command) > 0 {
		c.Command = o.Command
	}
	if len(o.EnvironmentFiles) > 0 {
		c.EnvironmentFiles = o.EnvironmentFiles
	}
	if len(o.ResourceRequirements) > 0 {
		c.ResourceRequirements = o.ResourceRequirements
	}
	replace(&c.CPU, o.CPU)
	replace(&c.Memory, o.Memory)
	replace(&c.MemoryReservation, o.MemoryReservation)
	c.Environment = mergeEnvironment(c.Environment, o.Environment)
}

func (e *OverrideError) accelerator(path string, d *TaskDefinition, o InferenceAccelerator) {
	for i := range d.InferenceAccelerators {
		if d.InferenceAccelerators[i].DeviceName == o.DeviceName {
			d.InferenceAccelerators[i] = o
			return
		}
	}
	e.bad(path, "the definition has no inference accelerator %q", o.DeviceName)
}

// isEmpty reports whether the override neither names a container nor changes
// anything.
func (o *ContainerOverride) isEmpty() bool {
	bare := *o
	bare.Extra = nil
	return reflect.ValueOf(bare).IsZero()
}

// replace sets *p to v unless v is unset.
func replace[T comparable](p *T, v T) {
	var unset T
	if v != unset {
		*p = v
	}
}

// mergeEnvironment returns base with the variables of over added, or put in the
// place of those with the same name.
func mergeEnvironment(base, over []KeyValuePair) []KeyValuePair {
	for _, kv := range over {
		found := false
		for i := range base {
			if base[i].Name == kv.Name {
				base[i], found = kv, true
			}
		}
		if !found {
			base = append(base, kv)
		}
	}
	return base
}

// noContainer returns what to say of a name no container has.
func (d *TaskDefinition) noContainer(name string) string {
	if name == "" {
		return "must be the name of a container"
	}
	var names []string
	for i := range d.ContainerDefinitions {
		names = append(names, strconv.Quote(d.ContainerDefinitions[i].Name))
	}
	return fmt.Sprintf("unknown container %q, the definition has %s", name, joinWords(names, "and"))
}

// list returns problems as the end of a sentence, or one a line.
func list(problems []Problem) string {
	if len(problems) == 1 {
		return " " + problems[0].String()
	}
	var b strings.Builder
	for _, p := range problems {
		b.WriteString("\n\t" + p.String())
	}
	return b.String()
}
