//go:build linux

package containerd

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/cgroup"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
)

// TestCgroupManager: who manages the cgroups is found out, and can be said. What is right depends on the machine.
func TestCgroupManager(t *testing.T) {
	lane.Root(t)
	machine, err := cgroup.Open("x")
	if err != nil {
		t.Fatal(err)
	}
	hasScopes := systemdRuns() && machine.Unified()
	owner := fmt.Sprintf("manager-%d", os.Getpid())
	directory, scope := "/fardel/"+owner, "/fardel.slice/fardel-"+owner+".scope"
	automatic := directory
	if hasScopes {
		automatic = scope
	}
	for _, tt := range []struct{ manager, parent, want string }{
		{"", "", automatic},
		{"", "fardel-elsewhere/" + owner, "/fardel-elsewhere/" + owner},
		{CgroupFS, "", directory},
		{Systemd, "", scope},
	} {
		d, err := Embed(t.Context(), Config{Owner: owner, Dir: t.TempDir(), CgroupManager: tt.manager, CgroupParent: tt.parent})
		if tt.want == scope && !hasScopes {
			if !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), "systemd") {
				t.Errorf("%q: got %v, want an error that names systemd", tt.manager, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := d.cgroups.Path(); got != tt.want {
			t.Errorf("manager %q, parent %q: cgroup %s, want %s", tt.manager, tt.parent, got, tt.want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		awaitGone(t, d.cgroups.Directory())
	}
}

func TestCgroupManagerInvalid(t *testing.T) {
	for _, cfg := range []Config{{CgroupManager: "Systemd"}, {CgroupManager: Systemd, CgroupParent: "x"}} {
		cfg.Owner, cfg.Dir = "manager", t.TempDir()
		if _, err := cfg.withDefaults(); err == nil {
			t.Errorf("manager %q, parent %q: no error", cfg.CgroupManager, cfg.CgroupParent)
		}
	}
}

// awaitGone waits for a cgroup to be removed, which systemd does a moment after its last process has ended.
func awaitGone(t *testing.T, dir string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-deadline:
			t.Errorf("%s is still there", dir)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestScopeOutlives: with systemd a sandbox, its shim and its containers are in the scope, which stays as long as there
// is one and goes with the last; without systemd they are in the driver's own directory, and all but the shim the same.
func TestScopeOutlives(t *testing.T) {
	lane.Root(t)
	dir, owner := t.TempDir(), fmt.Sprintf("scope-%d", os.Getpid())
	d := openEmbedded(t, dir, owner)
	parent := d.cgroups.Path()
	if err := addGuest(t, d, "docker.io/library/guest:1", runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s"}); err != nil {
		t.Fatal(err)
	}
	spec := runtime.ContainerSpec{ID: "c", SandboxID: "s", Image: "docker.io/library/guest:1", Command: []string{"hang"}, Log: filepath.Join(dir, "log")}
	if err := d.CreateContainer(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var shim process
	if found, err := readJSON(filepath.Join(dir, "sandboxes", "s", shimFile), &shim); err != nil || !found {
		t.Fatalf("record of the shim: %t, %v", found, err)
	}
	if d.cgroups.Unified() && systemdRuns() {
		if !inCgroup(shim.PID, parent+"/"+cgroup.Helpers) {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", shim.PID))
			t.Errorf("the shim is in %s, %v; want it in %s", text, err, parent)
		}
		out, err := exec.Command("systemctl", "show", "--property=ActiveState,Delegate,TasksMax", d.scopeName()).CombinedOutput()
		for _, want := range []string{"ActiveState=active", "Delegate=yes", "TasksMax=infinity"} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("systemctl show: %s, %v; want %s", out, err, want)
			}
		}
		// systemd goes over its cgroups then, and may not touch ours.
		if out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput(); err != nil {
			t.Errorf("systemctl daemon-reload: %v: %s", err, out)
		}
	}
	d = openEmbedded(t, dir, owner)
	if got := d.cgroups.Path(); got != parent {
		t.Errorf("the second driver uses cgroup %s, the first had %s", got, parent)
	}
	inv, err := d.List(t.Context())
	if err != nil || len(inv.Containers) != 1 || inv.Containers[0].State != runtime.StateRunning {
		t.Errorf("adopted: %+v, %v", inv, err)
	}
	if err := d.RemoveSandbox(t.Context(), "s"); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	awaitGone(t, d.cgroups.Directory())
}

// TestStoppedService: with systemd, stopping the service of the host program ends neither its shims nor its containers.
func TestStoppedService(t *testing.T) {
	lane.Root(t)
	if !systemdRuns() {
		t.Skip("needs systemd as the first process")
	}
	dir := t.TempDir()
	open := func() *Driver { return openEmbedded(t, filepath.Join(dir, "driver"), "crash-1") } // a service's parent is the first process
	d := open()
	if err := addGuest(t, d, crashImage, runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := fmt.Sprintf("fardel-test-%d.service", os.Getpid())
	cmd := exec.Command("systemd-run", "--pipe", "--wait", "--quiet", "--collect", "--unit="+unit,
		"--setenv="+childDir+"="+dir, "--setenv="+childRole+"=adopt", self)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the service says %q, %v", line, err)
	}
	if out, err := exec.Command("systemctl", "stop", unit).CombinedOutput(); err != nil {
		t.Fatalf("systemctl stop: %v: %s", err, out)
	}
	_ = cmd.Wait() // with the service's end
	d = open()
	defer closeEmpty(t, d)
	inv, err := d.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range inv.Containers {
		if c.ID == "stays" && c.State != runtime.StateRunning {
			t.Errorf("the container is %s after the end of the service", c.State)
		}
	}
	if len(inv.Containers) != 3 {
		t.Errorf("adopted: %+v", inv.Containers)
	}
}
