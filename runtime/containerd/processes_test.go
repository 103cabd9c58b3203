//go:build linux

package containerd

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIsRuntimeCall(t *testing.T) {
	const shim = "runc --root /r/ns --log /b/log.json --log-format json "
	for _, tt := range []struct {
		line, id, exec string
		want           bool
	}{
		{shim + "create --bundle /b --pid-file /b/init.pid app", "app", "", true},
		{"/bin/sh /d/oci-runtime --root /r/ns --log /b/log.json --log-format json start app", "app", "", true},
		{shim + "exec --process /p --detach --pid-file /b/X1.pid app", "app", "X1", true},
		{shim + "exec --process /p --detach --pid-file /b/X1.pid app", "app", "", true},
		{shim + "exec --process /p --detach --pid-file /b/X1.pid app", "app", "X2", false},
		{shim + "kill --all app 9", "app", "", true},
		{shim + "kill app 15", "app", "", true},
		{shim + "kill --all kill 9", "kill", "", true},
		{shim + "delete kill", "kill", "", true},
		{shim + "delete --force app", "app", "", true},
		{"/usr/bin/runsc --network=host --root /r/ns --log /b/log.json delete app", "app", "", true},
		{shim + "delete application", "app", "", false},
		{"runc --root /r/other delete app", "app", "", false},
		{"runc --root /r/ns", "app", "", false},
		{"--root /r/ns app", "app", "", false},
		{"app", "app", "", false},
		{"", "app", "", false},
	} {
		if got := isRuntimeCall(strings.Fields(tt.line), "/r/ns", tt.id, tt.exec); got != tt.want {
			t.Errorf("%q for %s %s: %t, want %t", tt.line, tt.id, tt.exec, got, tt.want)
		}
	}
}

func TestIsDaemonShim(t *testing.T) {
	for line, want := range map[string]bool{
		"/usr/bin/containerd-shim-runc-v2 -namespace n -id app -address /run/containerd/containerd.sock": true,
		"/usr/bin/containerd-shim-runc-v2 -namespace other -id app -address /x":                          false,
		"/usr/bin/containerd-shim-runc-v2 -namespace n -id app2 -address /x":                             false,
		"/usr/bin/containerd-shim-runc-v2 -namespace n -id":                                              false,
		"/evil -namespace n -id app":                                                                     false,
	} {
		if got := isDaemonShim(strings.Fields(line), "n", "app"); got != want {
			t.Errorf("%q: %t, want %t", line, got, want)
		}
	}
}

func TestDescendants(t *testing.T) {
	table := []proc{
		{pid: 1}, {pid: 10, parent: 1}, {pid: 13, parent: 12}, {pid: 11, parent: 10}, {pid: 12, parent: 11}, {pid: 20, parent: 1}, {pid: 30, parent: 20},
	}
	var got []int
	for _, p := range descendants(table, func(p proc) bool { return p.pid == 11 || p.pid == 30 }) {
		got = append(got, p.pid)
	}
	if diff := cmp.Diff([]int{11, 30, 12, 13}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseStat(t *testing.T) {
	p, ok := parseStat("42 (a) b (c) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2 3")
	if want := (proc{pid: 42, parent: 7, session: 9, start: 12345}); !ok || p != want {
		t.Errorf("got %+v, %t, want %+v", p, ok, want)
	}
	for _, text := range []string{"", "42", "42 (x) S 1", "x (x) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345"} {
		if p, ok := parseStat(text); ok {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

// TestEndProcesses ends a tree whose processes fork, and nothing else.
func TestEndProcesses(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "while :; do (sleep 1000 & sleep 0.01); done & while :; do (sleep 0.01 & sleep 0.01); done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	pid := cmd.Process.Pid
	session := func() (n int) {
		table, err := processTable()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range table {
			if p.session == pid && !zombie(p.pid) {
				n++
			}
		}
		return n
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(time.Minute); session() < 10; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("no processes")
		}
	}
	if err := endAdded(pid); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for limit := time.After(time.Minute); session() > 0; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%d processes are left", session())
		}
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another process has ended: %v", err)
	}
	if n, err := endProcesses(func(proc) bool { return false }); n != 0 || err != nil {
		t.Errorf("none: %d, %v", n, err)
	}
}
