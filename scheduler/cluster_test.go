package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	netfake "github.com/fardel-io/fardel/network/fake"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

// world is everything that outlives a cluster, and the cluster that works on it.
type world struct {
	t       *testing.T
	store   store.Store
	machine *fake.Machine
	net     netfake.Config
	cfg     scheduler.Config
	drive   fake.Config

	cluster *scheduler.Cluster
}

// newWorld returns a world with images, without a cluster yet. Its containers are programs of these tests.
func newWorld(t *testing.T) *world {
	w := &world{t: t, store: store.NewMemory(), machine: &fake.Machine{}, net: netfake.Config{Host: &netfake.Host{}}}
	w.drive = fake.Config{Machine: w.machine, Images: map[string]fake.Image{
		"exit": {Main: func(_ context.Context, p *fake.Process) int {
			fmt.Fprintln(p.Stdout, "hello", p.Getenv("NAME"))
			code := 0
			fmt.Sscan(p.Args[len(p.Args)-1], &code)
			return code
		}},
		"serve": {Main: func(ctx context.Context, p *fake.Process) int { <-ctx.Done(); return 0 }},
		"polite": {Main: func(ctx context.Context, p *fake.Process) int {
			term := p.Notify(fake.SIGTERM)
			select {
			case <-term:
				fmt.Fprintln(p.Stdout, "asked to stop")
				return 0
			case <-ctx.Done():
				return 1
			}
		}},
		"stubborn": {Main: func(ctx context.Context, p *fake.Process) int { p.Ignore(fake.SIGTERM); <-ctx.Done(); return 0 }},
	}}
	return w
}

// open starts a cluster on the world.
func (w *world) open() *scheduler.Cluster {
	w.t.Helper()
	cfg := w.cfg
	cfg.Store, cfg.Fabric, cfg.Driver = w.store, netfake.New(w.net), fake.New(w.drive)
	c, err := scheduler.Open(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.cluster = c
	return c
}

// end closes everything and reports what tasks have left behind.
func (w *world) end() {
	w.t.Helper()
	_ = w.cluster.Close()
	inv, err := fake.New(w.drive).List(context.Background())
	if err != nil || len(inv.Containers) > 0 || len(inv.Sandboxes) > 0 {
		w.t.Errorf("left behind: %+v, %v", inv, err)
	}
	left, err := netfake.New(netfake.Config{Host: w.net.Host}).Attachments(context.Background())
	if err != nil || len(left) > 0 {
		w.t.Errorf("interfaces left behind: %v, %v", left, err)
	}
	w.machine.Close()
}

// define returns a valid Fargate definition of containers, each "name image [argument...]".
func define(containers ...string) *task.TaskDefinition {
	def := &task.TaskDefinition{
		Family: "app", NetworkMode: task.NetworkModeAWSVPC, CPU: "256", Memory: "512",
		RequiresCompatibilities: []task.LaunchType{task.LaunchTypeFargate},
	}
	for _, c := range containers {
		f := strings.Fields(c)
		def.ContainerDefinitions = append(def.ContainerDefinitions, task.ContainerDefinition{
			Name: f[0], Image: f[1], Command: append([]string{"main"}, f[2:]...),
		})
	}
	return def
}

// failing makes a method of the fabric fail n times, always for -1.
func failing(op netfake.Op, err error, n int) func(context.Context, netfake.Op, string) error {
	return func(_ context.Context, asked netfake.Op, _ string) error {
		if asked != op || n == 0 {
			return nil
		}
		n--
		return err
	}
}

func mustRun(t *testing.T, c *scheduler.Cluster, def *task.TaskDefinition, o scheduler.RunOptions) *scheduler.Run {
	t.Helper()
	run, err := c.Run(t.Context(), def, o)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func mustWait(t *testing.T, run *scheduler.Run) *task.Task {
	t.Helper()
	stopped, err := run.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stopped
}

func TestTaskGoesThroughAllStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		watch, err := w.store.Watch(t.Context(), "tasks/")
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		if _, err := watch.Next(t.Context()); err != nil { // the snapshot: nothing yet
			t.Fatal(err)
		}
		c := w.open()
		defer w.end()
		run := mustRun(t, c, define("app exit 3"), scheduler.RunOptions{})
		stopped := mustWait(t, run)

		var statuses []string
		for len(statuses) == 0 || statuses[len(statuses)-1] != "STOPPED" {
			batch, err := watch.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range batch.Events {
				_, rest, _ := strings.Cut(string(e.Value), `"lastStatus":"`)
				status, _, _ := strings.Cut(rest, `"`)
				if len(statuses) == 0 || statuses[len(statuses)-1] != status {
					statuses = append(statuses, status)
				}
			}
		}
		want := []string{"PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"}
		if diff := cmp.Diff(want, statuses); diff != "" {
			t.Errorf("statuses stored (-want +got):\n%s", diff)
		}
		if stopped.StopCode != task.StopCodeEssentialContainerExited || stopped.StoppedReason != task.ReasonEssentialContainerExited {
			t.Errorf("stopped with %s: %s", stopped.StopCode, stopped.StoppedReason)
		}
		if got := stopped.Containers[0]; got.ExitCode == nil || *got.ExitCode != 3 || got.LastStatus != task.ContainerStopped || got.ImageDigest == "" {
			t.Errorf("container %+v, want exit code 3 and a digest", got)
		}
		times := []time.Time{stopped.CreatedAt, stopped.PullStartedAt, stopped.PullStoppedAt, stopped.StartedAt,
			stopped.ExecutionStoppedAt, stopped.StoppingAt, stopped.StoppedAt}
		for i, at := range times {
			if at.IsZero() || i > 0 && at.Before(times[i-1]) {
				t.Errorf("timestamp %d is %v, after %v", i, at, times[max(i-1, 0)])
			}
		}
	})
}

func TestStop(t *testing.T) {
	tests := map[string]struct {
		containers []string
		exits      []int
		took       time.Duration
	}{
		"ends at the stop signal":            {[]string{"app polite"}, []int{0}, 0},
		"does not handle it":                 {[]string{"app serve"}, []int{143}, 0},
		"ignores it and is killed":           {[]string{"app stubborn"}, []int{137}, 30 * time.Second},
		"independent containers in parallel": {[]string{"a stubborn", "b stubborn", "c polite"}, []int{137, 137, 0}, 30 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c := w.open()
				defer w.end()
				run := mustRun(t, c, define(tt.containers...), scheduler.RunOptions{})
				if _, err := run.WaitRunning(t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // programs have set up their signals
				began := time.Now()
				for range 2 { // the second does nothing
					if err := run.Stop(t.Context(), "no longer needed"); err != nil {
						t.Fatal(err)
					}
				}
				stopped := mustWait(t, run)
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if stopped.StopCode != task.StopCodeUserInitiated || stopped.StoppedReason != "no longer needed" {
					t.Errorf("stopped with %s: %s", stopped.StopCode, stopped.StoppedReason)
				}
				var exits []int
				for _, ct := range stopped.Containers {
					exits = append(exits, *ct.ExitCode)
				}
				if diff := cmp.Diff(tt.exits, exits); diff != "" {
					t.Errorf("exit codes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestStopOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		def := define("db stubborn", "app stubborn")
		def.ContainerDefinitions[0].StopTimeout = 5
		def.ContainerDefinitions[1].StopTimeout = 7
		def.ContainerDefinitions[1].DependsOn = []task.ContainerDependency{{ContainerName: "db", Condition: task.ConditionStart}}
		run := mustRun(t, c, def, scheduler.RunOptions{})
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		stopped := mustWait(t, run)
		if took := time.Since(began); took != 12*time.Second {
			t.Errorf("took %v, want 7 s for app and then 5 s for db, which app depends on", took)
		}
		if stopped.StoppedReason != task.ReasonStoppedByUser {
			t.Errorf("reason %q without one given", stopped.StoppedReason)
		}
	})
}

func TestDependsOnSuccess(t *testing.T) {
	for exit, want := range map[string]struct {
		stopCode task.StopCode
		app      int
	}{
		"0": {task.StopCodeEssentialContainerExited, 4},
		"1": {task.StopCodeTaskFailedToStart, 143},
	} {
		t.Run("migration exits with "+exit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c := w.open()
				defer w.end()
				def := define("migrate exit "+exit, "app exit 4")
				no := false
				def.ContainerDefinitions[0].Essential = &no
				def.ContainerDefinitions[1].DependsOn = []task.ContainerDependency{{ContainerName: "migrate", Condition: task.ConditionSuccess}}
				stopped := mustWait(t, mustRun(t, c, def, scheduler.RunOptions{}))
				if stopped.StopCode != want.stopCode || *stopped.Container("app").ExitCode != want.app {
					t.Errorf("%s: %s; app exited with %d, want %s and %d", stopped.StopCode, stopped.StoppedReason,
						*stopped.Container("app").ExitCode, want.stopCode, want.app)
				}
			})
		})
	}
}

// TestStartTimeout has a dependency that is late: who waits for it gives up startTimeout after the dependency's start, does
// not start, and takes the task with it. What runs is stopped.
func TestStartTimeout(t *testing.T) {
	for _, condition := range []task.DependencyCondition{task.ConditionComplete, task.ConditionSuccess, task.ConditionHealthy} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			c := w.open()
			defer w.end()
			def := define("slow serve", "app serve", "after serve")
			no := false
			slow, app, after := &def.ContainerDefinitions[0], &def.ContainerDefinitions[1], &def.ContainerDefinitions[2]
			slow.Essential, slow.StartTimeout = &no, 40
			slow.HealthCheck = &task.HealthCheck{Command: []string{"CMD", "none"}, Interval: 5}
			app.DependsOn = []task.ContainerDependency{{ContainerName: "slow", Condition: condition}}
			after.DependsOn = []task.ContainerDependency{{ContainerName: "app", Condition: task.ConditionStart}}
			stopped := mustWait(t, mustRun(t, c, def, scheduler.RunOptions{}))
			want := "CannotStartContainerError: dependency graph: timed out waiting for container slow to reach " + string(condition)
			if stopped.StopCode != task.StopCodeTaskFailedToStart || stopped.StoppedReason != want {
				t.Errorf("%s: %s, want %s", stopped.StopCode, stopped.StoppedReason, want)
			}
			if took := stopped.StoppingAt.Sub(stopped.Container("slow").StartedAt); took != 40*time.Second {
				t.Errorf("gave up after %v, want 40 s", took)
			}
			if got := stopped.Container("app"); *got.ExitCode != 143 || got.Reason != want || !got.StartedAt.IsZero() {
				t.Errorf("app: %+v", got)
			}
			if got := stopped.Container("after"); !got.StartedAt.IsZero() || got.LastStatus != task.ContainerStopped {
				t.Errorf("after: %+v", got)
			}
			if got := stopped.Container("slow"); got.ExitCode == nil || got.StartedAt.IsZero() {
				t.Errorf("slow: %+v", got)
			}
		})
	}
}

// TestStopSideBySide has containers that do not depend on each other stop at the same time, and a chain in its reverse.
func TestStopSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		def := define("db stubborn", "app stubborn", "proxy stubborn", "alone stubborn", "quick polite")
		for i, seconds := range []int{3, 5, 7, 14, 30} {
			def.ContainerDefinitions[i].StopTimeout = seconds
		}
		on := func(name string) []task.ContainerDependency {
			return []task.ContainerDependency{{ContainerName: name, Condition: task.ConditionStart}}
		}
		def.ContainerDefinitions[1].DependsOn, def.ContainerDefinitions[2].DependsOn = on("db"), on("app")
		run := mustRun(t, c, def, scheduler.RunOptions{})
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		stopped := mustWait(t, run)
		for name, want := range map[string]struct {
			after time.Duration
			code  int
		}{
			"quick": {0, 0}, "proxy": {7 * time.Second, 137}, "app": {12 * time.Second, 137}, "db": {15 * time.Second, 137},
			"alone": {14 * time.Second, 137},
		} {
			got := stopped.Container(name)
			if after := got.FinishedAt.Sub(began); after != want.after || *got.ExitCode != want.code {
				t.Errorf("%s ended after %v with %d, want %v and %d", name, after, *got.ExitCode, want.after, want.code)
			}
		}
	})
}

func TestHealthChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var healthy atomic.Bool
		img := w.drive.Images["serve"]
		img.Programs = map[string]fake.Program{"probe": func(context.Context, *fake.Process) int {
			if healthy.Load() {
				return 0
			}
			return 1
		}}
		w.drive.Images["serve"] = img
		c := w.open()
		defer w.end()
		def := define("app serve", "proxy serve")
		for i := range def.ContainerDefinitions {
			def.ContainerDefinitions[i].HealthCheck = &task.HealthCheck{Command: []string{"CMD", "probe"}, Interval: 10, Retries: 2}
		}
		def.ContainerDefinitions[1].DependsOn = []task.ContainerDependency{{ContainerName: "app", Condition: task.ConditionHealthy}}
		run := mustRun(t, c, def, scheduler.RunOptions{})
		expect := func(after time.Duration, status task.Status, health, app task.HealthStatus) {
			t.Helper()
			<-time.After(after)
			synctest.Wait()
			got, err := run.Describe(t.Context())
			if err != nil || got.LastStatus != status || got.HealthStatus != health || got.Container("app").HealthStatus != app {
				t.Errorf("task is %v and %s, app %s, %v; want %v and %s, app %s", got.LastStatus, got.HealthStatus,
					got.Container("app").HealthStatus, err, status, health, app)
			}
		}
		expect(11*time.Second, task.Activating, task.HealthUnknown, task.HealthUnknown) // one failure
		healthy.Store(true)
		expect(10*time.Second, task.Running, task.HealthUnknown, task.HealthHealthy) // proxy is not known yet
		expect(11*time.Second, task.Running, task.HealthHealthy, task.HealthHealthy)
		healthy.Store(false)
		expect(21*time.Second, task.Running, task.HealthUnhealthy, task.HealthUnhealthy) // and goes on running (ECS)
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
	})
}

func TestNonEssentialEndChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		def := define("app serve", "helper exit 9")
		no := false
		def.ContainerDefinitions[1].Essential = &no
		run := mustRun(t, c, def, scheduler.RunOptions{})
		synctest.Wait()
		got, err := run.Describe(t.Context())
		if err != nil || got.LastStatus != task.Running || *got.Container("helper").ExitCode != 9 {
			t.Errorf("task is %v, helper %+v, %v", got.LastStatus, got.Container("helper"), err)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
	})
}

func TestFailuresOfTheStart(t *testing.T) {
	broken := errors.New("the disk is full")
	tests := map[string]struct {
		def    *task.TaskDefinition
		method string // of the driver, which fails
		attach bool   // the fabric fails instead
		want   string
	}{
		"interface":       {def: define("app exit"), attach: true, want: "ResourceInitializationError: attach network interface eni-"},
		"sandbox":         {def: define("app exit"), method: "CreateSandbox", want: "ResourceInitializationError: the disk is full"},
		"pull":            {def: define("app exit"), method: "Pull", want: "CannotPullContainerError: the disk is full"},
		"no such image":   {def: define("app nosuch"), want: "CannotPullContainerError: "},
		"create":          {def: define("app exit"), method: "CreateContainer", want: "CannotCreateContainerError: the disk is full"},
		"start":           {def: define("app exit"), method: "Start", want: "CannotStartContainerError: the disk is full"},
		"one of several":  {def: define("a serve", "b nosuch", "c serve"), want: "CannotPullContainerError: "},
		"second to start": {def: define("a serve", "b serve"), method: "Start", want: "CannotStartContainerError: the disk is full"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.drive.Fail = func(method, _ string) error {
					if method == tt.method {
						return broken
					}
					return nil
				}
				if tt.attach {
					w.net.Fail = failing(netfake.Attach, broken, -1)
				}
				c := w.open()
				defer w.end()
				run := mustRun(t, c, tt.def, scheduler.RunOptions{})
				_, err := run.WaitRunning(t.Context())
				var stopped *scheduler.StoppedError
				if !errors.As(err, &stopped) {
					t.Fatalf("WaitRunning: %v, want a StoppedError", err)
				}
				got := stopped.Task
				if got.StopCode != task.StopCodeTaskFailedToStart || !strings.HasPrefix(got.StoppedReason, tt.want) {
					t.Errorf("stopped with %s: %s, want %q", got.StopCode, got.StoppedReason, tt.want)
				}
			})
		})
	}
}

// TestStopAtEveryCall stops a task while the driver is at its n-th call, for every n.
func TestStopAtEveryCall(t *testing.T) {
	for n := range 40 {
		finished := false
		t.Run(fmt.Sprint("call ", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var mu sync.Mutex
				calls := 0
				reached := make(chan struct{})
				w.drive.Delay = func(method, _ string) time.Duration {
					mu.Lock()
					defer mu.Unlock()
					if method == "List" { // the cluster's, before there are tasks
						return 0
					}
					calls++
					if calls == n+1 {
						close(reached)
						return time.Hour // which a stop cuts short, where it may
					}
					return 0
				}
				c := w.open()
				defer w.end()
				run := mustRun(t, c, define("a exit 0", "b serve"), scheduler.RunOptions{})
				done := make(chan struct{})
				go func() { defer close(done); mustWait(t, run) }()
				select {
				case <-reached:
				case <-done:
					finished = true
				}
				if err := run.Stop(t.Context(), "enough"); err != nil {
					t.Error(err)
				}
				<-done
			})
		})
		if finished {
			return
		}
	}
	t.Error("a task takes more than 40 calls of the driver: raise the bound")
}

// TestCrashAtEveryCall kills the cluster while the driver is at its n-th call, before or after the call has had its
// effect, and lets the next cluster go on.
func TestCrashAtEveryCall(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := range 60 {
			finished := false
			t.Run(fmt.Sprintf("call %d, after=%v", n, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					finished = crashAt(t, n, after)
				})
			})
			if finished {
				break
			}
			if n == 59 {
				t.Error("a task takes more than 60 calls of the driver: raise the bound")
			}
		}
	}
}

// crashAt reports whether the task was over before the n-th call.
func crashAt(t *testing.T, n int, after bool) bool {
	w := newWorld(t)
	var mu sync.Mutex
	calls := 0
	reached := make(chan struct{})
	never := make(chan struct{})
	hook := func(method, _ string) error {
		if method == "List" { // the cluster's, before there are tasks
			return nil
		}
		mu.Lock()
		calls++
		at := calls == n+1
		mu.Unlock()
		if at {
			close(reached)
			<-never
			return runtime.ErrClosed
		}
		return nil
	}
	plain := w.drive
	if after {
		w.drive.FailAfter = hook
	} else {
		w.drive.Fail = hook
	}
	c := w.open()
	run := mustRun(t, c, define("a exit 0", "b polite"), scheduler.RunOptions{})
	done := make(chan struct{})
	go func() { defer close(done); _, _ = run.Wait(t.Context()) }()
	finished := false
	select {
	case <-reached:
	case <-done:
		finished = true
	}
	w.machine.Crash()
	closed := make(chan struct{})
	go func() { defer close(closed); _ = c.Close() }()
	synctest.Wait()
	close(never)
	<-closed
	<-done

	<-time.After(time.Minute) // with nobody there
	w.drive = plain
	c = w.open()
	defer w.end()
	again, err := c.Lookup(t.Context(), run.ID())
	if err != nil {
		t.Fatal(err)
	}
	stopped := mustWait(t, again)
	if got := stopped.Container("a"); got.ExitCode == nil || *got.ExitCode != 0 || stopped.StopCode != task.StopCodeEssentialContainerExited {
		t.Errorf("after the crash: %s: %s; container a %+v", stopped.StopCode, stopped.StoppedReason, got)
	} else if got.FinishedAt.Before(got.StartedAt) {
		t.Errorf("container a ended at %s and was started at %s", got.FinishedAt, got.StartedAt)
	}
	return finished
}

func TestReleaseIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net.Fail = failing(netfake.Detach, errors.New("device or resource busy"), 3)
		c := w.open()
		defer w.end()
		began := time.Now()
		mustWait(t, mustRun(t, c, define("app exit 0"), scheduler.RunOptions{}))
		if took := time.Since(began); took != 700*time.Millisecond {
			t.Errorf("released after %v, want three tries with 100, 200 and 400 ms after them", took)
		}
	})
}

func TestLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		def := define("app polite")
		run := mustRun(t, c, def, scheduler.RunOptions{})
		logs := run.Logs(t.Context(), "") // before it runs
		defer logs.Close()
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if out, err := run.Output(t.Context(), "app"); err != nil || len(out) > 0 {
			t.Errorf("output so far %q, %v", out, err)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(logs)
		if err != nil || string(out) != "asked to stop\n" {
			t.Errorf("followed %q, %v", out, err)
		}
		mustWait(t, run)
		if out, err := run.Output(t.Context(), "app"); err != nil || string(out) != "asked to stop\n" {
			t.Errorf("after the end %q, %v", out, err)
		}
		if _, err := run.Output(t.Context(), "nosuch"); !errors.Is(err, scheduler.ErrNotFound) {
			t.Errorf("no such container: %v", err)
		}
	})
}

func TestOverrides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		run := mustRun(t, c, define("app exit 1"), scheduler.RunOptions{Overrides: &task.TaskOverride{
			CPU: "512", Memory: "1 GB",
			ContainerOverrides: []task.ContainerOverride{{
				Name: "app", Command: []string{"main", "7"}, Environment: []task.KeyValuePair{{Name: "NAME", Value: "world"}},
			}},
		}})
		stopped := mustWait(t, run)
		out, err := run.Output(t.Context(), "app")
		if *stopped.Containers[0].ExitCode != 7 || string(out) != "hello world\n" || stopped.CPU != "512" || stopped.Memory != "1024" {
			t.Errorf("exit %d, output %q, %v, size %s/%s", *stopped.Containers[0].ExitCode, out, err, stopped.CPU, stopped.Memory)
		}
	})
}

func TestExec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		img := w.drive.Images["serve"]
		img.Programs = map[string]fake.Program{"whoami": func(_ context.Context, p *fake.Process) int {
			fmt.Fprint(p.Stdout, p.User)
			return 5
		}}
		w.drive.Images["serve"] = img
		c := w.open()
		defer w.end()
		for _, enabled := range []bool{false, true} {
			run := mustRun(t, c, define("app serve"), scheduler.RunOptions{EnableExecuteCommand: enabled})
			if _, err := run.WaitRunning(t.Context()); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			code, err := run.Exec(t.Context(), "", runtime.ExecSpec{Args: []string{"whoami"}, Stdout: &out})
			switch {
			case enabled && (err != nil || code != 5 || out.String() != "0:0"):
				t.Errorf("enabled: code %d, output %q, %v", code, out.String(), err)
			case !enabled && !errors.Is(err, scheduler.ErrNoExec):
				t.Errorf("not enabled: %v, want ErrNoExec", err)
			}
			if err := run.Stop(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			mustWait(t, run)
		}
	})
}

// TestExecNeedsARunningTask tries before the task is RUNNING and after its end, without a container's name, and as a user.
func TestExecNeedsARunningTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		img := w.drive.Images["serve"]
		img.Programs = map[string]fake.Program{"whoami": func(_ context.Context, p *fake.Process) int {
			fmt.Fprint(p.Stdout, p.User)
			return 0
		}}
		w.drive.Images["serve"] = img
		w.drive.Images["late"] = fake.Image{Main: func(ctx context.Context, p *fake.Process) int {
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
			}
			return 0
		}}
		c := w.open()
		defer w.end()
		def := define("app serve", "init late")
		no := false
		def.ContainerDefinitions[1].Essential = &no
		def.ContainerDefinitions = append(def.ContainerDefinitions, task.ContainerDefinition{
			Name: "last", Image: "serve", DependsOn: []task.ContainerDependency{{ContainerName: "init", Condition: task.ConditionComplete}},
		})
		run := mustRun(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
		try := func(container, user string) (string, error) {
			var out strings.Builder
			_, err := run.Exec(t.Context(), container, runtime.ExecSpec{Args: []string{"whoami"}, User: user, Stdout: &out})
			return out.String(), err
		}
		<-time.After(time.Second)
		if _, err := try("app", ""); !errors.Is(err, scheduler.ErrNoExec) || !strings.Contains(err.Error(), "ACTIVATING") {
			t.Errorf("before the task runs: %v, want ErrNoExec", err)
		}
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := try("", ""); !errors.Is(err, scheduler.ErrInvalid) {
			t.Errorf("no container named: %v, want ErrInvalid", err)
		}
		if out, err := try("app", "1000:1000"); err != nil || out != "1000:1000" {
			t.Errorf("as a user: %q, %v", out, err)
		}
		if _, err := try("init", ""); !errors.Is(err, runtime.ErrNotRunning) {
			t.Errorf("in a container that has ended: %v, want ErrNotRunning", err)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
		if _, err := try("app", ""); !errors.Is(err, scheduler.ErrNoExec) {
			t.Errorf("after the end: %v, want ErrNoExec", err)
		}
	})
}

func TestRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.MaxTask = task.Size{CPU: 1024, Memory: 4096}
		c := w.open()
		defer w.end()
		volume := define("app exit 0")
		volume.ContainerDefinitions[0].MountPoints = []task.MountPoint{{SourceVolume: "v", ContainerPath: "/v"}}
		volume.Volumes = []task.Volume{{Name: "v", EFSVolumeConfiguration: &task.EFSVolume{FileSystemID: "fs-1"}}}
		large := define("app exit 0")
		large.CPU, large.Memory = "4096", "30720"
		bridge := define("app exit 0")
		bridge.NetworkMode = task.NetworkModeBridge
		private := define("app exit 0")
		private.ExecutionRoleARN = "arn:aws:iam::000000000000:role/r"
		private.ContainerDefinitions[0].RepositoryCredentials = &task.RepositoryCredentials{
			CredentialsParameter: "arn:aws:secretsmanager:us-east-1:000000000000:secret:s-abcdef"}
		tests := map[string]struct {
			def  *task.TaskDefinition
			o    scheduler.RunOptions
			want func(error) bool
		}{
			"no definition":           {nil, scheduler.RunOptions{}, is(scheduler.ErrInvalid)},
			"invalid definition":      {bridge, scheduler.RunOptions{}, as[*task.ValidationError]},
			"unsupported":             {volume, scheduler.RunOptions{}, as[*scheduler.UnsupportedError]},
			"no registry credentials": {private, scheduler.RunOptions{}, as[*scheduler.UnsupportedError]},
			"too large":               {large, scheduler.RunOptions{}, as[*scheduler.PlacementError]},
			"launch type":             {define("app exit 0"), scheduler.RunOptions{LaunchType: "LAMBDA"}, is(scheduler.ErrInvalid)},
			"no subnets": {define("app exit 0"), scheduler.RunOptions{NetworkConfiguration: &scheduler.AWSVPCConfiguration{}},
				is(scheduler.ErrInvalid)},
			"unknown container in override": {define("app exit 0"), scheduler.RunOptions{Overrides: &task.TaskOverride{
				ContainerOverrides: []task.ContainerOverride{{Name: "web"}}}}, is(scheduler.ErrInvalid)},
			"started by": {define("app exit 0"), scheduler.RunOptions{StartedBy: "a b"}, is(scheduler.ErrInvalid)},
			"token":      {define("app exit 0"), scheduler.RunOptions{ClientToken: "a b"}, is(scheduler.ErrInvalid)},
		}
		for name, tt := range tests {
			if run, err := c.Run(t.Context(), tt.def, tt.o); run != nil || !tt.want(err) {
				t.Errorf("%s: %v, %v", name, run, err)
			}
		}
		if tasks, err := c.List(t.Context(), scheduler.ListOptions{}); err != nil || len(tasks) > 0 {
			t.Errorf("tasks after refusals: %v, %v", tasks, err)
		}
	})
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func TestClientToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		o := scheduler.RunOptions{ClientToken: "once"}
		first := mustRun(t, c, define("app exit 0"), o)
		second := mustRun(t, c, define("app exit 0"), o)
		if first.ID() != second.ID() {
			t.Errorf("two tasks for one token: %s and %s", first.ID(), second.ID())
		}
		o.Group = "other"
		if _, err := c.Run(t.Context(), define("app exit 0"), o); !errors.Is(err, scheduler.ErrConflict) {
			t.Errorf("other parameters: %v, want ErrConflict", err)
		}
		mustWait(t, first)
		<-time.After(25 * time.Hour) // the bubble's clock: the token is forgotten
		o.Group = ""
		third := mustRun(t, c, define("app exit 0"), o)
		if third.ID() == first.ID() {
			t.Error("the token still counts after a day")
		}
		mustWait(t, third)
	})
}

func TestDefinitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		ctx := t.Context()
		def := define("app exit 0")
		for want := 1; want <= 2; want++ { // the same content again is a new revision
			got, err := c.RegisterTaskDefinition(ctx, def)
			if err != nil || got.Revision != want || got.Status != task.DefinitionActive || got.RegisteredAt.IsZero() {
				t.Fatalf("registered %+v, %v", got, err)
			}
		}
		run := mustRun(t, c, def, scheduler.RunOptions{}) // and running it is not
		if got := mustWait(t, run); !strings.HasSuffix(got.TaskDefinitionARN, "task-definition/app:2") {
			t.Errorf("ran %s, want revision 2", got.TaskDefinitionARN)
		}
		if _, err := c.DeregisterTaskDefinition(ctx, "app:2"); err != nil {
			t.Fatal(err)
		}
		inactive, err := c.TaskDefinition(ctx, "app:2")
		if err != nil || inactive.Status != task.DefinitionInactive {
			t.Errorf("deregistered: %+v, %v", inactive, err)
		}
		if _, err := c.Run(ctx, inactive, scheduler.RunOptions{}); !errors.Is(err, scheduler.ErrInactive) {
			t.Errorf("run of an inactive revision: %v", err)
		}
		if got, err := c.TaskDefinition(ctx, "app"); err != nil || got.Revision != 1 {
			t.Errorf("newest active: %+v, %v, want revision 1", got, err)
		}
		if _, err := c.TaskDefinition(ctx, "app:3"); !errors.Is(err, scheduler.ErrNotFound) {
			t.Errorf("no such revision: %v", err)
		}
		foreign := inactive.Clone() // as describe-task-definition of another account prints it
		foreign.TaskDefinitionARN = "arn:aws:ecs:eu-west-1:123456789012:task-definition/app:41"
		if got, err := c.RegisterTaskDefinition(ctx, foreign); err != nil || got.Revision != 3 || got.Status != task.DefinitionActive {
			t.Errorf("registered again: %+v, %v, want revision 3", got, err)
		}
		if all, err := c.ListTaskDefinitions(ctx, ""); err != nil || len(all) != 3 {
			t.Errorf("%d definitions, %v, want 3", len(all), err)
		}
	})
}

func TestListAndDescribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		mustWait(t, mustRun(t, c, define("app exit 0"), scheduler.RunOptions{StartedBy: "me"}))
		run := mustRun(t, c, define("app serve"), scheduler.RunOptions{Group: "g"})
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		for want, o := range map[int]scheduler.ListOptions{
			2: {Family: "app"}, 1: {DesiredStatus: task.Running}, 0: {Family: "web"},
		} {
			if got, err := c.List(t.Context(), o); err != nil || len(got) != want {
				t.Errorf("List(%+v): %d tasks, %v, want %d", o, len(got), err, want)
			}
		}
		if got, err := c.List(t.Context(), scheduler.ListOptions{StartedBy: "me"}); err != nil || len(got) != 1 || got[0].LastStatus != task.Stopped {
			t.Errorf("started by me: %v, %v", got, err)
		}
		if got, err := c.Describe(t.Context(), run.ARN()); err != nil || got.Group != "g" || got.Attachments[0].Status != task.AttachmentAttached {
			t.Errorf("described %+v, %v", got, err)
		}
		if _, err := c.Describe(t.Context(), "0123456789abcdef0123456789abcdef"); !errors.Is(err, scheduler.ErrNotFound) {
			t.Errorf("unknown task: %v", err)
		}
		if _, err := c.Stop(t.Context(), "arn:aws:ecs:us-east-1:000000000000:task/other/0123456789abcdef0123456789abcdef", ""); !errors.Is(err, scheduler.ErrNotFound) {
			t.Errorf("another cluster's task: %v", err)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
	})
}

func TestStoppedTasksAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Retention = 10 * time.Minute
		c := w.open()
		defer w.end()
		run := mustRun(t, c, define("app exit 0"), scheduler.RunOptions{})
		mustWait(t, run)
		<-time.After(9 * time.Minute)
		if _, err := run.Output(t.Context(), "app"); err != nil {
			t.Errorf("before its time: %v", err)
		}
		<-time.After(3 * time.Minute)
		synctest.Wait()
		if _, err := run.Describe(t.Context()); !errors.Is(err, scheduler.ErrNotFound) {
			t.Errorf("after its time: %v, want ErrNotFound", err)
		}
		if out := w.machine.Log("logs/" + run.ID() + "/app.log"); out != "" {
			t.Errorf("its log is still there: %q", out)
		}
	})
}

// asked records what an authorizer was asked, and denies one action, or "*": everything to everybody but the host.
type asked struct {
	mu   sync.Mutex
	reqs []scheduler.Request
	deny string
}

func (a *asked) Authorize(_ context.Context, r scheduler.Request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reqs = append(a.reqs, r)
	if r.Action == a.deny || a.deny == "*" && r.Principal != "" {
		return errors.New("not you")
	}
	return nil
}

func TestEveryVerbIsAuthorized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		auth := &asked{}
		w.cfg.Authorizer = auth
		host := w.open()
		defer w.end()
		c := host.As("arn:aws:iam::000000000000:user/ann")
		ctx := t.Context()
		def := define("app serve")
		def.TaskRoleARN = "arn:aws:iam::000000000000:role/app"
		run := mustRun(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
		if _, err := run.WaitRunning(ctx); err != nil {
			t.Fatal(err)
		}
		verbs := map[string]func() error{
			"ecs:RegisterTaskDefinition":   func() error { _, err := c.RegisterTaskDefinition(ctx, def); return err },
			"ecs:DescribeTaskDefinition":   func() error { _, err := c.TaskDefinition(ctx, "app"); return err },
			"ecs:ListTaskDefinitions":      func() error { _, err := c.ListTaskDefinitions(ctx, ""); return err },
			"ecs:DeregisterTaskDefinition": func() error { _, err := c.DeregisterTaskDefinition(ctx, "app:1"); return err },
			"ecs:RunTask":                  func() error { _, err := c.Run(ctx, def, scheduler.RunOptions{}); return err },
			"iam:PassRole":                 func() error { _, err := c.Run(ctx, def, scheduler.RunOptions{}); return err },
			"ecs:DescribeTasks":            func() error { _, err := c.Describe(ctx, run.ID()); return err },
			"ecs:ListTasks":                func() error { _, err := c.List(ctx, scheduler.ListOptions{}); return err },
			"ecs:ExecuteCommand":           func() error { _, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{"x"}}); return err },
			"logs:GetLogEvents":            func() error { _, err := run.Output(ctx, "app"); return err },
			"ecs:StopTask":                 func() error { return run.Stop(ctx, "") },
			"ec2:DescribeVpcs":             func() error { _, err := c.Network(ctx); return err },
		}
		for action, verb := range verbs {
			auth.deny = action
			if err := verb(); !errors.Is(err, scheduler.ErrAccessDenied) {
				t.Errorf("%s denied: %v, want ErrAccessDenied", action, err)
			}
		}
		auth.deny = ""
		i := slices.IndexFunc(auth.reqs, func(r scheduler.Request) bool { return r.Action == "ecs:RunTask" })
		got := auth.reqs[i]
		if got.Principal != "arn:aws:iam::000000000000:user/ann" || !strings.HasSuffix(got.Resource, ":task-definition/app:1") ||
			got.Conditions["ecs:cluster"][0] != c.ARN() {
			t.Errorf("asked %+v", got)
		}
		if err := run.Stop(ctx, ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
	})
}

func TestCancelledContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Run(ctx, define("app exit 0"), scheduler.RunOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		run := mustRun(t, c, define("app serve"), scheduler.RunOptions{})
		if _, err := run.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait: %v", err)
		}
		if _, err := io.ReadAll(run.Logs(ctx, "app")); !errors.Is(err, context.Canceled) {
			t.Errorf("Logs: %v", err)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
	})
}

func TestClosedCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		run := mustRun(t, c, define("app serve"), scheduler.RunOptions{})
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		waited := make(chan error, 1)
		go func() { _, err := run.Wait(context.Background()); waited <- err }()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; !errors.Is(err, scheduler.ErrClosed) {
			t.Errorf("Wait across Close: %v, want ErrClosed", err)
		}
		if _, err := c.Run(context.Background(), define("app exit 0"), scheduler.RunOptions{}); !errors.Is(err, scheduler.ErrClosed) {
			t.Errorf("Run after Close: %v, want ErrClosed", err)
		}
		if running := w.machine.Running(); len(running) != 1 {
			t.Errorf("%d containers run after Close, want 1: it detaches", len(running))
		}
		c = w.open() // adopts it
		defer w.end()
		again, err := c.Lookup(t.Context(), run.ID())
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if got := mustWait(t, again); *got.Containers[0].ExitCode != 143 {
			t.Errorf("adopted and stopped: %+v", got.Containers[0])
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	_, err := scheduler.New(scheduler.Config{Name: "a b", Account: "1", Region: "Here"})
	for _, want := range []string{"Store", "Driver", "Fabric", "Name", "Account", "Region"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+want) {
			t.Errorf("New: %v, want it to name Config.%s", err, want)
		}
	}
}
