package leaktest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/internal/lane"
)

// mark is one that no other run of this test uses. An interface's name has 15 characters at most.
func mark() string { return fmt.Sprintf("lk%06x", rand.IntN(1<<24)) }

func TestEachKindIsFound(t *testing.T) {
	mark, dir := mark(), t.TempDir()
	for _, c := range []struct {
		name string
		root bool
		make func(t *testing.T) (remove func())
		want string // in the line that tells of it
	}{
		{"process", false, func(t *testing.T) func() { return process(t, "sh", "-c", "read x # "+mark) }, "process: "},
		{"file", false, func(t *testing.T) func() {
			path := filepath.Join(dir, "left")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() { remove(t, path) }
		}, "file: "},
		{"interface", true, func(t *testing.T) func() {
			ip := lane.Command(t, "ip")
			run(t, ip, "link", "add", mark+"x", "type", "veth", "peer", "name", "p"+mark[2:])
			return func() { run(t, ip, "link", "del", mark+"x") }
		}, "interface: " + mark + "x"},
		{"table", true, func(t *testing.T) func() {
			nft := lane.Command(t, "nft")
			run(t, nft, "add", "table", "inet", mark)
			return func() { run(t, nft, "delete", "table", "inet", mark) }
		}, "nftables: table inet " + mark},
		{"cgroup", true, func(t *testing.T) func() {
			path := filepath.Join(someCgroup(t), mark)
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
			return func() { remove(t, path) }
		}, mark},
		{"mount", true, func(t *testing.T) func() {
			path := filepath.Join(t.TempDir(), mark+" with space")
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			run(t, "mount", "-t", "tmpfs", "tmpfs", path)
			return func() { run(t, "umount", path) }
		}, mark + " with space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root {
				lane.Root(t)
			}
			s := Take(t, mark).Folder(dir)
			undo := c.make(t)
			extra, gone, err := s.settle(0)
			if err != nil || len(extra) != 1 || !strings.Contains(extra[0], c.want) || len(gone) != 0 {
				t.Errorf("extra %q, gone %q, error %v, want a line with %q", extra, gone, err, c.want)
			}
			with := Take(t, mark).Folder(dir)
			undo()
			s.Check()
			if extra, gone, err := with.settle(0); err != nil || len(extra) != 0 || len(gone) != 1 {
				t.Errorf("after its removal: extra %q, gone %q, error %v", extra, gone, err)
			}
		})
	}
}

func TestIgnore(t *testing.T) {
	dir := t.TempDir()
	coming, going := filepath.Join(dir, "coming"), filepath.Join(dir, "going")
	if err := os.WriteFile(going, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := Take(t, mark()).Folder(dir).Ignore("/coming", "/going")
	if err := os.WriteFile(coming, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	remove(t, going)
	s.Check()
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if extra, gone, err := s.settle(0); err != nil || len(extra) != 1 || len(gone) != 0 {
		t.Errorf("extra %q, gone %q, error %v", extra, gone, err)
	}
}

// TestInsideNamespace: what is left in a namespace that stays.
func TestInsideNamespace(t *testing.T) {
	lane.Root(t)
	ip, nft, nsenter := lane.Command(t, "ip"), lane.Command(t, "nft"), lane.Command(t, "nsenter")
	path := filepath.Join(t.TempDir(), mark())
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "unshare", "--net="+path, "true")
	defer run(t, "umount", path)
	inside := func(command ...string) { run(t, nsenter, append([]string{"--net=" + path}, command...)...) }
	inside(nft, "add table ip t; add set ip t s { type ipv4_addr; }; add chain ip t c; add rule ip t c counter accept")
	s := Take(t, path)
	for _, c := range []struct{ add, del []string }{
		{[]string{ip, "link", "add", "d0", "type", "veth", "peer", "name", "d1"}, []string{ip, "link", "del", "d0"}},
		{[]string{nft, "add", "element", "ip", "t", "s", "{ 10.0.0.1, 10.0.0.2 }"}, []string{nft, "delete", "element", "ip", "t", "s", "{ 10.0.0.1, 10.0.0.2 }"}},
		{[]string{ip, "rule", "add", "from", "10.0.0.1", "table", "7"}, []string{ip, "rule", "del", "from", "10.0.0.1", "table", "7"}},
		{[]string{ip, "route", "add", "blackhole", "10.0.0.0/24", "table", "7"}, []string{ip, "route", "del", "blackhole", "10.0.0.0/24", "table", "7"}},
	} {
		inside(c.add...)
		if extra, _, err := s.settle(0); err != nil || len(extra) == 0 {
			t.Errorf("after %s: nothing found, error %v", c.add, err)
		}
		inside(c.del...)
		s.Check()
	}
}

func TestTableLines(t *testing.T) {
	const ruleset = `table inet mine {
	set members {
		type ipv4_addr
		elements = { 10.0.0.1, 10.0.0.2,
			     10.0.0.3 expires 3s }
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ip saddr { 10.0.0.1, 10.0.0.2 } counter packets 3 bytes 180 accept
	}
}
table ip theirs {
	chain c {
		accept
	}
}
`
	want := []string{
		"table inet mine {",
		"table inet mine set members {",
		"table inet mine set members type ipv4_addr",
		"table inet mine set members elements = { 10.0.0.1, 10.0.0.2,",
		"table inet mine set members elements = { 10.0.0.1, 10.0.0.2, 10.0.0.3 }",
		"table inet mine chain forward {",
		"table inet mine chain forward type filter hook forward priority filter; policy accept;",
		"table inet mine chain forward ip saddr { 10.0.0.1, 10.0.0.2 } counter accept",
	}
	got := tableLines(ruleset, func(line string) bool { return strings.Contains(line, "mine") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// someCgroup is the root of a hierarchy.
func someCgroup(t *testing.T) string {
	t.Helper()
	for _, path := range []string{cgroupRoot + "/pids", cgroupRoot + "/unified", cgroupRoot} {
		if _, err := os.Stat(filepath.Join(path, "cgroup.procs")); err == nil {
			return path
		}
	}
	lane.Missing(t, "a cgroup hierarchy below "+cgroupRoot)
	return ""
}

// process starts a process that ends when its input does.
func process(t *testing.T, command ...string) (end func()) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = in.Close()
		_ = cmd.Wait() // read reports the end of its input
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Error(err)
	}
}

func run(t *testing.T, command string, args ...string) {
	t.Helper()
	cmd := exec.Command(command, args...)
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", command, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
}
