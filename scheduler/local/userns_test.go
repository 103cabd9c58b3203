//go:build linux

package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

var usernsTasks = flag.Bool("userns", false, "most tests have a user namespace for each task")

// usernsVar tells host programs that tests start the same.
const usernsVar = "FARDEL_TEST_USERNS"

// withUserNS gives tasks user namespaces if the tests are to run so.
func withUserNS(cfg *local.Config) {
	if *usernsTasks {
		os.Setenv(usernsVar, "1")
	}
	if os.Getenv(usernsVar) != "" && cfg.UserNamespaces == nil {
		cfg.UserNamespaces = &local.UserNamespaces{}
	}
}

// needUserNS skips a test where tasks cannot have user namespaces.
func needUserNS(t testing.TB) {
	t.Helper()
	lane.Root(t)
	c, err := local.Open(t.Context(), local.Config{Dir: filepath.Join(t.TempDir(), "probe"), Runtime: *ociRuntime, UserNamespaces: &local.UserNamespaces{}})
	if errors.Is(err, runtime.ErrUnsupported) {
		lane.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// plant is what a hostile container leaves for its way out: a file of its own in its root file system, and itself as a
// program that makes whoever runs it root, in a volume. Then it waits.
func plant(string) error {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	for path, content := range map[string][]byte{"/planted": []byte("x"), "/shared/evil": self} {
		if err := os.WriteFile(path, content, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(path, fs.ModeSetuid|0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/shared/app", nil, 0o600); err != nil {
		return err
	}
	if err := os.Chown("/shared/app", 1000, 1000); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("planted")
	<-stop
	return nil
}

// planter is a definition of a container that plants, and whose command line tells it from others.
func planter(marker string) *task.TaskDefinition {
	def := define([]string{"app", "plant " + marker})
	def.Volumes = []task.Volume{{Name: "shared"}}
	app := &def.ContainerDefinitions[0]
	app.MountPoints = []task.MountPoint{{SourceVolume: "shared", ContainerPath: "/shared"}}
	app.Environment = []task.KeyValuePair{{Name: "SECRET", Value: marker}}
	return def
}

// processWith is the process of this machine with a command line.
func processWith(t *testing.T, statement string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if args := strings.Split(string(line), "\x00"); err != nil || len(args) < 2 || args[1] != statement {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err == nil {
			return pid
		}
	}
	t.Fatalf("no process %q", statement)
	return 0
}

// idsOf are the user and the group that a process is on this machine, and those that may be in its namespace.
func idsOf(t *testing.T, pid int) (uid, gid uint32, idMap string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d", pid), &st); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", pid))
	if err != nil {
		t.Fatal(err)
	}
	return st.Uid, st.Gid, strings.Join(strings.Fields(string(text)), " ")
}

// findFile is the one file of a name below a directory.
func findFile(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s in %s: %v, %v", pattern, dir, files, err)
	}
	return files[0]
}

func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Uid
}

// reach is what a process that is out of its container looks for.
type reach struct {
	Victim int      // a process of another task
	Host   int      // one of the machine's root
	Read   []string // files that are not the task's
	Write  []string
}

// escaped tries what root of the machine can do, as a process of a container would that a bug of the kernel or of the
// runtime has let out: with the user that it has, in no namespace but the machine's.
func escaped(argument string) int {
	var r reach
	if err := json.Unmarshal([]byte(argument), &r); err != nil {
		return outcome(err)
	}
	tries := []attempt{
		{"signal a process of another task", func() error { return syscall.Kill(r.Victim, 0) }},
		{"signal a process of the machine", func() error { return syscall.Kill(r.Host, 0) }},
		{"trace a process of another task", func() error { return traceable(r.Victim) }},
		{"read the variables of another task", readSome(fmt.Sprintf("/proc/%d/environ", r.Victim))},
		{"read the memory of another task", func() error {
			f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", r.Victim), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			return f.Close()
		}},
		{"look into the root of another task", func() error { return try(os.ReadDir(fmt.Sprintf("/proc/%d/root/", r.Victim))) }},
		{"open the files of another task", func() error { return try(os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.Victim))) }},
		{"join the namespaces of another task", func() error { return join(r.Victim) }},
		{"a new mount namespace", func() error { return syscall.Unshare(syscall.CLONE_NEWNS) }},
		{"write core_pattern", openToWrite("/proc/sys/kernel/core_pattern")},
		{"write sysrq-trigger", openToWrite("/proc/sysrq-trigger")},
		{"open a disk of the host", everywhere("/dev/[vsx]d[a-z]", readSome)},
		{"open the machine's memory", readSome("/dev/mem")},
		{"move to another cgroup", everywhere("/sys/fs/cgroup/cgroup.procs", openToWrite)},
		{"move to another cgroup, v1", everywhere("/sys/fs/cgroup/pids/cgroup.procs", openToWrite)},
		{"make a file in /etc", func() error { return createIn("/etc") }},
		{"make a file in /run", func() error { return createIn("/run") }},
		{"become root", func() error { return syscall.Setuid(0) }},
		{"raise a limit of processes", func() error {
			return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1 << 19, Max: 1 << 20})
		}},
	}
	for _, path := range r.Read {
		tries = append(tries, attempt{"read " + filepath.Base(path), readSome(path)})
	}
	for _, path := range r.Write {
		tries = append(tries, attempt{"write " + filepath.Base(path), openToWrite(path)})
	}
	for _, a := range tries {
		if err := a.try(); err != nil {
			fmt.Printf("held: %s: %v\n", a.name, err)
		} else {
			fmt.Printf("BROKEN: %s\n", a.name)
		}
	}
	return 0
}

func try[T any](_ T, err error) error { return err }

// openToWrite opens a file for writing, and writes nothing.
func openToWrite(path string) func() error {
	return func() error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return f.Close()
	}
}

func createIn(dir string) error {
	f, err := os.CreateTemp(dir, "fardel-test-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func join(pid int) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

// traceable asks for a word of a process's memory as a debugger would.
func traceable(pid int) error {
	word := make([]byte, 8)
	local := []unix.Iovec{{Base: &word[0], Len: 8}}
	_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	if errors.Is(err, unix.EFAULT) { // there is nothing, but it may look
		return nil
	}
	return err
}

// TestHostileUserNS finds on the machine what containers are that are root inside, and what becomes of one that gets out.
func TestHostileUserNS(t *testing.T) {
	needUserNS(t)
	dir := filepath.Join(t.TempDir(), "c")
	c := open(t, func(cfg *local.Config) { cfg.Dir, cfg.UserNamespaces = dir, &local.UserNamespaces{} })
	runs := map[string]*scheduler.Run{}
	pids := map[string]int{}
	for _, name := range []string{"first", "second"} {
		runs[name] = start(t, c, planter(name), scheduler.RunOptions{})
		running(t, runs[name])
		awaitOutput(t, runs[name], "app", "planted")
		pids[name] = processWith(t, "plant "+name)
	}
	uid, gid, idMap := idsOf(t, pids["first"])
	uid2, _, idMap2 := idsOf(t, pids["second"])
	hostiletest.Report(t, "root of a container is root of the machine", uid < 1<<16 || gid < 1<<16,
		fmt.Sprintf("user %d, group %d, map %q", uid, gid, idMap))
	hostiletest.Report(t, "the same user in two tasks", uid == uid2, fmt.Sprintf("users %d and %d, maps %q and %q", uid, uid2, idMap, idMap2))

	id, other := runs["first"].ID(), runs["second"].ID()
	sandbox := filepath.Join(dir, "containerd/sandboxes")
	evil := findFile(t, sandbox, id+"/volumes/shared/data/evil")
	planted := false
	layers, err := filepath.Glob(filepath.Join(dir, "containerd/images/overlayfs/snapshots/*/fs/planted"))
	if err != nil || len(layers) != 2 && *withDaemon == "" { // a daemon has them in its own directory
		t.Fatalf("planted in layers: %v, %v", layers, err)
	}
	for _, path := range append(layers, evil) {
		planted = planted || ownerOf(t, path) < 1<<16
	}
	hostiletest.Report(t, "a file with the user that the machine's root is", planted, fmt.Sprintf("owner %d", ownerOf(t, evil)))
	if got, want := ownerOf(t, findFile(t, sandbox, id+"/volumes/shared/data/app")), uid+1000; got != want {
		t.Errorf("a file of user 1000 belongs to %d on the machine, want %d", got, want)
	}
	became := runPlanted(t, evil)
	hostiletest.Report(t, "a program set user ID root in a volume makes a user of the machine root", became == "0", "it became "+became)

	want := reach{
		Victim: pids["second"], Host: os.Getppid(),
		Read: []string{
			"/etc/shadow", filepath.Join(dir, "state.db"), findFile(t, filepath.Join(dir, "containerd/containers"), other+"*/config.json"),
			findFile(t, sandbox, other+"/sandbox.json"), findFile(t, sandbox, other+"/volumes/shared/data/evil"),
		},
		Write: []string{findFile(t, sandbox, other+"/volumes/shared/data/app"), filepath.Join(dir, "state.db"), "/etc/passwd"},
	}
	for _, line := range runEscaped(t, uid, gid, want) {
		name, detail, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line, "held: "), "BROKEN: "), ": ")
		hostiletest.Report(t, "out of its container: "+name, strings.HasPrefix(line, "BROKEN"), detail)
	}
	for _, run := range runs {
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wait(t, run)
	}
}

// runPlanted runs what was planted, as a user of the machine who has come by it, and returns as whom it runs.
func runPlanted(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("/proc/self/fd/3", "euid")
	cmd.ExtraFiles, cmd.Dir = []*os.File{f}, "/"
	cmd.Env = []string{guestVar + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: 65533}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// runEscaped runs a program with a user of this machine and nothing else of a container's.
func runEscaped(t *testing.T, uid, gid uint32, r reach) []string {
	t.Helper()
	argument, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "escaped "+string(argument))
	cmd.Dir, cmd.Env = "/", []string{guestVar + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	out, err := cmd.CombinedOutput()
	lines := slices.Collect(strings.Lines(string(out)))
	if err != nil || len(lines) != 19+len(r.Read)+len(r.Write) {
		t.Fatalf("%d lines: %v: %s", len(lines), err, out)
	}
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return lines
}

// BenchmarkUserNS takes tasks to RUNNING with and without user namespaces, in turn, and reports the medians in milliseconds
// and the median of the ratios of neighbours.
func BenchmarkUserNS(b *testing.B) {
	needUserNS(b)
	clusters := map[string]*local.Cluster{}
	for _, name := range []string{"without", "with"} {
		cfg := local.Config{Dir: filepath.Join(b.TempDir(), name), Runtime: *ociRuntime}
		if name == "with" {
			cfg.UserNamespaces = &local.UserNamespaces{}
		}
		c, err := local.Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer func() {
			if err := c.Purge(context.Background()); err != nil {
				b.Error(err)
			}
		}()
		if err := addSelf(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		clusters[name] = c
	}
	launch := func(name string) time.Duration {
		began := time.Now()
		run, err := clusters[name].Run(b.Context(), define([]string{"app", "catch TERM 0", "hang"}), scheduler.RunOptions{})
		if err == nil {
			_, err = run.WaitRunning(b.Context())
		}
		took := time.Since(began)
		if err == nil {
			err = run.Stop(b.Context(), "")
		}
		if err == nil {
			_, err = run.Wait(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		return took
	}
	launch("without")
	launch("with")
	times := map[string][]float64{}
	for i := 0; b.Loop(); i++ {
		order := []string{"without", "with"}
		if i%2 == 1 { // neither always follows the other
			slices.Reverse(order)
		}
		pair := map[string]float64{}
		for _, name := range order {
			pair[name] = float64(launch(name).Microseconds()) / 1000
			times[name] = append(times[name], pair[name])
		}
		times["ratio"] = append(times["ratio"], pair["with"]/pair["without"])
	}
	for name, list := range times {
		slices.Sort(list)
		unit := "-ms"
		if name == "ratio" {
			unit = ""
		}
		b.ReportMetric(list[len(list)/2], name+unit)
		b.ReportMetric(list[0], name+"-least"+unit)
	}
}
