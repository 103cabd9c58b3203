package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/volumes"
)

// storageRoom is a provider in memory that notes what it is asked for.
type storageRoom struct {
	fail error

	mu    sync.Mutex
	calls []string
}

func (*storageRoom) Supports(v task.Volume) error {
	if v.Kind() == task.VolumeS3Files {
		return fmt.Errorf("%w: S3 Files", volumes.ErrUnsupported)
	}
	return nil
}

func (r *storageRoom) note(what string, q volumes.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := 0
	if q.Configuration != nil {
		size = q.Configuration.ManagedEBSVolume.SizeInGiB
	}
	r.calls = append(r.calls, fmt.Sprint(what, " ", q.Volume.Name, " ", size))
}

func (r *storageRoom) Mount(_ context.Context, q volumes.Request) (volumes.Storage, error) {
	r.note("mount", q)
	return volumes.Storage{Root: "/room", Path: "/" + q.Volume.Name}, r.fail
}

func (r *storageRoom) Unmount(_ context.Context, q volumes.Request) error {
	r.note("unmount", q)
	return nil
}

// withEBS is a definition with a volume that is configured at launch, and how.
func withEBS(containers ...string) (*task.TaskDefinition, scheduler.RunOptions) {
	def := define(containers...)
	def.Volumes = []task.Volume{{Name: "data", ConfiguredAtLaunch: true}}
	def.ContainerDefinitions[0].MountPoints = []task.MountPoint{{SourceVolume: "data", ContainerPath: "/data"}}
	return def, scheduler.RunOptions{VolumeConfigurations: []task.VolumeConfiguration{{
		Name: "data", ManagedEBSVolume: &task.ManagedEBSVolume{RoleARN: "arn:aws:iam::000000000000:role/ecs", SizeInGiB: 12},
	}}}
}

func TestVolumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		room := &storageRoom{}
		w.cfg.Volumes = room
		w.drive.Images["mounts"] = fake.Image{Main: func(_ context.Context, p *fake.Process) int {
			for _, m := range p.Container.Mounts {
				fmt.Fprintf(p.Stdout, "%s%s%s at %s\n", m.Root, m.Source, m.Volume, m.Destination)
			}
			return 0
		}}
		c := w.open()
		defer w.end()
		def, o := withEBS("app mounts")
		def.Volumes = append(def.Volumes, task.Volume{Name: "scratch"}, task.Volume{Name: "unused", EFSVolumeConfiguration: &task.EFSVolume{FileSystemID: "f"}})
		def.ContainerDefinitions[0].MountPoints = append(def.ContainerDefinitions[0].MountPoints,
			task.MountPoint{SourceVolume: "scratch", ContainerPath: "/scratch"})
		run := mustRun(t, c, def, o)
		stopped := mustWait(t, run)
		out, err := run.Output(t.Context(), "app")
		if err != nil || string(out) != "/room/data at /data\nscratch at /scratch\n" {
			t.Errorf("mounts %q, %v", out, err)
		}
		if diff := cmp.Diff([]string{"mount data 12", "unmount data 12"}, room.calls); diff != "" {
			t.Errorf("provider (-want +got):\n%s", diff)
		}
		ebs := stopped.Attachments[1]
		if ebs.Type != task.AttachmentEBS || ebs.Status != task.AttachmentDeleted || ebs.Detail("volumeName") != "data" || ebs.Detail("deleteOnTermination") != "true" {
			t.Errorf("attachment %+v", ebs)
		}
	})
}

func TestVolumesThatCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		room := &storageRoom{fail: errors.New("no such file system")}
		w.cfg.Volumes = room
		c := w.open()
		defer w.end()
		def, o := withEBS("app serve")
		if _, err := c.Run(t.Context(), def, scheduler.RunOptions{}); !errors.Is(err, scheduler.ErrInvalid) || !strings.Contains(err.Error(), "data") {
			t.Errorf("a volume that is not configured: %v", err)
		}
		stopped := mustWait(t, mustRun(t, c, def, o))
		if want := "ResourceInitializationError: failed to set up volume data: no such file system"; stopped.StoppedReason != want {
			t.Errorf("reason %q, want %q", stopped.StoppedReason, want)
		}
		s3 := define("app serve")
		s3.TaskRoleARN = "arn:aws:iam::000000000000:role/t"
		s3.Volumes = []task.Volume{{Name: "s3", S3FilesVolumeConfiguration: &task.S3FilesVolume{FileSystemARN: "arn:aws:s3files:us-east-1:000000000000:file-system/fs"}}}
		var unsupported *scheduler.UnsupportedError
		if _, err := c.Run(t.Context(), s3, scheduler.RunOptions{}); !errors.As(err, &unsupported) || unsupported.Problems[0].Path != "volumes[0].s3filesVolumeConfiguration" {
			t.Errorf("a volume that the provider has not: %v", err)
		}
	})
}
