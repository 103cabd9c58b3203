package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// ErrNoGroup says that there is no such group.
var ErrNoGroup = errors.New("cgroup: no such group")

// Stats measures a group with those below it.
func (t *Tree) Stats(name string) (runtime.Stats, error) {
	if _, err := os.Stat(t.dir("memory", name)); err != nil {
		return runtime.Stats{}, fmt.Errorf("%s: %w", t.Path(name), ErrNoGroup)
	}
	at := time.Now()
	var s runtime.Stats
	if t.unified {
		s = statsV2(t.reader("", name))
	} else {
		s = statsV1(func(controller, file string) string { return t.reader(controller, name)(file) })
		kills, err := t.OOMKills(name)
		if err != nil {
			return runtime.Stats{}, err
		}
		s.OOMKills = kills
	}
	s.At = at
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		s.HostCPU, s.OnlineCPUs = hostCPU(string(text))
	}
	return s, nil
}

// OOMKills is how many processes of a group and those below it the kernel has killed for want of memory, whichever
// limit it was that they hit.
func (t *Tree) OOMKills(name string) (uint64, error) {
	dir := t.dir("memory", name)
	if t.unified {
		text, err := os.ReadFile(filepath.Join(dir, "memory.events"))
		return field(string(text), "oom_kill"), notFound(err, t.Path(name))
	}
	// v1 counts a kill in the group of the process alone.
	var n uint64
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			if p != dir && gone(err) {
				return nil
			}
			return err
		}
		text, err := os.ReadFile(filepath.Join(p, "memory.oom_control"))
		n += field(string(text), "oom_kill")
		if p != dir && gone(err) {
			return nil
		}
		return err
	})
	return n, notFound(err, t.Path(name))
}

func notFound(err error, path string) error {
	if gone(err) {
		return fmt.Errorf("%s: %w", path, ErrNoGroup)
	}
	return err
}

// reader returns a function that reads a file of a group, "" if the kernel does not have it.
func (t *Tree) reader(controller, name string) func(file string) string {
	dir := t.dir(controller, name)
	return func(file string) string {
		if dir == "" {
			return ""
		}
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return ""
		}
		return string(text)
	}
}

// clockTick is the unit of cpuacct.stat, USER_HZ, which is 100 on every Linux architecture that Go has.
const clockTick = 10 * time.Millisecond

// statsV1 reads the files of the hierarchies of v1.
func statsV1(read func(controller, file string) string) runtime.Stats {
	throttling := read("cpu", "cpu.stat")
	ticks := read("cpuacct", "cpuacct.stat")
	usage, details := number(read("memory", "memory.usage_in_bytes")), fields(read("memory", "memory.stat"))
	s := runtime.Stats{
		CPU:              time.Duration(number(read("cpuacct", "cpuacct.usage"))),
		CPUUser:          time.Duration(field(ticks, "user")) * clockTick,
		CPUSystem:        time.Duration(field(ticks, "system")) * clockTick,
		CPUPeriods:       field(throttling, "nr_periods"),
		CPUThrottled:     field(throttling, "nr_throttled"),
		CPUThrottledTime: time.Duration(field(throttling, "throttled_time")),
		Memory:           usage,
		MemoryWorkingSet: less(usage, details["total_inactive_file"]),
		MemoryLimit:      limit(read("memory", "memory.limit_in_bytes")),
		MemoryPeak:       number(read("memory", "memory.max_usage_in_bytes")),
		MemoryFailures:   number(read("memory", "memory.failcnt")),
		MemoryDetails:    details,
		PIDs:             number(read("pids", "pids.current")),
		PIDsLimit:        limit(read("pids", "pids.max")),
	}
	for used := range strings.FieldsSeq(read("cpuacct", "cpuacct.usage_percpu")) {
		s.PerCPU = append(s.PerCPU, time.Duration(number(used)))
	}
	d := devices{}
	d.linesV1(read("blkio", "blkio.throttle.io_service_bytes_recursive"), func(b *runtime.BlockIO) (read, write *uint64) {
		return &b.ReadBytes, &b.WriteBytes
	})
	d.linesV1(read("blkio", "blkio.throttle.io_serviced_recursive"), func(b *runtime.BlockIO) (read, write *uint64) {
		return &b.Reads, &b.Writes
	})
	d.addTo(&s)
	return s
}

// statsV2 reads the files of a group of v2.
func statsV2(read func(file string) string) runtime.Stats {
	cpu := read("cpu.stat")
	usage, details := number(read("memory.current")), fields(read("memory.stat"))
	s := runtime.Stats{
		CPU:              time.Duration(field(cpu, "usage_usec")) * time.Microsecond,
		CPUUser:          time.Duration(field(cpu, "user_usec")) * time.Microsecond,
		CPUSystem:        time.Duration(field(cpu, "system_usec")) * time.Microsecond,
		CPUPeriods:       field(cpu, "nr_periods"),
		CPUThrottled:     field(cpu, "nr_throttled"),
		CPUThrottledTime: time.Duration(field(cpu, "throttled_usec")) * time.Microsecond,
		Memory:           usage,
		MemoryWorkingSet: less(usage, details["inactive_file"]),
		MemoryLimit:      limit(read("memory.max")),
		MemoryPeak:       number(read("memory.peak")),
		MemoryFailures:   field(read("memory.events"), "max"),
		MemoryDetails:    details,
		OOMKills:         field(read("memory.events"), "oom_kill"),
		PIDs:             number(read("pids.current")),
		PIDsLimit:        limit(read("pids.max")),
		CPUPressure:      pressure(read("cpu.pressure")),
		MemoryPressure:   pressure(read("memory.pressure")),
		IOPressure:       pressure(read("io.pressure")),
	}
	d := devices{}
	d.linesV2(read("io.stat"))
	d.addTo(&s)
	return s
}

// pressure reads lines of "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", the total in microseconds.
func pressure(text string) (p runtime.Pressure) {
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(line, " ")
		_, total, _ := strings.Cut(rest, "total=")
		switch d := time.Duration(number(total)) * time.Microsecond; kind {
		case "some":
			p.Some = d
		case "full":
			p.Full = d
		}
	}
	return p
}

// field is the number after a key in lines of "key number".
func field(text, key string) uint64 {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == key {
			return number(f[1])
		}
	}
	return 0
}

// fields are all lines of "key number"; nil if there are none.
func fields(text string) map[string]uint64 {
	var m map[string]uint64
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		if m == nil {
			m = map[string]uint64{}
		}
		m[f[0]] = number(f[1])
	}
	return m
}

// hostCPU reads /proc/stat: the time that all processors have spent, and how many there are.
func hostCPU(text string) (total time.Duration, processors int) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || !strings.HasPrefix(f[0], "cpu"):
		case f[0] == "cpu":
			// user, nice, system, idle, iowait, irq, softirq, steal; the time of guests, which follows, is in user and nice.
			for _, ticks := range f[1:min(len(f), 9)] {
				total += time.Duration(number(ticks)) * clockTick
			}
		default:
			processors++
		}
	}
	return total, processors
}

func number(text string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// limit is 0 for none, which v1 says for memory with the largest multiple of the page size, and else with "max".
func limit(text string) uint64 {
	if n := number(text); n < math.MaxInt64>>16<<16 {
		return n
	}
	return 0
}

func less(a, b uint64) uint64 { return a - min(a, b) }
