package fake_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/task"
)

// app is an image whose program does one thing.
func app(main fake.Program) map[string]fake.Image {
	return map[string]fake.Image{"app:1": {Main: main}}
}

func untilDone(ctx context.Context, _ *fake.Process) int {
	<-ctx.Done()
	return 0
}

// started is a driver with one running container named "c" in a sandbox named "s".
func started(t *testing.T, cfg fake.Config, change ...func(*runtime.ContainerSpec)) *fake.Driver {
	t.Helper()
	d := fake.New(cfg)
	t.Cleanup(d.Machine().Close)
	ctx := t.Context()
	img, err := d.Pull(ctx, runtime.ImageSpec{Ref: "app:1"})
	if err != nil {
		t.Fatal(err)
	}
	spec := runtime.ContainerSpec{ID: "c", SandboxID: "s", Image: img.Ref, Log: "log"}
	for _, f := range change {
		f(&spec)
	}
	if err := errors.Join(d.CreateSandbox(ctx, runtime.SandboxSpec{ID: "s", Size: task.Size{CPU: 256, Memory: 64}}),
		d.CreateContainer(ctx, spec), d.Start(ctx, "c")); err != nil {
		t.Fatal(err)
	}
	return d
}

func wait(t *testing.T, d *fake.Driver) runtime.Exit {
	t.Helper()
	exit, err := d.Wait(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

func TestFail(t *testing.T) {
	broken := errors.New("broken")
	var calls []string
	failing := ""
	cfg := fake.Config{Images: app(untilDone), Fail: func(method, id string) error {
		calls = append(calls, method+" "+id)
		if method == failing {
			return broken
		}
		return nil
	}}
	d := started(t, cfg)
	want := []string{"Pull app:1", "CreateSandbox s", "CreateContainer c", "Start c"}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	failing = "Kill"
	if err := d.Kill(t.Context(), "c", "SIGKILL"); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if running := d.Machine().Running(); len(running) != 1 {
		t.Errorf("a call that failed had an effect: %v", running)
	}
}

func TestFailAfter(t *testing.T) {
	lost := errors.New("answer lost")
	d := started(t, fake.Config{Images: app(untilDone), FailAfter: func(method, _ string) error {
		if method == "Kill" {
			return lost
		}
		return nil
	}})
	if err := d.Kill(t.Context(), "c", "SIGKILL"); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	if exit := wait(t, d); exit.Code != 137 {
		t.Errorf("a call whose answer got lost had no effect: %+v", exit)
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fake.New(fake.Config{Images: app(untilDone), Delay: func(method, _ string) time.Duration {
			if method == "Pull" {
				return time.Minute
			}
			return 0
		}})
		defer d.Machine().Close()
		start := time.Now()
		if _, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: "app:1"}); err != nil || time.Since(start) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := d.Pull(ctx, runtime.ImageSpec{Ref: "app:1"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("cancelled: %v after %s", err, time.Since(start))
		}
	})
}

func TestSpendFollowsSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		d := started(t, fake.Config{Images: app(func(ctx context.Context, p *fake.Process) int {
			if p.Spend(ctx, time.Second) != nil {
				return 1
			}
			return 0
		})})
		if exit := wait(t, d); exit.Code != 0 || time.Since(start) != 4*time.Second {
			t.Errorf("one second on a quarter of a processor: %+v after %s", exit, time.Since(start))
		}
		stats, err := d.Stats(t.Context(), "s")
		if err != nil || stats.CPU != time.Second || stats.CPUThrottledTime != 3*time.Second || stats.CPUPeriods != 40 {
			t.Errorf("got %+v, %v", stats, err)
		}
	})
}

func TestMachineEnd(t *testing.T) {
	d := started(t, fake.Config{Images: app(untilDone)})
	if !d.Machine().End("c", runtime.Exit{Code: 137, OOMKilled: true}) {
		t.Error("End found nothing to end")
	}
	if exit := wait(t, d); !exit.OOMKilled || exit.Code != 137 || exit.At.IsZero() {
		t.Errorf("got %+v", exit)
	}
	if d.Machine().End("c", runtime.Exit{}) || d.Machine().End("none", runtime.Exit{}) {
		t.Error("End of what does not run")
	}
}

func TestCrash(t *testing.T) {
	d := started(t, fake.Config{Images: app(untilDone)})
	waiting := make(chan error, 1)
	go func() {
		_, err := d.Wait(context.Background(), "c")
		waiting <- err
	}()
	d.Machine().Crash()
	if err := <-waiting; !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("a waiter: got %v, want ErrClosed", err)
	}
	if err := d.Start(t.Context(), "c"); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("a call: got %v, want ErrClosed", err)
	}
	next := fake.New(fake.Config{Machine: d.Machine()})
	inventory, err := next.List(t.Context())
	if err != nil || len(inventory.Containers) != 1 || inventory.Containers[0].State != runtime.StateRunning {
		t.Errorf("the next driver: %+v, %v", inventory, err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if err := next.Start(t.Context(), "c"); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

func TestPanicIsTheProgramsEnd(t *testing.T) {
	d := started(t, fake.Config{Images: app(func(context.Context, *fake.Process) int { panic("oh no") })})
	if exit := wait(t, d); exit.Code != 2 {
		t.Errorf("got %+v", exit)
	}
	if log := d.Machine().Log("log"); log != "panic: oh no\n" {
		t.Errorf("log %q", log)
	}
}

func TestStubbornProgram(t *testing.T) {
	release := make(chan struct{})
	d := started(t, fake.Config{Images: app(func(ctx context.Context, p *fake.Process) int {
		<-release
		fmt.Fprintln(p.Stdout, "too late")
		return 3
	})})
	if err := d.Kill(t.Context(), "c", "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, d); exit.Code != 137 {
		t.Errorf("a program that does not return: %+v", exit)
	}
	close(release)
	d.Machine().Close()
	if log := d.Machine().Log("log"); log != "" {
		t.Errorf("what it wrote after its end: %q", log)
	}
}

func TestSignals(t *testing.T) { synctest.Test(t, signals) }

func signals(t *testing.T) {
	d := started(t, fake.Config{Images: app(func(ctx context.Context, p *fake.Process) int {
		p.Ignore(fake.SIGINT)
		reload := p.Notify(fake.SIGHUP, fake.SIGTERM)
		fmt.Fprintln(p.Stdout, "ready")
		for {
			select {
			case s := <-reload:
				if s == fake.SIGTERM {
					return 5
				}
				fmt.Fprintln(p.Stdout, "reload")
			case <-ctx.Done():
				return 0
			}
		}
	})})
	synctest.Wait()
	for _, signal := range []string{"SIGINT", "SIGCHLD", "SIGHUP", ""} {
		if err := d.Kill(t.Context(), "c", signal); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
	if exit := wait(t, d); exit.Code != 5 || d.Machine().Log("log") != "ready\nreload\n" {
		t.Errorf("got %+v and %q", exit, d.Machine().Log("log"))
	}
}

func TestImages(t *testing.T) {
	d := fake.New(fake.Config{
		Images:   map[string]fake.Image{"known": {Main: untilDone, Config: runtime.Image{Platform: "linux/riscv64"}}},
		AnyImage: &fake.Image{Main: untilDone},
	})
	defer d.Machine().Close()
	ctx := t.Context()
	other, err := d.Pull(ctx, runtime.ImageSpec{Ref: "host:5000/what/ever@sha256:" + strings.Repeat("a", 64)})
	if err != nil || other.Digest != "sha256:"+strings.Repeat("a", 64) {
		t.Errorf("any image: %+v, %v", other, err)
	}
	if _, err := d.Pull(ctx, runtime.ImageSpec{Ref: "known", Platform: "linux/amd64"}); !errors.Is(err, runtime.ErrImagePlatform) {
		t.Errorf("another platform: %v", err)
	}
	if images, err := d.Images(ctx); err != nil || len(images) != 1 {
		t.Errorf("images present: %+v, %v; want what was pulled", images, err)
	}
	strict := fake.New(fake.Config{})
	defer strict.Machine().Close()
	if _, err := strict.Pull(ctx, runtime.ImageSpec{Ref: "known"}); !errors.Is(err, runtime.ErrImageNotFound) {
		t.Errorf("unknown image: %v", err)
	}
}

func TestProcessSeesItsSpec(t *testing.T) {
	seen := make(chan *fake.Process, 1)
	d := started(t, fake.Config{Images: app(func(_ context.Context, p *fake.Process) int {
		seen <- p
		return 0
	})}, func(spec *runtime.ContainerSpec) {
		spec.Mounts = []runtime.Mount{{Source: "/a", Destination: "/b"}}
		spec.User, spec.WorkingDir, spec.Env = "app", "/srv", []string{"K=v"}
	})
	wait(t, d)
	p := <-seen
	if len(p.Container.Mounts) != 1 || p.Sandbox.Size.CPU != 256 || p.User != "app" || p.Dir != "/srv" || p.Getenv("K") != "v" || p.Getenv("none") != "" {
		t.Errorf("got %+v", p)
	}
}
