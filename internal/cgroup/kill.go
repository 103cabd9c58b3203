package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Kill sends SIGKILL to every process in a group and in those below it, and returns when all have been sent it, which is
// before they have ended. Processes that fork do not outrun it. No error if there is no such group.
func (t *Tree) Kill(ctx context.Context, name string) error {
	if !filepath.IsLocal(name) || filepath.Clean(name) == "." {
		return fmt.Errorf("cgroup: %q is not below the parent", name)
	}
	// One write, which no fork can outrun; since kernel 5.14. In the hybrid layout v2 has the groups, too, but not
	// everything in them need have been put there.
	if killed := t.killV2(name); killed && t.unified {
		return nil
	}
	allow, err := t.denyForks(name)
	if err != nil {
		return err
	}
	seen := map[int]bool{}
	for {
		before := len(seen)
		err := t.kill(name, seen)
		// A fork that was under way when they were denied may show only now.
		if err != nil || len(seen) == before || ctx.Err() != nil {
			return errors.Join(err, allow())
		}
	}
}

// killV2 uses the file of v2 for that, and reports whether there is one.
func (t *Tree) killV2(name string) bool {
	for _, m := range t.mounts {
		if m.controllers == nil && writeAll([]setting{{filepath.Join(m.point, t.parent, name), "cgroup.kill", "1"}}) == nil {
			return true
		}
	}
	return false
}

// denyForks has every fork in a group fail until the returned function is called.
func (t *Tree) denyForks(name string) (allow func() error, err error) {
	dir := t.dir("pids", name)
	text, err := os.ReadFile(filepath.Join(dir, "pids.max"))
	if gone(err) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	set := func(value string) error {
		if err := writeAll([]setting{{dir, "pids.max", value}}); !gone(err) {
			return err
		}
		return nil
	}
	return func() error { return set(strings.TrimSpace(string(text))) }, set("0")
}

// kill sends SIGKILL to every process in a group and below it, and notes their numbers.
func (t *Tree) kill(name string, seen map[int]bool) error {
	var errs []error
	sent := map[int]bool{} // now, for a process is in all hierarchies
	for _, dir := range t.dirs(name) {
		pids, err := processes(dir)
		errs = append(errs, err)
		for _, pid := range pids {
			if pid <= 0 || sent[pid] { // 0 is one outside of our PID namespace
				continue
			}
			sent[pid], seen[pid] = true, true
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				errs = append(errs, fmt.Errorf("kill %d in %s: %w", pid, dir, err))
			}
		}
	}
	return errors.Join(errs...)
}

// processes are those in a group and below it.
func processes(dir string) ([]int, error) {
	var pids []int
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if gone(err) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(p, "cgroup.procs"))
		if gone(err) {
			return nil
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
		return err
	})
	return pids, err
}

// Has reports whether a process is in a group or below it.
func (t *Tree) Has(name string, pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && inGroup(string(text), t.Path(name))
}

// inGroup reads a table as in /proc/<pid>/cgroup, of lines such as "4:pids:/a/b".
func inGroup(table, group string) bool {
	for line := range strings.Lines(table) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		_, path, found := strings.Cut(rest, ":")
		if found && (path == group || strings.HasPrefix(path, group+"/")) {
			return true
		}
	}
	return false
}
