//go:build linux

package containerd

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/internal/spool"
)

func TestRefuse(t *testing.T) {
	const audit, other = unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386
	for _, c := range []struct {
		arch, number uint32
		allowed      bool
	}{
		{audit, 7, false}, {audit, 9, false}, {audit, 8, true}, {audit, 0, true}, {audit, 1<<30 + 8, false}, {other, 8, false},
	} {
		want := filterEPERM
		if c.allowed {
			want = unix.SECCOMP_RET_ALLOW
		}
		if got := runFilter(refuse(audit, []uint32{7, 9}), c.arch, c.number); got != want {
			t.Errorf("call %d of %x: %x, want %x", c.number, c.arch, got, want)
		}
	}
}

func TestLandlockRuleset(t *testing.T) {
	for _, c := range []struct {
		version int
		ruleset string
		allowed uint64
	}{
		{1, "f21f000000000000", 0x122},
		{2, "f23f000000000000", 0x122},
		{3, "f27f000000000000", 0x4122},
		{5, "f27f000000000000" + "0300000000000000", 0x4122},
		{7, "f27f000000000000" + "0300000000000000" + "0300000000000000", 0x4122},
	} {
		if ruleset, allowed := landlockRuleset(c.version); hex.EncodeToString(ruleset) != c.ruleset || allowed != c.allowed {
			t.Errorf("version %d: %x, %x, want %s, %x", c.version, ruleset, allowed, c.ruleset, c.allowed)
		}
	}
}

func TestLogPlan(t *testing.T) {
	steps := func(p logPlan) (list []string) {
		for _, c := range p.program().calls {
			list = append(list, c.step)
		}
		return list
	}
	plan := logPlan{binary: "/app", dir: "/logs", lastCapability: 40, landlock: 7, audit: unix.AUDIT_ARCH_X86_64}
	got := strings.Join(steps(plan), ", ")
	if !strings.HasSuffix(got, ", become /app") || strings.Count(got, "drop a capability") != 40 || !strings.Contains(got, "allow the directory") {
		t.Errorf("steps %s", got)
	}
	plan.dir = ""
	if got := strings.Join(steps(plan), ", "); strings.Contains(got, "directory") || !strings.Contains(got, "follow the rules") {
		t.Errorf("steps without a directory: %s", got)
	}
	plan.landlock = 0
	if got := strings.Join(steps(plan), ", "); strings.Contains(got, "rules") || !strings.Contains(got, "filter system calls") {
		t.Errorf("steps without Landlock: %s", got)
	}
}

// logger writes the program that starts a logger.
func logger(t *testing.T, dir, log string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{dir: dir, self: self}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "containers", "c"), 0o700), os.MkdirAll(log, 0o700)); err != nil {
		t.Fatal(err)
	}
	path, err := r.logger(target{container: "c"}, creation{log: log})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := machines[goruntime.GOARCH]; !ok {
		t.Skip("fardel is not made for this processor")
	}
	return path
}

// confinedAttempts are what a process that keeps a log is not there for.
var confinedAttempts = []struct {
	name string
	try  func(dir string) error
}{
	{"write another container's log", func(dir string) error { return os.WriteFile(filepath.Join(dir, "other", "1.seg"), nil, 0o600) }},
	{"truncate a file", func(dir string) error { return os.Truncate(filepath.Join(dir, "secret"), 0) }},
	{"remove a file", func(dir string) error { return os.Remove(filepath.Join(dir, "secret")) }},
	{"make a link out of its directory", func(dir string) error { return os.Symlink("/etc", filepath.Join(dir, "log", "link")) }},
	{"move a file into its directory", func(dir string) error {
		return os.Rename(filepath.Join(dir, "secret"), filepath.Join(dir, "log", "secret"))
	}},
	{"make a device", func(dir string) error {
		return unix.Mknod(filepath.Join(dir, "log", "disk"), unix.S_IFBLK|0o600, 0x700)
	}},
	{"mount", func(dir string) error {
		at := filepath.Join(dir, "other")
		err := unix.Mount("none", at, "tmpfs", 0, "")
		if err == nil {
			err = unix.Unmount(at, 0)
		}
		return err
	}},
	{"make a namespace", func(string) error { return unix.Unshare(unix.CLONE_NEWUSER) }},
	{"have a socket", func(string) error {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err == nil {
			l.Close()
		}
		return err
	}},
	{"trace the host program", func(string) error { return unix.PtraceSeize(os.Getppid()) }},
	{"signal the host program", func(string) error { return unix.Kill(os.Getppid(), 0) }},
	{"set the host name", func(string) error {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		return unix.Sethostname([]byte(name))
	}},
	{"change another's file", func(dir string) error { return os.Chown(filepath.Join(dir, "secret"), 1, 1) }},
	{"become another user", func(string) error { return syscall.Setuid(1) }},
}

// tryConfined is what a hostile container would have the process do that keeps its log.
func tryConfined(dir string) {
	for _, a := range confinedAttempts {
		if err := a.try(dir); err != nil {
			fmt.Printf("held: %s: %v\n", a.name, err)
		} else {
			fmt.Printf("BROKEN: %s\n", a.name)
		}
	}
	fmt.Println("its own:", os.WriteFile(filepath.Join(dir, "log", "1.seg"), []byte("x"), 0o600),
		os.Rename(filepath.Join(dir, "log", "1.seg"), filepath.Join(dir, "log", "2.seg")), os.Remove(filepath.Join(dir, "log", "2.seg")))
}

// TestHostileLogProcess has the process that keeps a log in the hands of the container whose log it is.
func TestHostileLogProcess(t *testing.T) {
	lane.Root(t)
	dir := t.TempDir()
	path := logger(t, dir, filepath.Join(dir, "log"))
	err := errors.Join(os.Mkdir(filepath.Join(dir, "other"), 0o700), os.WriteFile(filepath.Join(dir, "secret"), []byte("of the host"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childRole+"=confined")
	cmd.Args[0] = "not " + logName
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "its own: <nil> <nil> <nil>\n") {
		t.Fatalf("%v: %s", err, out)
	}
	landlock, _, _ := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	n := 0
	for line := range strings.Lines(string(out)) {
		verdict, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if verdict != "held" && verdict != "BROKEN" {
			continue
		}
		n++
		name, detail, _ := strings.Cut(rest, ": ")
		if verdict == "BROKEN" && int(landlock) < 6 {
			t.Logf("this kernel has version %d of Landlock, and so it could %s", int(landlock), name)
			continue
		}
		hostiletest.Report(t, name, verdict == "BROKEN", detail)
	}
	if n != len(confinedAttempts) {
		t.Errorf("%d of %d attempts:\n%s", n, len(confinedAttempts), out)
	}
}

// TestLogger has a logger keep what it is given, with no privileges that this does not take.
func TestLogger(t *testing.T) {
	lane.Root(t)
	dir := t.TempDir()
	c := creation{log: filepath.Join(dir, "log")}
	path := logger(t, dir, c.log)
	began := time.Now()
	streams, err := startLogger(path, dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("ready after", time.Since(began))
	defer streams.release()
	var p process
	if found, err := readJSON(filepath.Join(dir, loggerFile), &p); !found || err != nil {
		t.Fatal(found, err)
	}
	defer func() { _ = p.kill() }()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapPrm:\t0000000000000002", "CapEff:\t0000000000000002", "CapBnd:\t0000000000000002", "CapInh:\t0000000000000000"} {
		if !strings.Contains(string(status), line+"\n") {
			t.Errorf("status without %q:\n%s", line, status)
		}
	}
	if _, err := streams[0].WriteString("kept\n"); err != nil {
		t.Fatal(err)
	}
	streams.release()
	if err := p.end(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r, err := spool.Open(c.log)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil && !errors.Is(err, fs.ErrClosed) || string(text) != "kept\n" {
		t.Errorf("log %q, %v", text, err)
	}
}
