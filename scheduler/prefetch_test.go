package scheduler_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	netfake "github.com/fardel-io/fardel/network/fake"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
)

func TestPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gate := &prefetchGate{}
		w.cfg.Authorizer = gate
		c := w.open()
		defer w.end()
		images, err := c.Prefetch(t.Context(), define("a exit 0", "b serve"))
		if err != nil || len(images) != 2 || images[0].Name != "docker.io/library/exit:latest" || images[1].Name != "docker.io/library/serve:latest" {
			t.Errorf("%+v, %v", images, err)
		}
		_, err = c.Prefetch(t.Context(), define("a exit 0", "b missing"))
		if !errors.Is(err, runtime.ErrImageNotFound) || !strings.Contains(err.Error(), "CannotPullContainerError") {
			t.Errorf("an image that is not there: %v", err)
		}
		if _, err := c.Prefetch(t.Context(), nil); !errors.Is(err, scheduler.ErrInvalid) {
			t.Errorf("no definition: %v", err)
		}
		gate.deny = true
		if _, err := c.Prefetch(t.Context(), define("a exit 0")); !errors.Is(err, scheduler.ErrAccessDenied) {
			t.Errorf("denied: %v", err)
		}
		if families, err := c.List(t.Context(), scheduler.ListOptions{}); err == nil && len(families) > 0 {
			t.Errorf("tasks %v", families)
		}
	})
}

// prefetchGate denies RunTask when told to.
type prefetchGate struct{ deny bool }

func (g *prefetchGate) Authorize(_ context.Context, r scheduler.Request) error {
	if g.deny && r.Action == "ecs:RunTask" {
		return scheduler.ErrAccessDenied
	}
	return nil
}

// registryGate is a driver whose registry can be down. The fake's own has every image at any time.
type registryGate struct {
	*fake.Driver
	down atomic.Bool
}

func (g *registryGate) Pull(ctx context.Context, spec runtime.ImageSpec) (runtime.Image, error) {
	if g.down.Load() && spec.Refresh {
		return runtime.Image{}, errors.New("registry is down")
	}
	return g.Driver.Pull(ctx, spec)
}

func TestPullBehavior(t *testing.T) {
	tests := map[engine.PullBehavior]struct {
		cached   string // how a task ends whose image is on the machine while the registry is down
		uncached string // and one whose image is not, while it is up
	}{
		"":                      {"ran", "ran"},
		engine.PullPreferCached: {"ran", "ran"},
		engine.PullOnce:         {"ran", "ran"},
		engine.PullDefault:      {"ran", "ran"},
		engine.PullAlways:       {"CannotPullContainerError", "ran"},
		engine.PullNever:        {"ran", "CannotPullContainerError"},
	}
	for behavior, tt := range tests {
		t.Run(string(behavior), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if _, err := fake.New(w.drive).Pull(t.Context(), runtime.ImageSpec{Ref: "exit"}); err != nil {
					t.Fatal(err)
				}
				w.cfg.PullBehavior = behavior
				w.drive.Images["uncached"] = w.drive.Images["exit"]
				gate := &registryGate{Driver: fake.New(w.drive)}
				cfg := w.cfg
				cfg.Store, cfg.Fabric, cfg.Driver = w.store, netfake.New(w.net), gate
				c, err := scheduler.Open(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				w.cluster = c
				defer w.end()
				outcome := func(image string) string {
					stopped := mustWait(t, mustRun(t, c, define("app "+image+" 0"), scheduler.RunOptions{}))
					if name, _, ok := strings.Cut(stopped.StoppedReason, ":"); ok && stopped.StopCode == task.StopCodeTaskFailedToStart {
						return name
					}
					return "ran"
				}
				uncached := outcome("uncached")
				gate.down.Store(true)
				if diff := cmp.Diff([]string{tt.cached, tt.uncached}, []string{outcome("exit"), uncached}); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
}
