//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
	"github.com/fardel-io/fardel/task"
)

// ociRuntimes are those of this machine that a test of mounts is run with: the one that is used, and the distribution's,
// which may be one with known ways out.
func ociRuntimes(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{"default": ""}
	first, err := exec.LookPath("runc")
	if _, serr := os.Stat("/usr/sbin/runc"); serr == nil && err == nil && first != "/usr/sbin/runc" {
		list["distribution"] = "/usr/sbin/runc"
	}
	return list
}

// daemon stands for an OCI runtime that a containerd daemon runs.
const daemon = "daemon"

// backends are ociRuntimes and a daemon.
func backends(t *testing.T) map[string]string {
	list := ociRuntimes(t)
	if _, err := exec.LookPath("containerd"); err == nil {
		list[daemon] = daemon
	}
	return list
}

const corePattern = "/proc/sys/kernel/core_pattern"

// hostileMountImage has links where OCI runtimes look.
func hostileMountImage(t *testing.T, d *Driver, files ...image.File) string {
	t.Helper()
	file, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	const ref = "fardel.test/guest:hostile"
	img, err := image.New(image.Config{Ref: ref, Entrypoint: []string{"/guest"}},
		image.Files(append(files, image.File{Name: "/guest", Path: file, Mode: 0o755})...))
	if err != nil {
		t.Fatal(err)
	}
	r, err := img.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := d.ImportImage(t.Context(), "", r); err != nil {
		t.Fatal(err)
	}
	return ref
}

func link(name, target string) image.File {
	return image.File{Name: name, Mode: fs.ModeSymlink, Link: target}
}

// mountBench is a driver with one sandbox.
type mountBench struct {
	*Driver
	t     *testing.T
	image string
	logs  string
	n     int
}

func newMountBench(t *testing.T, ociRuntime string, files ...image.File) *mountBench {
	t.Helper()
	var d *Driver
	if owner := fmt.Sprintf("hmount-%d", os.Getpid()); ociRuntime == daemon {
		d = openConnected(t, startDaemon(t, ""), t.TempDir(), owner)
	} else {
		d = openWith(t, Config{Owner: owner, Dir: t.TempDir(), Runtime: ociRuntime, AllowVulnerableRuntime: true})
	}
	t.Cleanup(func() { closeEmpty(t, d) })
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s", Size: task.Size{CPU: 256, Memory: 128}}); err != nil {
		t.Fatal(err)
	}
	return &mountBench{Driver: d, t: t, image: hostileMountImage(t, d, files...), logs: t.TempDir()}
}

// try creates a container and returns what it has mounted then, and what it says; or why it is not made.
func (b *mountBench) try(change func(*runtime.ContainerSpec), statements ...string) (table []*mountinfo.Info, out string, err error) {
	b.t.Helper()
	b.n++
	spec := runtime.ContainerSpec{ID: fmt.Sprintf("c%d", b.n), SandboxID: "s", Image: b.image, Command: statements, Log: filepath.Join(b.logs, fmt.Sprint(b.n))}
	change(&spec)
	ctx := context.WithoutCancel(b.t.Context())
	defer func() { err = errors.Join(err, b.RemoveContainer(ctx, spec.ID)) }()
	if err := b.CreateContainer(b.t.Context(), spec); err != nil {
		return nil, "", err
	}
	if table, err = mountTableOf(b.containers[spec.ID].pid); err != nil {
		return nil, "", err
	}
	if err := b.Start(b.t.Context(), spec.ID); err != nil {
		return table, "", err
	}
	if _, err := b.Wait(b.t.Context(), spec.ID); err != nil {
		return table, "", err
	}
	data, err := readLog(b.t, b.Driver, spec.Log)
	return table, string(data), err
}

// misplaced says what of a mount table is where only the kernel's file systems are, or shows a part of them.
func misplaced(table []*mountinfo.Info) string {
	for _, m := range table {
		onDisk := m.FSType == "ext4" || m.FSType == "xfs" || m.FSType == "btrfs" || m.FSType == "overlay"
		switch {
		case strings.HasSuffix(m.Root, "/core_pattern"):
			return fmt.Sprintf("%s shows core_pattern, %s", m.Mountpoint, m.Options)
		case onDisk && runtime.IsKernelPath(m.Mountpoint):
			return fmt.Sprintf("%s is %s of %s", m.Mountpoint, m.Root, m.FSType)
		}
	}
	return ""
}

// TestHostileMountLinks has an image lead its volumes to where the kernel's file systems are.
func TestHostileMountLinks(t *testing.T) {
	lane.Root(t)
	for name, path := range backends(t) {
		t.Run(name, func(t *testing.T) {
			b := newMountBench(t, path,
				link("/data", "/dev"), link("/terminals", "data/pts"), link("/nothing", "/dev/null"), link("/up", "../../../dev"),
				link("/kernel", "/sys/kernel"), link("/groups", "/sys/fs/cgroup"), link("/p", "/proc"), link("/p2", "/proc/sys/kernel"),
				link("/b/in", "../data"), link("/console", "/dev/console"), link("/etc", "/dev"),
				image.File{Name: "/dev/null", Mode: fs.ModeSymlink, Link: corePattern},
			)
			for _, at := range []string{
				"/data", "/terminals", "/nothing", "/up", "/kernel", "/groups", "/p", "/p2", "/b/in", "/b/in/x", "/console", "/data/../data/pts",
			} {
				for kind, change := range map[string]func(*runtime.ContainerSpec){
					"volume": func(s *runtime.ContainerSpec) {
						s.Mounts = []runtime.Mount{{Volume: "v", Destination: at, Populate: true}}
					},
					"tmpfs": func(s *runtime.ContainerSpec) { s.Tmpfs = []task.Tmpfs{{ContainerPath: at, Size: 1}} },
					"terminal": func(s *runtime.ContainerSpec) {
						s.Terminal, s.Mounts = true, []runtime.Mount{{Volume: "w", Destination: at, Populate: true}}
					},
				} {
					table, out, err := b.try(change, "read /proc/keys", "read /proc/timer_list")
					bad := misplaced(table)
					hostiletest.Report(t, kind+" at "+at, err == nil || bad != "", fmt.Sprintf("%s %q %v", bad, out, err))
					if !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "leads to") {
						t.Errorf("%s at %s: the error is not clear: %v", kind, at, err)
					}
				}
			}
			_, _, err := b.try(func(s *runtime.ContainerSpec) {
				s.Mounts = []runtime.Mount{{Source: "/etc/hostname", Destination: "/etc/null"}}
			})
			hostiletest.Report(t, "a file of the task at a link to /dev", err == nil, fmt.Sprint(err))
		})
	}
}

// TestHostileMountKernelDirs has an image in which /dev leads to a directory of the host: OCI runtimes up to runc 1.3.5 make
// and remove files there (CVE-2026-41579).
func TestHostileMountKernelDirs(t *testing.T) {
	lane.Root(t)
	for name, path := range backends(t) {
		t.Run(name, func(t *testing.T) {
			for _, dir := range []string{"/dev", "/proc", "/sys"} {
				t.Run(dir[1:], func(t *testing.T) {
					outside := t.TempDir()
					if err := os.WriteFile(filepath.Join(outside, "ptmx"), nil, 0o600); err != nil {
						t.Fatal(err)
					}
					b := newMountBench(t, path, link(dir, outside))
					_, _, err := b.try(func(*runtime.ContainerSpec) {}, "exit 0")
					left, rerr := os.ReadDir(outside)
					info, serr := os.Lstat(filepath.Join(outside, "ptmx"))
					touched := rerr != nil || serr != nil || len(left) != 1 || !info.Mode().IsRegular()
					hostiletest.Report(t, "an image with a link at "+dir, touched, fmt.Sprintf("the host has %v, %v", left, err))
				})
			}
		})
	}
}

// TestHostileMountMasks has a directory of the host as /dev, where somebody puts a link at the place of the null device that
// OCI runtimes mask with (CVE-2025-31133), and exchanges the directory of the terminals while they look for one
// (CVE-2025-52565). The operator who gives that directory does not mean to give the kernel's files.
func TestHostileMountMasks(t *testing.T) {
	lane.Root(t)
	for name, path := range ociRuntimes(t) {
		t.Run(name, func(t *testing.T) {
			b := newMountBench(t, path, link("/dev/pts", "/e"), image.File{Name: "/e", Mode: fs.ModeDir | 0o755})
			dev, err := os.MkdirTemp("/dev/shm", "fardel-test-") //nolint:usetesting // names are exchanged faster in memory
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dev)
			in := func(name string) string { return filepath.Join(dev, name) }
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			asDev := func(s *runtime.ContainerSpec) { s.Mounts = []runtime.Mount{{Source: dev, Destination: "/dev"}} }
			must(os.Symlink(corePattern, in("null")))
			table, out, err := b.try(asDev, "read /proc/keys")
			hostiletest.Report(t, "a null device that leads to core_pattern", misplaced(table) != "", fmt.Sprintf("%s %q %v", misplaced(table), out, err))
			must(os.Remove(in("null")))
			table, out, err = b.try(asDev, "read /proc/keys", "read /proc/timer_list")
			masked := false
			for _, m := range table {
				masked = masked || m.Mountpoint == "/proc/timer_list"
			}
			hostiletest.Report(t, "no null device", err == nil && !masked, fmt.Sprintf("%q %v", out, err))

			must(unix.Mknod(in("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
			must(os.Mkdir(in("evil"), 0o755))
			for i := range 10 {
				must(os.Symlink(corePattern, in(fmt.Sprintf("evil/%d", i))))
			}
			must(os.Symlink("/e/ptmx", in("ptmx")))
			must(os.Symlink("/e", in("pts")))
			stop := exchangeNames(t, dev, "pts", "evil")
			bad, outcomes := "", map[string]int{}
			for range 20 {
				table, _, err := b.try(func(s *runtime.ContainerSpec) { asDev(s); s.Terminal = true }, "exit 0")
				if where := misplaced(table); strings.Contains(where, "core_pattern") {
					bad = where
				}
				outcomes[outcome(err)]++
			}
			stop()
			hostiletest.Report(t, "a terminal that leads to core_pattern", bad != "", fmt.Sprintf("%s %v", bad, outcomes))
		})
	}
}

// outcome is what became of a creation, without the names in it.
func outcome(err error) string {
	if err == nil {
		return "created"
	}
	_, what, _ := strings.Cut(err.Error(), ": ")
	return what
}

// exchangeNames exchanges two names in a directory, as fast as it can, as a container does that shares it.
func exchangeNames(t *testing.T, dir, a, b string) (stop func()) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				_ = unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE)
			}
		}
	})
	return sync.OnceFunc(func() { close(done); ended.Wait(); unix.Close(fd) })
}

// TestHostileMountExchange exchanges what a mount lies in, in a volume that containers share, while an OCI runtime looks for
// the place (CVE-2021-30465) and makes what is missing (CVE-2024-45310).
func TestHostileMountExchange(t *testing.T) {
	lane.Root(t)
	for name, path := range ociRuntimes(t) {
		t.Run(name, func(t *testing.T) {
			b := newMountBench(t, path)
			outside := t.TempDir()
			volume := b.volumeDir(runtime.SandboxSpec{ID: "s"}, "v")
			if err := makeVolume(volume); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/", filepath.Join(volume, "evil")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(volume, "evil2")); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{"a", "b"} {
				if err := os.Mkdir(filepath.Join(volume, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			stops := []func(){exchangeNames(t, volume, "a", "evil"), exchangeNames(t, volume, "b", "evil2")}
			bad, made := "", 0
			for i := range 30 {
				table, _, err := b.try(func(s *runtime.ContainerSpec) {
					s.Mounts = []runtime.Mount{
						{Volume: "v", Destination: "/v"}, {Volume: "w", Destination: "/v/a"}, {Volume: "x", Destination: fmt.Sprintf("/v/b/%d", i)},
					}
				}, "exit 0")
				if err == nil {
					made++
				}
				for _, m := range table {
					// In the volume it is wherever the directory is now that it was mounted at.
					if strings.Contains(m.Root, "/volumes/") && m.Mountpoint != "/v" && !strings.HasPrefix(m.Mountpoint, "/v/") {
						bad = m.Mountpoint + " is " + m.Root
					}
				}
			}
			for _, stop := range stops {
				stop()
			}
			left, err := os.ReadDir(outside)
			hostiletest.Report(t, "a mount beside its volume", bad != "", fmt.Sprintf("%s; %d of 30 containers were made", bad, made))
			hostiletest.Report(t, "directories made on the host", len(left) > 0 || err != nil, fmt.Sprintf("%v %v", left, err))
		})
	}
}

// TestHostileMountRestart has a container change its own root file system, so that a mount is led to /dev, /proc or /sys when it runs again.
func TestHostileMountRestart(t *testing.T) {
	lane.Root(t)
	for name, path := range backends(t) {
		t.Run(name, func(t *testing.T) {
			b := newMountBench(t, path)
			for i, at := range []string{"dev", "dev/pts", "sys", "sys/fs/cgroup", "proc", "proc/sys"} {
				id := fmt.Sprintf("again%d", i)
				dir := filepath.Dir("/a/" + at)
				spec := runtime.ContainerSpec{
					ID: id, SandboxID: "s", Image: b.image, Terminal: true, Log: filepath.Join(b.logs, id),
					Command: []string{"rename /a /moved", "symlink / /a", "out done"},
					Mounts:  []runtime.Mount{{Volume: "v" + fmt.Sprint(i), Destination: "/a/" + at}},
				}
				run := func() (table []*mountinfo.Info, err error) {
					if table, err = mountTableOf(b.containers[id].pid); err != nil {
						return nil, err
					}
					if err := b.Start(t.Context(), id); err != nil {
						return table, err
					}
					_, err = b.Wait(t.Context(), id)
					return table, err
				}
				if err := b.CreateContainer(t.Context(), spec); err != nil {
					t.Fatal(err)
				}
				if _, err := run(); err != nil {
					t.Fatal(err)
				}
				out, err := readLog(t, b.Driver, spec.Log)
				if err != nil || !strings.Contains(string(out), "linked") {
					t.Fatalf("it did not change its files: %q %v", out, err)
				}
				var table []*mountinfo.Info
				if err = b.Restart(t.Context(), id, 1, nil); err == nil {
					table, err = run()
				}
				hostiletest.Report(t, "a volume that "+dir+" leads to /"+at, misplaced(table) != "" || err == nil, fmt.Sprintf("%s %v", misplaced(table), err))
				if err := b.RemoveContainer(context.WithoutCancel(t.Context()), id); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestNestedMounts has mounts in a volume, which the driver makes.
func TestNestedMounts(t *testing.T) {
	lane.Root(t)
	for name, path := range backends(t) {
		t.Run(name, func(t *testing.T) {
			b := newMountBench(t, path)
			file := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(file, []byte("of the host"), 0o644); err != nil {
				t.Fatal(err)
			}
			spec := runtime.ContainerSpec{
				ID: "c", SandboxID: "s", Image: b.image, Log: filepath.Join(b.logs, "c"),
				Command: []string{
					"write /v/w/x", "write /v/t/x", "read /v/deep/er/f", "write /v/deep/er/f", "write /v/r/x", "write /v/t/in/y", "write /v/x", "disk /v/t",
				},
				Mounts: []runtime.Mount{
					{Volume: "v", Destination: "/v"}, {Volume: "w", Destination: "/v/w"}, {Source: file, Destination: "/v/deep/er/f", ReadOnly: true},
					{Volume: "w", Destination: "/v/r", ReadOnly: true}, {Volume: "y", Destination: "/v/t/in"},
				},
				Tmpfs: []task.Tmpfs{{ContainerPath: "/v/t", Size: 1, MountOptions: []string{"rprivate"}}},
			}
			if err := b.CreateContainer(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
			for n := range 2 {
				if n > 0 {
					if err := b.Restart(t.Context(), "c", n, nil); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.Start(t.Context(), "c"); err != nil {
					t.Fatal(err)
				}
				if _, err := b.Wait(t.Context(), "c"); err != nil {
					t.Fatal(err)
				}
			}
			const once = "written\nwritten\nof the host\nwrite: open /v/deep/er/f: read-only file system\n" +
				"write: open /v/r/x: read-only file system\nwritten\nwritten\n0 GiB\n"
			if out, err := readLog(t, b.Driver, spec.Log); err != nil || string(out) != once+once {
				t.Errorf("%q, %v", out, err)
			}
			for volume, want := range map[string]string{"v": "deep r t w x", "w": "x", "y": "y"} {
				entries, err := os.ReadDir(b.volumeDir(runtime.SandboxSpec{ID: "s"}, volume))
				var names []string
				for _, e := range entries {
					names = append(names, e.Name())
				}
				if got := strings.Join(names, " "); err != nil || got != want {
					t.Errorf("volume %s has %q, %v, want %q", volume, got, err, want)
				}
			}
			left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(b.tempDir()))
			if err != nil || len(left) > 0 {
				t.Errorf("mounts left: %v, %v", left, err)
			}
		})
	}
}

// TestHostileMountCopy puts FIFOs and links in the way of a copy into a volume, which goes on when the context does not and ends
// with it.
func TestHostileMountCopy(t *testing.T) {
	lane.Root(t)
	from, to, outside := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{"empty", "full"} {
		if err := os.Mkdir(filepath.Join(from, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mknod(filepath.Join(from, "full/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	for name, prepare := range map[string]func() error{
		"a FIFO for a directory": func() error { return unix.Mkfifo(filepath.Join(to, "empty"), 0o600) },
		"a FIFO for the directory of a node": func() error {
			return errors.Join(os.Remove(filepath.Join(to, "empty")), unix.Mkfifo(filepath.Join(to, "full"), 0o600))
		},
		"a link out for the directory of a node": func() error {
			return errors.Join(os.RemoveAll(filepath.Join(to, "full")), os.Symlink(outside, filepath.Join(to, "full")))
		},
		"a FIFO for the file that is copied": func() error { return unix.Mkfifo(filepath.Join(to, partFile), 0o600) },
	} {
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = prepare() // what it removes may not be there
		a, b := openRoots(t, from, to)
		done := make(chan error, 1)
		go func() { done <- copyTree(t.Context(), a, b) }()
		select {
		case err := <-done:
			left, rerr := os.ReadDir(outside)
			hostiletest.Report(t, name, len(left) > 0 || rerr != nil, fmt.Sprint(err))
		case <-time.After(20 * time.Second):
			hostiletest.Report(t, name, true, "the copy waits for ever")
		}
	}
}

// TestCopiesWait has two copies into the same directories in another order, one directory named twice, and one that gives up.
func TestCopiesWait(t *testing.T) {
	var c copies
	both := func(dirs ...string) {
		for range 1000 {
			unlock, err := c.lock(t.Context(), dirs)
			if err != nil {
				t.Error(err)
				return
			}
			unlock()
		}
	}
	var ended sync.WaitGroup
	ended.Go(func() { both("a", "b", "a") })
	ended.Go(func() { both("b", "a") })
	ended.Wait()
	unlock, err := c.lock(t.Context(), []string{"b"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.lock(ctx, []string{"a", "b"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a copy that has given up: %v", err)
	}
	unlock()
	if unlock, err = c.lock(t.Context(), []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestVolumeAtTwoPlaces fills a volume once that a container has twice.
func TestVolumeAtTwoPlaces(t *testing.T) {
	lane.Root(t)
	b := newMountBench(t, "", image.File{Name: "/one/x", Content: []byte("first")}, image.File{Name: "/two/x", Content: []byte("second")})
	_, out, err := b.try(func(s *runtime.ContainerSpec) {
		s.Mounts = []runtime.Mount{{Volume: "v", Destination: "/one", Populate: true}, {Volume: "v", Destination: "/two", Populate: true}}
	}, "read /one/x", "read /two/x")
	if err != nil || out != "first\nfirst\n" {
		t.Errorf("%q, %v", out, err)
	}
}
