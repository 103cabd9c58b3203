package task

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckVolumeConfigurations(t *testing.T) {
	def := &TaskDefinition{Volumes: []Volume{{Name: "ebs", ConfiguredAtLaunch: true}, {Name: "scratch"}}}
	fine := VolumeConfiguration{Name: "ebs", ManagedEBSVolume: &ManagedEBSVolume{RoleARN: "arn:aws:iam::000000000000:role/ecs", SizeInGiB: 10}}
	with := func(f func(*ManagedEBSVolume)) []VolumeConfiguration {
		v := *fine.ManagedEBSVolume
		f(&v)
		return []VolumeConfiguration{{Name: "ebs", ManagedEBSVolume: &v}}
	}
	tests := map[string]struct {
		configs []VolumeConfiguration
		want    []string // paths
	}{
		"fine":        {[]VolumeConfiguration{fine}, nil},
		"none":        {nil, []string{"volumeConfigurations"}},
		"another":     {[]VolumeConfiguration{fine, {Name: "scratch", ManagedEBSVolume: fine.ManagedEBSVolume}}, []string{"volumeConfigurations[1].name"}},
		"twice":       {[]VolumeConfiguration{fine, fine}, []string{"volumeConfigurations[1].name"}},
		"nothing":     {[]VolumeConfiguration{{Name: "ebs"}}, []string{"volumeConfigurations[0].managedEBSVolume"}},
		"no role":     {with(func(v *ManagedEBSVolume) { v.RoleARN = "" }), []string{"volumeConfigurations[0].managedEBSVolume.roleArn"}},
		"no size":     {with(func(v *ManagedEBSVolume) { v.SizeInGiB = 0 }), []string{"volumeConfigurations[0].managedEBSVolume.sizeInGiB"}},
		"snapshot":    {with(func(v *ManagedEBSVolume) { v.SizeInGiB, v.SnapshotID = 0, "snap-1" }), nil},
		"small st1":   {with(func(v *ManagedEBSVolume) { v.VolumeType = "st1" }), []string{"volumeConfigurations[0].managedEBSVolume.sizeInGiB"}},
		"large":       {with(func(v *ManagedEBSVolume) { v.SizeInGiB = 16385 }), []string{"volumeConfigurations[0].managedEBSVolume.sizeInGiB"}},
		"type":        {with(func(v *ManagedEBSVolume) { v.VolumeType = "gp9" }), []string{"volumeConfigurations[0].managedEBSVolume.volumeType"}},
		"standard":    {with(func(v *ManagedEBSVolume) { v.VolumeType = "standard" }), []string{"volumeConfigurations[0].managedEBSVolume.volumeType"}},
		"iops":        {with(func(v *ManagedEBSVolume) { v.IOPS = 100 }), []string{"volumeConfigurations[0].managedEBSVolume.iops"}},
		"io2 without": {with(func(v *ManagedEBSVolume) { v.VolumeType = "io2" }), []string{"volumeConfigurations[0].managedEBSVolume.iops"}},
		"throughput":  {with(func(v *ManagedEBSVolume) { v.Throughput = 1001 }), []string{"volumeConfigurations[0].managedEBSVolume.throughput"}},
		"gp2 through": {with(func(v *ManagedEBSVolume) { v.VolumeType, v.Throughput = "gp2", 1 }), []string{"volumeConfigurations[0].managedEBSVolume.throughput"}},
		"file system": {with(func(v *ManagedEBSVolume) { v.FilesystemType = "zfs" }), []string{"volumeConfigurations[0].managedEBSVolume.filesystemType"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range def.CheckVolumeConfigurations(tt.configs, LaunchTypeFargate) {
				got = append(got, p.Path)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("paths of problems (-want +got):\n%s", diff)
			}
		})
	}
	if got := def.CheckVolumeConfigurations(with(func(v *ManagedEBSVolume) { v.VolumeType = "standard" }), LaunchTypeEC2); got != nil {
		t.Errorf("standard on EC2: %v", got)
	}
}
