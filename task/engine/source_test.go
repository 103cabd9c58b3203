package engine

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

// storing is a driver that says the same of every sandbox.
type storing struct {
	runtime.Driver
	storage runtime.Storage
	err     error
}

func (d storing) Storage(context.Context, string) (runtime.Storage, error) { return d.storage, d.err }

func TestShowStorage(t *testing.T) {
	const gib = 1 << 30
	names := map[string]string{RuntimeID("t", 0): "overlayfs"} // the second container is not created yet
	for _, tt := range []struct {
		name   string
		driver runtime.Driver
		want   *metadata.EphemeralStorage
		first  string
	}{
		{"a disk", storing{storage: runtime.Storage{Size: 20 * gib, Free: 19 * gib, Snapshotters: names}}, &metadata.EphemeralStorage{Utilized: 1024, Reserved: 20480}, "overlayfs"},
		{"a byte of a disk", storing{storage: runtime.Storage{Size: gib, Free: gib - 1, Snapshotters: names}}, &metadata.EphemeralStorage{Utilized: 1, Reserved: 1024}, "overlayfs"},
		{"a full disk", storing{storage: runtime.Storage{Size: gib, Snapshotters: names}}, &metadata.EphemeralStorage{Utilized: 1024, Reserved: 1024}, "overlayfs"},
		{"no disk", storing{storage: runtime.Storage{Snapshotters: names}}, nil, "overlayfs"},
		{"no sandbox", storing{err: runtime.ErrNotFound}, nil, ""},
		{"a disk that does not answer", storing{err: errors.New("input/output error")}, nil, ""},
		{"a driver that does not tell", noDriver{}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := New(Config{Driver: tt.driver, Fabric: &oneListener{}, Journal: noJournal{}})
			if err != nil {
				t.Fatal(err)
			}
			w := newWorker(e, Assignment{
				Task:       &task.Task{TaskARN: "arn:aws:ecs:eu-central-1:123456789012:task/default/t", Containers: []task.Container{{Name: "app"}, {Name: "side"}}},
				Definition: &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{{Name: "app"}, {Name: "side"}}},
			})
			shared := map[string]metadata.Container{"app": {DockerName: "app"}, "side": {}}
			got := metadata.Snapshot{Containers: shared}
			w.showStorage(t.Context(), &got)
			if diff := cmp.Diff(tt.want, got.EphemeralStorage); diff != "" {
				t.Errorf("storage (-want +got):\n%s", diff)
			}
			want := map[string]metadata.Container{"app": {DockerName: "app", Snapshotter: tt.first}, "side": {}}
			if diff := cmp.Diff(want, got.Containers); diff != "" {
				t.Errorf("containers (-want +got):\n%s", diff)
			}
			if shared["app"].Snapshotter != "" {
				t.Error("what others are shown was changed")
			}
		})
	}
}
