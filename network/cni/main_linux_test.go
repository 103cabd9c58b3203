package cni

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Roles of this test binary.
const (
	isolatedVar = "FARDEL_TEST_ISOLATED" // the tests, in namespaces of their own
	hostVar     = "FARDEL_TEST_HOST"     // a host program that attaches an ENI and is going to be killed; its value is the directory
)

// TestMain runs the tests as root in a child with a network and a mount namespace of its own: what plugins take for the
// host is nobody's.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(hostVar) != "":
		if err := hostProgram(context.Background(), os.Getenv(hostVar)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case os.Geteuid() != 0:
		os.Exit(m.Run())
	case os.Getenv(isolatedVar) != "":
		if err := isolate(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare namespaces for tests:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	os.Exit(runIsolated())
}

func runIsolated() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), isolatedVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "run tests in namespaces of their own:", err)
		return 1
	}
	return 0
}

// isolate makes the mounts of the new namespace private, so that none reaches the machine's; /run is its own, where
// iptables has its lock.
func isolate() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return exec.Command("ip", "link", "set", "lo", "up").Run()
}
