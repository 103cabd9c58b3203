//go:build linux

package local_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func processAttempts() []trial {
	return []trial{
		strictly("processes that are not its own", func() error {
			// Its own are itself, and what it starts.
			others, err := filepath.Glob("/proc/[0-9]*")
			if err != nil {
				return err
			}
			for _, p := range others {
				if n, _ := strconv.Atoi(filepath.Base(p)); n != 1 && n != os.Getpid() && parent(n) != os.Getpid() && parent(n) >= 0 {
					return nil
				}
			}
			return errHeld
		}),
		strictly("a first process that is another's", func() error {
			name, err := os.ReadFile("/proc/1/cmdline")
			if err != nil {
				return err
			}
			if strings.Contains(string(name), "hostile") {
				return errHeld
			}
			return nil
		}),
		strictly("a parent outside", func() error {
			if parent(1) <= 0 {
				return errHeld
			}
			return nil
		}),
		fails("an OOM score below its own", write("/proc/self/oom_score_adj", "-1000")),
		fails("an OOM score of its first process", write("/proc/1/oom_score_adj", "-500")),
		fails("a login that others believe", func() error {
			before, err := os.ReadFile("/proc/self/loginuid")
			if err != nil {
				return err
			}
			if err := write("/proc/self/loginuid", "0")(); err != nil {
				return err
			}
			if after, _ := os.ReadFile("/proc/self/loginuid"); string(after) == string(before) {
				return errHeld
			}
			return errors.New("it is its own only") // it names it in the audit of its own calls
		}),
		fails("a map of users", write("/proc/self/uid_map", "0 0 1")),
		fails("a time of its own", write("/proc/self/timens_offsets", "monotonic 1000 0")),
		fails("a label of a security module", write("/proc/self/attr/current", "unconfined")),
		fails("a label at the next program", write("/proc/self/attr/exec", "unconfined")),
		fails("a map of its memory that is not so", func() error { return unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_START_CODE, 0x1000, 0, 0) }),
		strictly("trace a process that the kernel runs", func() error { return unix.PtraceAttach(2) }),
		{name: "a process of the host by its number", try: func() (string, error) {
			for pid := 2; pid < 100_000; pid++ {
				if unix.Kill(pid, 0) != nil {
					continue
				}
				if of := statusOf(pid, "Tgid:"); of > 1 && of != os.Getpid() && parent(of) != os.Getpid() { // also threads take signals
					return fmt.Sprintf("process %d takes signals", pid), nil
				}
			}
			return "", unix.ESRCH
		}},
		fails("a core of a process that runs as root, where it likes", func() error {
			var limit unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
				return err
			}
			pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
			if err != nil {
				return err
			}
			if strings.HasPrefix(string(pattern), "|") || limit.Max == 0 {
				return errHeld // a program of the host takes it, out of its reach
			}
			return errors.New("it would be in its own root")
		}),
	}
}

// parent returns that of a process, -1 for one that is gone.
func parent(pid int) int { return statusOf(pid, "PPid:") }

// statusOf returns a number of a process's status, -1 for one that is gone.
func statusOf(pid int, row string) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(status), "\n"+row)
	number, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		return -1
	}
	return n
}

// What a neighbour has, under names that everybody can know.
const (
	sharedName  = "fardel-hostile"
	sharedKey   = 0x66726431 // of System V, the neighbour's
	hostKeys    = 0x66730000 // the first of 65536, of which the test has one in the IPC namespace of the host
	sharedPort  = 7531
	hostSocket  = "@fardel-hostile-host"
	taskSocket  = "@fardel-hostile-task"
	sharedBytes = 4096
)

// hostileNeighbour is a container of another task, that has one of everything by which processes find each other.
func hostileNeighbour() error {
	l, err := net.Listen("unix", taskSocket)
	if err != nil {
		return err
	}
	defer l.Close()
	tcp, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", sharedPort))
	if err != nil {
		return err
	}
	defer tcp.Close()
	if err := os.WriteFile("/dev/shm/"+sharedName, []byte("secret"), 0o666); err != nil {
		return err
	}
	if err := os.WriteFile("/tmp-"+sharedName, []byte("secret"), 0o666); err != nil {
		return err
	}
	var missing []string // gVisor has no POSIX queues that are mounted, for one
	if err := openQueue(sharedName, unix.O_CREAT|unix.O_RDWR); err != nil {
		missing = append(missing, err.Error())
	}
	for _, get := range []uintptr{unix.SYS_SHMGET, unix.SYS_SEMGET, unix.SYS_MSGGET} {
		if err := systemV(get, sharedKey, unix.IPC_CREAT|0o666); err != nil {
			missing = append(missing, err.Error())
		}
	}
	fmt.Println("holding", missing)
	return stay()
}

func openQueue(name string, mode uintptr) error {
	fd, _, errno := syscall.Syscall6(unix.SYS_MQ_OPEN, text(name), mode, 0o666, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

// systemV gets a segment, a set of one semaphore or a queue by its key.
func systemV(get, key, flags uintptr) error {
	switch get {
	case unix.SYS_SHMGET:
		return invoke(get, key, sharedBytes, flags)
	case unix.SYS_SEMGET:
		return invoke(get, key, 1, flags)
	}
	return invoke(get, key, flags)
}

// holdOnHost makes what a container might find if it were not in namespaces of its own. The IPC namespace of this test is
// the machine's, so what is made there is removed.
func holdOnHost(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", hostSocket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	id, err := unix.SysvShmGet(hostKeys|os.Getpid()&0xffff, sharedBytes, unix.IPC_CREAT|0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err != nil {
			t.Error(err)
		}
	})
}

func neighbourAttempts() []trial {
	exists := func(path string) func() error {
		return func() error { _, err := os.Lstat(path); return err }
	}
	dial := func(network, address string) func() error {
		return func() error {
			conn, err := net.Dial(network, address)
			if err != nil {
				return err
			}
			return conn.Close()
		}
	}
	return []trial{
		strictly("a socket of the host without a file", dial("unix", hostSocket)),
		strictly("a socket of another task without a file", dial("unix", taskSocket)),
		strictly("loopback of another task", dial("tcp", fmt.Sprintf("127.0.0.1:%d", sharedPort))),
		strictly("shared memory of another task", exists("/dev/shm/"+sharedName)),
		strictly("a file of another task from the same image", exists("/tmp-"+sharedName)),
		strictly("a message queue of another task", func() error { return openQueue(sharedName, unix.O_RDWR) }),
		strictly("a segment of another task", func() error { return systemV(unix.SYS_SHMGET, sharedKey, 0) }),
		strictly("a semaphore of another task", func() error { return systemV(unix.SYS_SEMGET, sharedKey, 0) }),
		strictly("a queue of another task", func() error { return systemV(unix.SYS_MSGGET, sharedKey, 0) }),
		strictly("a segment of the host", func() error {
			for key := uintptr(hostKeys); key < hostKeys+1<<16; key++ {
				if systemV(unix.SYS_SHMGET, key, 0) == nil {
					return nil
				}
			}
			return errHeld
		}),
		strictly("all segments that there are", func() error {
			table, err := os.ReadFile("/proc/sysvipc/shm")
			if err != nil {
				return err
			}
			if n := strings.Count(string(table), "\n"); n <= 1 {
				return errHeld
			}
			return nil
		}),
		strictly("sockets of others in /proc", func() error {
			table, err := os.ReadFile("/proc/net/unix")
			if err != nil {
				return err
			}
			if strings.Contains(string(table), sharedName) {
				return nil
			}
			return errHeld
		}),
		strictly("interfaces of others", func() error {
			list, err := net.Interfaces()
			if err != nil {
				return err
			}
			for _, i := range list {
				if i.Name != "lo" && i.Name != "eth0" {
					return nil
				}
			}
			return errHeld
		}),
		strictly("sockets of daemons", func() error {
			for _, name := range []string{"/run/containerd/containerd.sock", "/var/run/docker.sock", "/run/systemd/private", "/run/dbus/system_bus_socket"} {
				if _, err := os.Lstat(name); err == nil {
					return nil
				}
			}
			return errHeld
		}),
	}
}

// terminalAttempts are made on a terminal that is the container's own.
func terminalAttempts() []trial {
	zero := make([]byte, 64)
	return []trial{
		fails("take over the system console", func() error { return ioctl(0, unix.TIOCCONS, 0) }),
		fails("paste on a virtual terminal", func() error { b := []byte{3, 0, 0, 0}; return ioctl(0, unix.TIOCLINUX, addressOf(b)) }),
		fails("shut a virtual terminal off", func() error { return ioctl(0, 0x4B3A /* KDSETMODE */, 1) }),
		fails("another font for the console", func() error { return ioctl(0, 0x4B72 /* KDFONTOP */, addressOf(zero)) }),
		fails("another keyboard for the console", func() error { return ioctl(0, 0x4B47 /* KDSKBENT */, addressOf(zero)) }),
		fails("hang up all that use its terminal", func() error { return invoke(unix.SYS_VHANGUP) }),
		strictly("terminals of the host", func() error {
			entries, err := os.ReadDir("/dev/pts")
			if err != nil {
				return err
			}
			for _, e := range entries {
				if e.Name() != "ptmx" && e.Name() != "0" {
					return nil
				}
			}
			return errHeld
		}),
		{name: "type into the terminal that it was started from", try: func() (string, error) {
			b := []byte("x")
			if err := ioctl(0, unix.TIOCSTI, addressOf(b)); err != nil {
				return "", err
			}
			// It has typed to itself: the terminal is one of its own instance of devpts, whose other end is the log's.
			var st, root unix.Stat_t
			if err := errors.Join(unix.Fstat(0, &st), unix.Stat("/dev/pts", &root)); err != nil {
				return "", err
			}
			name, err := os.Readlink("/proc/self/fd/0")
			if err == nil && strings.HasPrefix(name, "/dev/") {
				return "", fmt.Errorf("only into its own, %s", name)
			}
			return name, err
		}},
	}
}
