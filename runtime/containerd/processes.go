//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// proc is a line of the machine's table of processes.
type proc struct {
	pid, parent, session int
	start                uint64 // in clock ticks since boot
}

// parseStat reads a /proc/<pid>/stat, whose second field is in parentheses and may contain anything.
func parseStat(text string) (p proc, ok bool) {
	before, rest, found := cutLast(text, ")")
	number, _, _ := strings.Cut(before, " ")
	f := strings.Fields(rest)
	if !found || len(f) < 20 {
		return proc{}, false
	}
	var errs [4]error
	p.pid, errs[0] = strconv.Atoi(number)
	p.parent, errs[1] = strconv.Atoi(f[1])
	p.session, errs[2] = strconv.Atoi(f[3])
	p.start, errs[3] = strconv.ParseUint(f[19], 10, 64)
	return p, errors.Join(errs[:]...) == nil
}

// processTable is all processes of the machine.
func processTable() ([]proc, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var table []proc
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		if p, ok := parseStat(string(text)); ok {
			table = append(table, p)
		}
	}
	return table, nil
}

// descendants are the processes for which is says so, and all below them.
func descendants(table []proc, is func(proc) bool) []proc {
	children := map[int][]proc{}
	var tree []proc
	in := map[int]bool{}
	for _, p := range table {
		children[p.parent] = append(children[p.parent], p)
		if is(p) {
			tree, in[p.pid] = append(tree, p), true
		}
	}
	for i := 0; i < len(tree); i++ {
		for _, child := range children[tree[i].pid] {
			if !in[child.pid] {
				tree, in[child.pid] = append(tree, child), true
			}
		}
	}
	return tree
}

// mostLooks bounds how often new processes are looked for: among those of a container there may be a bomb, whose oldest
// have ended when they are found.
const mostLooks = 50

// endProcesses sends SIGKILL to the processes for which is says so and to all below them, and reports how many that were.
// They are stopped first, until no more come: one that forks, whose child would be nobody's, does not get away.
func endProcesses(is func(proc) bool) (int, error) {
	stopped := map[proc]int{} // descriptors
	defer func() {
		for _, fd := range stopped {
			unix.Close(fd)
		}
	}()
	// A fork that was under way when its process was stopped shows in the next look.
	for quiet, looks := 0, 0; quiet < 2 && looks < mostLooks; quiet, looks = quiet+1, looks+1 {
		table, err := processTable()
		if err != nil {
			return 0, err
		}
		for _, p := range descendants(table, is) {
			if _, known := stopped[p]; known {
				continue
			}
			fd, ok := p.open()
			if !ok {
				continue
			}
			stopped[p], quiet = fd, -1
			if err := unix.PidfdSendSignal(fd, unix.SIGSTOP, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return 0, fmt.Errorf("stop process %d: %w", p.pid, err)
			}
		}
		if len(stopped) == 0 {
			return 0, nil
		}
	}
	var errs []error
	for p, fd := range stopped {
		if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("kill process %d: %w", p.pid, err))
		}
	}
	return len(stopped), errors.Join(errs...)
}

// open returns a descriptor of the process, and false if that has ended.
func (p proc) open() (fd int, ok bool) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return 0, false
	}
	if now, err := startTime(p.pid); err != nil || now != p.start || zombie(p.pid) {
		unix.Close(fd)
		return 0, false
	}
	return fd, true
}

// endRuntime ends the programs that run the OCI runtime with a root for a container, or for one process that was added to
// it, with all that they have started and still hold. It reports how many there were.
func endRuntime(root, id, exec string) (int, error) {
	return endProcesses(func(p proc) bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		return err == nil && isRuntimeCall(strings.Split(strings.TrimRight(string(line), "\x00"), "\x00"), root, id, exec)
	})
}

// isRuntimeCall reads a command line as containerd's shims make it: `runc --root R … exec … --pid-file …/<exec>.pid ID`, or
// `runc --root R … kill --all ID 9`. That of a script has its interpreter in front.
func isRuntimeCall(args []string, root, id, exec string) bool {
	i := slices.Index(args, "--root")
	if i < 0 || i+3 >= len(args) || args[i+1] != root {
		return false
	}
	last := len(args) - 1
	if slices.Contains(args[i+2:last-1], "kill") {
		last--
	}
	if args[last] != id {
		return false
	}
	return exec == "" || slices.ContainsFunc(args, func(arg string) bool { return filepath.Base(arg) == exec+".pid" })
}

// endAdded ends a process that was added to a container, what it has started, and what is in its session, which has its
// number: an OCI runtime makes one. What has left both is of the container.
func endAdded(pid int) error {
	_, err := endProcesses(func(p proc) bool { return p.pid == pid || p.session == pid })
	return err
}

// endDaemonShim ends the process that a daemon has for a container.
func endDaemonShim(namespace, id string) error {
	_, err := endProcessesAlone(func(p proc) bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		return err == nil && isDaemonShim(strings.Split(strings.TrimRight(string(line), "\x00"), "\x00"), namespace, id)
	})
	return err
}

// isDaemonShim reads a command line such as `/usr/bin/containerd-shim-runc-v2 -namespace N -id ID -address …`.
func isDaemonShim(args []string, namespace, id string) bool {
	has := func(flag, value string) bool {
		i := slices.Index(args, flag)
		return i > 0 && i+1 < len(args) && args[i+1] == value
	}
	return strings.HasPrefix(filepath.Base(args[0]), "containerd-shim-") && has("-namespace", namespace) && has("-id", id)
}

// endProcessesAlone sends SIGKILL to the processes for which is says so, not to what is below them.
func endProcessesAlone(is func(proc) bool) (int, error) {
	table, err := processTable()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, p := range slices.DeleteFunc(table, func(p proc) bool { return !is(p) }) {
		fd, ok := p.open()
		if !ok {
			continue
		}
		n++
		err = errors.Join(err, unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
		unix.Close(fd)
	}
	return n, err
}
