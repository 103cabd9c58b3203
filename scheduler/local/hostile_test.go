//go:build linux

package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// trial is something that a hostile container tries.
type trial struct {
	name string // unique
	// try returns what it got, or an error where the sandbox holds.
	try func() (string, error)
	// apart is set where the process that tries may not survive it, or is another one after it.
	apart bool
	// sandboxed says why it does no harm that it succeeds on a kernel that is the container's own, gVisor's. Empty where
	// it may not succeed there either. What it would have changed on the host is in effects.
	sandboxed string
}

// ownKernel is what most attempts on the kernel meet in gVisor: it is a program that lives in the task's cgroup and
// namespaces behind a seccomp filter of its own, and what changes in it changes for this container alone.
const ownKernel = "the kernel is the container's own"

// attempt is a trial that another test makes.
type attempt struct {
	name string
	try  func() error
}

// theme is trials that belong together.
type theme struct {
	name     string
	attempts func() []trial
}

// themes are what a hostile container tries as root with Fargate's default capabilities.
var themes = []theme{
	{"system calls", systemCalls},
	{"system calls of other architectures", foreignCalls},
	{"sockets", socketAttempts},
	{"namespaces", namespaceAttempts},
	{"files of the kernel", kernelFiles},
	{"file systems", fileSystemAttempts},
	{"devices", deviceAttempts},
	{"processes", processAttempts},
	{"neighbours", neighbourAttempts},
	{"resources", resourceAttempts},
}

// terminalThemes are what it tries on a terminal.
var terminalThemes = []theme{{"terminal", terminalAttempts}}

// hostileGuests are what else a hostile container does.
var hostileGuests = map[string]func() error{
	"idle":      idle,
	"neighbour": hostileNeighbour, "hoard": hoard, "forks": forks, "flood": flood, "litter": litter,
	"dig": dig, "rings": rings, "seek": seek, "halt": halt,
}

// stay keeps a container running. A select without cases is a deadlock to a program without cgo.
func stay() error {
	for range time.Tick(time.Hour) {
	}
	return nil
}

// idle is a container that does nothing.
func idle() error {
	fmt.Println("idle")
	return stay()
}

// answer is a line that the guest prints for an attempt.
type answer struct {
	Attempt   string
	Succeeded bool
	Detail    string
}

// hostile is a container that tries themes: "hostile all", "hostile terminal", or "hostile one NAME".
func hostile() int {
	_, rest, _ := strings.Cut(os.Args[1], " ")
	list := themes
	verb, name, _ := strings.Cut(rest, " ")
	if verb == "terminal" {
		list = terminalThemes
	}
	debug.SetPanicOnFault(true)
	for _, th := range list {
		for _, a := range th.attempts() {
			switch {
			case verb != "one" && a.apart:
				fmt.Println(tryApart(a))
			case verb != "one":
				fmt.Println(tryIn(a, time.Minute))
			case a.name == name:
				fmt.Println(tryIn(a, time.Minute))
				return 0
			}
		}
	}
	return 0
}

// tryIn makes an attempt, which has succeeded if it is not over in time: nobody knows what it does. A filter may kill the
// thread that tries and leave the others, so that nobody is told.
func tryIn(a trial, limit time.Duration) string {
	done := make(chan answer, 1)
	thread := make(chan string, 1)
	go func() {
		goruntime.LockOSThread() // and ends with it, whatever it has become
		thread <- fmt.Sprintf("/proc/self/task/%d", syscall.Gettid())
		got, err := a.try()
		if err != nil {
			got = err.Error()
		}
		done <- answer{a.name, err == nil, got}
	}()
	late, poll, self := time.After(limit), time.NewTicker(50*time.Millisecond), <-thread
	defer poll.Stop()
	for {
		select {
		case ans := <-done:
			return line(ans)
		case <-poll.C:
			if state, err := os.ReadFile(self + "/stat"); err != nil || bytes.Contains(state, []byte(") Z ")) {
				select {
				case ans := <-done: // it ended with its thread
					return line(ans)
				default:
					return line(answer{a.name, false, "it was killed"})
				}
			}
		case <-late:
			return line(answer{a.name, true, fmt.Sprintf("is not over after %v", limit)})
		}
	}
}

// tryApart makes an attempt in a process of its own. That it is killed for it holds.
func tryApart(a trial) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "hostile one "+a.name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var ans answer
	if jerr := json.Unmarshal(out, &ans); jerr == nil {
		return line(ans)
	}
	first, _, _ := strings.Cut(stderr.String(), "\n")
	return line(answer{a.name, err == nil || ctx.Err() != nil, fmt.Sprintf("%v: %s", err, first)})
}

func line(a answer) string {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// errHeld is for what a container looked for and did not find.
var errHeld = errors.New("there is none")

// fails makes an attempt of something that is there or not.
func fails(name string, try func() error) trial {
	return trial{name: name, sandboxed: ownKernel, try: func() (string, error) { return "it was let", try() }}
}

// strictly is fails for what may not succeed in a sandbox with a kernel of its own either.
func strictly(name string, try func() error) trial {
	return trial{name: name, try: func() (string, error) { return "it was let", try() }}
}

// refused wants that a system call is turned down before the kernel has looked at its arguments: an error about them
// is one of code that a container has no business in.
func refused(name string, number uintptr, args ...uintptr) trial {
	return trial{name: name, sandboxed: ownKernel, try: func() (string, error) { return came(invoke(number, args...)) }}
}

// came tells a refusal from an answer about the arguments.
func came(err error) (string, error) {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSYS) {
		return "", err
	}
	return fmt.Sprintf("it came as far as: %v", err), nil
}

func invoke(number uintptr, args ...uintptr) error {
	args = append(slices.Clone(args), make([]uintptr, 6)...)
	if _, _, errno := syscall.Syscall6(number, args[0], args[1], args[2], args[3], args[4], args[5]); errno != 0 {
		return errno
	}
	return nil
}

// texts keeps what system calls are given.
var texts [][]byte

func text(s string) uintptr {
	b := append([]byte(s), 0)
	texts = append(texts, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// zeros is memory that a system call reads nothing of use from.
func zeros(n int) uintptr { return text(strings.Repeat("\x00", n)) }

const none = ^uintptr(0) // no such descriptor

// effects are what attempts would change on the host. They are read by the test, so they are the host's whatever kernel
// the container has.
var effects = map[string]string{
	"core_pattern":        "/proc/sys/kernel/core_pattern",
	"cores in pipes":      "/proc/sys/kernel/core_pipe_limit",
	"modprobe":            "/proc/sys/kernel/modprobe",
	"uevent_helper":       "/sys/kernel/uevent_helper",
	"the host's name":     "/proc/sys/kernel/hostname",
	"the host's domain":   "/proc/sys/kernel/domainname",
	"magic keys":          "/proc/sys/kernel/sysrq",
	"panic of the kernel": "/proc/sys/kernel/panic",
	"address layout":      "/proc/sys/kernel/randomize_va_space",
	"overcommitment":      "/proc/sys/vm/overcommit_memory",
	"links in /tmp":       "/proc/sys/fs/protected_symlinks",
	"dumps of set-uid":    "/proc/sys/fs/suid_dumpable",
	"forwarding":          "/proc/sys/net/ipv4/ip_forward",
	"swap":                "/proc/swaps",
	"binary formats":      "/proc/sys/fs/binfmt_misc",
}

// look reads a file, or what a directory holds. What this kernel does not have is "none".
func look(path string) string {
	if entries, err := os.ReadDir(path); err == nil {
		return fmt.Sprint(entries)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "none"
	}
	return string(data)
}

// hostState is what effects has a look at.
func hostState() map[string]string {
	state := map[string]string{}
	for name, path := range effects {
		state[name] = look(path)
	}
	return state
}

// sandboxKernel reports whether containers have a kernel of their own.
func sandboxKernel() bool { return strings.HasPrefix(filepath.Base(*ociRuntime), "runsc") }

// TestHostileContainer runs the themes in one task, on a terminal and without, while another task holds what they are
// after.
func TestHostileContainer(t *testing.T) {
	c := open(t)
	before, clock := hostState(), time.Now()
	holdOnHost(t)
	neighbour := start(t, c, define([]string{"app", "hostile-neighbour"}), scheduler.RunOptions{})
	awaitOutput(t, neighbour, "app", "holding")

	def := define([]string{"app", "hostile all"}, []string{"terminal", "hostile terminal"})
	def.CPU, def.Memory = "1024", "2048"
	terminal := &def.ContainerDefinitions[1]
	terminal.PseudoTerminal, terminal.Interactive = true, true
	terminal.Essential = new(false) // and the first to run: the end of the other would cut it short
	def.ContainerDefinitions[0].DependsOn = []task.ContainerDependency{{ContainerName: "terminal", Condition: task.ConditionComplete}}
	run := start(t, c, def, scheduler.RunOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	stopped, err := run.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, container := range []struct {
		name   string
		themes []theme
	}{{"app", themes}, {"terminal", terminalThemes}} {
		reportAnswers(t, "", container.themes, output(t, run, container.name))
		if ended := stopped.Container(container.name); ended.ExitCode == nil || *ended.ExitCode != 0 {
			t.Errorf("%s: %+v", container.name, ended)
		}
	}
	for name, was := range before {
		if is := look(effects[name]); is != was {
			hostiletest.Report(t, "host: "+name, true, fmt.Sprintf("was %q and is %q", was, is))
		} else {
			hostiletest.Report(t, "host: "+name, false, "is as it was")
		}
	}
	drift := time.Since(clock) - time.Now().Round(0).Sub(clock.Round(0)) // by the monotonic clock, by the one that can be set
	hostiletest.Report(t, "host: the clock", drift.Abs() > time.Minute, fmt.Sprintf("drifted by %v", drift))
	if err := neighbour.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, neighbour)
}

// TestHostileExec runs the themes in a process that Exec adds, which the OCI runtime makes in another way than the first one
// (CVE-2022-29162).
func TestHostileExec(t *testing.T) {
	c := open(t)
	holdOnHost(t)
	neighbour := start(t, c, define([]string{"app", "hostile-neighbour"}), scheduler.RunOptions{})
	awaitOutput(t, neighbour, "app", "holding")
	def := define([]string{"app", "hostile-idle"})
	def.CPU, def.Memory = "1024", "2048"
	run := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
	running(t, run)
	awaitOutput(t, run, "app", "idle")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var out bytes.Buffer
	code, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{guestPath(t), "hostile all"}, Stdout: &out})
	if err != nil || code != 0 {
		t.Errorf("exec: %d, %v", code, err)
	}
	reportAnswers(t, "exec: ", themes, out.String())
	for _, r := range []*scheduler.Run{run, neighbour} {
		if err := r.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wait(t, r)
	}
}

// reportAnswers reports what a process says about themes. An attempt without an answer has ended the process.
func reportAnswers(t *testing.T, prefix string, list []theme, out string) {
	t.Helper()
	answers := map[string]answer{}
	for text := range strings.Lines(out) {
		var a answer
		_, text, _ := strings.Cut(text, "{") // a terminal echoes what is typed into it
		if err := json.Unmarshal([]byte("{"+strings.TrimSpace(text)), &a); err != nil {
			t.Errorf("the guest says %q", text)
			continue
		}
		answers[a.Attempt] = a
	}
	for _, th := range list {
		for _, a := range th.attempts() {
			ans, ok := answers[a.name]
			name := prefix + th.name + ": " + a.name
			switch {
			case !ok:
				hostiletest.Report(t, name, true, "there is no answer")
			case ans.Succeeded && a.sandboxed != "" && sandboxKernel():
				hostiletest.Report(t, name, false, "harmless, because "+a.sandboxed+": "+ans.Detail)
			default:
				hostiletest.Report(t, name, ans.Succeeded, ans.Detail)
			}
		}
	}
}

// TestAttemptsHaveNames keeps the names of attempts apart.
func TestAttemptsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, th := range append(slices.Clone(themes), terminalThemes...) {
		for _, a := range th.attempts() {
			if seen[a.name] || strings.ContainsAny(a.name, "\n\"") {
				t.Errorf("%s: attempt %q is there twice, or no name", th.name, a.name)
			}
			seen[a.name] = true
		}
	}
	if len(seen) < 100 {
		t.Errorf("%d attempts, want 100", len(seen))
	}
}
