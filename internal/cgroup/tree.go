package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/internal/filelock"
)

// Tree is the part of the control group file systems below our parent.
type Tree struct {
	parent    string // below every mount point, without leading slash
	delegated bool   // the parent is somebody's who gave it to us: groups above it are left alone
	mounts    []mount
	unified   bool
}

// mount is a mounted hierarchy.
type mount struct {
	point       string
	controllers []string // of v1: "cpu", "cpuacct", "name=systemd"; nil for v2, which in the hybrid layout has none
}

// required are the controllers without which a size is not enforced.
var required = []string{"cpu", "memory", "pids"}

// Open finds the hierarchies that the machine has mounted. It makes nothing.
func Open(parent string) (*Tree, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parse(f, parent)
}

// OpenDelegated is Open for a parent that exists and was delegated, as systemd does with Delegate=: nothing is written in
// the groups above it. That takes cgroup v2.
func OpenDelegated(parent string) (*Tree, error) {
	t, err := Open(parent)
	if err != nil {
		return nil, err
	}
	if !t.unified {
		return nil, errors.New("cgroup: delegation takes cgroup v2, and this machine has v1")
	}
	t.delegated = true
	return t, nil
}

// parse reads a table of mounts as in /proc/self/mountinfo.
func parse(mountinfo io.Reader, parent string) (*Tree, error) {
	t := &Tree{parent: strings.Trim(path.Clean("/"+parent), "/")}
	var v2 []mount
	var controllers []string
	for lines := bufio.NewScanner(mountinfo); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		m := mount{point: left[4]}
		switch right[0] {
		case "cgroup2":
			v2 = append(v2, m)
		case "cgroup":
			m.controllers = strings.FieldsFunc(right[2], func(r rune) bool { return r == ',' })
			m.controllers = slices.DeleteFunc(m.controllers, func(o string) bool { return o == "rw" || o == "ro" })
			// A second mount of a hierarchy shows the same groups.
			if !slices.ContainsFunc(t.mounts, func(o mount) bool { return slices.Equal(o.controllers, m.controllers) }) {
				t.mounts, controllers = append(t.mounts, m), append(controllers, m.controllers...)
			}
		}
	}
	// In the hybrid layout v2 is mounted without controllers beside the hierarchies of v1, and OCI runtimes use v1.
	if len(v2) > 0 && !slices.Contains(controllers, "memory") {
		t.mounts, t.unified = v2[:1], true
		return t, nil
	}
	for _, c := range required {
		if !slices.Contains(controllers, c) {
			return nil, fmt.Errorf("cgroup: no %s controller is mounted below /sys/fs/cgroup", c)
		}
	}
	if len(v2) > 0 { // without a controller, and yet OCI runtimes make their groups there, too
		t.mounts = append(t.mounts, v2[0])
	}
	return t, nil
}

// Unified reports whether the machine uses cgroup v2 alone.
func (t *Tree) Unified() bool { return t.unified }

// Path is a group as OCI runtimes take it in cgroupsPath.
func (t *Tree) Path(elem ...string) string { return "/" + path.Join(t.parent, path.Join(elem...)) }

// Directory is where the parent is in the file system of v2, or of v1's memory controller.
func (t *Tree) Directory() string { return t.dir("memory", "") }

// dir is the directory of a group in the hierarchy of a controller, or "" if there is none.
func (t *Tree) dir(controller, name string) string {
	for _, m := range t.mounts {
		if t.unified || slices.Contains(m.controllers, controller) {
			return filepath.Join(m.point, t.parent, name)
		}
	}
	return ""
}

// dirs are the directories of a group in all hierarchies, existing or not.
func (t *Tree) dirs(name string) []string {
	dirs := make([]string, len(t.mounts))
	for i, m := range t.mounts {
		dirs[i] = filepath.Join(m.point, t.parent, name)
	}
	return dirs
}

// Lock makes the parent group and takes an exclusive lock on it, which ends with the process. It fails with
// [ErrLocked] when another process, or another Tree of this one, has it and keeps it for two seconds.
func (t *Tree) Lock() (io.Closer, error) {
	dir := t.dir("memory", "")
	for {
		// Another driver may remove the groups above ours, or ours if it had the lock, as long as nothing is in them.
		err := t.makeParent()
		if errors.Is(err, fs.ErrNotExist) && exists(filepath.Dir(filepath.Dir(dir))) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = filelock.Lock(f)
		if errors.Is(err, filelock.ErrLocked) {
			err = fmt.Errorf("%s: %w", dir, ErrLocked)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		held, err := f.Stat()
		now, nowErr := os.Stat(dir)
		if err == nil && nowErr == nil && os.SameFile(held, now) {
			return f, nil
		}
		f.Close()
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ErrLocked says that the parent group belongs to another process.
var ErrLocked = errors.New("cgroup: in use by another process")

// Helpers is the group below a delegated parent for processes that serve the others, and keep the parent in being.
const Helpers = "_helpers"

// List returns the names of the groups directly below the parent, in any hierarchy, sorted, without Helpers.
func (t *Tree) List() ([]string, error) {
	var names []string
	for _, dir := range t.dirs("") {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() && e.Name() != Helpers {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// RemoveParent removes the parent, and those above it, as far as nothing else is in them. A delegated parent goes by the
// hand of the one who made it, when its last process has ended.
func (t *Tree) RemoveParent() {
	if t.delegated {
		return
	}
	for _, m := range t.mounts {
		for p := t.parent; p != "."; p = path.Dir(p) {
			if os.Remove(filepath.Join(m.point, p)) != nil {
				break
			}
		}
	}
}
