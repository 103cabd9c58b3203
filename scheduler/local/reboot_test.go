//go:build linux

package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// killHost runs hostProgram and kills it when its tasks run. It returns their IDs.
func killHost(t *testing.T, dir string) (short, long string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), hostVar+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscan(out, &short, &long); err != nil {
		t.Fatalf("host program: %v, %v", err, cmd.Wait())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return short, long
}

// TestReboot takes from a cluster what the machine forgets when it is started again: processes, mounts, namespaces, links,
// rules and cgroups, and the identity of its boot. Once more is done where Config.Dir was on a disk that forgets files,
// too, but for the state and the images.
func TestReboot(t *testing.T) {
	needRoot(t)
	for _, forget := range [][]string{nil, {"network", "tasks", "containerd/runc", "containerd/sandboxes/*/shim.sock", "containerd/tmp"}} {
		t.Run(fmt.Sprintf("without %s", forget), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "c")
			before := leaktest.Take(t, dir, local.Owner(dir))
			var c *local.Cluster
			purgeFailed(t, local.Config{Dir: dir}, &c)
			short, long := killHost(t, dir)
			reboot(t, dir)
			before.Check()
			for _, pattern := range forget {
				names, err := filepath.Glob(filepath.Join(dir, pattern))
				if err != nil || len(names) == 0 {
					t.Fatalf("%s: %q, %v", pattern, names, err)
				}
				for _, name := range names {
					if err := os.RemoveAll(name); err != nil {
						t.Fatal(err)
					}
				}
			}

			var err error
			if c, err = local.Open(t.Context(), local.Config{Dir: dir}); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{short, long} {
				run, err := c.Lookup(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				rec := wait(t, run)
				app := rec.Containers[0]
				if rec.StopCode != task.StopCodeEssentialContainerExited || rec.StoppedReason != task.ReasonEssentialContainerExited ||
					app.ExitCode == nil || *app.ExitCode != 137 && id == long || checkTimes(rec) != nil {
					t.Errorf("%s: %s: %s, container %+v, %v", id, rec.StopCode, rec.StoppedReason, app, checkTimes(rec))
				}
			}
			// The machine goes on.
			if rec := wait(t, start(t, c, briefDefinition(), scheduler.RunOptions{})); *rec.Containers[0].ExitCode != briefCode {
				t.Errorf("a task after that: %+v", rec.Containers[0])
			}
			if err := c.Purge(t.Context()); err != nil {
				t.Error(err)
			}
			before.Check()
			for _, part := range []string{"containerd/containers", "containerd/sandboxes", "containerd/tmp", "tasks"} {
				if left, err := filepath.Glob(filepath.Join(dir, part, "*")); err != nil || len(left) > 0 {
					t.Errorf("left over: %q, %v", left, err)
				}
			}
		})
	}
}

// reboot takes away what of a cluster is in the kernel. Everything of it is in this test's own namespaces, but processes
// and cgroups, which are found by the cluster's marks.
func reboot(t *testing.T, dir string) {
	t.Helper()
	owner := local.Owner(dir)
	killMarked(t, dir, owner)
	unmountBelow(t, dir)
	links, err := filepath.Glob("/sys/class/net/fardel-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		ip(t, "link", "del", filepath.Base(link))
	}
	if out, err := exec.Command("nft", "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	removeCgroups(t, owner)
	boot := filepath.Join(t.TempDir(), "boot_id")
	if err := os.WriteFile(boot, []byte("00000000-0000-4000-8000-000000000000\n"), 0o444); err != nil {
		t.Fatal(err)
	}
	const at = "/proc/sys/kernel/random/boot_id"
	if err := syscall.Mount(boot, at, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v, %s", args, err, out)
	}
}

// killMarked kills the processes with one of the marks in their command line or cgroup, until there is none.
func killMarked(t *testing.T, marks ...string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil || pid == os.Getpid() {
				continue
			}
			line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")) // it may have ended
			group, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup"))
			if slices.ContainsFunc(marks, func(m string) bool { return bytes.Contains(append(line, group...), []byte(m)) }) {
				found++
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					t.Fatal(err)
				}
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // it may be this process's child
			}
		}
		if found == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d processes do not end", found)
		}
	}
}

func unmountBelow(t *testing.T, dir string) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range slices.Backward(strings.Split(strings.TrimSpace(string(table)), "\n")) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, dir+"/") {
			if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
				t.Fatalf("unmount %s: %v", at, err)
			}
		}
	}
}

func removeCgroups(t *testing.T, owner string) {
	t.Helper()
	var groups []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && strings.Contains(path, owner) {
			groups = append(groups, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Backward(groups) {
		err := os.Remove(path)
		for end := time.Now().Add(time.Minute); errors.Is(err, syscall.EBUSY) && time.Now().Before(end); err = os.Remove(path) {
			<-time.After(10 * time.Millisecond)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}
