package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/task"
)

// traced is a definition of three containers, of which the first may trace.
func traced(mode task.PIDMode, change func(c []task.ContainerDefinition)) *task.TaskDefinition {
	d := &task.TaskDefinition{PIDMode: mode, ContainerDefinitions: []task.ContainerDefinition{{Name: "tracer"}, {Name: "a"}, {Name: "b"}}}
	d.ContainerDefinitions[0].LinuxParameters = &task.LinuxParameters{Capabilities: &task.KernelCapabilities{Add: []string{"SYS_PTRACE"}}}
	change(d.ContainerDefinitions)
	return d
}

func TestUntraceable(t *testing.T) {
	check, restart := &task.HealthCheck{}, &task.RestartPolicy{Enabled: true}
	for _, c := range []struct {
		name   string
		mode   task.PIDMode
		change func(c []task.ContainerDefinition)
		want   []string
	}{
		{"alone", "", func([]task.ContainerDefinition) {}, nil},
		{"shared", task.PIDModeTask, func([]task.ContainerDefinition) {}, nil},
		{"checked", "", func(c []task.ContainerDefinition) { c[0].HealthCheck = check }, []string{"containerDefinitions[0].healthCheck"}},
		{"others checked", "", func(c []task.ContainerDefinition) { c[1].HealthCheck = check }, nil},
		{"shared, others checked", task.PIDModeTask, func(c []task.ContainerDefinition) { c[1].HealthCheck = check }, []string{"containerDefinitions[1].healthCheck"}},
		{"all restart", "", func(c []task.ContainerDefinition) { c[0].RestartPolicy, c[1].RestartPolicy = restart, restart }, nil},
		{"shared, it restarts", task.PIDModeTask, func(c []task.ContainerDefinition) { c[0].RestartPolicy = restart }, nil},
		{"shared, others restart", task.PIDModeTask, func(c []task.ContainerDefinition) { c[2].RestartPolicy = restart }, []string{"containerDefinitions[2].restartPolicy"}},
		{"shared, others do not", task.PIDModeTask, func(c []task.ContainerDefinition) { c[2].RestartPolicy = &task.RestartPolicy{} }, nil},
		{"two", "", func(c []task.ContainerDefinition) { c[1].LinuxParameters = c[0].LinuxParameters }, nil},
		{"shared, two", task.PIDModeTask, func(c []task.ContainerDefinition) { c[1].LinuxParameters = c[0].LinuxParameters },
			[]string{"containerDefinitions[0].linuxParameters.capabilities.add", "containerDefinitions[1].linuxParameters.capabilities.add"}},
		{"shared, one waits for it", task.PIDModeTask, func(c []task.ContainerDefinition) {
			c[1].DependsOn = []task.ContainerDependency{{ContainerName: "tracer", Condition: task.ConditionStart}}
		}, []string{"containerDefinitions[1].dependsOn[0]"}},
		{"privileged", task.PIDModeTask, func(c []task.ContainerDefinition) { c[0].Privileged, c[1].HealthCheck = true, check }, nil},
	} {
		var got []string
		for _, p := range untraceable(traced(c.mode, c.change)) {
			got = append(got, p.Path)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestTracersLast(t *testing.T) {
	d := traced(task.PIDModeTask, func(c []task.ContainerDefinition) {
		c[0].DependsOn = []task.ContainerDependency{{ContainerName: "a", Condition: task.ConditionComplete}}
	})
	obs := map[string]seen{"tracer": {status: task.ContainerPending}, "a": {status: task.ContainerPending}, "b": {status: task.ContainerStopped}}
	want := []task.ContainerDependency{{ContainerName: "a", Condition: task.ConditionComplete}, {ContainerName: "a", Condition: task.ConditionStart}}
	last := tracersLast(d, obs)
	if diff := cmp.Diff(want, last.ContainerDefinitions[0].DependsOn); diff != "" {
		t.Errorf("dependencies (-want +got):\n%s", diff)
	}
	if len(d.ContainerDefinitions[0].DependsOn) != 1 || len(last.ContainerDefinitions[1].DependsOn) > 0 {
		t.Errorf("the definition is %+v, and by start %+v", d.ContainerDefinitions, last.ContainerDefinitions)
	}
	plain := traced(task.PIDModeTask, func(c []task.ContainerDefinition) { c[0].LinuxParameters = nil })
	if tracersLast(plain, obs) != plain {
		t.Error("a definition without tracers is changed")
	}
}
