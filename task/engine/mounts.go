package engine

import (
	"path"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/volumes"
)

// volumeMount is a volume at a place in a container.
type volumeMount struct {
	volume   *task.Volume
	path     string
	readOnly bool
	populate bool // if the volume is empty
}

// planMounts lists what a container mounts: what volumesFrom names, a later one over an earlier, and over both its own
// mountPoints. As with Docker, what another container has from a third comes along, read-only stays read-only, and only
// the container whose mount point it is fills an empty volume. It is pure.
func planMounts(def *task.TaskDefinition, c *task.ContainerDefinition) []volumeMount {
	return mountsOf(def, c, map[string]bool{})
}

func mountsOf(def *task.TaskDefinition, c *task.ContainerDefinition, on map[string]bool) []volumeMount {
	if c == nil || on[c.Name] { // two that take from each other have nothing more to give
		return nil
	}
	on[c.Name] = true
	defer delete(on, c.Name)
	var all []volumeMount
	for _, from := range c.VolumesFrom {
		for _, m := range mountsOf(def, def.Container(from.SourceContainer), on) {
			m.readOnly, m.populate = m.readOnly || from.ReadOnly, false
			all = append(without(all, m.path), m)
		}
	}
	for _, p := range c.MountPoints {
		all = without(all, p.ContainerPath)
	}
	for _, p := range c.MountPoints {
		if v := def.Volume(p.SourceVolume); v != nil {
			all = append(all, volumeMount{volume: v, path: p.ContainerPath, readOnly: p.ReadOnly, populate: true})
		}
	}
	return all
}

func without(mounts []volumeMount, at string) []volumeMount {
	var rest []volumeMount
	for _, m := range mounts {
		if path.Clean(m.path) != path.Clean(at) {
			rest = append(rest, m)
		}
	}
	return rest
}

// createAfter lists for each container, by its place in the definition, those before it that mount one of its volumes:
// which image fills an empty volume must not be chance.
func createAfter(def *task.TaskDefinition) [][]int {
	after := make([][]int, len(def.ContainerDefinitions))
	mounted := map[string][]int{} // by volume
	for i := range def.ContainerDefinitions {
		for _, m := range planMounts(def, &def.ContainerDefinitions[i]) {
			after[i] = append(after[i], mounted[m.volume.Name]...)
		}
		for _, m := range planMounts(def, &def.ContainerDefinitions[i]) {
			mounted[m.volume.Name] = append(mounted[m.volume.Name], i)
		}
	}
	return after
}

// mounted is a planned mount as the driver takes it. from is where a volume is that a provider has.
func (m volumeMount) mount(from map[string]volumes.Storage) runtime.Mount {
	out := runtime.Mount{Destination: m.path, ReadOnly: m.readOnly}
	switch {
	case provided(m.volume):
		at := from[m.volume.Name]
		out.Root, out.Source, out.Populate = at.Root, at.Path, m.populate && at.Populate
	case sourcePath(m.volume) != "":
		out.Source = sourcePath(m.volume)
	default:
		out.Volume, out.Populate = m.volume.Name, m.populate
	}
	return out
}

// provided reports whether a volume is a provider's: neither the task's own scratch space nor a path of the host.
func provided(v *task.Volume) bool {
	switch v.Kind() {
	case task.VolumeHost:
		return false
	case task.VolumeDocker:
		return v.DockerVolumeConfiguration.Scope == "shared"
	}
	return true
}

func sourcePath(v *task.Volume) string {
	if v.Kind() != task.VolumeHost || v.Host == nil {
		return ""
	}
	return v.Host.SourcePath
}
