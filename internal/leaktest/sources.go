package leaktest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupRoot is where the cgroup hierarchies are, version 1 or 2.
const cgroupRoot = "/sys/fs/cgroup"

// mounts lists the mounts at or of a path with a mark.
func (s *Snapshot) mounts(all set) error {
	for _, m := range s.mountpoints() {
		all.add("mount", m.kind+" at "+m.path)
	}
	return nil
}

type mountpoint struct{ path, kind string }

func (s *Snapshot) mountpoints() []mountpoint {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil // not Linux: there is nothing of ours
	}
	var list []mountpoint
	for _, line := range strings.Split(string(data), "\n") {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if kind := strings.Fields(after); ok && len(fields) > 4 && len(kind) > 0 && s.marked(unescape(line)) {
			list = append(list, mountpoint{unescape(fields[4]), kind[0]})
		}
	}
	return list
}

// unescape undoes what mountinfo does to spaces, tabs, newlines and backslashes: three octal digits.
func unescape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// links lists the interfaces of this network namespace.
func (s *Snapshot) links(all set) error {
	entries, err := os.ReadDir("/sys/class/net")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		name := e.Name()
		alias, _ := os.ReadFile(filepath.Join("/sys/class/net", name, "ifalias")) // gone meanwhile, or no interface
		if s.marked(name) || s.marked(string(alias)) {
			all.add("interface", name)
		}
	}
	return err
}

// cgroups lists the cgroups of all hierarchies.
func (s *Snapshot) cgroups(all set) error {
	return filepath.WalkDir(cgroupRoot, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return nil // gone meanwhile, or nobody's to see
		case err != nil:
			return err
		}
		if d.IsDir() && s.marked(path) {
			all.add("cgroup", path)
		}
		return nil
	})
}

// processes lists the processes but this one.
func (s *Snapshot) processes(all set) error {
	entries, err := os.ReadDir("/proc")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil || e.Name() == strconv.Itoa(os.Getpid()) {
			continue
		}
		// Errors: it ended meanwhile.
		cmdline, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		cgroup, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup"))
		if s.marked(string(cmdline)) || s.marked(string(cgroup)) {
			comm, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "comm"))
			all.add("process", fmt.Sprintf("%s (%s) %s", e.Name(), bytes.TrimSpace(comm), bytes.TrimSpace(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}))))
		}
	}
	return err
}

// files lists a folder.
func files(folder string, all set) error {
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		all.add("file", path+" "+d.Type().String())
		return nil
	})
}
