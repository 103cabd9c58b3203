//go:build linux

package local_test

import (
	"fmt"
	"os"
	"os/signal"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"context"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// traceOthers attaches to every process that appears in its PID namespace and that it has not started, such as the OCI runtime's on its way
// into the container, and says with what capabilities it found it, until it is told to stop.
func traceOthers() int {
	goruntime.LockOSThread()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("watching")
	seen := map[int]bool{os.Getpid(): true}
	for {
		select {
		case <-stop:
			fmt.Println("saw", len(seen)-1)
			return 0
		default:
		}
		proc, err := os.Open("/proc")
		if err != nil {
			fmt.Println(err)
			return 1
		}
		names, _ := proc.Readdirnames(-1)
		proc.Close()
		for _, name := range names {
			pid, err := strconv.Atoi(name)
			if err != nil || seen[pid] {
				continue
			}
			seen[pid] = true
			if err := unix.PtraceAttach(pid); err != nil {
				fmt.Println("attach:", err)
				continue
			}
			var ws unix.WaitStatus
			_, err = unix.Wait4(pid, &ws, unix.WALL, nil)
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			line := ""
			for l := range strings.Lines(string(status)) {
				if strings.HasPrefix(l, "CapEff") || strings.HasPrefix(l, "Name") || strings.HasPrefix(l, "Seccomp:") {
					line += " " + strings.Join(strings.Fields(l), " ")
				}
			}
			fmt.Println("traced:", exe, err, line)
			_ = unix.PtraceDetach(pid)
		}
	}
}

func TestHostileTracer(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "trace"})
	def.CPU, def.Memory = "1024", "2048"
	def.ContainerDefinitions[0].LinuxParameters = &task.LinuxParameters{Capabilities: &task.KernelCapabilities{Add: []string{"SYS_PTRACE"}}}
	run := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
	awaitOutput(t, run, "app", "watching")
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{guestPath(t), "exit 0"}})
		cancel()
		t.Log("exec:", err)
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
	out := output(t, run, "app")
	t.Log(out)
	hostiletest.Report(t, "x", false, "")
}
