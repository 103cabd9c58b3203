package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Period is how often the kernel hands out a quota of CPU time, its default. ECS enforces task sizes over the same one.
const Period = 100 * time.Millisecond

// minQuota is the least that the kernel takes.
const minQuota = time.Millisecond

// Limits are what all processes of a group together may use. Zero members are no limit.
type Limits struct {
	CPU    time.Duration // CPU time in 100 ms, on all cores together
	Shares uint64        // weight against other groups, 2 to 262144; 0 is 1024
	Memory int64         // bytes, swap included
	PIDs   int64         // processes and threads
}

// Create makes a group below the parent, in which containers can be made, and sets its limits. It may be repeated.
func (t *Tree) Create(name string, l Limits) error {
	if t.unified {
		return t.createV2(name, l)
	}
	return t.createV1(name, l)
}

// makeParent makes the parent group in the hierarchies of the required controllers.
func (t *Tree) makeParent() error {
	if t.delegated {
		if err := t.evacuate(); err != nil {
			return err
		}
	}
	if t.unified {
		return t.delegate(t.parent)
	}
	for _, c := range required {
		if err := os.MkdirAll(t.dir(c, ""), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) createV1(name string, l Limits) error {
	for _, c := range append([]string{"cpuacct"}, required...) {
		if dir := t.dir(c, name); dir != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
	}
	set := []setting{}
	if l.Shares > 0 {
		set = append(set, setting{t.dir("cpu", name), "cpu.shares", clamp(l.Shares, 2, 262144)})
	}
	if l.CPU > 0 {
		set = append(set,
			setting{t.dir("cpu", name), "cpu.cfs_period_us", micros(Period)},
			setting{t.dir("cpu", name), "cpu.cfs_quota_us", micros(max(l.CPU, minQuota))})
	}
	if l.Memory > 0 {
		// Swap is limited together with memory and may not be limited lower, hence the order.
		set = append(set, setting{t.dir("memory", name), "memory.limit_in_bytes", strconv.FormatInt(l.Memory, 10)})
		if t.SwapAccounting() {
			set = append(set, setting{t.dir("memory", name), "memory.memsw.limit_in_bytes", strconv.FormatInt(l.Memory, 10)})
		}
	}
	if l.PIDs > 0 {
		set = append(set, setting{t.dir("pids", name), "pids.max", strconv.FormatInt(l.PIDs, 10)})
	}
	return writeAll(set)
}

func (t *Tree) createV2(name string, l Limits) error {
	if err := t.delegate(path.Join(t.parent, name)); err != nil {
		return err
	}
	dir := t.dir("", name)
	set := []setting{}
	if l.Shares > 0 {
		set = append(set, setting{dir, "cpu.weight", strconv.FormatUint(weight(l.Shares), 10)})
	}
	if l.CPU > 0 {
		set = append(set, setting{dir, "cpu.max", micros(max(l.CPU, minQuota)) + " " + micros(Period)})
	}
	if l.Memory > 0 {
		set = append(set, setting{dir, "memory.max", strconv.FormatInt(l.Memory, 10)})
		if t.SwapAccounting() {
			set = append(set, setting{dir, "memory.swap.max", "0"})
		}
	}
	if l.PIDs > 0 {
		set = append(set, setting{dir, "pids.max", strconv.FormatInt(l.PIDs, 10)})
	}
	return writeAll(set)
}

// weight converts shares of v1 to a weight of v2 as OCI runtimes do: 2..262144 onto 1..10000.
func weight(shares uint64) uint64 {
	shares = min(max(shares, 2), 262144)
	return 1 + (shares-2)*9999/262142
}

// SwapAccounting reports whether the kernel can limit swap.
func (t *Tree) SwapAccounting() bool {
	if !t.unified {
		_, err := os.Stat(filepath.Join(t.dir("memory", ""), "memory.memsw.limit_in_bytes"))
		return err == nil
	}
	_, err := os.Stat(filepath.Join(t.dir("", ""), "memory.swap.max"))
	return err == nil
}

// delegate makes a group of v2 and gives it and all above it the controllers for their children. A group with
// controllers for its children cannot have processes of its own, so these are only in the groups of containers.
func (t *Tree) delegate(name string) error {
	dir := t.mounts[0].point
	if t.delegated {
		dir = t.dir("", "")
		name = strings.Trim(strings.TrimPrefix(name, t.parent), "/")
	}
	if err := enableControllers(dir); err != nil {
		return err
	}
	for elem := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' }) {
		dir = filepath.Join(dir, elem)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := enableControllers(dir); err != nil {
			return err
		}
	}
	return nil
}

// evacuate moves the processes of a delegated parent to Helpers.
func (t *Tree) evacuate() error {
	if _, err := os.Stat(t.dir("", "")); err != nil { // gone with its last process
		return err
	}
	text, err := os.ReadFile(filepath.Join(t.dir("", ""), "cgroup.procs"))
	if err != nil {
		return err
	}
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return err
		}
		if err := t.AddProcess("", Helpers, pid); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Processes are those in a group below name.
func (t *Tree) Processes(name, child string) ([]int, error) {
	for _, dir := range t.dirs(name) {
		dir = filepath.Join(dir, child)
		if _, err := os.Stat(dir); err == nil {
			return processes(dir)
		}
	}
	return nil, nil
}

// HelperProcesses are the processes in Helpers.
func (t *Tree) HelperProcesses() ([]int, error) {
	if !t.delegated {
		return nil, nil
	}
	return processes(t.dir("", Helpers))
}

// OpenHelpers opens the directory of Helpers, for processes that are to start there, or returns nil if the parent was
// not delegated.
func (t *Tree) OpenHelpers() (*os.File, error) {
	if !t.delegated {
		return nil, nil
	}
	return os.Open(t.dir("", Helpers))
}

// enableControllers gives the children of a group the controllers that OCI runtimes use, as far as the group has them.
func enableControllers(dir string) error {
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "cgroup.subtree_control")
	enabled, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, c := range []string{"cpu", "memory", "pids", "io", "cpuset", "hugetlb"} {
		optional := !slices.Contains(required, c)
		if !slices.Contains(strings.Fields(string(have)), c) {
			if optional {
				continue
			}
			return fmt.Errorf("%s: the %s controller is not available: it must be in cgroup.subtree_control of every group above", dir, c)
		}
		if slices.Contains(strings.Fields(string(enabled)), c) {
			continue
		}
		err := os.WriteFile(file, []byte("+"+c), 0o644)
		if errors.Is(err, syscall.EBUSY) && !optional {
			return fmt.Errorf("%s: processes in this group keep it from having the %s controller for groups below it; move them to a child: %w", dir, c, err)
		}
		if err != nil && !optional {
			return err
		}
	}
	return nil
}

// setting is a line for a file of a group.
type setting struct{ dir, file, value string }

func writeAll(set []setting) error {
	for _, s := range set {
		f, err := os.OpenFile(filepath.Join(s.dir, s.file), os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(s.value)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("set %s to %s: %w", s.file, s.value, err)
		}
	}
	return nil
}

func clamp(n, low, high uint64) string { return strconv.FormatUint(min(max(n, low), high), 10) }

func micros(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }
