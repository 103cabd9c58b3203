package task

import (
	"reflect"
	"slices"
)

// Clone returns a copy of d that shares nothing with it.
func (d *TaskDefinition) Clone() *TaskDefinition { return deepCopy(d) }

// Clone returns a copy of o that shares nothing with it.
func (o TaskOverride) Clone() TaskOverride { return *deepCopy(&o) }

// deepCopy copies what p points to: structs with exported fields, pointers,
// slices, maps of plain values.
func deepCopy[T any](p *T) *T {
	out := new(T)
	copyValue(reflect.ValueOf(out).Elem(), reflect.ValueOf(p).Elem())
	return out
}

func copyValue(to, from reflect.Value) {
	to.Set(from)
	switch from.Kind() {
	case reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(from.Type().Elem()))
			copyValue(to.Elem(), from.Elem())
		}
	case reflect.Slice:
		if !from.IsNil() {
			to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
			if reflect.Copy(to, from); isPlain(from.Type().Elem()) {
				return
			}
			for i := range from.Len() {
				copyValue(to.Index(i), from.Index(i))
			}
		}
	case reflect.Map:
		if !from.IsNil() {
			to.Set(reflect.MakeMapWithSize(from.Type(), from.Len()))
			for k, v := range from.Seq2() {
				c := reflect.New(v.Type()).Elem()
				copyValue(c, v)
				to.SetMapIndex(k, c)
			}
		}
	case reflect.Struct:
		if from.Type() == timeType {
			return
		}
		for i := range from.NumField() {
			if !isPlain(from.Field(i).Type()) {
				copyValue(to.Field(i), from.Field(i))
			}
		}
	}
}

// isPlain reports whether assignment copies all of a value of that type.
func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Struct:
		return t == timeType
	default:
		return true
	}
}

// Clone returns a copy of t that shares nothing with it. It is written out by
// hand, because schedulers and stores copy records all the time.
func (t *Task) Clone() *Task {
	out := *t
	out.Containers = cloneEach(t.Containers)
	out.Attachments = cloneEach(t.Attachments)
	out.Attributes = cloneEach(t.Attributes)
	out.Tags = cloneEach(t.Tags)
	out.InferenceAccelerators = cloneEach(t.InferenceAccelerators)
	out.FargateEphemeralStorage = clonePointer(t.FargateEphemeralStorage)
	if t.Overrides != nil {
		out.Overrides = deepCopy(t.Overrides)
	}
	if t.EphemeralStorage != nil {
		out.EphemeralStorage = deepCopy(t.EphemeralStorage)
	}
	return &out
}

// Clone returns a copy of c that shares nothing with it.
func (c Container) Clone() Container {
	c.ExitCode = clonePointer(c.ExitCode)
	c.NetworkBindings = slices.Clone(c.NetworkBindings)
	c.NetworkInterfaces = slices.Clone(c.NetworkInterfaces)
	c.ManagedAgents = slices.Clone(c.ManagedAgents)
	c.GPUIDs = slices.Clone(c.GPUIDs)
	c.NeuronDeviceIDs = slices.Clone(c.NeuronDeviceIDs)
	if c.GPUSharingStrategy != nil {
		c.GPUSharingStrategy = deepCopy(c.GPUSharingStrategy)
	}
	return c
}

// Clone returns a copy of a that shares nothing with it.
func (a Attachment) Clone() Attachment {
	a.Details = cloneEach(a.Details)
	return a
}

// Clone returns a copy of kv that shares nothing with it.
func (kv KeyValuePair) Clone() KeyValuePair { kv.Extra = kv.Extra.Clone(); return kv }

// Clone returns a copy of t that shares nothing with it.
func (t Tag) Clone() Tag { t.Extra = t.Extra.Clone(); return t }

// Clone returns a copy of a that shares nothing with it.
func (a Attribute) Clone() Attribute { a.Extra = a.Extra.Clone(); return a }

// Clone returns a copy of a that shares nothing with it.
func (a InferenceAccelerator) Clone() InferenceAccelerator { a.Extra = a.Extra.Clone(); return a }

// Clone returns a copy of e that shares nothing with it.
func (e Extra) Clone() Extra {
	if e == nil {
		return nil
	}
	return *deepCopy(&e)
}

func cloneEach[T interface{ Clone() T }](list []T) []T {
	out := slices.Clone(list)
	for i := range out {
		out[i] = out[i].Clone()
	}
	return out
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// Normalized returns a copy of d as ECS has it after registration, with what
// was implied made explicit:
//
//   - cpu and memory as numbers: "256" for ".25 vCPU";
//   - essential on every container;
//   - on every port the protocol, and in awsvpc and host mode the host port;
//   - the timing of health checks.
//
// It fails if cpu or memory cannot be read.
func (d *TaskDefinition) Normalized() (*TaskDefinition, error) {
	size, err := d.Size()
	if err != nil {
		return nil, err
	}
	out := d.Clone()
	if size.CPU != 0 {
		out.CPU = size.CPU.String()
	}
	if size.Memory != 0 {
		out.Memory = size.Memory.String()
	}
	fixed := d.NetworkMode == NetworkModeAWSVPC || d.NetworkMode == NetworkModeHost
	for i := range out.ContainerDefinitions {
		out.ContainerDefinitions[i].normalize(fixed)
	}
	return out, nil
}

// normalize makes explicit what is implied; fixed says that host ports are
// container ports.
func (c *ContainerDefinition) normalize(fixed bool) {
	essential := c.IsEssential()
	c.Essential = &essential
	for i := range c.PortMappings {
		p := &c.PortMappings[i]
		p.Protocol = p.Transport()
		if fixed && p.HostPort == 0 {
			p.HostPort = p.ContainerPort
		}
	}
	if h := c.HealthCheck; h != nil {
		t := h.Timing()
		h.Interval, h.Timeout, h.Retries = int(t.Interval.Seconds()), int(t.Timeout.Seconds()), t.Retries
	}
}
