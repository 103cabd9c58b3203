//go:build linux

package local_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
)

// startDaemon starts the containerd of this machine with a configuration of its own, and returns its address.
func startDaemon(t *testing.T) string {
	t.Helper()
	binary := lane.Command(t, "containerd")
	dir, err := os.MkdirTemp("", "fardel") //nolint:usetesting // short: the address of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	address := filepath.Join(dir, "c.sock")
	config := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config", config, "--log-level", "error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := os.Stat(address); err == nil {
			return address
		}
		if time.Now().After(deadline) {
			t.Fatal("containerd does not listen after 30 s")
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestTaskOnADaemon(t *testing.T) {
	needRoot(t)
	address := startDaemon(t)
	c := open(t, func(cfg *local.Config) { cfg.Containerd = address })
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
