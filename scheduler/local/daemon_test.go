//go:build linux

package local_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

var withDaemon = flag.String("daemon", "", "the containerd of most tests, `distribution` or current; without it they embed one")

// laneDaemon starts the containerd that -daemon names and returns its address, "" without that.
func laneDaemon(t *testing.T) string {
	t.Helper()
	if *withDaemon == "" {
		return ""
	}
	needRoot(t)
	path, ok := daemons(t)[*withDaemon]
	if !ok {
		t.Fatalf("-daemon %s is not distribution or current", *withDaemon)
	}
	return startDaemon(t, path).address
}

// daemon is a containerd with a configuration of its own.
type daemon struct {
	*testing.T
	binary, dir, address string
	env                  []string
	cmd                  *exec.Cmd // nil while it does not run
}

// startDaemon starts the containerd of this machine, or that in a directory with its shim.
func startDaemon(t *testing.T, path string) *daemon {
	t.Helper()
	d := &daemon{T: t, env: append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"))}
	if d.binary = filepath.Join(path, "containerd"); path == "" {
		d.binary = lane.Command(t, "containerd")
	}
	var err error
	if d.dir, err = os.MkdirTemp("", "fardel"); err != nil { //nolint:usetesting // short: the address of a socket has at most 107 bytes
		t.Fatal(err)
	}
	d.address = filepath.Join(d.dir, "c.sock")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(d.dir, "root"), filepath.Join(d.dir, "state"), d.address)
	if err := os.WriteFile(filepath.Join(d.dir, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.stop(os.Interrupt)
		if err := os.RemoveAll(d.dir); err != nil {
			t.Error(err)
		}
	})
	d.start()
	return d
}

func (d *daemon) start() {
	d.Helper()
	if err := os.Remove(d.address); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.Fatal(err)
	}
	cmd := exec.Command(d.binary, "--config", filepath.Join(d.dir, "config.toml"), "--log-level", "error")
	cmd.Env = d.env
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	d.cmd = cmd
	for deadline := time.Now().Add(time.Minute); ; {
		if _, err := os.Stat(d.address); err == nil {
			return
		}
		if time.Now().After(deadline) {
			d.Fatal("containerd does not listen after a minute")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// stop ends the daemon. What it has started goes on.
func (d *daemon) stop(signal os.Signal) {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(signal)
	_ = d.cmd.Wait()
	d.cmd = nil
}

// daemons are where the containerds are that are tested: the distribution's and the current one.
func daemons(t *testing.T) map[string]string {
	t.Helper()
	current := os.Getenv("FARDEL_CONTAINERD")
	if current == "" {
		lane.Missing(t, "FARDEL_CONTAINERD, the directory of containerd 2.4 and its shim")
	}
	return map[string]string{"distribution": "", "current": current}
}

// TestDaemonRestarts ends the daemon under running tasks. One ends while there is none, and one is to stop.
func TestDaemonRestarts(t *testing.T) {
	needRoot(t)
	for name, path := range daemons(t) {
		t.Run(name, func(t *testing.T) {
			d := startDaemon(t, path)
			c := open(t, func(cfg *local.Config) {
				cfg.Containerd = d.address
				cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
			})
			def := family(familyStopped, []string{"app", "catch TERM 7", "out up", "hang"})
			stays := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
			ends := start(t, c, family(familyBrief, []string{"app", "brief 2s"}), scheduler.RunOptions{})
			running(t, ends)
			id := running(t, stays).Containers[0].RuntimeID
			awaitOutput(t, stays, "app", "up")
			awaitOutput(t, ends, "app", "early")
			was := processOf(t, id)

			d.stop(os.Kill)
			awaitOutput(t, ends, "app", "late")
			<-time.After(300 * time.Millisecond) // likely it has ended
			d.start()
			rec := wait(t, ends)
			if err := errors.Join(checkBrief(rec, output(t, ends, "app")), checkTimes(rec)); err != nil {
				t.Errorf("ended while there was no daemon: %v: %+v", err, rec.Containers[0])
			}
			if got, err := stays.Describe(t.Context()); err != nil || got.LastStatus != task.Running || processOf(t, id) != was {
				t.Errorf("the other is %s, %v, process %s and was %s", got.LastStatus, err, processOf(t, id), was)
			}
			var out strings.Builder
			code, err := stays.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{guestPath(t), "out inside", "exit 5"}, Stdout: &out})
			if err != nil || code != 5 || out.String() != "inside\n" {
				t.Errorf("exec: %d, %q, %v", code, out.String(), err)
			}

			d.stop(os.Interrupt)
			if err := stays.Stop(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if _, err := stays.WaitStatus(t.Context(), task.Stopping); err != nil {
				t.Fatal(err)
			}
			<-time.After(300 * time.Millisecond) // likely the signal was tried
			d.start()
			if rec := wait(t, stays); rec.Containers[0].ExitCode == nil || *rec.Containers[0].ExitCode != 7 || output(t, stays, "app") != "up\ncaught TERM\n" {
				t.Errorf("stopped while there was no daemon: %+v, %q", rec.Containers[0], output(t, stays, "app"))
			}
		})
	}
}

func TestTaskOnADaemon(t *testing.T) {
	needRoot(t)
	d := startDaemon(t, "")
	c := open(t, func(cfg *local.Config) { cfg.Containerd = d.address })
	run := start(t, c, define(
		[]string{"app", "out from app", "await side", "exit 3"},
		[]string{"side", "catch TERM 7", "tell side", "hang"},
	), scheduler.RunOptions{EnableExecuteCommand: true})
	stopped := wait(t, run)
	if app := stopped.Container("app"); *app.ExitCode != 3 || output(t, run, "app") != "from app\nheard side\n" {
		t.Errorf("app: %+v, log %q", app, output(t, run, "app"))
	}
	if side := stopped.Container("side"); *side.ExitCode != 7 {
		t.Errorf("side: %+v, log %q", side, output(t, run, "side"))
	}
}
