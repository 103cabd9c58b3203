package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/fardel-io/fardel/task"
)

// seen is what is known of a container when the next ones are chosen.
type seen struct {
	status    task.ContainerStatus
	exitCode  *int
	health    task.HealthStatus
	startedAt time.Time // zero until started
}

// next is what to do on the way to RUNNING.
type next struct {
	start    []string          // containers whose dependencies are met
	doomed   map[string]string // containers whose dependencies can never be met, and why
	waiting  []string          // the others that have not started
	deadline time.Time         // when the first of those gives up; zero for never
}

// done reports that every container has started or will not.
func (n next) done() bool { return len(n.start) == 0 && len(n.doomed) == 0 && len(n.waiting) == 0 }

// planStart chooses the containers to start now. It is pure: the same definition, observations and time give the same
// answer. The conditions and their time-out are the ECS agent's (agent/engine/dependencygraph).
func planStart(def *task.TaskDefinition, obs map[string]seen, now time.Time) next {
	n := next{doomed: map[string]string{}}
	for i := range def.ContainerDefinitions {
		c := &def.ContainerDefinitions[i]
		if obs[c.Name].status != task.ContainerPending {
			continue
		}
		met, deadline := true, time.Time{}
		for _, dep := range c.DependsOn {
			state, why := dependency(dep, obs[dep.ContainerName])
			if state == never {
				n.doomed[c.Name] = why
				break
			}
			if state == fulfilled {
				continue
			}
			met = false
			limit, ok := giveUpAt(def, dep, obs[dep.ContainerName])
			if ok && !now.Before(limit) {
				n.doomed[c.Name] = fmt.Sprintf("timed out waiting for container %s to reach %s", dep.ContainerName, dep.Condition)
				break
			}
			if ok {
				deadline = earlier(deadline, limit)
			}
		}
		switch {
		case n.doomed[c.Name] != "":
		case met:
			n.start = append(n.start, c.Name)
		default:
			n.waiting = append(n.waiting, c.Name)
			n.deadline = earlier(n.deadline, deadline)
		}
	}
	return n
}

// earlier returns the earlier of two times, of which a zero one does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// resolvable reports whether the containers can be started one after the other, each after those that it depends on. A
// definition that was validated is.
func resolvable(def *task.TaskDefinition) bool {
	resolved := map[string]bool{}
	for before := -1; len(resolved) > before; {
		before = len(resolved)
		for i := range def.ContainerDefinitions {
			c := &def.ContainerDefinitions[i]
			if !slices.ContainsFunc(c.DependsOn, func(d task.ContainerDependency) bool { return !resolved[d.ContainerName] }) {
				resolved[c.Name] = true
			}
		}
	}
	return len(resolved) == len(def.ContainerDefinitions)
}

// dependencyState says whether a dependency lets its dependent start.
type dependencyState int

const (
	notYet dependencyState = iota
	fulfilled
	never
)

func dependency(dep task.ContainerDependency, on seen) (dependencyState, string) {
	name := dep.ContainerName
	if on.status == task.ContainerStopped && on.startedAt.IsZero() {
		return never, fmt.Sprintf("container %s will never start", name)
	}
	stopped := on.status == task.ContainerStopped
	switch dep.Condition {
	case task.ConditionStart: // one that ran and ended satisfies it
		return when(on.status >= task.ContainerRunning), ""
	case task.ConditionComplete:
		if stopped && on.exitCode == nil { // the ECS agent waits for the code of one that nobody will ever know
			return never, fmt.Sprintf("how container %s ended is not known", name)
		}
		return when(stopped), ""
	case task.ConditionSuccess:
		if stopped && (on.exitCode == nil || *on.exitCode != 0) {
			return never, fmt.Sprintf("container %s did not exit successfully", name)
		}
		return when(stopped), ""
	case task.ConditionHealthy:
		if stopped {
			return never, fmt.Sprintf("container %s ended before it was healthy", name)
		}
		return when(on.health == task.HealthHealthy), ""
	}
	return never, fmt.Sprintf("condition %q of container %s is unknown", dep.Condition, name)
}

func when(met bool) dependencyState {
	if met {
		return fulfilled
	}
	return notYet
}

// giveUpAt is when a container stops waiting for a dependency: the *dependency's* startTimeout after its start, and not
// for START (ECS).
func giveUpAt(def *task.TaskDefinition, dep task.ContainerDependency, on seen) (time.Time, bool) {
	limit := def.Container(dep.ContainerName).StartDuration()
	if limit <= 0 || on.startedAt.IsZero() || dep.Condition == task.ConditionStart {
		return time.Time{}, false
	}
	return on.startedAt.Add(limit), true
}

// dependents lists for each container those that depend on it, directly. A container is stopped after its dependents.
func dependents(def *task.TaskDefinition) map[string][]string {
	by := map[string][]string{}
	for i := range def.ContainerDefinitions {
		c := &def.ContainerDefinitions[i]
		for _, dep := range c.DependsOn {
			by[dep.ContainerName] = append(by[dep.ContainerName], c.Name)
		}
	}
	return by
}
