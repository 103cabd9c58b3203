//go:build linux

package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// hostilePID is the guest's statement "hostile-pid": "first FILE MARK" tries what the first process of the task's PID namespace is good
// for, "watch FILE" what others are that come into it, "break" ends the first. FILE is one of the host's, MARK a part of
// names that only the host knows.
func hostilePID(arguments string) int {
	goruntime.LockOSThread() // a tracer is a thread
	f := strings.Fields(arguments)
	switch {
	case len(f) == 3 && f[0] == "first":
		for _, a := range slices.Concat(lookAtFirst(f[1], f[2]), injections(1, f[1])) {
			if err := a.try(); err != nil {
				fmt.Printf("held: %s: %v\n", a.name, err)
			} else {
				fmt.Printf("BROKEN: %s\n", a.name)
			}
		}
		fmt.Println("tried")
		return 0
	case len(f) == 2 && f[0] == "watch":
		return watchProcesses(f[1])
	case len(f) == 1 && f[0] == "break":
		return outcome(breakFirst())
	}
	fmt.Println("no such attack:", arguments)
	return 1
}

// lookAtFirst reads what /proc has of the first process, without tracing it.
func lookAtFirst(file, mark string) []attempt {
	list := []attempt{
		{"read a file of the host through its root", readSome("/proc/1/root" + file)},
		{"write a file of the host through its root", write("/proc/1/root"+file, "x")},
		{"write into its root", func() error { return os.WriteFile("/proc/1/root/x", nil, 0o600) }},
		{"find anything in its root", findAny("/proc/1/root/*")},
		{"find anything in its working directory", findAny("/proc/1/cwd/*")},
		{"find an open descriptor", findAny("/proc/1/fd/*")},
		{"read the host's program from its executable", bigger("/proc/1/exe", 8192)},
		{"write to its executable", write("/proc/1/exe", "x")},
		{"write to its executable, mapped", everywhere("/proc/1/map_files/*", func(p string) func() error { return write(p, "x") })},
		{"see more than one mount", moreThan("/proc/1/mounts", 1)},
		{"see interfaces that are not the task's", otherInterfaces},
		{"hold a capability in it", heldCapability("/proc/1/status")},
		{"run on with new privileges", noLine("/proc/1/status", "NoNewPrivs:\t1")},
		{"run on without a filter of system calls", noLine("/proc/1/status", "Seccomp:\t2")},
		{"be root in it", noLine("/proc/1/status", "Uid:\t65534\t65534\t65534\t65534")},
		{"save it from the OOM killer", write("/proc/1/oom_score_adj", "-1000")},
	}
	for _, name := range []string{"cmdline", "environ", "mounts", "mountinfo", "maps", "stat", "comm"} {
		list = append(list, attempt{"find a name of the host in its " + name, contains("/proc/1/"+name, mark)})
	}
	for name, kind := range map[string]int{"mnt": unix.CLONE_NEWNS, "net": unix.CLONE_NEWNET, "ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS} {
		list = append(list, attempt{"join its " + name + " namespace", func() error {
			f, err := os.Open("/proc/1/ns/" + name)
			if err != nil {
				return err
			}
			defer f.Close()
			return unix.Setns(int(f.Fd()), kind)
		}})
	}
	return list
}

func findAny(pattern string) func() error {
	return func() error {
		found, err := filepath.Glob(pattern)
		if err == nil && len(found) == 0 {
			err = errors.New("there is none")
		}
		return err
	}
}

func bigger(path string, size int64) func() error {
	return func() error {
		info, err := os.Stat(path)
		if err == nil && info.Size() <= size {
			err = fmt.Errorf("it has %d bytes", info.Size())
		}
		return err
	}
}

func moreThan(path string, lines int) func() error {
	return func() error {
		text, err := os.ReadFile(path)
		if n := bytes.Count(text, []byte("\n")); err == nil && n <= lines {
			err = fmt.Errorf("%d lines: %q", n, text)
		}
		return err
	}
}

func otherInterfaces() error {
	own, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return err
	}
	its, err := os.ReadFile("/proc/1/net/dev")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(its)) {
		name, _, found := strings.Cut(line, ":")
		if found && !strings.Contains(string(own), name+":") {
			return nil
		}
	}
	return errors.New("they are the same")
}

func heldCapability(status string) func() error {
	return func() error {
		text, err := os.ReadFile(status)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if name, set, _ := strings.Cut(strings.TrimSpace(line), ":\t"); strings.HasPrefix(name, "Cap") && strings.Trim(set, "0") != "" {
				return nil
			}
		}
		return errors.New("every set is empty")
	}
}

func noLine(path, line string) func() error {
	return func() error {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), line+"\n") {
			err = errors.New(line)
		}
		return err
	}
}

func contains(path, mark string) func() error {
	return func() error {
		text, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(text), mark) {
			err = errors.New("there is none")
		}
		return err
	}
}

// breakFirst attaches to the first process so that it ends with the tracer.
func breakFirst() error {
	if err := seize(1, unix.PTRACE_O_EXITKILL); err != nil {
		return err
	}
	fmt.Println("seized")
	return nil
}

func seize(pid, options int) error {
	if _, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, uintptr(options), 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, unix.PTRACE_INTERRUPT, uintptr(pid), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	var status unix.WaitStatus
	_, err := unix.Wait4(pid, &status, unix.WALL, nil)
	return err
}

// watchProcesses looks at every process that comes into its PID namespace until it is told to stop, and says what it found.
func watchProcesses(file string) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	known := map[int]bool{1: true, os.Getpid(): true}
	found := map[string]int{}
	seen := 0
	fmt.Println("watching")
	for {
		select {
		case <-stop:
			for _, what := range []string{"root", "descriptor", "capability", "traced"} {
				fmt.Printf("found %s: %d\n", what, found[what])
			}
			fmt.Println("saw", seen)
			return 0
		default:
		}
		for _, pid := range processes() {
			if known[pid] {
				continue
			}
			known[pid] = true
			seen++
			inspect(pid, file, found)
		}
	}
}

// inspect takes what a process has and no container should have, until it can be traced or has ended.
func inspect(pid int, file string, found map[string]int) {
	at := fmt.Sprintf("/proc/%d", pid)
	once := map[string]bool{}
	note := func(what string) {
		if !once[what] {
			once[what] = true
			found[what]++
		}
	}
	for range 1000 {
		if _, err := os.Stat(at); err != nil {
			return
		}
		if readSome(at+"/root"+file)() == nil {
			note("root")
		}
		fds, _ := filepath.Glob(at + "/fd/*")
		for _, fd := range fds {
			if info, err := os.Stat(fd); err == nil && info.IsDir() {
				note("descriptor")
			}
		}
		if hasAdministrator(at) {
			note("capability")
		}
		if seize(pid, 0) != nil {
			continue
		}
		if hasAdministrator(at) { // else it is a container's program by now
			note("traced")
		}
		_ = unix.PtraceDetach(pid)
		return
	}
}

// hasAdministrator reports whether a thread of a process has SYS_ADMIN.
func hasAdministrator(process string) bool {
	threads, _ := filepath.Glob(process + "/task/*/status")
	return slices.ContainsFunc(threads, isAdministrator)
}

// isAdministrator reports whether a thread has SYS_ADMIN.
func isAdministrator(status string) bool {
	text, err := os.ReadFile(status)
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), "CapEff:\t")
	line, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(line, 16, 64)
	return err == nil && set&(1<<unix.CAP_SYS_ADMIN) != 0
}

func processes() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// limited skips a test where adding processes beside tracers is not limited.
func limited(t *testing.T) {
	t.Helper()
	if *usernsTasks {
		t.Skip("with user namespaces the OCI runtime is out of the reach of tracers")
	}
}

// tracer lets a container of a definition trace.
func tracer(c *task.ContainerDefinition) {
	c.LinuxParameters = &task.LinuxParameters{Capabilities: &task.KernelCapabilities{Add: []string{"SYS_PTRACE"}}}
}

// openSharing opens a cluster whose containers can share processes.
func openSharing(t *testing.T) *local.Cluster {
	t.Helper()
	if filepath.Base(*ociRuntime) == "runsc" {
		t.Skip("gVisor's containers share no processes")
	}
	return open(t)
}

// TestHostileFirstProcess has containers with and without the right to trace have their way with the first process of the
// PID namespace that the containers of their task share.
func TestHostileFirstProcess(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := openSharing(t)
	for _, who := range []string{"a container", "a tracer"} {
		def := define([]string{"app", "hostile-pid first " + secret + " " + filepath.Base(filepath.Dir(filepath.Dir(secret)))})
		def.PIDMode = task.PIDModeTask
		if who == "a tracer" {
			tracer(&def.ContainerDefinitions[0])
		}
		run := start(t, c, def, scheduler.RunOptions{})
		stopped := wait(t, run)
		out := output(t, run, "app")
		for line := range strings.Lines(out) {
			verdict, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if name, detail, _ := strings.Cut(rest, ": "); verdict == "held" || verdict == "BROKEN" {
				hostiletest.Report(t, who+": "+name, verdict == "BROKEN", detail)
			}
		}
		if code := stopped.Containers[0].ExitCode; !strings.Contains(out, "tried\n") || code == nil || *code != 0 {
			t.Errorf("%s did not get to its end: %+v\n%s", who, stopped.Containers[0], out)
		}
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "of the host" {
		t.Errorf("the host's file is %q, %v", text, err)
	}
}

// TestHostileFirstProcessEnds has a container end the first process: its own task ends, another and the cluster go on.
func TestHostileFirstProcessEnds(t *testing.T) {
	c := openSharing(t)
	other := define([]string{"app", "hang"})
	other.PIDMode = task.PIDModeTask
	bystander := start(t, c, other, scheduler.RunOptions{})
	running(t, bystander)
	def := define([]string{"app", "hostile-pid break"}, []string{"beside", "hang"})
	def.PIDMode = task.PIDModeTask
	tracer(&def.ContainerDefinitions[0])
	run := start(t, c, def, scheduler.RunOptions{})
	stopped := wait(t, run)
	t.Log(output(t, run, "app"))
	if got := stopped.Container("beside").ExitCode; got == nil || *got != 137 {
		t.Errorf("the container beside it ended with %v", got)
	}
	rec, err := bystander.Describe(t.Context())
	hostiletest.Report(t, "end another task with one's first process", err != nil || rec.LastStatus != task.Running, fmt.Sprint(err))
	again := start(t, c, other, scheduler.RunOptions{})
	running(t, again)
	for _, r := range []*scheduler.Run{bystander, again} {
		if err := r.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wait(t, r)
	}
}

// TestHostileNewcomers has a container that may trace wait for the processes of the OCI runtime that come into its PID
// namespace, which have all of root's powers: none comes while it runs, and what would need one is refused.
func TestHostileNewcomers(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	limited(t)
	c := openSharing(t)
	for _, mode := range []task.PIDMode{"", task.PIDModeTask} {
		def := define([]string{"app", "hostile-pid watch " + secret}, []string{"beside", "out up", "hang"})
		def.CPU, def.Memory, def.PIDMode = "1024", "2048", mode
		tracer(&def.ContainerDefinitions[0])
		run := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
		awaitOutput(t, run, "app", "watching")
		running(t, run)
		exec := func(container string) error {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err := run.Exec(ctx, container, runtime.ExecSpec{Args: []string{guestPath(t), "exit 0"}})
			return err
		}
		where := "a PID namespace of its own"
		if mode != "" {
			where = "a PID namespace with others"
		}
		err := exec("app")
		hostiletest.Report(t, "a process is added to a tracer in "+where, !errors.Is(err, runtime.ErrUnsupported), fmt.Sprint(err))
		switch err := exec("beside"); {
		case mode == "" && err != nil:
			t.Errorf("exec where nobody traces: %v", err)
		case mode != "":
			hostiletest.Report(t, "a process is added beside a tracer", !errors.Is(err, runtime.ErrUnsupported), fmt.Sprint(err))
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wait(t, run)
		out := output(t, run, "app")
		for _, what := range []string{"root", "descriptor", "capability", "traced"} {
			held := strings.Contains(out, "found "+what+": 0\n")
			hostiletest.Report(t, "find more in others than containers have in "+where+": "+what, !held, fmt.Sprintf("%q", out))
		}
	}
}

// TestHostileNewcomersWithUserNamespaces has a container that may trace in a user namespace wait for the processes of the OCI
// runtime: they come, and it gets nothing of them.
func TestHostileNewcomersWithUserNamespaces(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	needUserNS(t)
	c := open(t, func(cfg *local.Config) { cfg.UserNamespaces = &local.UserNamespaces{} })
	for _, mode := range []task.PIDMode{"", task.PIDModeTask} {
		def := define([]string{"app", "hostile-pid watch " + secret}, []string{"beside", "out up", "hang"})
		def.CPU, def.Memory, def.PIDMode = "1024", "2048", mode
		tracer(&def.ContainerDefinitions[0])
		run := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
		awaitOutput(t, run, "app", "watching")
		running(t, run)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if code, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{guestPath(t), "exit 3"}}); code != 3 || err != nil {
				t.Errorf("exec: %d, %v", code, err)
			}
			cancel()
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wait(t, run)
		out := output(t, run, "app")
		if strings.HasSuffix(out, "saw 0\n") {
			t.Errorf("it has seen nobody: %q", out)
		}
		for _, what := range []string{"root", "descriptor", "traced"} {
			held := strings.Contains(out, "found "+what+": 0\n")
			hostiletest.Report(t, fmt.Sprintf("find more in the OCI runtime than containers have, pidMode %q: %s", mode, what), !held, fmt.Sprintf("%q", out))
		}
	}
}

// TestTracersAreRefused asks for what would add processes beside a container that may trace.
func TestTracersAreRefused(t *testing.T) {
	limited(t)
	c := openSharing(t)
	check := &task.HealthCheck{Command: []string{"CMD", guestPath(t), "exit 0"}}
	for name, change := range map[string]func(*task.TaskDefinition){
		"a health check":           func(d *task.TaskDefinition) { d.PIDMode, d.ContainerDefinitions[0].HealthCheck = "", check },
		"a health check beside it": func(d *task.TaskDefinition) { d.ContainerDefinitions[1].HealthCheck = check },
		"a restart beside it": func(d *task.TaskDefinition) {
			d.ContainerDefinitions[1].RestartPolicy = &task.RestartPolicy{Enabled: true}
		},
		"a second one": func(d *task.TaskDefinition) { tracer(&d.ContainerDefinitions[1]) },
		"a container that waits for it": func(d *task.TaskDefinition) {
			d.ContainerDefinitions[1].DependsOn = []task.ContainerDependency{{ContainerName: "app", Condition: task.ConditionStart}}
		},
	} {
		def := define([]string{"app", "hang"}, []string{"beside", "hang"})
		def.PIDMode = task.PIDModeTask
		tracer(&def.ContainerDefinitions[0])
		change(def)
		var unsupported *scheduler.UnsupportedError
		if _, err := c.Run(t.Context(), def, scheduler.RunOptions{}); !errors.As(err, &unsupported) || len(unsupported.Problems) != 1 && name != "a second one" {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Log(err)
		}
	}
}
