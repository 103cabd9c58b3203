//go:build linux

package local_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/runtime/runtimetest/guest"
	"github.com/fardel-io/fardel/scheduler/local"
)

// The roles that this test binary has besides that of the tests.
const (
	guestVar    = "FARDEL_TEST_GUEST"    // in containers: the guest program
	hostVar     = "FARDEL_TEST_HOST"     // a host program that is going to be killed; its value is the directory
	busyVar     = "FARDEL_TEST_BUSY"     // one that starts and stops tasks until it is killed; its value is the directory
	registryVar = "FARDEL_TEST_REGISTRY" // the host of the registry that it pulls from
	openVar     = "FARDEL_TEST_OPEN"     // one that opens the directory until its input ends; its value is the directory
	notRootVar  = "FARDEL_TEST_NOT_ROOT" // one without root; its value is the directory
	cgroupVar   = "FARDEL_TEST_CGROUP"   // one whose cgroups are read-only; its value is the directory
	logVar      = "FARDEL_TEST_LOG"      // one whose log sink stalls, and that is killed again and again; its value is the directory
	isolatedVar = "FARDEL_TEST_ISOLATED" // the tests, in namespaces of their own
)

// TestMain runs the tests as root in a child with a network and a mount namespace of its own: what the cluster takes for
// the host is nobody's, and no route, sysctl or table of this machine changes.
func TestMain(m *testing.M) {
	if local.Reexec() {
		return
	}
	switch {
	case os.Getenv(guestVar) != "":
		os.Exit(inContainer())
	case os.Getenv(hostVar) != "":
		os.Exit(outcome(hostProgram(context.Background(), os.Getenv(hostVar))))
	case os.Getenv(busyVar) != "":
		os.Exit(outcome(busyHost(context.Background(), os.Getenv(busyVar), os.Getenv(registryVar))))
	case os.Getenv(openVar) != "":
		os.Exit(outcome(openUntilEnd(context.Background(), os.Getenv(openVar))))
	case os.Getenv(logVar) != "":
		os.Exit(outcome(stallingHost(context.Background(), os.Getenv(logVar))))
	case os.Getenv(notRootVar) != "":
		_, err := local.Open(context.Background(), local.Config{Dir: os.Getenv(notRootVar)})
		os.Exit(outcome(err))
	case os.Getenv(cgroupVar) != "":
		os.Exit(outcome(openWithoutCgroups(os.Getenv(cgroupVar))))
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

// openWithoutCgroups makes the cgroups of this process's mount namespace read-only and opens a cluster.
func openWithoutCgroups(dir string) error {
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); strings.HasPrefix(f[2], "cgroup") {
			if err := syscall.Mount("", f[1], "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
				return fmt.Errorf("remount %s: %w", f[1], err)
			}
		}
	}
	_, err = local.Open(context.Background(), local.Config{Dir: dir})
	return err
}

func outcome(err error) int {
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// inContainer is the guest program, with more statements: "serve PORT", which tells callers their addresses, "outside
// PORT", which does until its input ends, "ask ADDRESS", which prints that, "try ADDRESS", the same in a hurry, "dial ADDRESS", "relay PORT",
// "resolve NAME", "srv NAME", "datagram ADDRESS", "chatter LINES", "brief DURATION", "talk", "last LINES", "toggle FILE", "router", "overhear PORT", "chat ADDRESS",
// "block HOW" and "raw VICTIM PORT FORGED".
func inContainer() int {
	if len(os.Args) != 2 {
		return guest.Main()
	}
	verb, rest, _ := strings.Cut(os.Args[1], " ")
	if does := hostileGuests[strings.TrimPrefix(verb, "hostile-")]; does != nil {
		return outcome(does())
	}
	switch verb {
	case "serve":
		l, err := net.Listen("tcp", ":"+rest)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("serving")
		for {
			if conn, err := l.Accept(); err == nil {
				fmt.Fprintln(conn, conn.RemoteAddr().(*net.TCPAddr).IP)
				conn.Close()
			}
		}
	case "outside":
		return outcome(serveOutside(rest))
	case "ask":
		fmt.Println(hear(rest, time.Minute))
		return 0
	case "try":
		fmt.Println(hear(rest, 2*time.Second))
		return 0
	case "datagram":
		return outcome(sendDatagram(rest))
	case "srv":
		return outcome(lookupSRV(rest))
	case "resolve":
		fmt.Println(resolve(rest))
		return 0
	case "hostile-network":
		return outcome(hostileNetwork(rest))
	case "router":
		return outcome(router())
	case "chatter":
		return outcome(chatter(os.Stdout, rest))
	case "brief":
		return brief(os.Stdout, rest)
	case "talk":
		return outcome(talk(os.Stdout))
	case "last":
		return outcome(last(rest))
	case "toggle":
		return toggle(rest)
	case "relay":
		fmt.Println(relay(rest))
		return 1
	case "overhear":
		return outcome(overhear(rest))
	case "chat":
		return outcome(chat(rest))
	case "raw":
		return outcome(raw(rest))
	case "plant":
		return outcome(plant(rest))
	case "euid":
		fmt.Println(os.Geteuid())
		return 0
	case "escaped":
		return escaped(rest)
	case "grow":
		return grow()
	case "hostile":
		return hostile()
	case "hostile-pid":
		return hostilePID(rest)
	case "overwrite":
		return overwrite()
	case "block":
		return block(rest)
	case "hostile-defaults":
		return hostileDefaults()
	case "hostile-admin":
		return hostileAdmin()
	case "under-profile":
		return underProfile()
	case "hostile-confined":
		return hostileConfined()
	case "crash":
		return crash()
	case "core-limit":
		return coreLimit()
	case "effective-user":
		fmt.Println(os.Geteuid())
		return 0
	case "session-keyring":
		return sessionKeyring()
	case "dial":
		conn, err := net.DialTimeout("tcp", rest, time.Second)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("connected from", conn.LocalAddr())
		conn.Close()
		return 0
	}
	return guest.Main()
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

// isolate makes the mounts of the new namespace private, so that none reaches the machine's, and a sysfs of the new
// network.
func isolate() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return exec.Command("ip", "link", "set", "lo", "up").Run()
}
