package guest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Main runs the guest as this process and returns its exit code.
func Main() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// With a handler for some signal Go does not take a program in which everything waits for a deadlock.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGCONT)
	if os.Getpid() == 1 {
		actAsDefault()
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = err.Error()
	}
	return Run(ctx, Process{
		Args: os.Args, Env: os.Environ(), Dir: dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Catch: catchSignal, Ignore: func(n int) { signal.Ignore(syscall.Signal(n)) },
		Size: terminalSize, Alloc: alloc, Spin: spin, Kernel: kernel,
	})
}

func catchSignal(n int) <-chan struct{} {
	signal.Reset(syscall.Signal(n))
	arrived := make(chan os.Signal, 8)
	signal.Notify(arrived, syscall.Signal(n))
	return forward(arrived)
}

func terminalSize() (columns, rows uint16, ok bool) {
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, os.Stdout.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	return size.columns, size.rows, errno == 0
}

// alloc maps memory past the Go heap, whose collector would give it back, and touches each page.
func alloc(mib int) error {
	memory, err := syscall.Mmap(-1, 0, mib<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	return nil
}

func spin(ctx context.Context) {
	for ctx.Err() == nil {
	}
}

// kernel holds the verbs that only a real process can answer.
var kernel = map[string]func(string) (string, error){
	"id": func(string) (string, error) {
		groups, err := os.Getgroups()
		slices.Sort(groups)
		return fmt.Sprint(os.Getuid(), os.Getgid(), groups), err
	},
	"hostname": func(string) (string, error) { return os.Hostname() },
	"pid":      func(string) (string, error) { return strconv.Itoa(os.Getpid()), nil },
	"pids":     func(string) (string, error) { return processes() },
	"caps": func(string) (string, error) {
		status, err := os.ReadFile("/proc/self/status")
		_, rest, _ := strings.Cut(string(status), "CapEff:")
		set, _, _ := strings.Cut(rest, "\n")
		return strings.TrimSpace(set), err
	},
	"nofile": func(string) (string, error) {
		var limit syscall.Rlimit
		err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
		return fmt.Sprint(limit.Max), err
	},
	"read": func(path string) (string, error) {
		content, err := os.ReadFile(path)
		return strings.TrimSuffix(string(content), "\n"), err
	},
	"write":  func(path string) (string, error) { return "written", os.WriteFile(path, []byte("guest\n"), 0o644) },
	"mkdir":  func(path string) (string, error) { return "made", os.Mkdir(path, 0o755) },
	"link":   os.Readlink,
	"exists": func(path string) (string, error) { _, err := os.Stat(path); return "exists", err },
	"stat": func(path string) (string, error) {
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return "", err
		}
		return fmt.Sprintf("%o %d %d", st.Mode&0o7777, st.Uid, st.Gid), nil
	},
	"fill": fill,
	"fork": fork,
	"disk": func(path string) (string, error) {
		var fs syscall.Statfs_t
		err := syscall.Statfs(path, &fs)
		return fmt.Sprintf("%d GiB", fs.Blocks*uint64(fs.Bsize)>>30), err
	},
	"remove": func(path string) (string, error) { return "removed", os.Remove(path) },
	"symlink": func(rest string) (string, error) {
		target, path, _ := strings.Cut(rest, " ")
		return "linked", os.Symlink(target, path)
	},
	"rename": func(rest string) (string, error) {
		from, to, _ := strings.Cut(rest, " ")
		return "renamed", os.Rename(from, to)
	},
	"spawn": func(statement string) (string, error) {
		child := exec.Command("/proc/self/exe", statement)
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		return "spawned", child.Start()
	},
	"tell":  tell,
	"await": await,
}

// fill writes a file of so many MiB.
func fill(rest string) (string, error) {
	path, size, _ := strings.Cut(rest, " ")
	mib, err := strconv.Atoi(size)
	if err != nil {
		return "", err
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for range mib {
		if _, err := f.Write(block); err != nil {
			return "", err
		}
	}
	return "filled", f.Sync()
}

// fork makes processes that do nothing until the end of this one.
func fork(count string) (string, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return "", err
	}
	for range n {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			return "", errno
		}
		for pid == 0 { // the child, where no Go code can run
			syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	return "forked", nil
}

// tell listens on an abstract Unix socket, which the containers of a task share as they share the network. The kernel
// closes it with the process.
func tell(name string) (string, error) {
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	if err := syscall.Bind(socket, &syscall.SockaddrUnix{Name: "@" + name}); err != nil {
		return "", err
	}
	return "told " + name, syscall.Listen(socket, 16)
}

// await connects to what another container tells, for half a minute at most.
func await(name string) (string, error) {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		conn, err := net.Dial("unix", "@"+name)
		if err == nil {
			return "heard " + name, conn.Close()
		}
		if time.Now().After(deadline) {
			return "", err
		}
	}
}

// processes lists the first arguments of what runs in this PID namespace.
func processes() (string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return "", err
	}
	var names []string
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		cmdline, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		if err == nil && len(cmdline) > 0 {
			names = append(names, strings.Join(strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00"), ","))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " | "), nil
}
