package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// limitsTracing reports whether no process is added to a PID namespace in which a container runs that may trace.
func (e *Engine) limitsTracing() bool {
	l, ok := e.cfg.Driver.(runtime.TraceLimiter)
	return ok && l.LimitsTracing()
}

func mayTrace(c *task.ContainerDefinition) bool {
	s := runtime.ContainerSpec{Privileged: c.Privileged}
	if p := c.LinuxParameters; p != nil && p.Capabilities != nil {
		s.CapAdd, s.CapDrop = p.Capabilities.Add, p.Capabilities.Drop
	}
	return s.MayTrace()
}

// untraceable lists what adds processes where a container runs that may trace, with a driver that limits that. The reasons name
// that container, which need not be the one at fault.
func untraceable(d *task.TaskDefinition) []task.Problem {
	var u unsupported
	tracers := tracersOf(d)
	shared := d.PIDMode == task.PIDModeTask
	why := func(consequence string) string {
		return fmt.Sprintf("container %s has the capability SYS_PTRACE, with which it would reach the host through a process that is added beside it: "+
			"%s. Take the capability away, or open the cluster with user namespaces", strings.Join(tracers, ", "), consequence)
	}
	for i := range d.ContainerDefinitions {
		c, at := &d.ContainerDefinitions[i], fmt.Sprintf("containerDefinitions[%d].", i)
		own := slices.Contains(tracers, c.Name)
		beside := shared && slices.ContainsFunc(tracers, func(name string) bool { return name != c.Name })
		u.when(c.HealthCheck != nil && own, at+"healthCheck", why("no health check"))
		u.when(c.HealthCheck != nil && !own && beside, at+"healthCheck", why("no health check with pidMode task"))
		u.when(c.RestartPolicy != nil && c.RestartPolicy.Enabled && beside, at+"restartPolicy", why("no restart of the others with pidMode task"))
		u.when(own && beside, at+"linuxParameters.capabilities.add", why("one container of a task at most with pidMode task"))
		for j, dep := range c.DependsOn {
			u.when(shared && slices.Contains(tracers, dep.ContainerName), fmt.Sprintf("%sdependsOn[%d]", at, j), why("it is the last to start with pidMode task"))
		}
	}
	return u
}

// tracersOf are the names of the containers that may trace.
func tracersOf(d *task.TaskDefinition) []string {
	var names []string
	for i := range d.ContainerDefinitions {
		if c := &d.ContainerDefinitions[i]; mayTrace(c) {
			names = append(names, c.Name)
		}
	}
	return names
}

// startOrder is the definition by which containers are started one after the other.
func (e *Engine) startOrder(d *task.TaskDefinition, obs map[string]seen) *task.TaskDefinition {
	if d.PIDMode != task.PIDModeTask || !e.limitsTracing() {
		return d
	}
	return tracersLast(d, obs)
}

// tracersLast has the containers that may trace depend on the start of all others that have not been started.
func tracersLast(d *task.TaskDefinition, obs map[string]seen) *task.TaskDefinition {
	tracers := tracersOf(d)
	if len(tracers) == 0 {
		return d
	}
	var first []task.ContainerDependency
	for i := range d.ContainerDefinitions {
		if name := d.ContainerDefinitions[i].Name; !slices.Contains(tracers, name) && obs[name].status == task.ContainerPending {
			first = append(first, task.ContainerDependency{ContainerName: name, Condition: task.ConditionStart})
		}
	}
	last := *d
	last.ContainerDefinitions = slices.Clone(d.ContainerDefinitions)
	for i := range last.ContainerDefinitions {
		if c := &last.ContainerDefinitions[i]; slices.Contains(tracers, c.Name) {
			c.DependsOn = slices.Concat(c.DependsOn, first)
		}
	}
	return &last
}
