package cgroup

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
)

func TestInGroup(t *testing.T) {
	const table = "12:pids:/fardel/x/task/app\n4:cpu,cpuacct:/fardel/x/task/app\n0::/fardel/x/task/app:odd\n"
	for group, want := range map[string]bool{
		"/fardel/x/task/app": true, "/fardel/x/task": true, "/fardel/x/task/ap": false, "/fardel/x/task/app/below": false,
		"/fardel/x/task/app:odd": true, "/other": false,
	} {
		if got := inGroup(table, group); got != want {
			t.Errorf("%s: %t, want %t", group, got, want)
		}
	}
}

func TestKillOnlyBelow(t *testing.T) {
	tree, _ := fake(t, unified)
	for _, name := range []string{"", ".", "..", "../x", "a/../.."} {
		if err := tree.Kill(t.Context(), name); err == nil {
			t.Errorf("Kill(%q): no error", name)
		}
	}
	if err := tree.Kill(t.Context(), "absent"); err != nil {
		t.Errorf("no such group: %v", err)
	}
}

func TestKillV2(t *testing.T) {
	for _, layout := range []string{unified, hybrid} {
		tree, root := fake(t, layout)
		if layout == hybrid {
			root = filepath.Join(root, "unified")
		}
		file := filepath.Join(root, "fardel/test/task/app/cgroup.kill")
		put(t, file, "")
		if err := tree.Kill(t.Context(), "task/app"); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != "1" {
			t.Errorf("cgroup.kill has %q, %v", text, err)
		}
	}
}

// TestHostileForks kills groups full of processes that do nothing but fork, with the file of v2 and without.
func TestHostileForks(t *testing.T) {
	lane.Root(t)
	for _, v2 := range []bool{true, false} {
		t.Run(fmt.Sprintf("v2=%t", v2), func(t *testing.T) {
			tree, err := Open(fmt.Sprintf("fardel/forks-test-%d", os.Getpid()))
			if err != nil {
				t.Fatal(err)
			}
			whole := *tree
			lock, err := tree.Lock()
			if err != nil {
				t.Fatal(err)
			}
			defer whole.RemoveParent()
			defer lock.Close()
			defer func() {
				if err := whole.Remove(t.Context(), "task"); err != nil {
					t.Error(err)
				}
			}()
			if err := tree.Create("task", Limits{CPU: 100 * time.Millisecond, PIDs: 400}); err != nil {
				t.Fatal(err)
			}
			for _, m := range tree.mounts { // OCI runtimes make groups there, too
				if m.controllers == nil {
					if err := os.MkdirAll(filepath.Join(m.point, tree.parent, "task"), 0o755); err != nil {
						t.Fatal(err)
					}
				}
			}
			startForks(t, tree)
			if !v2 {
				tree.mounts = slices.DeleteFunc(slices.Clone(tree.mounts), func(m mount) bool { return m.controllers == nil && !tree.unified })
			}
			began := time.Now()
			if err := tree.Kill(t.Context(), "task"); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			left, tries := 1, 0
			for tick := time.Tick(10 * time.Millisecond); left > 0 && time.Since(began) < 30*time.Second; tries++ {
				<-tick
				pids, err := processes(tree.dir("pids", "task"))
				if err != nil {
					t.Fatal(err)
				}
				left = len(pids)
			}
			hostiletest.Report(t, "outrun SIGKILL by forks", left > 0, fmt.Sprintf("%d processes are left", left))
			t.Logf("Kill took %v, the end of all %v", took, time.Since(began))
			text, err := os.ReadFile(filepath.Join(tree.dir("pids", "task"), "pids.max"))
			if err != nil || strings.TrimSpace(string(text)) != "400" {
				t.Errorf("pids.max is %q afterwards, %v", text, err)
			}
		})
	}
}

// startForks returns when a bomb has filled the group.
func startForks(t *testing.T, tree *Tree) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "read go; b() { b & b; }; b")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	if err := tree.AddProcess("task", "app", cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Fatal(err)
	}
	for end := time.After(time.Minute); ; {
		pids, err := processes(tree.dir("pids", "task"))
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) > 100 {
			return
		}
		select {
		case <-end:
			t.Fatalf("only %d processes", len(pids))
		case <-time.After(time.Millisecond):
		}
	}
}
