package task

import (
	"fmt"
	"slices"
	"strings"
)

var conditions = []DependencyCondition{ConditionStart, ConditionComplete, ConditionSuccess, ConditionHealthy}

func (s *containerScope) dependsOn() {
	for i, d := range s.c.DependsOn {
		member := fmt.Sprintf("dependsOn[%d]", i)
		if !slices.Contains(conditions, d.Condition) {
			s.bad(member+".condition", "%s", oneOf(d.Condition, conditions))
		}
		on := s.container(d.ContainerName)
		switch {
		case on == nil:
			s.bad(member+".containerName", "%s", s.def.noContainer(d.ContainerName))
		case d.ContainerName == s.c.Name:
			s.bad(member+".containerName", "container %q depends on itself", s.c.Name)
		case (d.Condition == ConditionComplete || d.Condition == ConditionSuccess) && on.IsEssential():
			s.bad(member+".condition", "%s is not possible, since %q is essential: its exit ends the task", d.Condition, on.Name)
		case d.Condition == ConditionHealthy && on.HealthCheck == nil:
			s.bad(member+".condition", "HEALTHY is not possible, since %q has no healthCheck", on.Name)
		}
	}
}

// links checks "name" and "name:alias".
func (s *containerScope) links() {
	for i, l := range s.c.Links {
		member := fmt.Sprintf("links[%d]", i)
		name, alias, hasAlias := strings.Cut(l, ":")
		switch {
		case hasAlias && !isName(alias):
			s.bad(member, "must be name or name:alias, not %q", l)
		case s.container(name) == nil:
			s.bad(member, "%s", s.def.noContainer(name))
		case name == s.c.Name:
			s.bad(member, "container %q links to itself", name)
		}
	}
}

func (s *containerScope) volumesFrom() {
	for i, v := range s.c.VolumesFrom {
		member := fmt.Sprintf("volumesFrom[%d].sourceContainer", i)
		switch {
		case s.container(v.SourceContainer) == nil:
			s.bad(member, "%s", s.def.noContainer(v.SourceContainer))
		case v.SourceContainer == s.c.Name:
			s.bad(member, "container %q takes volumes from itself", s.c.Name)
		}
	}
}

// edge is a container that must wait for another, and the member that says so.
type edge struct {
	to     int
	member string
}

// waits returns, for each container, those it waits for: by dependsOn, and by
// links and volumesFrom, which need the other container to be there.
func (d *TaskDefinition) waits() [][]edge {
	index := make(map[string]int)
	for i := len(d.ContainerDefinitions) - 1; i >= 0; i-- {
		index[d.ContainerDefinitions[i].Name] = i
	}
	graph := make([][]edge, len(d.ContainerDefinitions))
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		add := func(name, member string) {
			if j, ok := index[name]; ok && j != i {
				graph[i] = append(graph[i], edge{j, member})
			}
		}
		for _, dep := range c.DependsOn {
			add(dep.ContainerName, "dependsOn")
		}
		for _, l := range c.Links {
			name, _, _ := strings.Cut(l, ":")
			add(name, "links")
		}
		for _, from := range c.VolumesFrom {
			add(from.SourceContainer, "volumesFrom")
		}
	}
	return graph
}

// cycles names the containers that wait for each other in a ring.
func (v *validator) cycles() {
	graph := v.def.waits()
	const (
		unseen = iota
		open   // on the path from the start of the search
		done
	)
	state := make([]int, len(graph))
	var path []int
	var visit func(i int)
	visit = func(i int) {
		state[i] = open
		path = append(path, i)
		for _, e := range graph[i] {
			switch state[e.to] {
			case unseen:
				visit(e.to)
			case open:
				v.cycle(path[slices.Index(path, e.to):], e.member)
			}
		}
		path = path[:len(path)-1]
		state[i] = done
	}
	for i := range graph {
		if state[i] == unseen {
			visit(i)
		}
	}
}

// cycle reports a ring; member is what closes it, in its last container.
func (v *validator) cycle(ring []int, member string) {
	var names []string
	for _, i := range append(slices.Clone(ring), ring[0]) {
		names = append(names, fmt.Sprintf("%q", v.def.ContainerDefinitions[i].Name))
	}
	v.bad(fmt.Sprintf("containerDefinitions[%d].%s", ring[len(ring)-1], member),
		"containers wait for each other: %s", strings.Join(names, " waits for "))
}
