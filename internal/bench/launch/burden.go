package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// burden is what the processes that hold containers cost, those in the containers left out.
type burden struct {
	Memory    memory        `json:"memory"`
	CPU       time.Duration `json:"cpuNs"`   // of the threads that live, since they started
	Wakeups   int64         `json:"wakeups"` // times that one of them has gone to sleep by itself
	Processes int           `json:"processes"`
	Threads   int           `json:"threads"`
	Kernel    int64         `json:"kernelKiB"` // that the whole machine's kernel uses for itself
}

// weigh adds up the processes of this PID namespace that are in no container, but the first one and this one. Those that
// end meanwhile are left out.
func weigh() (burden, error) {
	var b burden
	for _, p := range others() {
		if p.contained {
			continue
		}
		one, err := weighProcess(p.pid)
		switch {
		case err == nil:
			b.add(one)
		case errors.Is(err, fs.ErrNotExist) || ended(err):
		default:
			return b, fmt.Errorf("process %d (%s): %w", p.pid, p.args, err)
		}
	}
	var err error
	b.Kernel, err = kernelMemory()
	return b, err
}

func (b *burden) add(o burden) {
	b.Memory.add(o.Memory)
	b.CPU, b.Wakeups = b.CPU+o.CPU, b.Wakeups+o.Wakeups
	b.Processes, b.Threads = b.Processes+o.Processes, b.Threads+o.Threads
}

func weighProcess(pid int) (burden, error) {
	b := burden{Processes: 1}
	var err error
	if b.Memory, err = memoryOf(pid); err != nil {
		return b, err
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return b, err
	}
	for _, t := range threads {
		dir := fmt.Sprintf("/proc/%d/task/%s", pid, t.Name())
		ran, rerr := ranFor(dir)
		slept, serr := sleptTimes(dir)
		if err := errors.Join(rerr, serr); err != nil {
			if errors.Is(err, fs.ErrNotExist) || ended(err) {
				continue
			}
			return b, err
		}
		b.CPU, b.Wakeups, b.Threads = b.CPU+ran, b.Wakeups+slept, b.Threads+1
	}
	return b, nil
}

// ranFor is how long a thread has run, which schedstat has in nanoseconds; stat has hundredths of a second.
func ranFor(thread string) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(thread, "schedstat"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	ns, err := strconv.ParseInt(first, 10, 64)
	return time.Duration(ns), err
}

// sleptTimes is how often a thread has gone to sleep by itself, which is how often something has woken it.
func sleptTimes(thread string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(thread, "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s/status has no voluntary_ctxt_switches", thread)
}

// kernelParts are the lines of /proc/meminfo that count what the kernel uses for itself and grows with namespaces,
// cgroups, mounts and processes.
var kernelParts = []string{"Slab:", "KernelStack:", "PageTables:", "Percpu:"}

func kernelMemory() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	found, err := parseKiB(string(text), kernelParts...)
	if err != nil {
		return 0, fmt.Errorf("/proc/meminfo: %w", err)
	}
	var sum int64
	for _, n := range found {
		sum += n
	}
	return sum, nil
}

// since is what has been added between two burdens, for each of n containers.
func (b burden) since(before burden, n int) share {
	per := func(kib int64) float64 { return float64(kib) / 1024 / float64(n) }
	return share{
		PSS:     per(b.Memory.PSS - before.Memory.PSS),
		Private: per(b.Memory.Private - before.Memory.Private),
		Kernel:  per(b.Kernel - before.Kernel),
	}
}

// share is one container's part of a burden, in MiB.
type share struct {
	PSS     float64 `json:"pssMiB"`
	Private float64 `json:"privateMiB"` // pages that no other process has
	Kernel  float64 `json:"kernelMiB"`
}
