//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/moby/sys/mountinfo"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
	"github.com/fardel-io/fardel/runtime/runtimetest"
)

// guestDir is made and removed by TestMain.
var guestDir string

// guest builds the program that the suite runs in containers, once.
var guest = sync.OnceValues(func() (string, error) {
	file := filepath.Join(guestDir, "guest")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "../runtimetest/guest/static")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return file, nil
})

// guestImage is an image as runtimetest wants it.
func guestImage(t testing.TB, ref string, cfg runtime.Image) *image.Image {
	t.Helper()
	file, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.New(image.Config{
		Ref: ref, Entrypoint: cfg.Entrypoint, Command: cfg.Command, Env: cfg.Env, WorkingDir: cfg.WorkingDir,
		User: cfg.User, StopSignal: cfg.StopSignal, Labels: cfg.Labels,
	}, image.Files(
		image.File{Name: "/guest", Path: file, Mode: 0o755},
		image.File{Name: "/etc/passwd", Content: []byte("root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")},
		image.File{Name: "/etc/group", Content: []byte("root:x:0:\naudio:x:29:app\napp:x:1000:\n")},
		image.File{Name: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		image.File{Name: "/work", Mode: fs.ModeDir | 0o777},
	))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// published makes images that Pull finds in a registry: the guest, and a layer of its own for each.
func published(t *testing.T, r *testRegistry) func(context.Context, string, int) (string, error) {
	return func(_ context.Context, name string, size int) (string, error) {
		file, err := guest()
		if err != nil {
			return "", err
		}
		img, err := image.New(image.Config{Entrypoint: []string{"/guest"}}, image.Files(image.File{Name: "/guest", Path: file, Mode: 0o755}),
			payload(byte(seed.Add(1)), size))
		if err != nil {
			return "", err
		}
		r.push(t, name+":1", img)
		return r.host + "/" + name + ":1", nil
	}
}

func addGuest(t testing.TB, d *Driver, ref string, cfg runtime.Image) error {
	r, err := guestImage(t, ref, cfg).Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = d.ImportImage(t.Context(), "", r)
	return err
}

// openEmbedded opens a driver that logs to the test.
func openEmbedded(t *testing.T, dir, owner string) *Driver {
	t.Helper()
	return openWith(t, Config{Owner: owner, Dir: dir})
}

func openWith(t *testing.T, cfg Config) *Driver {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	d, err := Embed(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// closeEmpty removes what a test that failed has left, and closes the driver.
func closeEmpty(t *testing.T, d *Driver) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	inv, err := d.List(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, s := range inv.Sandboxes {
		if err := d.RemoveSandbox(ctx, s.ID); err != nil {
			t.Error(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// leftovers are the things with our owner marks.
func leftovers(ctx context.Context, d *Driver) ([]string, error) {
	var names []string
	for {
		names = nil
		groups, err := d.cgroups.List()
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			names = append(names, "cgroup "+g)
		}
		mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(d.cfg.Dir + "/"))
		if err != nil {
			return nil, err
		}
		for _, m := range mounts {
			names = append(names, "mount "+m.Mountpoint)
		}
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")); err == nil && strings.Contains(string(line), d.cfg.Dir+"\x00") {
				names = append(names, "process "+e.Name()+" "+string(line))
			}
		}
		for _, dir := range []string{"sandboxes", "containers", "tmp", filepath.Join("runc", d.namespace)} {
			subs, err := subdirs(filepath.Join(d.cfg.Dir, dir))
			if err != nil {
				return nil, err
			}
			for _, sub := range subs {
				names = append(names, "directory "+dir+"/"+sub)
			}
		}
		err = d.client.SnapshotService(d.snapshotter).Walk(d.context(ctx), func(_ context.Context, info snapshots.Info) error {
			if info.Kind != snapshots.KindCommitted {
				names = append(names, "snapshot "+info.Name)
			}
			return nil
		})
		if err != nil || len(names) == 0 {
			return names, err
		}
		select {
		case <-ctx.Done():
			return names, nil
		case <-time.After(50 * time.Millisecond):
		}
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) < 100*time.Second {
			return names, nil
		}
	}
}

func TestEmbedSuite(t *testing.T) {
	lane.Root(t)
	embedSuite(t, "")
}

// embedSuite runs the suite with an OCI runtime.
func embedSuite(t *testing.T, ociRuntime string, lacks ...runtimetest.Feature) {
	runtimetest.Run(t, func(t *testing.T) runtimetest.Fixture {
		cfg, r := Config{Dir: t.TempDir(), Owner: fmt.Sprintf("suite-%d", os.Getpid()), Runtime: ociRuntime}, newRegistry(t, false)
		named(r)(&cfg)
		d := openWith(t, cfg)
		t.Cleanup(func() { closeEmpty(t, d) })
		return runtimetest.Fixture{
			Driver:   d,
			AddImage: func(ctx context.Context, ref string, config runtime.Image) error { return addGuest(t, d, ref, config) },
			Reopen: func(t *testing.T) runtime.Driver {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = openWith(t, cfg)
				return d
			},
			Publish:   published(t, r),
			Leftovers: func(ctx context.Context) ([]string, error) { return leftovers(ctx, d) },
			Lacks:     lacks,
		}
	})
}

// startDaemon runs a containerd of the given directory of binaries, "" for the distribution's, and returns its socket.
func startDaemon(t *testing.T, path string) string {
	t.Helper()
	binary := lane.Command(t, filepath.Join(path, "containerd"))
	if path == "" {
		binary = lane.Command(t, "containerd")
	}
	dir, err := os.MkdirTemp("/run", "fardel-test-") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "c.sock")
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(t.TempDir(), "root"), filepath.Join(dir, "state"), socket)
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config", file, "--log-level", "error")
	cmd.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"))
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return socket
}

func openConnected(t *testing.T, socket, dir, owner string, change ...func(*Config)) *Driver {
	t.Helper()
	cfg := Config{Owner: owner, Dir: dir, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(&cfg)
	}
	d, err := Connect(t.Context(), socket, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func testDaemon(t *testing.T, path string) {
	socket := startDaemon(t, path)
	n := 0
	runtimetest.Run(t, func(t *testing.T) runtimetest.Fixture {
		n++
		dir, owner, r := t.TempDir(), fmt.Sprintf("suite-%d-%d", os.Getpid(), n), newRegistry(t, false)
		d := openConnected(t, socket, dir, owner, named(r))
		t.Cleanup(func() { closeEmpty(t, d) })
		return runtimetest.Fixture{
			Driver:   d,
			AddImage: func(ctx context.Context, ref string, config runtime.Image) error { return addGuest(t, d, ref, config) },
			Reopen: func(t *testing.T) runtime.Driver {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = openConnected(t, socket, dir, owner, named(r))
				return d
			},
			Publish:   published(t, r),
			Leftovers: func(ctx context.Context) ([]string, error) { return leftovers(ctx, d) },
		}
	})
}

func TestConnectSuiteDistribution(t *testing.T) {
	lane.Root(t)
	testDaemon(t, "")
}

func TestConnectSuiteCurrent(t *testing.T) {
	lane.Root(t)
	dir := os.Getenv("FARDEL_CONTAINERD")
	if dir == "" {
		lane.Missing(t, "FARDEL_CONTAINERD, the directory of containerd 2.4 and its shim")
	}
	testDaemon(t, dir)
}
