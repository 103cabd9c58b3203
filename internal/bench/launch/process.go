package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// pids lists the processes of this PID namespace.
func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

// process is a process that a task brought with it.
type process struct {
	pid       int
	args      string
	contained bool // of a container, in a PID namespace of its own
}

// others lists the processes of this PID namespace but the first one and this one. As long as no daemon runs they are
// those that a cluster of this process started, its own and its containers'.
func others() []process {
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nil
	}
	var list []process
	for _, pid := range pids() {
		if pid == 1 || pid == os.Getpid() {
			continue
		}
		proc := filepath.Join("/proc", strconv.Itoa(pid))
		args, err := os.ReadFile(filepath.Join(proc, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		ns, err := os.Readlink(filepath.Join(proc, "ns/pid"))
		if err != nil {
			continue
		}
		p := process{pid: pid, args: strings.TrimSpace(string(bytes.ReplaceAll(args, []byte{0}, []byte{' '})))}
		// The first process of a PID namespace that containers share is the runtime's, not the user's.
		p.contained = ns != own && !strings.HasPrefix(p.args, "fardel-")
		list = append(list, p)
	}
	return list
}

// memory is what a process or several have in memory, in KiB.
type memory struct {
	RSS     int64 `json:"rssKiB"`
	PSS     int64 `json:"pssKiB"`
	Private int64 `json:"privateKiB"` // pages that are in no other process
}

func (m *memory) add(o memory) {
	m.RSS, m.PSS, m.Private = m.RSS+o.RSS, m.PSS+o.PSS, m.Private+o.Private
}

// memoryOf reads what a process has in memory.
func memoryOf(pid int) (memory, error) {
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return memory{}, err
	}
	m, err := parseRollup(string(text))
	if err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// parseRollup reads a file smaps_rollup.
func parseRollup(text string) (memory, error) {
	found, err := parseKiB(text, "Rss:", "Pss:", "Private_Clean:", "Private_Dirty:")
	if err != nil {
		return memory{}, err
	}
	return memory{RSS: found[0], PSS: found[1], Private: found[2] + found[3]}, nil
}

// parseKiB reads the lines "Rss: 1234 kB" with the names given.
func parseKiB(text string, names ...string) ([]int64, error) {
	found, missing := make([]int64, len(names)), len(names)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		i := -1
		if len(f) == 3 {
			i = slices.Index(names, f[0])
		}
		if i < 0 {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || f[2] != "kB" {
			return nil, fmt.Errorf("unexpected line %q", line)
		}
		found[i] = n
		missing--
	}
	if missing > 0 {
		return nil, fmt.Errorf("not all of %s are there", strings.Join(names, " "))
	}
	return found, nil
}

// ended reports whether a file in /proc could not be read because its process has ended.
func ended(err error) bool { return errors.Is(err, syscall.ESRCH) }
