package oci

import (
	"bufio"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Limits are what the process that starts the OCI runtime may not exceed. The zero value is a process that may
// everything, as root outside of a container does.
type Limits struct {
	Capabilities []string          // those it can give, "CAP_KILL"; nil is all that the kernel knows
	Hard         map[string]uint64 // by ulimit name: a limit can be set up to this one; absent is up to any
	OOMScoreAdj  int               // the lowest score that can be set
}

// limitNames are the rows of /proc/<pid>/limits.
var limitNames = map[string]string{
	"Max core file size": "core", "Max cpu time": "cpu", "Max data size": "data", "Max file size": "fsize",
	"Max file locks": "locks", "Max locked memory": "memlock", "Max msgqueue size": "msgqueue",
	"Max nice priority": "nice", "Max open files": "nofile", "Max processes": "nproc", "Max resident set": "rss",
	"Max realtime priority": "rtprio", "Max realtime timeout": "rttime", "Max pending signals": "sigpending",
	"Max stack size": "stack",
}

// ProcessLimits reads the limits of a process from a /proc file system: os.DirFS("/proc") and "self", or the number of
// the containerd that starts the OCI runtime.
func ProcessLimits(proc fs.FS, pid string) (Limits, error) {
	status, err := fs.ReadFile(proc, pid+"/status")
	if err != nil {
		return Limits{}, err
	}
	// No process can have more open files than this, whatever its capabilities.
	openFiles, err := readUint(proc, "sys/fs/nr_open")
	if err != nil {
		return Limits{}, err
	}
	capabilities, err := parseCapabilities(string(status))
	if err != nil {
		return Limits{}, fmt.Errorf("%s/status: %w", pid, err)
	}
	if slices.Contains(capabilities, "CAP_SYS_RESOURCE") { // may raise hard limits and lower OOM scores
		return Limits{Capabilities: capabilities, Hard: map[string]uint64{"nofile": openFiles}, OOMScoreAdj: -1000}, nil
	}
	limits, err := fs.ReadFile(proc, pid+"/limits")
	if err != nil {
		return Limits{}, err
	}
	score, err := fs.ReadFile(proc, pid+"/oom_score_adj")
	if err != nil {
		return Limits{}, err
	}
	adj, err := strconv.Atoi(strings.TrimSpace(string(score)))
	if err != nil {
		return Limits{}, fmt.Errorf("%s/oom_score_adj: %w", pid, err)
	}
	return Limits{Capabilities: capabilities, Hard: parseLimits(string(limits)), OOMScoreAdj: adj}, nil
}

func readUint(proc fs.FS, name string) (uint64, error) {
	text, err := fs.ReadFile(proc, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// parseCapabilities returns the capabilities that the process has and that its children may keep.
func parseCapabilities(status string) ([]string, error) {
	set := uint64(math.MaxUint64)
	for _, row := range []string{"CapEff:", "CapBnd:"} {
		_, rest, ok := strings.Cut(status, "\n"+row)
		if !ok {
			return nil, fmt.Errorf("no %s", row)
		}
		line, _, _ := strings.Cut(rest, "\n")
		mask, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("%s %w", row, err)
		}
		set &= mask
	}
	list := make([]string, 0, len(knownCapabilities))
	for number, name := range knownCapabilities {
		if set&(1<<number) != 0 {
			list = append(list, name)
		}
	}
	return list, nil
}

// parseLimits reads a table of "name  soft  hard  units", whose names contain spaces.
func parseLimits(table string) map[string]uint64 {
	hard := make(map[string]uint64, len(limitNames))
	for rows := bufio.NewScanner(strings.NewReader(table)); rows.Scan(); {
		for title, name := range limitNames {
			rest, ok := strings.CutPrefix(rows.Text(), title+" ")
			fields := strings.Fields(rest)
			if !ok || len(fields) < 2 {
				continue
			}
			if n, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
				hard[name] = n
			} else if fields[1] == "unlimited" {
				hard[name] = math.MaxUint64
			}
		}
	}
	return hard
}

// allowed returns the highest hard limit that can be set.
func (l Limits) allowed(ulimit string) uint64 {
	if hard, ok := l.Hard[ulimit]; ok {
		return hard
	}
	return math.MaxUint64
}
