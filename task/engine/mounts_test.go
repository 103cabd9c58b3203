package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
	"github.com/fardel-io/fardel/task/volumes"
)

func TestPlanMounts(t *testing.T) {
	def := &task.TaskDefinition{
		Volumes: []task.Volume{
			{Name: "scratch"},
			{Name: "host", Host: &task.HostVolume{SourcePath: "/srv"}},
			{Name: "efs", EFSVolumeConfiguration: &task.EFSVolume{FileSystemID: "fs-1"}},
			{Name: "shared", DockerVolumeConfiguration: &task.DockerVolume{Scope: "shared"}},
			{Name: "own", DockerVolumeConfiguration: &task.DockerVolume{}},
		},
		ContainerDefinitions: []task.ContainerDefinition{
			{Name: "a", MountPoints: []task.MountPoint{
				{SourceVolume: "scratch", ContainerPath: "/s"}, {SourceVolume: "host", ContainerPath: "/h", ReadOnly: true},
				{SourceVolume: "efs", ContainerPath: "/e"}, {SourceVolume: "shared", ContainerPath: "/d"},
				{SourceVolume: "own", ContainerPath: "/o"},
			}},
			{Name: "b", VolumesFrom: []task.VolumeFrom{{SourceContainer: "a"}}, MountPoints: []task.MountPoint{
				{SourceVolume: "own", ContainerPath: "/s/"},
			}},
			{Name: "c", VolumesFrom: []task.VolumeFrom{{SourceContainer: "b", ReadOnly: true}}},
			{Name: "d", VolumesFrom: []task.VolumeFrom{{SourceContainer: "e"}}, MountPoints: []task.MountPoint{{SourceVolume: "scratch", ContainerPath: "/d"}}},
			{Name: "e", VolumesFrom: []task.VolumeFrom{{SourceContainer: "d"}}},
			{Name: "f", MountPoints: []task.MountPoint{{SourceVolume: "scratch", ContainerPath: "/x"}, {SourceVolume: "own", ContainerPath: "/x"}}},
			{Name: "g"},
		},
	}
	from := map[string]volumes.Storage{"efs": {Root: "/efs", Path: "/sub"}, "shared": {Path: "/docker/shared", Populate: true}}
	common := []runtime.Mount{
		{Source: "/srv", Destination: "/h", ReadOnly: true},
		{Root: "/efs", Source: "/sub", Destination: "/e"},
		{Source: "/docker/shared", Destination: "/d"},
		{Volume: "own", Destination: "/o"},
	}
	want := map[string][]runtime.Mount{
		"a": {
			{Volume: "scratch", Destination: "/s", Populate: true},
			common[0], common[1],
			{Source: "/docker/shared", Destination: "/d", Populate: true},
			{Volume: "own", Destination: "/o", Populate: true},
		},
		"b": append(common[:4:4], runtime.Mount{Volume: "own", Destination: "/s/", Populate: true}),
		"d": {{Volume: "scratch", Destination: "/d", Populate: true}},
		"e": {{Volume: "scratch", Destination: "/d"}},
		"f": {{Volume: "scratch", Destination: "/x", Populate: true}, {Volume: "own", Destination: "/x", Populate: true}}, // for the driver to refuse
		"g": nil,
	}
	for _, m := range append(common[:4:4], runtime.Mount{Volume: "own", Destination: "/s/"}) {
		m.ReadOnly = true
		want["c"] = append(want["c"], m)
	}
	for name, want := range want {
		var got []runtime.Mount
		for _, m := range planMounts(def, def.Container(name)) {
			got = append(got, m.mount(from))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("container %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCreateAfter(t *testing.T) {
	mounts := func(volume ...string) []task.MountPoint {
		var list []task.MountPoint
		for _, v := range volume {
			list = append(list, task.MountPoint{SourceVolume: v, ContainerPath: "/" + v})
		}
		return list
	}
	def := &task.TaskDefinition{
		Volumes: []task.Volume{{Name: "x"}, {Name: "y"}},
		ContainerDefinitions: []task.ContainerDefinition{
			{Name: "a", MountPoints: mounts("x")},
			{Name: "b"},
			{Name: "c", MountPoints: mounts("y")},
			{Name: "d", MountPoints: mounts("x")},
			{Name: "e", VolumesFrom: []task.VolumeFrom{{SourceContainer: "c"}}},
		},
	}
	if diff := cmp.Diff([][]int{nil, nil, nil, {0}, {2}}, createAfter(def)); diff != "" {
		t.Errorf("createAfter (-want +got):\n%s", diff)
	}
}

// TestVolumesToTell has the endpoint tell a container what it mounts, its own and what comes from another, and no path of
// the host but what the definition names.
func TestVolumesToTell(t *testing.T) {
	def := &task.TaskDefinition{
		Volumes: []task.Volume{{Name: "data"}, {Name: "host", Host: &task.HostVolume{SourcePath: "/srv"}}},
		ContainerDefinitions: []task.ContainerDefinition{
			{Name: "a", MountPoints: []task.MountPoint{{SourceVolume: "host", ContainerPath: "/h"}}},
			{Name: "b", VolumesFrom: []task.VolumeFrom{{SourceContainer: "a"}}, MountPoints: []task.MountPoint{{SourceVolume: "data", ContainerPath: "/d"}}},
			{Name: "c"},
		},
	}
	want := [][]metadata.Volume{
		{{Name: "host", Source: "/srv", Destination: "/h"}},
		{{Name: "host", Source: "/srv", Destination: "/h"}, {Name: "data", Destination: "/d"}},
		nil,
	}
	for i := range def.ContainerDefinitions {
		c := &container{def: &def.ContainerDefinitions[i]}
		if diff := cmp.Diff(want[i], c.facts(def, &task.Container{}).Volumes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.def.Name, diff)
		}
	}
}

func TestUnsupportedMounts(t *testing.T) {
	host := task.Volume{Name: "host", Host: &task.HostVolume{SourcePath: "/srv"}}
	scratch := task.Volume{Name: "scratch", Host: &task.HostVolume{}}
	efs := task.Volume{Name: "efs", EFSVolumeConfiguration: &task.EFSVolume{FileSystemID: "fs-1"}}
	for _, tt := range []struct {
		volume, at string
		want       bool // refused
	}{
		{"scratch", "/data", false},
		{"scratch", "/dev", true},
		{"scratch", "/x/../dev/pts", true},
		{"scratch", "/dev/null", true},
		{"scratch", "/dev/shm", false},
		{"scratch", "/dev/mqueue", false},
		{"scratch", "/proc/sys/kernel", true},
		{"scratch", "/sys/fs/cgroup", true},
		{"efs", "/dev/console", true},
		{"efs", "/mnt", false},
		{"host", "/dev", false},
		{"host", "/sys/fs/cgroup", false},
		{"host", "/sys", true},
		{"host", "/proc/sys", true},
		{"", "/dev/hugepages", false}, // a tmpfs
		{"", "/dev", true},
		{"", "/dev/pts", true},
		{"", "/proc", true},
		{"", "/sys/kernel", true},
	} {
		def := &task.TaskDefinition{
			NetworkMode: task.NetworkModeNone, Volumes: []task.Volume{host, scratch, efs},
			ContainerDefinitions: []task.ContainerDefinition{{Name: "a"}, {Name: "b", VolumesFrom: []task.VolumeFrom{{SourceContainer: "a"}}}},
		}
		c, path := &def.ContainerDefinitions[0], "containerDefinitions[0].mountPoints[0].containerPath"
		if tt.volume != "" {
			c.MountPoints = []task.MountPoint{{SourceVolume: tt.volume, ContainerPath: tt.at}}
		} else {
			path = "containerDefinitions[0].linuxParameters.tmpfs[0].containerPath"
			c.LinuxParameters = &task.LinuxParameters{Tmpfs: []task.Tmpfs{{ContainerPath: tt.at, Size: 1}}}
		}
		problems := Unsupported(def)
		if refused := len(problems) > 0; refused != tt.want || refused && problems[0].Path != path {
			t.Errorf("%s at %s: %v, want it refused: %v", tt.volume, tt.at, problems, tt.want)
		}
	}
}
