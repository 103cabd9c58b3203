//go:build linux

package local_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/volumes"
)

// TestVolumesOfATask shares one between containers, keeps one over tasks, and loses one with its task.
func TestVolumesOfATask(t *testing.T) {
	store := t.TempDir()
	c := open(t, func(cfg *local.Config) { cfg.Volumes = volumes.Directory{Dir: store} })
	def := define(
		[]string{"app", "write /shared/x", "write /efs/kept", "write /ebs/gone", "tell written", "await read", "exit 0"},
		[]string{"side", "await written", "read /shared/x", "write /shared/y", "stat /shared", "tell read", "hang"},
	)
	def.Volumes = []task.Volume{
		{Name: "shared"},
		{Name: "efs", EFSVolumeConfiguration: &task.EFSVolume{FileSystemID: "fs-1", RootDirectory: "/sub"}},
		{Name: "ebs", ConfiguredAtLaunch: true},
	}
	def.ContainerDefinitions[0].MountPoints = []task.MountPoint{
		{SourceVolume: "shared", ContainerPath: "/shared"}, {SourceVolume: "efs", ContainerPath: "/efs"}, {SourceVolume: "ebs", ContainerPath: "/ebs"},
	}
	def.ContainerDefinitions[1].VolumesFrom = []task.VolumeFrom{{SourceContainer: "app", ReadOnly: true}}
	run := start(t, c, def, scheduler.RunOptions{VolumeConfigurations: []task.VolumeConfiguration{{
		Name: "ebs", ManagedEBSVolume: &task.ManagedEBSVolume{RoleARN: "arn:aws:iam::000000000000:role/ecs", SizeInGiB: 1},
	}}})
	stopped := wait(t, run)
	if got := output(t, run, "app"); got != "written\nwritten\nwritten\ntold written\nheard read\n" {
		t.Errorf("app: %q, %s", got, stopped.StoppedReason)
	}
	if got := output(t, run, "side"); got != "heard written\nguest\nwrite: open /shared/y: read-only file system\n755 0 0\ntold read\n" {
		t.Errorf("side: %q", got)
	}
	if _, err := os.Stat(filepath.Join(store, "efs/fs-1/sub/kept")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(store, "ebs")); err != nil || len(left) > 0 {
		t.Errorf("EBS volumes left: %v, %v", left, err)
	}
}

// TestHostVolumes mounts what the host has, and what it has not yet.
func TestHostVolumes(t *testing.T) {
	c := open(t)
	host := t.TempDir()
	def := define([]string{"app", "write /there/x", "write /new/y", "exit 0"})
	def.RequiresCompatibilities = []task.LaunchType{task.LaunchTypeEC2}
	def.Volumes = []task.Volume{
		{Name: "there", Host: &task.HostVolume{SourcePath: host}},
		{Name: "new", Host: &task.HostVolume{SourcePath: filepath.Join(host, "made/by/ecs")}},
	}
	def.ContainerDefinitions[0].MountPoints = []task.MountPoint{
		{SourceVolume: "there", ContainerPath: "/there"}, {SourceVolume: "new", ContainerPath: "/new"},
	}
	stopped := wait(t, start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2}))
	if stopped.Containers[0].ExitCode == nil || *stopped.Containers[0].ExitCode != 0 {
		t.Errorf("task: %+v", stopped)
	}
	for _, name := range []string{"x", "made/by/ecs/y"} {
		if _, err := os.Stat(filepath.Join(host, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestEphemeralStorage asks for a disk, whose size is the one that a container sees.
func TestEphemeralStorage(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "disk /", "disk /scratch", "write /scratch/x", "exit 0"})
	def.EphemeralStorage = &task.EphemeralStorage{SizeInGiB: 21}
	def.Volumes = []task.Volume{{Name: "scratch"}}
	def.ContainerDefinitions[0].MountPoints = []task.MountPoint{{SourceVolume: "scratch", ContainerPath: "/scratch"}}
	run := start(t, c, def, scheduler.RunOptions{})
	stopped := wait(t, run)
	if got := output(t, run, "app"); got != "20 GiB\n20 GiB\nwritten\n" { // 21 without what the file system needs itself
		t.Errorf("%q, %s", got, stopped.StoppedReason)
	}
	if e := stopped.FargateEphemeralStorage; e == nil || e.SizeInGiB != 21 {
		t.Errorf("recorded: %+v", e)
	}
}
