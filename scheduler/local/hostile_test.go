//go:build linux

package local_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
)

// attempt is something that a hostile container tries. It fails where the sandbox holds.
type attempt struct {
	name string
	try  func() error
}

func write(path, text string) func() error {
	return func() error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(text)
		return err
	}
}

// readSome wants at least one byte.
func readSome(path string) func() error {
	return func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		n, err := f.Read(make([]byte, 1))
		if n == 0 && err == nil {
			err = io.EOF
		}
		return err
	}
}

func call(number uintptr, args ...uintptr) func() error {
	return func() error {
		args := append(args, make([]uintptr, 6)...)
		if _, _, errno := syscall.Syscall6(number, args[0], args[1], args[2], args[3], args[4], args[5]); errno != 0 {
			return errno
		}
		return nil
	}
}

// everywhere tries something on each file that matches, and fails unless one of them lets it.
func everywhere(pattern string, try func(path string) func() error) func() error {
	return func() error {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			return errors.Join(err, errors.New("there is none"))
		}
		var last error
		for _, f := range files {
			if last = try(f)(); last == nil {
				return nil
			}
		}
		return last
	}
}

// texts keeps what system calls are given.
var texts [][]byte

func text(s string) uintptr {
	b := append([]byte(s), 0)
	texts = append(texts, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// hostDisk makes a node of a device of the host and reads it.
func hostDisk() error {
	const node = "/tmp-disk"
	table, err := os.ReadFile("/proc/partitions")
	if err != nil {
		return err
	}
	last := errors.New("no disk")
	for line := range strings.Lines(string(table)) {
		var major, minor uint32
		if n, _ := fmt.Sscan(line, &major, &minor); n != 2 {
			continue
		}
		if last = unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(major, minor))); last != nil {
			continue
		}
		last = readSome(node)()
		_ = os.Remove(node)
		if last == nil {
			return nil
		}
	}
	return last
}

var attempts = []attempt{
	{"mount a file system", func() error { return syscall.Mount("none", "/proc/self/cwd", "tmpfs", 0, "") }},
	{"mount cgroups for a release_agent", func() error { return syscall.Mount("none", "/sys/fs/cgroup", "cgroup", 0, "memory") }},
	{"remount /sys writable", func() error { return syscall.Mount("", "/sys", "", syscall.MS_REMOUNT|syscall.MS_BIND, "") }},
	{"unmount a mask", func() error { return syscall.Unmount("/proc/kcore", syscall.MNT_DETACH) }},
	{"a new user namespace", func() error { return syscall.Unshare(syscall.CLONE_NEWUSER) }},
	{"a new mount namespace", func() error { return syscall.Unshare(syscall.CLONE_NEWNS) }},
	{"a new network namespace", func() error { return syscall.Unshare(syscall.CLONE_NEWNET) }},
	{"read the kernel's memory", readSome("/proc/kcore")},
	{"read the timer list", readSome("/proc/timer_list")},
	{"read firmware tables", everywhere("/sys/firmware/*", readSome)},
	{"write core_pattern", write("/proc/sys/kernel/core_pattern", "|/evil")},
	{"write modprobe", write("/proc/sys/kernel/modprobe", "/evil")},
	{"write binfmt_misc", write("/proc/sys/fs/binfmt_misc/register", ":x:M::x::/evil:")},
	{"write sysrq-trigger", write("/proc/sysrq-trigger", "h")},
	{"write uevent_helper", write("/sys/kernel/uevent_helper", "/evil")},
	{"move to another cgroup", everywhere("/sys/fs/cgroup/cgroup.procs", func(p string) func() error { return write(p, "0") })},
	{"move to another cgroup, v1", everywhere("/sys/fs/cgroup/*/cgroup.procs", func(p string) func() error { return write(p, "0") })},
	{"raise the memory limit", everywhere("/sys/fs/cgroup/memory.max", func(p string) func() error { return write(p, "max") })},
	{"raise the memory limit, v1", everywhere("/sys/fs/cgroup/memory/memory.limit_in_bytes", func(p string) func() error { return write(p, "-1") })},
	{"write a release_agent", everywhere("/sys/fs/cgroup/*/release_agent", func(p string) func() error { return write(p, "/evil") })},
	{"open a disk of the host", hostDisk},
	{"open /dev/mem", readSome("/dev/mem")},
	{"load a module", call(unix.SYS_INIT_MODULE, text("x"), 1, text(""))},
	{"load a kernel", call(unix.SYS_KEXEC_LOAD)},
	{"load a BPF program", call(unix.SYS_BPF, 5, text(strings.Repeat("\x00", 128)), 128)},
	{"open a file by handle", call(unix.SYS_OPEN_BY_HANDLE_AT, ^uintptr(99), text(strings.Repeat("\x00", 16)), 0)},
	{"observe with perf", call(unix.SYS_PERF_EVENT_OPEN, text(strings.Repeat("\x00", 128)), ^uintptr(0), 0, ^uintptr(0), 0)},
	{"read the kernel's keys", call(unix.SYS_KEYCTL, 0, 0, 0)},
	{"restart the machine", call(unix.SYS_REBOOT, 0xfee1dead, 672274793, 0x1234567)},
	{"set the clock", func() error { return syscall.Settimeofday(&syscall.Timeval{Sec: time.Now().Unix()}) }},
	{"set the host name", func() error { return syscall.Sethostname([]byte("evil")) }},
	{"swap to a file", call(unix.SYS_SWAPON, text("/proc/self/exe"), 0)},
	{"nice below zero", func() error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, -10) }},
	{"become a real-time process", call(unix.SYS_SCHED_SETSCHEDULER, 0, 1, text("\x01\x00\x00\x00"))},
	{"configure an interface", func() error { return ioctlInterface("eth0") }},
}

// ioctlInterface takes an interface down.
func ioctlInterface(name string) error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(s)
	var request [40]byte
	copy(request[:], name)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

// hostile tries everything and says what came of it.
func hostile() int {
	signal.Ignore(syscall.SIGSYS)
	for _, a := range attempts {
		if err := a.try(); err != nil {
			fmt.Printf("held: %s: %v\n", a.name, err)
		} else {
			fmt.Printf("BROKEN: %s\n", a.name)
		}
	}
	return 0
}

// overwrite tries to write to the program of every other process that appears, such as the OCI runtime's on its way into
// the container, until it is told to stop (CVE-2019-5736).
func overwrite() int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("watching")
	seen := 0
	for {
		select {
		case <-stop:
			fmt.Println("saw", seen > 0)
			return 0
		default:
		}
		others, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, exe := range others {
			info, err := os.Stat(exe)
			if err != nil || os.SameFile(info, self) {
				continue
			}
			seen++
			// Through a descriptor, which outlives the process that is busy with the file.
			if f, err := os.Open(exe); err == nil {
				w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY|os.O_TRUNC, 0)
				f.Close()
				if err == nil {
					fmt.Println("BROKEN: opened for writing", exe)
					w.Close()
				}
			}
		}
	}
}

func TestHostileContainer(t *testing.T) {
	c := open(t)
	before, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	run := start(t, c, define([]string{"app", "hostile"}), scheduler.RunOptions{})
	stopped := wait(t, run)
	out := output(t, run, "app")
	t.Log("\n" + out)
	if got := strings.Count(out, "held: "); got != len(attempts) || strings.Contains(out, "BROKEN") || *stopped.Containers[0].ExitCode != 0 {
		t.Errorf("%d of %d attempts were held: %+v", got, len(attempts), stopped.Containers[0])
	}
	if after, err := os.ReadFile("/proc/sys/kernel/core_pattern"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("core_pattern is %q, %v", after, err)
	}
}

// TestRuntimeIsNotOverwritten has a container wait for the OCI runtime, and leads it there with the command /proc/self/exe.
func TestRuntimeIsNotOverwritten(t *testing.T) {
	needRoot(t)
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Fatal(err)
	}
	sum := func() [32]byte {
		t.Helper()
		data, err := os.ReadFile(runc)
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(data)
	}
	before := sum()
	c := open(t)
	run := start(t, c, define([]string{"app", "overwrite"}), scheduler.RunOptions{EnableExecuteCommand: true})
	awaitOutput(t, run, "app", "watching")
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{"/proc/self/exe", "exit 0"}})
		cancel()
		t.Log("exec:", err)
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
	if out := output(t, run, "app"); strings.Contains(out, "BROKEN") || !strings.Contains(out, "saw") {
		t.Errorf("output %q", out)
	}
	if sum() != before {
		t.Fatalf("%s was overwritten", runc)
	}
}

// TestHostServicesAreOutOfReach listens on everything that the host has, its loopback and the address of EC2's metadata
// among them.
func TestHostServicesAreOutOfReach(t *testing.T) {
	needRoot(t)
	if out, err := exec.Command("ip", "addr", "add", "169.254.169.254/32", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer func() {
		if err := exec.Command("ip", "addr", "del", "169.254.169.254/32", "dev", "lo").Run(); err != nil {
			t.Error(err)
		}
	}()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := open(t)
	idle := start(t, c, define([]string{"app", "hang"}), scheduler.RunOptions{}) // brings the uplink up
	running(t, idle)
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, a := range addresses {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.To4() == nil {
			continue
		}
		tried++
		target := net.JoinHostPort(ip.IP.String(), port)
		if conn, err := net.Dial("tcp", target); err != nil {
			t.Errorf("the host itself does not reach %s: %v", target, err)
		} else {
			conn.Close()
		}
		run := start(t, c, define([]string{"app", "dial " + target}), scheduler.RunOptions{})
		wait(t, run)
		if out := output(t, run, "app"); strings.Contains(out, "connected") || out == "" {
			t.Errorf("dial %s: %q", target, out)
		}
	}
	if tried < 3 {
		t.Errorf("only %d addresses to try: %v", tried, addresses)
	}
	if err := idle.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, idle)
}
