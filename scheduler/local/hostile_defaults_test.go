//go:build linux

package local_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// hiddenFromContainers are files of the host's kernel that its root can read, and a container's root could.
var hiddenFromContainers = []string{
	"/proc/vmallocinfo", "/proc/slabinfo", "/proc/pagetypeinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup",
	"/proc/kallsyms", "/proc/kmsg", "/sys/kernel/slab/*/objects", "/sys/kernel/notes", "/sys/kernel/vmcoreinfo", "/sys/kernel/boot_params/data",
	"/sys/devices/system/cpu/cpu*/thermal_throttle/*",
}

// hostileDefaults tries, in a container, what its defaults are to keep from it. Each line says how an attempt ended.
func hostileDefaults() int {
	report := func(name string, err error) {
		if err != nil {
			fmt.Printf("held: %s: %v\n", name, err)
		} else {
			fmt.Printf("BROKEN: %s\n", name)
		}
	}
	for _, pattern := range hiddenFromContainers {
		report("read "+pattern, readAny(pattern))
	}
	report("write /proc/mtrr", func() error {
		f, err := os.OpenFile("/proc/mtrr", os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return f.Close() // the kernel would ask for SYS_ADMIN at the first write
	}())
	report("dump core", dumpCore())
	for _, size := range []uint64{unix.RLIM_INFINITY, 1 << 30, 1} { // each would lower what the next may have
		report(fmt.Sprintf("raise the limit of core files to %d", size), unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: size, Max: size}))
	}
	return 0
}

// readAny reads a byte of one of the files that match.
func readAny(pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("there is none"))
	}
	var last error
	for _, file := range files {
		f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			last = err
			continue
		}
		n, err := f.Read(make([]byte, 64))
		f.Close()
		if n > 0 {
			return nil
		}
		last = errors.Join(err, io.EOF)
	}
	return last
}

// dumpCore has a copy of this program die in a way that leaves a core file, as large as its memory, where the host's
// core_pattern is a relative name.
func dumpCore() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: l.Max, Max: l.Max}); err != nil {
		return err
	}
	dir := "/tmp/cores"
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", "crash")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOTRACEBACK=crash")
	if err := cmd.Run(); err == nil {
		return errors.New("it did not crash")
	}
	cores, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, c := range cores {
		if info, err := c.Info(); err == nil && info.Size() > 0 {
			return nil
		}
	}
	return fmt.Errorf("%d files; %s", len(cores), cmd.ProcessState)
}

// crash dies of SIGABRT with some memory in use.
func crash() int {
	b := make([]byte, 64<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	panic(fmt.Sprint("as asked, with ", len(b), " bytes"))
}

// reportLines reports each attempt of a container's output, and fails if there are fewer than that.
func reportLines(t *testing.T, out string, atLeast int) {
	t.Helper()
	n := 0
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "held: "); ok {
			name, why, _ := strings.Cut(rest, ": ")
			hostiletest.Report(t, name, false, why)
		} else if name, ok := strings.CutPrefix(line, "BROKEN: "); ok {
			hostiletest.Report(t, name, true, "it worked")
		} else {
			continue
		}
		n++
	}
	if n < atLeast {
		t.Errorf("%d attempts, want at least %d: %s", n, atLeast, out)
	}
}

func TestHostileDefaults(t *testing.T) {
	c := open(t)
	run := start(t, c, define([]string{"app", "hostile-defaults"}), scheduler.RunOptions{})
	wait(t, run)
	reportLines(t, output(t, run, "app"), len(hiddenFromContainers)+5)
}

// TestCoreOnRequest has a definition ask for core files, within bounds.
func TestCoreOnRequest(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "core-limit"})
	def.ContainerDefinitions[0].Ulimits = []task.Ulimit{{Name: "core", SoftLimit: 4096, HardLimit: 8192}}
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
	wait(t, run)
	if got, want := output(t, run, "app"), "core 4096:8192\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func coreLimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil {
		return outcome(err)
	}
	fmt.Printf("core %d:%d\n", l.Cur, l.Max)
	return 0
}

// hostileConfined tries, in a container, what Config.NoNewPrivileges and Config.DropNetRaw are to take from it.
func hostileConfined() int {
	report := func(name string, err error) {
		if err != nil {
			fmt.Printf("held: %s: %v\n", name, err)
		} else {
			fmt.Printf("BROKEN: %s\n", name)
		}
	}
	socket := func(family, kind, protocol int) error {
		s, err := unix.Socket(family, kind, protocol)
		if err == nil {
			unix.Close(s)
		}
		return err
	}
	report("a raw socket", socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP))
	report("a raw socket of IPv6", socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6))
	report("a packet socket", socket(unix.AF_PACKET, unix.SOCK_RAW, 0x0300))
	report("a program with set-user-ID", setUserID())
	return 0
}

// setUserID has another user run a program of root's that is to run as root.
func setUserID() error {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if err := os.WriteFile("/set-user-id", self, 0o755); err != nil {
		return err
	}
	if err := os.Chmod("/set-user-id", 0o755|os.ModeSetuid); err != nil {
		return err
	}
	cmd := exec.Command("/set-user-id", "effective-user")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) == "0" {
		return err
	}
	return fmt.Errorf("it runs as %s", strings.TrimSpace(string(out)))
}

// TestHostileConfined tries the same with and without the options: without them all of it works, as on Fargate.
func TestHostileConfined(t *testing.T) {
	def := define([]string{"app", "hostile-confined"})
	free := start(t, open(t), def, scheduler.RunOptions{})
	wait(t, free)
	if out := output(t, free, "app"); strings.Count(out, "BROKEN") != 4 {
		t.Errorf("without the options: %s", out)
	}
	c := open(t, func(cfg *local.Config) { cfg.NoNewPrivileges, cfg.DropNetRaw = true, true })
	run := start(t, c, def, scheduler.RunOptions{})
	wait(t, run)
	reportLines(t, output(t, run, "app"), 4)
	for name, change := range map[string]func(*task.ContainerDefinition){
		"add NET_RAW": func(d *task.ContainerDefinition) {
			d.LinuxParameters = &task.LinuxParameters{Capabilities: &task.KernelCapabilities{Add: []string{"NET_RAW"}}}
		},
		"be privileged": func(d *task.ContainerDefinition) { d.Privileged = true },
	} {
		def := define([]string{"app", "hostile-confined"})
		def.RequiresCompatibilities = []task.LaunchType{task.LaunchTypeEC2}
		change(&def.ContainerDefinitions[0])
		_, err := c.Run(t.Context(), def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
		hostiletest.Report(t, name, err == nil, fmt.Sprint(err))
		if err == nil || !strings.Contains(err.Error(), "Config.DropNetRaw") {
			t.Errorf("%s: got %v, want an error that names the option", name, err)
		}
	}
}

// sessionKeyring describes the process's session keyring.
func sessionKeyring() int {
	const describe, session = 6, -3
	spec := session
	buf := make([]byte, 256)
	n, _, errno := unix.Syscall6(unix.SYS_KEYCTL, describe, uintptr(spec), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	if errno != 0 {
		return outcome(errno)
	}
	fmt.Println(strings.TrimRight(string(buf[:min(int(n), len(buf))]), "\x00"))
	return 0
}

// TestHostileKeyring looks whether containers share a keyring with each other or with this program. Seccomp refuses all
// about keys to those without privileges, so it takes some.
func TestHostileKeyring(t *testing.T) {
	c := open(t)
	def := define([]string{"a", "session-keyring"}, []string{"b", "session-keyring"})
	def.RequiresCompatibilities = []task.LaunchType{task.LaunchTypeEC2}
	for i := range def.ContainerDefinitions {
		def.ContainerDefinitions[i].Privileged = true
	}
	// One after the other: the end of an essential container stops all others.
	def.ContainerDefinitions[1].Essential = new(false)
	def.ContainerDefinitions[0].DependsOn = []task.ContainerDependency{{ContainerName: "b", Condition: task.ConditionComplete}}
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
	stopped := wait(t, run)
	a, b := output(t, run, "a"), output(t, run, "b")
	if !strings.HasPrefix(a, "keyring;") || !strings.HasPrefix(b, "keyring;") {
		t.Fatalf("got %q and %q, want keyrings", a, b)
	}
	hostiletest.Report(t, "share a keyring with a sibling", a == b, fmt.Sprintf("%q and %q", a, b))
	own := stopped.Containers[0].RuntimeID // of which OCI runtimes make the name
	hostiletest.Report(t, "keep the keyring of who started the container", !strings.Contains(a, own), fmt.Sprintf("%q, want %q", a, own))
}
