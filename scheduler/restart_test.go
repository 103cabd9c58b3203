package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// crasher is an image whose program ends with 3 a hundred seconds after it was started.
func crasher(w *world) {
	w.drive.Images["crash"] = fake.Image{Main: func(ctx context.Context, p *fake.Process) int {
		fmt.Fprintln(p.Stdout, "run")
		select {
		case <-time.After(100 * time.Second):
			return 3
		case <-ctx.Done():
			return 0
		}
	}}
}

func restarting(containers ...string) *task.TaskDefinition {
	def := define(containers...)
	def.ContainerDefinitions[0].RestartPolicy = &task.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60}
	return def
}

// sees waits for a while and looks at the first container then.
func sees(t *testing.T, run *scheduler.Run, after time.Duration, restarts int) task.Container {
	t.Helper()
	<-time.After(after)
	rec, err := run.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := rec.Containers[0]
	if rec.LastStatus != task.Running || c.LastStatus != task.ContainerRunning || c.RestartCount != restarts || c.ExitCode != nil {
		t.Errorf("%s, container %s, restarted %d times, exit code %v; want it RUNNING after %d restarts",
			rec.LastStatus, c.LastStatus, c.RestartCount, c.ExitCode, restarts)
	}
	return c
}

func TestRestartPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		crasher(w)
		c := w.open()
		defer w.end()
		def := restarting("app crash", "side serve")
		def.ContainerDefinitions[0].HealthCheck = &task.HealthCheck{Command: []string{"CMD", "true"}}
		run := mustRun(t, c, def, scheduler.RunOptions{})
		first := sees(t, run, 90*time.Second, 0)
		second := sees(t, run, 20*time.Second, 1)
		if !second.StartedAt.Equal(first.StartedAt.Add(100*time.Second)) || !second.CreatedAt.Equal(first.CreatedAt) || second.RuntimeID != first.RuntimeID {
			t.Errorf("first run %+v, second %+v", first, second)
		}
		if second.HealthStatus != task.HealthUnknown {
			t.Errorf("a new run is %s before it was checked", second.HealthStatus)
		}
		sees(t, run, 100*time.Second, 2)

		// Its end and restart go on in the next process, also when it ended between the two.
		_ = c.Close()
		<-time.After(50 * time.Second)
		c = w.open()
		run = lookup(t, c, run)
		sees(t, run, 45*time.Second, 3)
		_ = c.Close()
		<-time.After(150 * time.Second)
		c = w.open()
		run = lookup(t, c, run)
		sees(t, run, time.Second, 4)
		if out, err := run.Output(t.Context(), "app"); err != nil || string(out) != strings.Repeat("run\n", 5) {
			t.Errorf("log %q, %v", out, err)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if stopped := mustWait(t, run); stopped.Containers[0].RestartCount != 4 || stopped.StopCode != task.StopCodeUserInitiated {
			t.Errorf("%+v", stopped)
		}
	})
}

func lookup(t *testing.T, c *scheduler.Cluster, run *scheduler.Run) *scheduler.Run {
	t.Helper()
	found, err := c.Lookup(t.Context(), run.ID())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRestartPolicyDoesNotApply(t *testing.T) {
	for name, tt := range map[string]struct {
		program string
		change  func(*task.RestartPolicy)
		code    int
	}{
		"too soon":    {"exit 3", func(*task.RestartPolicy) {}, 3},
		"ignored":     {"crash", func(p *task.RestartPolicy) { p.IgnoredExitCodes = []int{1, 3} }, 3},
		"long period": {"crash", func(p *task.RestartPolicy) { p.RestartAttemptPeriod = 0 }, 3}, // 300 s
		"not enabled": {"crash", func(p *task.RestartPolicy) { p.Enabled = false }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				crasher(w)
				c := w.open()
				defer w.end()
				def := restarting("app " + tt.program)
				tt.change(def.ContainerDefinitions[0].RestartPolicy)
				stopped := mustWait(t, mustRun(t, c, def, scheduler.RunOptions{}))
				if got := stopped.Containers[0]; got.RestartCount != 0 || *got.ExitCode != tt.code || stopped.StopCode != task.StopCodeEssentialContainerExited {
					t.Errorf("%s after %d restarts, exit code %d", stopped.StopCode, got.RestartCount, *got.ExitCode)
				}
			})
		})
	}
}

// TestRestartFails checks that a container that cannot run again ends as one without a policy does.
func TestRestartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		crasher(w)
		w.drive.Fail = func(method, _ string) error {
			if method == "Restart" {
				return errors.New("no room")
			}
			return nil
		}
		c := w.open()
		defer w.end()
		stopped := mustWait(t, mustRun(t, c, restarting("app crash"), scheduler.RunOptions{}))
		got := stopped.Containers[0]
		if got.RestartCount != 0 || *got.ExitCode != 3 || !strings.Contains(got.Reason, "CannotStartContainerError: restart: ") {
			t.Errorf("%+v", got)
		}
	})
}

// TestRestartOfDependency checks that a dependency that is restarted has not completed, and that the order of the stop is
// as ever.
func TestRestartOfDependency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		crasher(w)
		c := w.open()
		defer w.end()
		no := false
		def := restarting("dep crash", "app serve")
		def.ContainerDefinitions[0].Essential = &no
		def.ContainerDefinitions[1].DependsOn = []task.ContainerDependency{{ContainerName: "dep", Condition: task.ConditionComplete}}
		run := mustRun(t, c, def, scheduler.RunOptions{})
		<-time.After(250 * time.Second)
		rec, err := run.Describe(t.Context())
		if err != nil || rec.LastStatus != task.Activating || rec.Containers[0].RestartCount != 2 || rec.Containers[1].LastStatus != task.ContainerPending {
			t.Errorf("%+v, %v; want app to wait for dep, which was restarted twice", rec, err)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
	})
}
