package task

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithOverrides(t *testing.T) {
	d := fargate()
	d.InferenceAccelerators = []InferenceAccelerator{{DeviceName: "a", DeviceType: "small"}}
	app := &d.ContainerDefinitions[0]
	app.Command = []string{"serve"}
	app.Environment = []KeyValuePair{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "B", Value: "3"}}
	app.EnvironmentFiles = []EnvironmentFile{{Type: "s3", Value: "arn:aws:s3:::b/old.env"}}
	before := d.Clone()

	got, err := d.WithOverrides(TaskOverride{
		CPU: "1024", Memory: "2 GB", TaskRoleARN: "task", ExecutionRoleARN: "exec",
		EphemeralStorage:              &EphemeralStorage{SizeInGiB: 50},
		InferenceAcceleratorOverrides: []InferenceAccelerator{{DeviceName: "a", DeviceType: "large"}},
		ContainerOverrides: []ContainerOverride{
			{},
			{
				Name: "app", Command: []string{"migrate", "--all"}, CPU: 512, Memory: 1024, MemoryReservation: 256,
				Environment:          []KeyValuePair{{Name: "B", Value: "two"}, {Name: "C", Value: "new"}},
				EnvironmentFiles:     []EnvironmentFile{{Type: "s3", Value: "arn:aws:s3:::b/new.env"}},
				ResourceRequirements: []ResourceRequirement{{Type: ResourceGPU, Value: "1"}},
			},
			{Name: "side"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := before.Clone()
	want.CPU, want.Memory, want.TaskRoleARN, want.ExecutionRoleARN = "1024", "2 GB", "task", "exec"
	want.EphemeralStorage = &EphemeralStorage{SizeInGiB: 50}
	want.InferenceAccelerators[0].DeviceType = "large"
	c := &want.ContainerDefinitions[0]
	c.Command, c.CPU, c.Memory, c.MemoryReservation = []string{"migrate", "--all"}, 512, 1024, 256
	c.Environment = []KeyValuePair{{Name: "A", Value: "1"}, {Name: "B", Value: "two"}, {Name: "B", Value: "two"}, {Name: "C", Value: "new"}}
	c.EnvironmentFiles = []EnvironmentFile{{Type: "s3", Value: "arn:aws:s3:::b/new.env"}}
	c.ResourceRequirements = []ResourceRequirement{{Type: ResourceGPU, Value: "1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("overridden (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, d); diff != "" {
		t.Errorf("the definition itself changed (-before +after):\n%s", diff)
	}
}

func TestWithoutOverrides(t *testing.T) {
	d := fargate()
	got, err := d.WithOverrides(TaskOverride{})
	if diff := cmp.Diff(d, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got == d {
		t.Error("got the definition itself, want a copy")
	}
}

func TestOverrideErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		o    TaskOverride
		want string
	}{
		"unknown container": {
			TaskOverride{ContainerOverrides: []ContainerOverride{{Name: "web"}}},
			`task: override of definition "web": containerOverrides[0].name: unknown container "web", the definition has "app" and "side"`,
		},
		"no name": {
			TaskOverride{ContainerOverrides: []ContainerOverride{{CPU: 1}}},
			`task: override of definition "web": containerOverrides[0].name: must be the name of a container`,
		},
		"twice, and no device": {
			TaskOverride{
				ContainerOverrides:            []ContainerOverride{{Name: "app"}, {Name: "app", CPU: 1}},
				InferenceAcceleratorOverrides: []InferenceAccelerator{{DeviceName: "x"}},
			},
			"task: override of definition \"web\":" +
				"\n\tinferenceAcceleratorOverrides[0].deviceName: the definition has no inference accelerator \"x\"" +
				"\n\tcontainerOverrides[1].name: container \"app\" is overridden by containerOverrides[0] already",
		},
	} {
		d, err := fargate().WithOverrides(tt.o)
		if d != nil || err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, %v, want %s", name, d, err, tt.want)
		}
	}
}

// TestOverrideSize counts characters, not bytes.
func TestOverrideSize(t *testing.T) {
	o := TaskOverride{ContainerOverrides: []ContainerOverride{{Name: "app", Command: []string{""}}}}
	frame := len(encoded(t, o))
	o.ContainerOverrides[0].Command[0] = strings.Repeat("ü", MaxOverride-frame)
	if _, err := fargate().WithOverrides(o); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	o.ContainerOverrides[0].Command[0] += "x"
	var bad *OverrideError
	if _, err := fargate().WithOverrides(o); !errors.As(err, &bad) {
		t.Errorf("above the limit: got %v, want an *OverrideError", err)
	} else if diff := cmp.Diff([]Problem{{"", "has 8193 characters as JSON, ECS allows 8192"}}, bad.Problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
