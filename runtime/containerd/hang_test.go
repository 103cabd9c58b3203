//go:build linux

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// hangingRuntime is an OCI runtime that hangs in the verbs for which there is a file, with a process of its own below it as
// a runtime has that waits in a container, and notes that it does.
const hangingRuntime = `#!/bin/sh
for verb; do
	case $verb in create|start|exec|kill|delete|state)
		if [ -e %[1]s/hang-$verb ]; then
			: > %[1]s/in-$verb
			sleep 150 # longer than anybody waits; what a test leaves ends
		fi
		break
	esac
done
exec %[2]s "$@"
`

// hangs is a driver with such a runtime.
type hangs struct {
	t      *testing.T
	dir    string
	cfg    Config
	socket string // of a daemon; "" is an embedded driver
	d      *Driver
}

func newHangs(t *testing.T, socket string) *hangs {
	t.Helper()
	binary := lane.Command(t, "runc")
	h := &hangs{t: t, dir: t.TempDir(), socket: socket}
	script := filepath.Join(h.dir, "hanging")
	if err := os.WriteFile(script, fmt.Appendf(nil, hangingRuntime, h.dir, binary), 0o700); err != nil {
		t.Fatal(err)
	}
	h.cfg = Config{Dir: filepath.Join(h.dir, "driver"), Owner: fmt.Sprintf("hang-%d-%s", os.Getpid(), strings.ToLower(rand.Text()[:8])), Runtime: script, callPatience: 2 * time.Second}
	h.open()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if names, err := leftovers(ctx, h.d); err != nil || len(names) > 0 {
			t.Errorf("left over: %v, %q", err, names)
		}
		h.awaitShims(ctx)
		closeEmpty(t, h.d)
	})
	if err := addGuest(t, h.d, crashImage, runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		t.Fatal(err)
	}
	return h
}

// awaitShims wants that a daemon's shims have ended, too.
func (h *hangs) awaitShims(ctx context.Context) {
	h.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			h.t.Fatal(err)
		}
		left := slices.DeleteFunc(lines, func(file string) bool {
			line, err := os.ReadFile(file)
			return err != nil || !strings.Contains(string(line), "\x00-namespace\x00"+h.d.namespace+"\x00")
		})
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Errorf("shims are left: %q", left)
			return
		}
	}
}

func (h *hangs) open() {
	h.t.Helper()
	if h.socket == "" {
		h.d = openWith(h.t, h.cfg)
		return
	}
	cfg := h.cfg
	cfg.Logger = slog.New(slog.NewTextHandler(h.t.Output(), nil))
	var err error
	if h.d, err = Connect(h.t.Context(), h.socket, cfg); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hangs) hang(verb string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, "hang-"+verb), nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// awaitHang returns when the runtime hangs.
func (h *hangs) awaitHang(verb string) {
	h.t.Helper()
	awaitFile(h.t, filepath.Join(h.dir, "in-"+verb))
}

func (h *hangs) spec(id string, command ...string) runtime.ContainerSpec {
	return runtime.ContainerSpec{
		ID: id, SandboxID: "s", Image: crashImage, Entrypoint: []string{"/guest"}, Command: command, Log: filepath.Join(h.dir, id+".log"),
	}
}

func (h *hangs) must(what string, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
}

func (h *hangs) sandbox(share bool) {
	h.t.Helper()
	h.must("CreateSandbox", h.d.CreateSandbox(h.t.Context(), runtime.SandboxSpec{ID: "s", Size: task.Size{CPU: 1024, Memory: 128}, SharePID: share}))
}

func (h *hangs) running(id string) {
	h.t.Helper()
	h.must("CreateContainer", h.d.CreateContainer(h.t.Context(), h.spec(id, "out up", "hang")))
	h.must("Start", h.d.Start(h.t.Context(), id))
}

// within reports a call that took longer than it may as a success of the attack. The bound is for machines whose cores are
// taken; what it takes is in the log.
func (h *hangs) within(name string, bound time.Duration, f func() error) error {
	h.t.Helper()
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- f() }()
	select {
	case err := <-done:
		hostiletest.Report(h.t, name, false, fmt.Sprintf("returned after %v with %v", time.Since(began).Round(time.Millisecond), err))
		return err
	case <-time.After(bound):
		hostiletest.Report(h.t, name, true, fmt.Sprintf("has not returned after %v", bound))
		return <-done
	}
}

// The bounds: what a cancelled context may take, generously, and what is waited for twice the patience of the driver.
const (
	atOnce       = 5 * time.Second
	withPatience = 40 * time.Second
)

// cancelled wants that a call ends with its context.
func (h *hangs) cancelled(verb string, f func(ctx context.Context) error) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	h.awaitHang(verb)
	cancel()
	err := h.within("the OCI runtime hangs in "+verb+", and the call is cancelled", atOnce, func() error { return <-done })
	if !errors.Is(err, context.Canceled) {
		h.t.Errorf("cancelled: %v", err)
	}
}

func (h *hangs) removed(verb string) {
	h.t.Helper()
	h.must("RemoveSandbox", h.within("the OCI runtime hangs in "+verb+", and the sandbox is removed", withPatience, func() error {
		return h.d.RemoveSandbox(h.t.Context(), "s")
	}))
}

func TestHostileRuntimeHangs(t *testing.T) {
	lane.Root(t)
	runtimeHangs(t, "")
}

func TestHostileRuntimeHangsDaemon(t *testing.T) {
	lane.Root(t)
	runtimeHangs(t, startDaemon(t, os.Getenv("FARDEL_CONTAINERD")))
}

func runtimeHangs(t *testing.T, socket string) {
	t.Run("create", func(t *testing.T) {
		h := newHangs(t, socket)
		h.sandbox(false)
		h.running("other")
		h.hang("create")
		h.cancelled("create", func(ctx context.Context) error { return h.d.CreateContainer(ctx, h.spec("app", "hang")) })
		h.must("RemoveContainer", h.within("remove a container that is being undone", withPatience, func() error {
			return h.d.RemoveContainer(t.Context(), "app")
		}))
		if inv, err := h.d.List(t.Context()); err != nil || len(inv.Containers) != 1 || inv.Containers[0].State != runtime.StateRunning {
			t.Errorf("the other container does not go on: %+v, %v", inv.Containers, err)
		}
		h.removed("create")
	})
	t.Run("create removed", func(t *testing.T) {
		h := newHangs(t, socket)
		h.sandbox(false)
		h.hang("create")
		done := make(chan error, 1)
		go func() { done <- h.d.CreateContainer(t.Context(), h.spec("app", "hang")) }()
		h.awaitHang("create")
		h.removed("create")
		if err := h.within("CreateContainer, whose sandbox is removed", atOnce, func() error { return <-done }); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("created: %v", err)
		}
	})
	t.Run("create closed", func(t *testing.T) {
		h := newHangs(t, socket)
		h.sandbox(false)
		h.hang("create")
		done := make(chan error, 1)
		go func() { done <- h.d.CreateContainer(t.Context(), h.spec("app", "hang")) }()
		h.awaitHang("create")
		h.must("Close", h.within("the OCI runtime hangs in create, and the driver is closed", withPatience, h.d.Close))
		if err := <-done; !errors.Is(err, runtime.ErrClosed) {
			t.Errorf("created: %v", err)
		}
		_ = h.within("the OCI runtime hangs in create, and the next driver opens", withPatience, func() error { h.open(); return nil })
		h.removed("create")
	})
	t.Run("create too long", func(t *testing.T) {
		h := newHangs(t, socket)
		h.d.cfg.callTimeout = 3 * time.Second
		h.sandbox(false)
		h.hang("create")
		err := h.within("the OCI runtime hangs in create", withPatience, func() error { return h.d.CreateContainer(t.Context(), h.spec("app", "hang")) })
		if err == nil || !strings.Contains(err.Error(), "has not answered") {
			t.Errorf("created: %v", err)
		}
		h.removed("create")
	})
	t.Run("start", func(t *testing.T) {
		h := newHangs(t, socket)
		h.sandbox(false)
		h.must("CreateContainer", h.d.CreateContainer(t.Context(), h.spec("app", "hang")))
		h.hang("start")
		h.cancelled("start", func(ctx context.Context) error { return h.d.Start(ctx, "app") })
		h.removed("start")
	})
	t.Run("start killed", func(t *testing.T) {
		h := newHangs(t, socket)
		h.sandbox(false)
		h.must("CreateContainer", h.d.CreateContainer(t.Context(), h.spec("app", "hang")))
		h.hang("start")
		done := make(chan error, 1)
		go func() { done <- h.d.Start(t.Context(), "app") }()
		h.awaitHang("start")
		h.must("Kill", h.d.Kill(t.Context(), "app", "SIGKILL"))
		err := h.within("the OCI runtime hangs in start, and the container is killed", withPatience, func() error { return expect(t.Context(), h.d, "app", 137) })
		h.must("Wait", err)
		_ = h.within("start of a container that was killed", withPatience, func() error { return <-done })
		h.removed("start")
	})
	t.Run("start closed", func(t *testing.T) {
		h := newHangs(t, socket)
		h.sandbox(false)
		h.must("CreateContainer", h.d.CreateContainer(t.Context(), h.spec("app", "hang")))
		h.hang("start")
		done := make(chan error, 1)
		go func() { done <- h.d.Start(t.Context(), "app") }()
		h.awaitHang("start")
		h.must("Close", h.within("the OCI runtime hangs in start, and the driver is closed", withPatience, h.d.Close))
		<-done
		_ = h.within("the OCI runtime hangs in start, and the next driver opens", withPatience, func() error { h.open(); return nil })
		h.removed("start")
	})
	t.Run("exec", func(t *testing.T) {
		h := newHangs(t, socket)
		h.sandbox(false)
		h.running("app")
		h.hang("exec")
		h.cancelled("exec", func(ctx context.Context) error {
			_, err := h.d.Exec(ctx, "app", runtime.ExecSpec{Args: []string{"/guest", "hang"}})
			return err
		})
		if inv, err := h.d.List(t.Context()); err != nil || len(inv.Containers) != 1 || inv.Containers[0].State != runtime.StateRunning {
			t.Errorf("the container does not go on: %+v, %v", inv.Containers, err)
		}
		h.removed("exec")
	})
	t.Run("exec closed", func(t *testing.T) {
		h := newHangs(t, socket)
		h.sandbox(false)
		h.running("app")
		h.hang("exec")
		done := make(chan error, 1)
		go func() {
			_, err := h.d.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{"/guest", "hang"}})
			done <- err
		}()
		h.awaitHang("exec")
		h.must("Close", h.within("the OCI runtime hangs in exec, and the driver is closed", withPatience, h.d.Close))
		<-done
		_ = h.within("the OCI runtime hangs in exec, and the next driver opens", withPatience, func() error { h.open(); return nil })
		h.must("Exec", h.unhang("exec"))
		code, err := h.d.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{"/guest", "exit 3"}})
		if code != 3 || err != nil {
			t.Errorf("Exec of the next driver: %d, %v", code, err)
		}
		h.removed("exec")
	})
	t.Run("kill", func(t *testing.T) {
		h := newHangs(t, socket)
		h.hang("kill") // of all processes, which a shim wants where the PID namespace is shared
		h.sandbox(true)
		h.running("app")
		h.must("Kill", h.within("the OCI runtime hangs in kill", atOnce, func() error { return h.d.Kill(t.Context(), "app", "SIGTERM") }))
		h.must("Kill", h.d.Kill(t.Context(), "app", "SIGKILL"))
		h.must("Wait", h.within("the OCI runtime hangs in kill, and the container has ended", withPatience, func() error {
			_, err := h.d.Wait(t.Context(), "app")
			return err
		}))
		h.removed("kill")
	})
	t.Run("delete", func(t *testing.T) {
		h := newHangs(t, socket)
		h.hang("delete")
		h.sandbox(false)
		h.running("app")
		h.running("other")
		h.must("Kill", h.d.Kill(t.Context(), "app", "SIGKILL"))
		h.must("Wait", h.within("the OCI runtime hangs in delete, and the container is killed", withPatience, func() error { return expect(t.Context(), h.d, "app", 137) }))
		h.removed("delete")
	})
	t.Run("delete closed", func(t *testing.T) {
		h := newHangs(t, socket)
		h.hang("delete")
		h.sandbox(false)
		h.running("app")
		h.must("Kill", h.d.Kill(t.Context(), "app", "SIGKILL"))
		h.awaitHang("delete")
		h.must("Close", h.within("the OCI runtime hangs in delete, and the driver is closed", withPatience, h.d.Close))
		_ = h.within("the OCI runtime hangs in delete, and the next driver opens", withPatience, func() error { h.open(); return nil })
		h.must("Wait", expect(t.Context(), h.d, "app", 137))
		h.removed("delete")
	})
}

// TestHostileShimHangs has the process that runs a sandbox's containers stop, as a bug of it would.
func TestHostileShimHangs(t *testing.T) {
	lane.Root(t)
	stop := func(h *hangs) {
		h.t.Helper()
		var p process
		if found, err := readJSON(filepath.Join(h.d.sandboxDir("s"), shimFile), &p); err != nil || !found {
			h.t.Fatal(found, err)
		}
		h.must("SIGSTOP", syscall.Kill(p.PID, syscall.SIGSTOP))
	}
	t.Run("removed", func(t *testing.T) {
		h := newHangs(t, "")
		h.sandbox(false)
		h.running("app")
		stop(h)
		h.removed("its shim")
	})
	t.Run("closed", func(t *testing.T) {
		h := newHangs(t, "")
		h.sandbox(false)
		h.running("app")
		h.running("other")
		stop(h)
		h.must("Close", h.within("the shim hangs, and the driver is closed", withPatience, h.d.Close))
		_ = h.within("the shim hangs, and the next driver opens", withPatience, func() error { h.open(); return nil })
		for _, id := range []string{"app", "other"} {
			h.must("Wait", expect(t.Context(), h.d, id, 137))
		}
		h.removed("its shim")
	})
}

func (h *hangs) unhang(verb string) error { return os.Remove(filepath.Join(h.dir, "hang-"+verb)) }

// expect waits for the end of a container.
func expect(ctx context.Context, d *Driver, id string, code int) error {
	exit, err := d.Wait(ctx, id)
	if err == nil && exit.Code != code {
		err = fmt.Errorf("ended with %d, want %d", exit.Code, code)
	}
	return err
}
