//go:build linux

package local_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// resourceAttempts take more of what the machine has once for all than a container may.
func resourceAttempts() []trial {
	return []trial{
		{name: "more terminals than it may have", sandboxed: ownKernel, try: func() (string, error) {
			var all []*os.File
			defer func() {
				for _, f := range all {
					f.Close()
				}
			}()
			for len(all) < 1000 {
				f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
				if err != nil {
					return "", fmt.Errorf("%d: %w", len(all), err)
				}
				all = append(all, f)
			}
			return "it has 1000", nil
		}},
		{name: "more of /dev than it may fill", sandboxed: "it is memory of the sandbox", try: func() (string, error) { return larger("/dev", 64<<20) }},
		{name: "more of /dev/shm than it may fill", sandboxed: "it is memory of the sandbox", try: func() (string, error) { return larger("/dev/shm", 64<<20) }},
		{name: "more of /sys/fs/cgroup than it may fill", try: func() (string, error) {
			err := os.WriteFile("/sys/fs/cgroup/fill", make([]byte, 1<<20), 0o600)
			return "it was let", err
		}},
		{name: "more open files than it may have", sandboxed: ownKernel, try: func() (string, error) {
			var limit unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
				return "", err
			}
			if limit.Max <= 65535 {
				return "", fmt.Errorf("it is %d", limit.Max)
			}
			return fmt.Sprint(limit.Max), nil
		}},
		{name: "more message queues than it may have", sandboxed: ownKernel, try: func() (string, error) {
			defer func() {
				for n := range 1000 {
					_ = invoke(unix.SYS_MQ_UNLINK, text(fmt.Sprintf("hoard-%d", n)))
				}
			}()
			for n := range 1000 {
				if err := openQueue(fmt.Sprintf("hoard-%d", n), unix.O_CREAT|unix.O_RDWR); err != nil {
					return "", fmt.Errorf("%d: %w", n, err)
				}
			}
			return "it has 1000", nil
		}},
		{name: "locked memory without a limit", sandboxed: ownKernel, try: func() (string, error) {
			var limit unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
				return "", err
			}
			if limit.Max < 1<<40 {
				return "", fmt.Errorf("it is %d", limit.Max)
			}
			// It counts as the task's all the same, and is ended with it.
			return "", errors.New("it has none, and is in the task's memory")
		}},
	}
}

// larger wants a file system that holds more than n bytes.
func larger(dir string, n uint64) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", err
	}
	if size := st.Blocks * uint64(st.Bsize); size > n || size == 0 {
		return fmt.Sprintf("%d bytes", size), nil
	}
	return "", fmt.Errorf("it holds %d bytes", n)
}

// hoard is a container that takes memory which is none of its processes': what is on its way through sockets.
func hoard() error {
	packet := make([]byte, 64<<10)
	taken := 0
	for taken < 2<<30 {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("after %d MiB: %w", taken>>20, err)
		}
		for _, end := range pair {
			_ = unix.SetsockoptInt(end, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20)
			for {
				n, err := unix.Write(end, packet)
				if err != nil {
					break
				}
				taken += n
			}
		}
	}
	fmt.Println("hoarded")
	return nil
}

// ringRequest is the kernel's tpacket_req.
type ringRequest struct{ blockSize, blocks, frameSize, frames uint32 }

// rings is a container that has the kernel keep packets for it, in memory that is none of its processes', up to four times
// that of the task.
func rings() error {
	options := []struct {
		family, level, name int
		request             ringRequest
		size                uintptr
	}{
		{unix.AF_PACKET, unix.SOL_PACKET, unix.PACKET_RX_RING, ringRequest{1 << 20, 128, 1 << 11, 128 << 9}, 16},
		{unix.AF_PACKET, unix.SOL_PACKET, unix.PACKET_TX_RING, ringRequest{1 << 20, 128, 1 << 11, 128 << 9}, 16},
		{unix.AF_PACKET, unix.SOL_PACKET | 1<<32, unix.PACKET_RX_RING | 1<<32, ringRequest{1 << 20, 128, 1 << 11, 128 << 9}, 16},
		{unix.AF_XDP, unix.SOL_XDP, unix.XDP_RX_RING, ringRequest{blockSize: 1 << 23}, 4},
	}
	for _, o := range options {
		taken, last := 0, error(nil)
		for taken < 512 && last == nil {
			var fd int
			if fd, last = unix.Socket(o.family, unix.SOCK_RAW, 0); last != nil {
				break
			}
			if last = invoke(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(o.level), uintptr(o.name), uintptr(unsafe.Pointer(&o.request)), o.size); last == nil {
				taken += 128
			}
		}
		fmt.Printf("family %d, option %d: %d MiB, %v\n", o.family, o.name, taken, last)
	}
	fmt.Println("no more")
	return stay()
}

// TestHostileRings wants memory for packets that is charged to nobody.
func TestHostileRings(t *testing.T) {
	c := open(t)
	run := start(t, c, define([]string{"app", "hostile-rings"}), scheduler.RunOptions{})
	running(t, run)
	awaitOutput(t, run, "app", "no more")
	for line := range strings.Lines(output(t, run, "app")) {
		if name, got, isRing := strings.Cut(strings.TrimSpace(line), ": "); isRing {
			hostiletest.Report(t, "memory of rings of "+name, !strings.HasPrefix(got, "0 MiB") && !sandboxKernel(), got)
		}
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}

// forks is a container that starts processes as fast as it can.
func forks() error {
	fmt.Println("forking")
	for range 8 {
		go func() {
			for {
				_ = exec.Command("/proc/self/exe", "sleep 1s").Run()
			}
		}()
	}
	return stay()
}

// flood is a container that writes lines as fast as it can.
func flood() error {
	line := []byte(strings.Repeat("flood ", 170) + "\n")
	for begin := time.Now(); time.Since(begin) < 5*time.Second; {
		if _, err := os.Stdout.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// litter is a container that makes 20,000 files, and stays.
func litter() error {
	if err := os.Mkdir("/litter", 0o755); err != nil {
		return err
	}
	for n := range 20_000 {
		if err := os.WriteFile(fmt.Sprintf("/litter/%d", n), nil, 0o600); err != nil {
			return err
		}
	}
	sparse, err := os.Create("/sparse")
	if err != nil {
		return err
	}
	defer sparse.Close()
	fmt.Println("littered", sparse.Truncate(15<<40))
	return stay()
}

// TestHostileHoard fills the buffers of sockets with four times the memory of the task.
func TestHostileHoard(t *testing.T) {
	c := open(t)
	run := start(t, c, define([]string{"app", "hostile-hoard"}), scheduler.RunOptions{})
	stopped := wait(t, run)
	out := output(t, run, "app")
	app := stopped.Containers[0]
	hostiletest.Report(t, "memory of sockets beyond the task's", strings.Contains(out, "hoarded"), fmt.Sprintf("%q, exit code %v, %s", out, *app.ExitCode, app.Reason))
}

// TestHostileFlood has a container write for five seconds as fast as it can.
func TestHostileFlood(t *testing.T) {
	var dir string
	c := open(t, func(cfg *local.Config) { dir = cfg.Dir })
	run := start(t, c, define([]string{"app", "hostile-flood"}), scheduler.RunOptions{})
	wait(t, run)
	var size int64
	err := filepath.WalkDir(filepath.Join(dir, "logs"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		size += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	hostiletest.Report(t, "a log that fills the disk", size > 64<<20, fmt.Sprintf("%d MiB are kept", size>>20))
}

// TestHostileLitter makes many files, and a large one without content, in a task with a disk of its own.
func TestHostileLitter(t *testing.T) {
	var dir string
	c := open(t, func(cfg *local.Config) { dir = cfg.Dir })
	def := define([]string{"app", "hostile-litter"})
	def.EphemeralStorage = &task.EphemeralStorage{SizeInGiB: 21}
	var before, after unix.Statfs_t
	run := start(t, c, def, scheduler.RunOptions{})
	running(t, run)
	if err := unix.Statfs(dir, &before); err != nil {
		t.Fatal(err)
	}
	awaitOutput(t, run, "app", "littered")
	if err := unix.Statfs(dir, &after); err != nil {
		t.Fatal(err)
	}
	taken := int64(before.Ffree) - int64(after.Ffree)
	hostiletest.Report(t, "files of the host's file system", taken > 15_000, fmt.Sprintf("%d fewer are left", taken))
	room := (int64(before.Bavail) - int64(after.Bavail)) * before.Bsize
	hostiletest.Report(t, "room on the host's file system", room > 1<<30, fmt.Sprintf("%d MiB less are left", room>>20))
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}

// TestHostileStorm asks for 64 Execs at once in a container that starts processes as fast as it can. All return by their
// own clocks, and nobody else has to wait for them.
func TestHostileStorm(t *testing.T) {
	const limit, late = 20 * time.Second, 15 * time.Second // late is for machines whose processors are taken
	c := open(t)
	bystander := start(t, c, define([]string{"app", "out up", "hang"}), scheduler.RunOptions{EnableExecuteCommand: true})
	run := start(t, c, define([]string{"app", "hostile-forks"}), scheduler.RunOptions{EnableExecuteCommand: true})
	running(t, run)
	running(t, bystander)
	awaitOutput(t, run, "app", "forking")
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { _, _ = run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{guestPath(t), "out x"}}) })
	}
	other, cancelOther := context.WithTimeout(t.Context(), time.Minute)
	defer cancelOther()
	asked := time.Now()
	_, err := bystander.Exec(other, "app", runtime.ExecSpec{Args: []string{guestPath(t), "exit 0"}})
	hostiletest.Report(t, "others' Execs wait for a storm of them", err != nil || time.Since(asked) > limit+late, fmt.Sprintf("%v, %v", time.Since(asked), err))
	asked = time.Now()
	_, err = bystander.Describe(other)
	hostiletest.Report(t, "the cluster waits for a storm of Execs", err != nil || time.Since(asked) > late, fmt.Sprintf("%v, %v", time.Since(asked), err))
	wg.Wait()
	hostiletest.Report(t, "Execs in a storm outlast their context", time.Since(begin) > limit+late, fmt.Sprint(time.Since(begin)))
	asked = time.Now()
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
	hostiletest.Report(t, "a container that forks outlasts its stop", time.Since(asked) > 2*time.Second+late, fmt.Sprint(time.Since(asked)))
	if err := bystander.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, bystander)
}

// TestHostileDirectories asks for descriptors of the OCI runtime as working directories, at first and with Exec
// (CVE-2024-21626).
func TestHostileDirectories(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	up := "read " + strings.Repeat("../", 16) + secret[1:]
	c := open(t)
	run := start(t, c, define([]string{"app", "out up", "hang"}), scheduler.RunOptions{EnableExecuteCommand: true})
	running(t, run)
	var dirs []string
	for fd := 3; fd <= 14; fd++ {
		dirs = append(dirs, fmt.Sprintf("/proc/self/fd/%d", fd))
	}
	dirs = append(dirs, "/proc/1/cwd", "/proc/1/root/..", "/proc/thread-self/fd/7", "/proc/self/cwd/..", "/dev/fd/8")
	for _, dir := range dirs {
		var out strings.Builder
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{guestPath(t), up}, WorkingDir: dir, Stdout: &out, Stderr: &out})
		cancel()
		hostiletest.Report(t, "exec in "+dir, strings.Contains(out.String(), "of the host"), fmt.Sprintf("%q, %v", out.String(), err))
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
	for fd := 6; fd <= 9; fd++ {
		dir := fmt.Sprintf("/proc/self/fd/%d", fd)
		def := define([]string{"app", up})
		def.ContainerDefinitions[0].WorkingDirectory = dir
		run := start(t, c, def, scheduler.RunOptions{})
		stopped := wait(t, run)
		out := output(t, run, "app")
		hostiletest.Report(t, "start in "+dir, strings.Contains(out, "of the host"), fmt.Sprintf("%q, %s", out, stopped.StoppedReason))
	}
}
