package fake_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/runtime/runtimetest"
	"github.com/fardel-io/fardel/runtime/runtimetest/guest"
)

// guestMain runs the suite's program in a fake process.
func guestMain(ctx context.Context, p *fake.Process) int {
	return guest.Run(ctx, guest.Process{
		Args: p.Args, Env: p.Env, Dir: p.Dir, Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr,
		Ignore: func(n int) { p.Ignore(fake.Signal(n)) },
		Catch:  func(n int) <-chan struct{} { return forward(ctx, p.Notify(fake.Signal(n))) },
		Size: func() (columns, rows uint16, ok bool) {
			size, ok := p.WindowSize()
			return size.Width, size.Height, ok
		},
		Alloc: func(mib int) error { return p.Alloc(int64(mib) << 20) },
		Spin: func(ctx context.Context) {
			for p.Spend(ctx, 10*time.Millisecond) == nil {
			}
		},
	})
}

func forward(ctx context.Context, from <-chan fake.Signal) <-chan struct{} {
	to := make(chan struct{}, 8)
	go func() {
		for {
			select {
			case <-from:
				to <- struct{}{}
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

func open(t *testing.T) runtimetest.Fixture {
	driver := fake.New(fake.Config{})
	machine := driver.Machine()
	t.Cleanup(machine.Close)
	return runtimetest.Fixture{
		Driver: driver,
		AddImage: func(_ context.Context, ref string, config runtime.Image) error {
			return driver.AddImage(ref, fake.Image{
				Config: config, Programs: map[string]fake.Program{"/guest": guestMain},
				Users: []string{"app"}, Groups: []string{"app", "audio"},
			})
		},
		Publish: func(_ context.Context, name string, size int) (string, error) {
			ref := "registry.test/" + name + ":1"
			return ref, driver.AddImage(ref, fake.Image{
				Config:   runtime.Image{Entrypoint: []string{"/guest"}, Size: int64(size)},
				Programs: map[string]fake.Program{"/guest": guestMain},
			})
		},
		Reopen: func(*testing.T) runtime.Driver {
			machine.Crash()
			return fake.New(fake.Config{Machine: machine})
		},
		Leftovers:    func(context.Context) ([]string, error) { return machine.Running(), nil },
		MissingImage: "fardel.test/missing:1",
		Lacks:        []runtimetest.Feature{runtimetest.Kernel},
	}
}

func TestDriver(t *testing.T) {
	for name, check := range runtimetest.Checks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { check(t, open(t)) })
		})
	}
}

// TestDriverInRealTime wants that nothing depends on the clock of a bubble.
func TestDriverInRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the suite's measurements")
	}
	runtimetest.Run(t, open)
}

func Example() {
	driver := fake.New(fake.Config{Images: map[string]fake.Image{
		"app:1": {Main: func(_ context.Context, p *fake.Process) int {
			fmt.Fprintln(p.Stdout, "hello from", p.Getenv("NAME"))
			return 3
		}},
	}})
	defer driver.Machine().Close()

	ctx := context.Background()
	img, err := driver.Pull(ctx, runtime.ImageSpec{Ref: "app:1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = driver.CreateSandbox(ctx, runtime.SandboxSpec{ID: "task"})
	_ = driver.CreateContainer(ctx, runtime.ContainerSpec{
		ID: "task-app", SandboxID: "task", Image: img.Ref, Env: []string{"NAME=fardel"}, Log: "app.log",
	})
	_ = driver.Start(ctx, "task-app")
	exit, err := driver.Wait(ctx, "task-app")
	fmt.Println(exit.Code, err)
	fmt.Print(driver.Machine().Log("app.log"))
	// Output:
	// 3 <nil>
	// hello from fardel
}
