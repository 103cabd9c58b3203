//go:build linux

package containerd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
)

// startChild starts a host program and returns when it is ready. The returned function kills it with SIGKILL.
func startChild(t *testing.T, dir, role string) (kill func()) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childDir+"="+dir, childRole+"="+role)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill() // it may have died of an error, which is in what it wrote
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("child says %q, %v", line, err)
	}
	return kill
}

// crashDriver opens the driver of a directory as children do.
func crashDriver(t *testing.T, dir string, change ...func(*Config)) *Driver {
	t.Helper()
	cfg := Config{Dir: filepath.Join(dir, "driver"), Owner: fmt.Sprintf("crash-%d", os.Getpid())}
	for _, f := range change {
		f(&cfg)
	}
	return openWith(t, cfg)
}

func prepareCrash(t *testing.T) string {
	t.Helper()
	lane.Root(t)
	dir := t.TempDir()
	d := crashDriver(t, dir)
	if err := addGuest(t, d, crashImage, runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantNothingLeft(t *testing.T, d *Driver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	names, err := leftovers(ctx, d)
	if err != nil || len(names) > 0 {
		t.Errorf("left over: %v, %q", err, names)
	}
}

func TestAdoptAfterSIGKILL(t *testing.T) {
	dir := prepareCrash(t)
	kill := startChild(t, dir, "adopt")
	pid, err := os.ReadFile(filepath.Join(dir, "driver", "containers", "stays", "init.pid"))
	if err != nil {
		t.Fatal(err)
	}
	kill()
	// The container ends while no host program is there.
	awaitFile(t, filepath.Join(dir, "driver", "containers", "ends", "exit.json"))

	d := crashDriver(t, dir)
	defer d.Close()
	inv, err := d.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range inv.Containers {
		got[c.ID] = fmt.Sprintf("%s %s %t %t", c.State, c.Labels["name"], c.PID > 0, !c.StartedAt.IsZero())
		if c.ID == "stays" && fmt.Sprint(c.PID) != string(pid) {
			t.Errorf("process %d, want %s as before", c.PID, pid)
		}
	}
	want := map[string]string{"stays": "running stays true true", "ends": "stopped ends false true", "waiting": "created waiting false false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inventory (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]runtime.SandboxStatus{{ID: "adopted", Labels: map[string]string{"k": "v"}}}, inv.Sandboxes); diff != "" {
		t.Errorf("sandboxes (-want +got):\n%s", diff)
	}
	if exit, err := d.Wait(t.Context(), "ends"); err != nil || exit.Code != 9 || exit.OOMKilled || time.Since(exit.At) > time.Minute {
		t.Errorf("ended meanwhile: got %+v, %v", exit, err)
	}
	log, err := readLog(t, d, filepath.Join(dir, "ends.log"))
	if err != nil || len(log) < 100000 || !strings.HasPrefix(string(log), "one\n") || !strings.HasSuffix(string(log), "two\n") {
		t.Errorf("log: %d bytes, %v", len(log), err)
	}
	if err := d.Start(t.Context(), "waiting"); err != nil {
		t.Error(err)
	}
	if exit, err := d.Wait(t.Context(), "waiting"); err != nil || exit.Code != 3 {
		t.Errorf("started by the next one: got %+v, %v", exit, err)
	}
	if err := d.Kill(t.Context(), "stays", "SIGTERM"); err != nil {
		t.Error(err)
	}
	if exit, err := d.Wait(t.Context(), "stays"); err != nil || exit.Code != 7 {
		t.Errorf("adopted: got %+v, %v", exit, err)
	}
	if err := d.RemoveSandbox(t.Context(), "adopted"); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, d)
}

func awaitFile(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(30 * time.Second)
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("no %s", path)
		}
	}
}

// TestKilledAnywhere kills a host program at random moments of launches and removals.
func TestKilledAnywhere(t *testing.T) {
	dir := prepareCrash(t)
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		kill := startChild(t, dir, "churn")
		delay := time.Duration(rand.IntN(600)) * time.Millisecond
		<-time.After(delay)
		kill()
		d := crashDriver(t, dir)
		inv, err := d.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range inv.Containers {
			if err := d.RemoveContainer(t.Context(), c.ID); err != nil {
				t.Errorf("killed after %s: %v", delay, err)
			}
		}
		for _, s := range inv.Sandboxes {
			if err := d.RemoveSandbox(t.Context(), s.ID); err != nil {
				t.Errorf("killed after %s: %v", delay, err)
			}
		}
		wantNothingLeft(t, d)
		scratch, err := mountinfo.GetMounts(mountinfo.PrefixFilter(filepath.Join(dir, "scratch")))
		if err != nil || len(scratch) > 0 {
			t.Errorf("killed after %s: %d scratch directories are mounted, %v", delay, len(scratch), err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Fatalf("killed after %s, inventory %+v", delay, inv)
		}
	}
}

// TestChurn wants that what is killed in the test before works when it is left alone.
func TestChurn(t *testing.T) {
	dir := prepareCrash(t)
	d := crashDriver(t, dir)
	defer closeEmpty(t, d)
	for i := range 4 {
		if err := churn(t.Context(), d, dir, crashImage, i); err != nil {
			t.Errorf("round %d: %v", i, err)
		}
	}
	wantNothingLeft(t, d)
}

// TestShimKilled kills what holds a sandbox's containers: Wait must answer, and nothing may stay.
func TestShimKilled(t *testing.T) {
	dir := prepareCrash(t)
	d := crashDriver(t, dir)
	defer d.Close()
	if err := startForAdoption(t.Context(), d, dir, crashImage); err != nil {
		t.Fatal(err)
	}
	var p process
	if found, err := readJSON(filepath.Join(d.sandboxDir("adopted"), shimFile), &p); !found || err != nil {
		t.Fatal(found, err)
	}
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, id := range []string{"stays", "ends", "waiting"} {
		exit, err := d.Wait(ctx, id)
		if err != nil || exit.Code != 137 && (id != "ends" || exit.Code != 9) {
			t.Errorf("%s: got %+v, %v", id, exit, err)
		}
	}
	if err := d.RemoveSandbox(ctx, "adopted"); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, d)
}

// TestCreateCutOff kills the host program while the OCI runtime is making a container, which goes on in the shim: the next
// driver waits for it and removes what it made.
func TestCreateCutOff(t *testing.T) {
	dir := prepareCrash(t)
	// It makes directories in the root file system, as runc does for mounts, and at last fails.
	script := fmt.Sprintf(`#!/bin/sh
case " $* " in *" create "*) ;; *) exec %s "$@" ;; esac
while [ "$1" != --bundle ]; do shift; done
: >%s/creating
for i in 0 1 2 3 4 5 6 7 8 9; do
	mkdir "$2/rootfs/late-$i"
	sleep 0.1
done
: >%[2]s/created
exit 1
`, lane.Command(t, "runc"), dir)
	slow := filepath.Join(dir, "slow")
	if err := os.WriteFile(slow, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv(childRuntime, slow)
	kill := startChild(t, dir, "create")
	awaitFile(t, filepath.Join(dir, "creating"))
	kill()
	d := crashDriver(t, dir)
	defer d.Close()
	if _, err := os.Stat(filepath.Join(dir, "created")); err != nil {
		t.Errorf("the driver did not wait for the OCI runtime: %v", err)
	}
	inv, err := d.List(t.Context())
	if err != nil || len(inv.Containers) != 0 || len(inv.Sandboxes) != 1 {
		t.Errorf("got %+v, %v, want the sandbox alone", inv, err)
	}
	if err := d.RemoveSandbox(t.Context(), "s"); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, d)
}

// TestExecCutOff kills a host program while a process runs that it has added to a container.
func TestExecCutOff(t *testing.T) {
	dir := prepareCrash(t)
	for _, after := range []time.Duration{time.Second, 50 * time.Millisecond} {
		kill := startChild(t, dir, "exec")
		<-time.After(after)
		kill()
		d := crashDriver(t, dir)
		deadline := time.After(time.Minute)
		for left := []string{"?"}; len(left) > 0; {
			left = nil
			entries, err := os.ReadDir(d.containerDir("stays"))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if name := e.Name(); strings.HasPrefix(name, execPrefix) || strings.HasSuffix(name, ".pid") && name != "init.pid" {
					left = append(left, name)
				}
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-deadline:
				t.Fatalf("left over: %q", left)
			}
		}
		if inv, err := d.List(t.Context()); err != nil || !slices.ContainsFunc(inv.Containers, func(c runtime.ContainerStatus) bool {
			return c.ID == "stays" && c.State == runtime.StateRunning
		}) {
			t.Errorf("inventory %+v, %v", inv, err)
		}
		if code, err := d.Exec(t.Context(), "stays", runtime.ExecSpec{Args: []string{"/guest", "exit 5"}}); code != 5 || err != nil {
			t.Errorf("the next process: %d, %v", code, err)
		}
		if err := d.RemoveSandbox(t.Context(), "adopted"); err != nil {
			t.Error(err)
		}
		wantNothingLeft(t, d)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSnapshotCutOff opens a driver where one was killed when it had made the directory of a snapshot, and not its record.
func TestSnapshotCutOff(t *testing.T) {
	dir := prepareCrash(t)
	snapshots := filepath.Join(dir, "driver", "images", "overlayfs", "snapshots")
	names, err := subdirs(snapshots)
	if err != nil || len(names) == 0 {
		t.Fatalf("snapshots %q, %v", names, err)
	}
	for i := range 50 { // those after the last, some of which were used and removed
		path := filepath.Join(snapshots, fmt.Sprint(i+1), "fs", "half")
		if slices.Contains(names, fmt.Sprint(i+1)) {
			continue
		}
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// What it tries at its start, killed half-way.
	probe := filepath.Join(dir, "driver", "images", "overlayfs", "multiple-lowerdir-check1", "merged")
	verity := filepath.Join(dir, "driver", "images", "content", ".fsverity-check-1")
	if err := errors.Join(os.MkdirAll(probe, 0o700), os.MkdirAll(verity, 0o700), unix.Mount("tmpfs", probe, "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	d := crashDriver(t, dir)
	defer d.Close()
	for _, path := range []string{filepath.Dir(probe), verity} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if got, err := subdirs(snapshots); err != nil || !slices.Equal(got, names) {
		t.Errorf("snapshots %q, %v, want %q", got, err, names)
	}
	if err := churn(t.Context(), d, dir, crashRef(t, d), 1); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, d)
}

func crashRef(t *testing.T, d *Driver) string {
	t.Helper()
	img, err := d.Pull(t.Context(), runtime.ImageSpec{Ref: crashImage})
	if err != nil {
		t.Fatal(err)
	}
	return img.Ref
}

// TestStartCutOff starts a container whose last start was killed between letting its program go and noting that.
func TestStartCutOff(t *testing.T) {
	dir := prepareCrash(t)
	d := crashDriver(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := d.CreateSandbox(ctx, runtime.SandboxSpec{ID: "cut"}); err != nil {
		t.Fatal(err)
	}
	spec := runtime.ContainerSpec{ID: "off", SandboxID: "cut", Image: crashImage, Command: []string{"catch TERM 7", "hang"}}
	img, err := d.Pull(ctx, runtime.ImageSpec{Ref: crashImage})
	if err != nil {
		t.Fatal(err)
	}
	spec.Image = img.Ref
	if err := d.CreateContainer(ctx, spec); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(filepath.Join(d.containerDir("off"), startedFile), startedRecord{At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	// What runc does: the program waits until somebody reads from this FIFO, which runc then removes.
	fifos, err := filepath.Glob(filepath.Join(dir, "driver", "runc", "*", "off", "exec.fifo"))
	if err != nil || len(fifos) != 1 {
		t.Fatalf("FIFOs %q, %v", fifos, err)
	}
	if _, err := os.ReadFile(fifos[0]); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d = crashDriver(t, dir)
	defer d.Close()
	started := make(chan error, 1)
	go func() { started <- d.Start(ctx, "off") }()
	select {
	case err := <-started:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Start does not return")
	}
	if err := d.Kill(ctx, "off", ""); err != nil {
		t.Error(err)
	}
	if exit, err := d.Wait(ctx, "off"); err != nil || exit.Code != 7 && exit.Code != 143 {
		t.Errorf("ended with %+v, %v", exit, err)
	}
	if err := d.RemoveSandbox(ctx, "cut"); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, d)
}

func readLog(t *testing.T, d *Driver, path string) ([]byte, error) {
	log, err := d.OpenLog(t.Context(), path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return io.ReadAll(log)
}
