package scheduler_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network/fake"
	"github.com/fardel-io/fardel/runtime"
	runtimefake "github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// storageDriver notes the disks that are asked for.
type storageDriver struct {
	runtime.Driver

	mu    sync.Mutex // guards disks
	disks []task.MiB
}

func (d *storageDriver) CreateSandbox(ctx context.Context, spec runtime.SandboxSpec) error {
	d.mu.Lock()
	d.disks = append(d.disks, spec.Storage)
	d.mu.Unlock()
	return d.Driver.CreateSandbox(ctx, spec)
}

// TestEnforceDefaultStorage wants a disk for what a definition asks, and 20 GiB for one that does not ask only if the
// cluster is to enforce that.
func TestEnforceDefaultStorage(t *testing.T) {
	for _, tt := range []struct {
		name    string
		enforce bool
		asked   *task.EphemeralStorage
		want    task.MiB
	}{
		{"not asked", false, nil, 0},
		{"asked", false, &task.EphemeralStorage{SizeInGiB: 30}, 30 << 10},
		{"enforced", true, nil, 20 << 10},
		{"enforced and asked", true, &task.EphemeralStorage{SizeInGiB: 30}, 30 << 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				driver := &storageDriver{Driver: runtimefake.New(w.drive)}
				cfg := w.cfg
				cfg.Store, cfg.Fabric, cfg.Driver, cfg.EnforceDefaultStorage = w.store, fake.New(w.net), driver, tt.enforce
				c, err := scheduler.Open(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				w.cluster = c
				defer w.end()
				def := define("app exit 0")
				def.EphemeralStorage = tt.asked
				run := mustRun(t, c, def, scheduler.RunOptions{})
				mustWait(t, run)
				if diff := cmp.Diff([]task.MiB{tt.want}, driver.disks); diff != "" {
					t.Errorf("disks (-want +got):\n%s", diff)
				}
				got, err := run.Describe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				want := tt.asked
				if tt.enforce && want == nil {
					want = &task.EphemeralStorage{SizeInGiB: 20}
				}
				if diff := cmp.Diff(want, got.EphemeralStorage); diff != "" {
					t.Errorf("record (-want +got):\n%s", diff)
				}
			})
		})
	}
}
