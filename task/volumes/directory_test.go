package volumes_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/volumes"
)

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	d := volumes.Directory{Dir: dir}
	efs := func(root, accessPoint string) task.Volume {
		v := &task.EFSVolume{FileSystemID: "fs-1", RootDirectory: root}
		if accessPoint != "" {
			v.AuthorizationConfig = &task.EFSAuthorizationConfig{AccessPointID: accessPoint}
		}
		return task.Volume{Name: "v", EFSVolumeConfiguration: v}
	}
	tests := map[string]struct {
		volume task.Volume
		want   volumes.Storage
		exists string
	}{
		"EFS":              {efs("", ""), volumes.Storage{Root: dir + "/efs/fs-1", Path: "/"}, "efs/fs-1"},
		"EFS, a directory": {efs("/a/b", ""), volumes.Storage{Root: dir + "/efs/fs-1", Path: "/a/b"}, "efs/fs-1/a/b"},
		"EFS, upwards":     {efs("../../x", ""), volumes.Storage{Root: dir + "/efs/fs-1", Path: "/x"}, "efs/fs-1/x"},
		"EFS access point": {efs("", "fsap-1"), volumes.Storage{Root: dir + "/efs-access-points/fsap-1", Path: "/"}, "efs-access-points/fsap-1"},
		"FSx": {
			task.Volume{Name: "v", FSxWindowsFileServerVolumeConfiguration: &task.FSxVolume{FileSystemID: "fs-2", RootDirectory: `share\data`}},
			volumes.Storage{Root: dir + "/fsx/fs-2", Path: "/share/data"}, "fsx/fs-2/share/data",
		},
		"S3 Files": {
			task.Volume{Name: "v", S3FilesVolumeConfiguration: &task.S3FilesVolume{FileSystemARN: "arn:aws:s3files:r:1:file-system/f"}},
			volumes.Storage{Root: dir + "/s3files/arn:aws:s3files:r:1:file-system%2Ff", Path: "/"}, "",
		},
		"Docker": {
			task.Volume{Name: "v", DockerVolumeConfiguration: &task.DockerVolume{Scope: "shared", Autoprovision: true}},
			volumes.Storage{Path: dir + "/docker/v", Populate: true}, "docker/v",
		},
		"EBS": {task.Volume{Name: "v", ConfiguredAtLaunch: true}, volumes.Storage{Root: dir + "/ebs/t1-v", Path: "/"}, "ebs/t1-v"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				got, err := d.Mount(t.Context(), volumes.Request{TaskARN: "arn:aws:ecs:r:1:task/c/t1", Volume: tt.volume})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("Mount (-want +got):\n%s", diff)
				}
			}
			if info, err := os.Stat(filepath.Join(dir, tt.exists)); err != nil || info.Mode() != fs.ModeDir|0o755 {
				t.Errorf("directory: %v, %v", info, err)
			}
		})
	}
}

func TestDirectoryRefuses(t *testing.T) {
	d := volumes.Directory{Dir: t.TempDir()}
	for name, v := range map[string]task.Volume{
		"driver":  {Name: "v", DockerVolumeConfiguration: &task.DockerVolume{Scope: "shared", Driver: "rexray"}},
		"options": {Name: "v", DockerVolumeConfiguration: &task.DockerVolume{Scope: "shared", DriverOpts: map[string]string{"o": "x"}}},
		"dots":    {Name: "v", EFSVolumeConfiguration: &task.EFSVolume{FileSystemID: ".."}},
		"host":    {Name: "v"},
	} {
		if err := d.Supports(v); !errors.Is(err, volumes.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Mount(t.Context(), volumes.Request{Volume: task.Volume{
		Name: "v", DockerVolumeConfiguration: &task.DockerVolume{Scope: "shared"},
	}}); err == nil {
		t.Error("made a shared volume that is not to be made")
	}
	if err := (volumes.Directory{Dir: "relative"}).Supports(task.Volume{ConfiguredAtLaunch: true}); err == nil {
		t.Error("took a relative directory")
	}
}

// TestDirectoryBelowLinks has a task's link in the way of another task's root directory.
func TestDirectoryBelowLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	d := volumes.Directory{Dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "efs/fs-1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "efs/fs-1/link")); err != nil {
		t.Fatal(err)
	}
	_, err := d.Mount(t.Context(), volumes.Request{Volume: task.Volume{
		Name: "v", EFSVolumeConfiguration: &task.EFSVolume{FileSystemID: "fs-1", RootDirectory: "/link/made"},
	}})
	if rest, rerr := os.ReadDir(outside); rerr != nil || len(rest) > 0 {
		t.Errorf("made %v outside, %v; error %v", rest, rerr, err)
	}
}

func TestDirectoryUnmount(t *testing.T) {
	dir := t.TempDir()
	d := volumes.Directory{Dir: dir}
	keep := &task.VolumeConfiguration{Name: "v", ManagedEBSVolume: &task.ManagedEBSVolume{TerminationPolicy: &task.TerminationPolicy{}}}
	for name, tt := range map[string]struct {
		volume task.Volume
		config *task.VolumeConfiguration
		path   string
		stays  bool
	}{
		"EBS":  {task.Volume{Name: "v", ConfiguredAtLaunch: true}, &task.VolumeConfiguration{Name: "v"}, "ebs/a-v", false},
		"kept": {task.Volume{Name: "w", ConfiguredAtLaunch: true}, keep, "ebs/a-w", true},
		"EFS":  {task.Volume{Name: "v", EFSVolumeConfiguration: &task.EFSVolume{FileSystemID: "fs"}}, nil, "efs/fs", true},
	} {
		r := volumes.Request{TaskARN: "task/a", Volume: tt.volume, Configuration: tt.config}
		if _, err := d.Mount(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := d.Unmount(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, tt.path)); (err == nil) != tt.stays {
			t.Errorf("%s after Unmount: %v", name, err)
		}
	}
}
