//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
)

func TestCheckEntry(t *testing.T) {
	for _, c := range []struct {
		name          string
		there         []neighbour
		entry, tracer bool // allowed
	}{
		{"nobody", nil, true, true},
		{"itself", []neighbour{{id: "x", mayTrace: true, state: runtime.StateCreated}}, true, true},
		{"others that run", []neighbour{{id: "a", state: runtime.StateRunning}, {id: "b", state: runtime.StateStopped}}, true, true},
		{"one that waits", []neighbour{{id: "a", state: runtime.StateRunning}, {id: "b", state: runtime.StateCreated}}, true, false},
		{"a tracer that waits", []neighbour{{id: "a", mayTrace: true, state: runtime.StateCreated}}, true, false},
		{"a tracer that runs", []neighbour{{id: "b", state: runtime.StateStopped}, {id: "a", mayTrace: true, state: runtime.StateRunning}}, false, true},
		{"a tracer that has ended", []neighbour{{id: "a", mayTrace: true, state: runtime.StateStopped}}, true, true},
	} {
		if err := checkEntry(c.there); (err == nil) != c.entry || err != nil && !errors.Is(err, runtime.ErrUnsupported) {
			t.Errorf("%s: entry %v", c.name, err)
		}
		if err := checkTracer("x", c.there); (err == nil) != c.tracer || err != nil && !errors.Is(err, runtime.ErrUnsupported) {
			t.Errorf("%s: tracer %v", c.name, err)
		}
	}
}

func TestIsRuntime(t *testing.T) {
	for _, c := range []struct {
		comm, exe, runtime string
		want               bool
	}{
		{"runc:[2:INIT]", "/", "runc", true}, // its executable is a mount of one file
		{"runc:[1:CHILD]", "/memfd:runc_cloned:/proc/self/exe (deleted)", "runc", true},
		{"6", "/memfd:crun_cloned (deleted)", "crun", true},
		{"exe", "/usr/sbin/runc", "runc", true},
		{"runc:[2:INIT]", "/", "runc-1.5.3", true}, // it names itself so whatever its file is called
		{"exe", "/opt/runc-1.5.3 (deleted)", "runc-1.5.3", true},
		{"6", "/memfd:crun_cloned (deleted)", "crun.patched", true},
		{"crunch", "/usr/bin/crunch", "runc", false},
		{"guest", "/guest", "runc", false},
	} {
		if got := isRuntime(c.comm, c.exe, c.runtime); got != c.want {
			t.Errorf("%s, %s: %t", c.comm, c.exe, got)
		}
	}
}

// TestHostileTracerIsAlone asks a driver for what would bring the OCI runtime to a container that may trace.
func TestHostileTracerIsAlone(t *testing.T) {
	dir := prepareCrash(t)
	d, _ := sharing(t, dir)
	defer d.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	img := crashRef(t, d)
	make := func(id string, capabilities ...string) error {
		return d.CreateContainer(ctx, runtime.ContainerSpec{
			ID: id, SandboxID: "shared", Image: img, Entrypoint: []string{"/guest"}, Command: []string{"hang"}, CapAdd: capabilities,
		})
	}
	exec := func(id string) error {
		_, err := d.Exec(ctx, id, runtime.ExecSpec{Args: []string{"/guest", "exit 0"}})
		return err
	}
	refused := func(name string, err error) {
		t.Helper()
		hostiletest.Report(t, name, !errors.Is(err, runtime.ErrUnsupported), fmt.Sprint(err))
	}
	if err := errors.Join(make("app"), d.Start(ctx, "app"), make("ends"), make("tracer", "SYS_PTRACE"), exec("app")); err != nil {
		t.Fatal(err)
	}
	refused("start a tracer while another waits for its start", d.Start(ctx, "tracer"))
	if err := errors.Join(d.Start(ctx, "ends"), d.Kill(ctx, "ends", "SIGKILL")); err != nil {
		t.Fatal(err)
	}
	_, err := d.Wait(ctx, "ends")
	if err := errors.Join(err, d.Start(ctx, "tracer")); err != nil {
		t.Fatal(err)
	}
	refused("add a process to a tracer", exec("tracer"))
	refused("add a process beside a tracer", exec("app"))
	refused("make a container beside a tracer", make("late"))
	refused("make a second tracer beside a tracer", make("second", "CAP_SYS_PTRACE"))
	refused("restart a container beside a tracer", d.Restart(ctx, "ends", 1, nil))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = crashDriver(t, dir)
	defer d.Close()
	refused("add a process beside a tracer that is taken over", exec("app"))
	if err := d.Kill(ctx, "tracer", "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Wait(ctx, "tracer"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(exec("app"), make("late"), d.Restart(ctx, "tracer", 1, nil), d.Start(ctx, "late"), d.Start(ctx, "tracer")); err != nil {
		t.Errorf("when the tracer has ended: %v", err)
	}
	if err := d.RemoveSandbox(ctx, "shared"); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, d)
}
