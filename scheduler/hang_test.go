package scheduler_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	netfake "github.com/fardel-io/fardel/network/fake"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// hanging is a driver whose Exec returns when release is closed, and not before.
type hanging struct {
	*fake.Driver
	release chan struct{}
	execs   atomic.Int32
}

func (h *hanging) Exec(context.Context, string, runtime.ExecSpec) (int, error) {
	h.execs.Add(1)
	<-h.release
	return 0, nil
}

func (w *world) openWith(driver runtime.Driver) *scheduler.Cluster {
	w.t.Helper()
	cfg := w.cfg
	cfg.Store, cfg.Fabric, cfg.Driver = w.store, netfake.New(w.net), driver
	c, err := scheduler.Open(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.cluster = c
	return c
}

func TestHostileHealthCheckHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		h := &hanging{Driver: fake.New(w.drive), release: make(chan struct{})}
		c := w.openWith(h)
		defer w.end()
		defer close(h.release)
		def := define("app serve")
		def.ContainerDefinitions[0].HealthCheck = &task.HealthCheck{Command: []string{"CMD", "probe"}, Interval: 10, Timeout: 5, Retries: 3}
		run := mustRun(t, c, def, scheduler.RunOptions{})
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(50 * time.Second)
		synctest.Wait()
		got, err := run.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hostiletest.Report(t, "a health check that never returns", got.HealthStatus != task.HealthUnhealthy, string(got.HealthStatus))
		if n := h.execs.Load(); n != 1 {
			t.Errorf("%d processes wait for their end, want one", n)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
	})
}

// TestStopOfDeafContainers wants that a container is killed at its stopTimeout although it could not be asked to end.
func TestStopOfDeafContainers(t *testing.T) {
	for name, kill := range map[string]func(ctx context.Context) error{
		"Kill fails":                 func(context.Context) error { return errors.New("no answer") },
		"Kill waits for its context": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c := w.openWith(&deaf{fake.New(w.drive), kill})
				defer w.end()
				run := mustRun(t, c, define("app serve"), scheduler.RunOptions{})
				if _, err := run.WaitRunning(t.Context()); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := run.Stop(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
				stopped := mustWait(t, run)
				if took := time.Since(began); took != 30*time.Second || *stopped.Containers[0].ExitCode != 137 {
					t.Errorf("ended with %d after %v, want 137 after 30s", *stopped.Containers[0].ExitCode, took)
				}
			})
		})
	}
}

// deaf is a driver that sends SIGKILL and nothing else.
type deaf struct {
	*fake.Driver
	kill func(context.Context) error
}

func (d *deaf) Kill(ctx context.Context, id, signal string) error {
	if signal == "SIGKILL" {
		return d.Driver.Kill(ctx, id, signal)
	}
	return d.kill(ctx)
}

// TestStopDuringRestart wants that a stop does not wait for a container that is being made for its next run.
func TestStopDuringRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.drive.Delay = func(method, _ string) time.Duration {
			if method == "Restart" {
				return time.Hour
			}
			return 0
		}
		img := w.drive.Images["serve"]
		img.Main = func(ctx context.Context, _ *fake.Process) int {
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Minute):
			}
			return 1
		}
		w.drive.Images["serve"] = img
		c := w.open()
		defer w.end()
		def := define("app serve", "other polite")
		def.ContainerDefinitions[0].RestartPolicy = &task.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60}
		run := mustRun(t, c, def, scheduler.RunOptions{})
		<-time.After(3 * time.Minute)
		synctest.Wait()
		began := time.Now()
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		stopped := mustWait(t, run)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %v", took)
		}
		if got := stopped.Container("app"); got.ExitCode == nil || *got.ExitCode != 1 || got.RestartCount != 0 {
			t.Errorf("the container ended as %+v", got)
		}
	})
}

// TestFilesOutliveSandbox wants the files of a task to be there for as long as its sandbox is, which has mounted some of them.
func TestFilesOutliveSandbox(t *testing.T) {
	w := newWorld(t)
	w.cfg.Dir = t.TempDir()
	var tries atomic.Int32
	w.drive.Fail = func(method, id string) error {
		if method != "RemoveSandbox" || tries.Add(1) > 2 {
			return nil
		}
		if _, err := os.Stat(filepath.Join(w.cfg.Dir, "tasks", id)); err != nil {
			t.Errorf("removal %d of the sandbox: %v", tries.Load(), err)
		}
		return errors.New("it is busy")
	}
	c := w.open()
	defer w.end()
	run := mustRun(t, c, define("app exit 0"), scheduler.RunOptions{})
	mustWait(t, run)
	if left, err := filepath.Glob(filepath.Join(w.cfg.Dir, "tasks", "*")); err != nil || len(left) > 0 || tries.Load() != 3 {
		t.Errorf("left after %d removals: %q, %v", tries.Load(), left, err)
	}
}
