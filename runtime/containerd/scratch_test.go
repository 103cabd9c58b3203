//go:build linux

package containerd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// TestHostileMountScratch fills the files of its caller, which are bounded, also by another driver after the first.
func TestHostileMountScratch(t *testing.T) {
	lane.Root(t)
	cfg := Config{Owner: fmt.Sprintf("scratch-%d", os.Getpid()), Dir: t.TempDir()}
	d := openWith(t, cfg)
	t.Cleanup(func() { closeEmpty(t, d) })
	if err := addGuest(t, d, "fardel.test/guest:1", runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		t.Fatal(err)
	}
	scratch, logs := filepath.Join(t.TempDir(), "scratch"), t.TempDir()
	spec := runtime.SandboxSpec{ID: "s", Size: task.Size{CPU: 256, Memory: 128}, Scratch: scratch}
	if err := d.CreateSandbox(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(scratch, "hosts"), []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, again := range []bool{false, true} {
		if again {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			d = openWith(t, cfg)
			if err := d.CreateSandbox(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
		}
		c := runtime.ContainerSpec{
			ID: fmt.Sprint("c", i), SandboxID: "s", Image: "fardel.test/guest:1", Log: filepath.Join(logs, fmt.Sprint(i)),
			Command: []string{"fill /etc/hosts 8", "exists /etc/hosts"},
			Mounts:  []runtime.Mount{{Source: filepath.Join(scratch, "hosts"), Destination: "/etc/hosts"}},
		}
		if err := d.CreateContainer(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := d.Start(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Wait(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		out, err := readLog(t, d, c.Log)
		info, serr := os.Stat(filepath.Join(scratch, "hosts"))
		if err != nil || serr != nil || !strings.Contains(string(out), "exists") {
			t.Fatalf("%q, %v, %v", out, err, serr)
		}
		hostiletest.Report(t, fmt.Sprintf("growing /etc/hosts, driver %d", i+1), strings.Contains(string(out), "filled") || info.Size() > 1<<20,
			fmt.Sprintf("%d bytes, %q", info.Size(), out))
	}
	if err := d.RemoveSandbox(context.WithoutCancel(t.Context()), "s"); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(scratch)
	if mounted, merr := mountinfo.Mounted(scratch); err != nil || merr != nil || mounted || len(left) > 0 {
		t.Errorf("left: %v, mounted: %v, %v, %v", left, mounted, err, merr)
	}
}

// TestScratchInUse removes a sandbox while somebody on the host looks into its scratch directory.
func TestScratchInUse(t *testing.T) {
	lane.Root(t)
	d := openWith(t, Config{Owner: fmt.Sprintf("scratch-%d", os.Getpid()), Dir: t.TempDir()})
	defer closeEmpty(t, d)
	scratch := filepath.Join(t.TempDir(), "scratch")
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s", Scratch: scratch}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(scratch, "hosts"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := d.RemoveSandbox(t.Context(), "s"); err != nil {
		t.Error(err)
	}
	if mounted, err := mountinfo.Mounted(scratch); err != nil || mounted {
		t.Errorf("it is still mounted: %v", err)
	}
	if err := os.Remove(scratch); err != nil {
		t.Error(err)
	}
}
