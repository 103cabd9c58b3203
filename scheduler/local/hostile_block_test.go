//go:build linux

package local_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// block is what a container does to have those wait who look into it: "block passwd" has a FIFO where the names of users
// are, "block forks" fills the task with processes that fork, and "block stopped" stops all that it has.
func block(how string) int {
	switch how {
	case "passwd":
		for _, name := range []string{"/etc/passwd", "/etc/group", "/etc/nsswitch.conf"} {
			_ = os.MkdirAll("/etc", 0o755)
			_ = os.Remove(name)
			if err := unix.Mkfifo(name, 0o666); err != nil {
				fmt.Println(err)
				return 1
			}
		}
	case "forks":
		fmt.Println("blocking")
		for {
			// The child has no runtime of Go's any more: it makes system calls and nothing else.
			pid, _, _ := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
			if pid == 0 {
				for {
					_, _, _ = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
				}
			}
		}
	case "stopped":
		for range 8 {
			pid, _, _ := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
			if pid == 0 {
				for {
					_, _, _ = syscall.RawSyscall(syscall.SYS_KILL, ^uintptr(0), uintptr(syscall.SIGSTOP), 0)
				}
			}
		}
	}
	fmt.Println("blocking")
	<-make(chan struct{})
	return 0
}

// specialImage is an archive of an image with one entry that is not a file.
func specialImage(t *testing.T, ref string, special *tar.Header) io.Reader {
	t.Helper()
	pack := func(entries ...any) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i := 0; i < len(entries); i += 2 {
			h := entries[i].(*tar.Header)
			content := entries[i+1].([]byte)
			h.Size = int64(len(content))
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	encode := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	layer := pack(&tar.Header{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755}, []byte{}, special, []byte{})
	config := encode(map[string]any{
		"architecture": goruntime.GOARCH, "os": "linux", "config": map[string]any{"Entrypoint": []string{"/none"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	manifest := encode([]any{map[string]any{"Config": "config.json", "RepoTags": []string{ref}, "Layers": []string{"layer.tar"}}})
	return bytes.NewReader(pack(&tar.Header{Name: "layer.tar", Mode: 0o644}, layer, &tar.Header{Name: "config.json", Mode: 0o644}, config,
		&tar.Header{Name: "manifest.json", Mode: 0o644}, manifest))
}

// TestHostileImageAccounts runs images whose files of users and groups block who reads them.
func TestHostileImageAccounts(t *testing.T) {
	c := open(t)
	for i, special := range []*tar.Header{
		{Name: "etc/passwd", Typeflag: tar.TypeFifo, Mode: 0o666}, {Name: "etc/group", Typeflag: tar.TypeFifo, Mode: 0o666},
		{Name: "etc/passwd", Typeflag: tar.TypeSymlink, Linkname: "/proc/self/fd/0"},
	} {
		what := fmt.Sprintf("an image's %s of type %c", special.Name, special.Typeflag)
		ref := fmt.Sprintf("special:%d", i)
		if _, err := c.ImportImage(t.Context(), "", specialImage(t, ref, special)); err != nil {
			t.Fatal(err)
		}
		def := define([]string{"app"})
		def.ContainerDefinitions[0].Image = ref
		run := start(t, c, def, scheduler.RunOptions{})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		stopped, err := run.Wait(ctx)
		cancel()
		refused := err == nil && strings.Contains(stopped.StoppedReason, "/"+special.Name)
		hostiletest.Report(t, what, !refused, fmt.Sprintf("after %v: %s, %v", time.Since(began), ending(stopped), err))
	}
}

// TestHostileAccountsOfContainer has a container replace them while it runs.
func TestHostileAccountsOfContainer(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "block passwd"})
	def.ContainerDefinitions[0].HealthCheck = &task.HealthCheck{Command: []string{"CMD", guestPath(t), "exit 1"}, Interval: 5, Timeout: 2, Retries: 1}
	run := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
	awaitOutput(t, run, "app", "blocking")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	began := time.Now()
	code, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{guestPath(t), "exit 3"}})
	took := time.Since(began)
	hostiletest.Report(t, "Exec in a container without accounts", took > 10*time.Second || err == nil && code != 3, fmt.Sprintf("%v: %d, %v", took, code, err))
	limit := time.After(time.Minute)
	status := task.HealthUnknown
	for tick := time.Tick(100 * time.Millisecond); status != task.HealthUnhealthy; {
		got, err := run.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		status = got.Container("app").HealthStatus
		select {
		case <-tick:
			continue
		case <-limit:
		}
		break
	}
	hostiletest.Report(t, "a health check in a container without accounts", status != task.HealthUnhealthy, string(status))
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}

// ending says how a task has ended, in short.
func ending(stopped *task.Task) string {
	if stopped == nil {
		return "not at all"
	}
	c := stopped.Containers[0]
	if c.ExitCode == nil {
		return stopped.StoppedReason
	}
	return fmt.Sprintf("%s, with %d, %v after the stop, and %v later it was removed", stopped.StoppedReason, *c.ExitCode,
		c.FinishedAt.Sub(stopped.StoppingAt), stopped.StoppedAt.Sub(c.FinishedAt))
}

// TestHostileForkBomb wants that Exec and Stop go by their own clocks in a task that forks for all it is worth.
func TestHostileForkBomb(t *testing.T) {
	for _, how := range []string{"forks", "stopped"} {
		t.Run(how, func(t *testing.T) {
			c := open(t)
			def := define([]string{"app", "block " + how})
			def.CPU, def.Memory = fmt.Sprint(1024*min(2, goruntime.NumCPU())), "4096"
			run := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
			awaitOutput(t, run, "app", "blocking")
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				began := time.Now()
				_, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{guestPath(t), "hang"}})
				cancel()
				took := time.Since(began)
				hostiletest.Report(t, "Exec waits for "+how, took > 13*time.Second || err == nil, fmt.Sprintf("it took %v of 3s: %v", took, err))
			}
			began := time.Now()
			if err := run.Stop(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			stopped, err := run.Wait(ctx)
			took := time.Since(began)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			// The stopTimeout is 2 s. A machine that others use, too, needs its time to reap thousands of processes.
			hostiletest.Report(t, "Stop waits for "+how, err != nil || took > 17*time.Second, fmt.Sprintf("it took %v: %s", took, ending(stopped)))
		})
	}
}
