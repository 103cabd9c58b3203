package scheduler_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
)

// present are the images on the machine, by short name.
func (w *world) present() []string {
	w.t.Helper()
	images, err := fake.New(w.drive).Images(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, img := range images {
		name, err := runtime.ParseImageName(img.Name)
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, name.Repository[len("library/"):])
	}
	slices.Sort(names)
	return names
}

func (w *world) wantPresent(when string, want ...string) {
	w.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, w.present()); diff != "" {
		w.t.Errorf("images %s (-want +got):\n%s", when, diff)
	}
}

// TestImageCache has a cache for one image: those of tasks stay all the same, also when another process takes the tasks
// over, and go when their task has stopped.
func TestImageCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.ImageCache = engine.ImageCache{MaxBytes: 1 << 20, MinAge: -1}
		c := w.open()
		run := mustRun(t, c, define("a serve", "b polite"), scheduler.RunOptions{})
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.wantPresent("of a task", "polite", "serve")
		mustWait(t, mustRun(t, c, define("app exit 0"), scheduler.RunOptions{}))
		w.wantPresent("of one task that runs and one that ended", "polite", "serve")
		w.machine.Crash()
		_ = c.Close()
		c = w.open()
		defer w.end()
		w.wantPresent("of an adopted task", "polite", "serve")
		adopted, err := c.Lookup(t.Context(), run.ID())
		if err != nil {
			t.Fatal(err)
		}
		if err := adopted.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, adopted)
		synctest.Wait()
		if left := w.present(); len(left) != 1 {
			t.Errorf("a cache for one image has %v", left)
		}
		if _, err := c.Prefetch(t.Context(), define("a exit 0")); err != nil {
			t.Fatal(err)
		}
		w.wantPresent("after a prefetch", "exit")
	})
}

// TestImageCacheAge has a cache that is too small for anything, and images go when they were not used for an hour.
func TestImageCacheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.ImageCache = engine.ImageCache{MaxBytes: 1}
		c := w.open()
		defer w.end()
		if _, err := c.Prefetch(t.Context(), define("a exit 0")); err != nil {
			t.Fatal(err)
		}
		w.wantPresent("at once", "exit")
		<-time.After(59 * time.Minute)
		w.wantPresent("before the hour", "exit")
		<-time.After(32 * time.Minute)
		w.wantPresent("after the hour, and half an hour to look at it")
	})
}

// TestRegistryAuth asks for credentials before an image is pulled, and not for one that is here.
func TestRegistryAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var asked []string
		w.cfg.RegistryAuth = func(_ context.Context, registry string) (*runtime.Credentials, error) {
			asked = append(asked, registry)
			if len(asked) > 1 {
				return nil, errors.New("token has expired")
			}
			return &runtime.Credentials{Username: "AWS", Password: "token"}, nil
		}
		c := w.open()
		defer w.end()
		for range 2 {
			if stopped := mustWait(t, mustRun(t, c, define("app exit 0"), scheduler.RunOptions{})); stopped.StopCode != task.StopCodeEssentialContainerExited {
				t.Errorf("%s: %s", stopped.StopCode, stopped.StoppedReason)
			}
		}
		stopped := mustWait(t, mustRun(t, c, define("app serve"), scheduler.RunOptions{}))
		want := "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: " +
			"unable to retrieve registry auth for docker.io: token has expired"
		if stopped.StoppedReason != want {
			t.Errorf("got reason %q, want %q", stopped.StoppedReason, want)
		}
		if diff := cmp.Diff([]string{"docker.io", "docker.io"}, asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	})
}
