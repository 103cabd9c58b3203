package linux

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// isolatedVar is set in the child that runs the tests in namespaces of its own.
const isolatedVar = "FARDEL_TEST_ISOLATED"

// TestMain runs the tests as root in a child with a network and a mount namespace of its own, so that what they take for
// the host is nobody's: no route, sysctl or table of this machine changes.
func TestMain(m *testing.M) {
	if os.Getenv(crashVar) != "" {
		crashMain()
		return
	}
	if os.Geteuid() != 0 || os.Getenv(isolatedVar) != "" {
		if os.Geteuid() == 0 {
			if err := prepareIsolated(); err != nil {
				fmt.Fprintln(os.Stderr, "prepare namespaces for tests:", err)
				os.Exit(1)
			}
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), isolatedVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fmt.Fprintln(os.Stderr, "run tests in namespaces of their own:", err)
		os.Exit(1)
	}
}

func prepareIsolated() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	h, err := newHandle()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.LinkSetUp(loopback())
}
