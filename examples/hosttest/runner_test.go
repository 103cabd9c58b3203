package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fardel-io/fardel/network/fake"
	"github.com/fardel-io/fardel/runtime"
	runtimefake "github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

// job is what runs in the fake containers: a Go function in the place of an image.
func job(ctx context.Context, p *runtimefake.Process) int {
	switch p.Args[0] {
	case "echo":
		fmt.Fprintln(p.Stdout, strings.Join(p.Args[1:], " "))
		return 0
	case "false":
		return 1
	case "hog":
		_ = p.Alloc(1 << 30) // more than the task has: it is killed
	}
	<-ctx.Done() // everything else hangs
	return 0
}

// newRunner returns a runner on a cluster of fakes, and the machine that its tasks "run" on.
func newRunner(t *testing.T, auth scheduler.Authorizer) (*Runner, *runtimefake.Machine) {
	t.Helper()
	driver := runtimefake.New(runtimefake.Config{Images: map[string]runtimefake.Image{"busybox": {Main: job}}})
	cluster, err := scheduler.Open(t.Context(), scheduler.Config{
		Store: store.NewMemory(), Driver: driver, Fabric: fake.New(fake.Config{}), Authorizer: auth,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
		driver.Machine().Close()
	})
	return &Runner{Cluster: cluster, Image: "busybox", Timeout: time.Minute}, driver.Machine()
}

func TestDo(t *testing.T) {
	tests := map[string]struct {
		command []string
		image   string
		code    int
		out     string
		err     string // part of it
	}{
		"succeeds":        {command: []string{"echo", "hello", "world"}, out: "hello world\n"},
		"fails":           {command: []string{"false"}, code: 1},
		"out of memory":   {command: []string{"hog"}, err: "exited with 137: OutOfMemoryError"},
		"takes too long":  {command: []string{"hang"}, err: "job took too long: more than 1m0s"},
		"image not there": {command: []string{"echo"}, image: "nosuch", err: "job did not start: CannotPullContainerError"},
		"image misnamed":  {command: []string{"echo"}, image: "no such", err: "Container.image contains invalid characters."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// In a synctest bubble the minute of the time-out passes at once.
			synctest.Test(t, func(t *testing.T) {
				r, machine := newRunner(t, nil)
				if tt.image != "" {
					r.Image = tt.image
				}
				var out strings.Builder
				res, err := r.Do(t.Context(), tt.command, &out)
				if err == nil && tt.err != "" || err != nil && (tt.err == "" || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("Do: %v, want %q", err, tt.err)
				}
				if res.ExitCode != tt.code || out.String() != tt.out {
					t.Errorf("exit code %d, output %q, want %d, %q", res.ExitCode, out.String(), tt.code, tt.out)
				}
				if running := machine.Running(); len(running) > 0 {
					t.Errorf("left running: %v", running)
				}
			})
		})
	}
}

// denyAll is an authorizer for a test of what the program does when it may do nothing.
type denyAll struct{}

func (denyAll) Authorize(context.Context, scheduler.Request) error { return errors.New("not today") }

func TestDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRunner(t, denyAll{})
		if _, err := r.Do(t.Context(), []string{"echo"}, &strings.Builder{}); !errors.Is(err, scheduler.ErrAccessDenied) {
			t.Errorf("Do: %v, want ErrAccessDenied", err)
		}
	})
}

// TestVanished ends a container from outside, as a crash of the machine would.
func TestVanished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, machine := newRunner(t, nil)
		done := make(chan error, 1)
		go func() {
			_, err := r.Do(t.Context(), []string{"hang"}, &strings.Builder{})
			done <- err
		}()
		synctest.Wait()
		for _, id := range machine.Running() {
			machine.End(id, runtime.Exit{Code: 137, OOMKilled: true})
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), task.ReasonOutOfMemory) {
			t.Errorf("Do: %v", err)
		}
	})
}
