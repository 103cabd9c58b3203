//go:build linux

package local_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
)

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

// TestHostileOverwrite has a container wait for the OCI runtime, and leads it there with the command /proc/self/exe.
func TestHostileOverwrite(t *testing.T) {
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
	running(t, run)
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
	out := output(t, run, "app")
	if !strings.Contains(out, "saw") {
		t.Errorf("output %q", out)
	}
	hostiletest.Report(t, "open the OCI runtime's program for writing", strings.Contains(out, "BROKEN"), fmt.Sprintf("%q", out))
	hostiletest.Report(t, "overwrite the OCI runtime", sum() != before, runc)
}

// TestHostileServices listens on everything that the host has, its loopback and the address of EC2's metadata
// among them.
func TestHostileServices(t *testing.T) {
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
		out := output(t, run, "app")
		hostiletest.Report(t, "dial the host's "+ip.IP.String(), strings.Contains(out, "connected") || out == "", fmt.Sprintf("%q", out))
	}
	if tried < 3 {
		t.Errorf("only %d addresses to try: %v", tried, addresses)
	}
	if err := idle.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, idle)
}
