package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	RSS int64 `json:"rssKiB"`
	PSS int64 `json:"pssKiB"`
}

func (m *memory) add(o memory) { m.RSS, m.PSS = m.RSS+o.RSS, m.PSS+o.PSS }

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

// parseRollup reads the lines "Rss: 1234 kB" and "Pss: 123 kB".
func parseRollup(text string) (memory, error) {
	var m memory
	wanted := map[string]*int64{"Rss:": &m.RSS, "Pss:": &m.PSS}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 || wanted[f[0]] == nil {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || f[2] != "kB" {
			return m, fmt.Errorf("unexpected line %q", line)
		}
		*wanted[f[0]] = n
		delete(wanted, f[0])
	}
	if len(wanted) > 0 {
		return m, fmt.Errorf("no line Rss or no line Pss")
	}
	return m, nil
}
