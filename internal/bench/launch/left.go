package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mark is the name of everything of a run that has a name: the parent of the contestants' cgroups, containerd's
// namespace. dir is the folder of the run.
func mark(dir string) string { return filepath.Base(dir) }

// ownerMark is the mark that a cluster in dir leaves on what it makes: the first eight digits of the SHA-256 of its
// absolute path.
func ownerMark(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return hex.EncodeToString(sum[:4])
}

// clusterDirs are the folders of the clusters that a run opens.
func clusterDirs(dir string) []string {
	return []string{filepath.Join(dir, "fardel"), filepath.Join(dir, "scale"), filepath.Join(dir, "crowd")}
}

// remove removes what a run left outside of its namespaces, which are gone, and returns an error that names what it
// could not remove or is no longer allowed to be there.
func remove(dir string) error {
	var errs []error
	for _, group := range runCgroups(dir) {
		errs = append(errs, removeCgroup(group))
	}
	errs = append(errs, os.RemoveAll(dir))
	for _, left := range [][]string{runCgroups(dir), processesOf(dir), mountsOf(dir)} {
		for _, what := range left {
			errs = append(errs, fmt.Errorf("left behind: %s", what))
		}
	}
	return errors.Join(errs...)
}

// runCgroups lists the topmost cgroups of a run, in all hierarchies.
func runCgroups(dir string) []string {
	groups := cgroups(mark(dir))
	for _, cluster := range clusterDirs(dir) {
		groups = append(groups, cgroups("fardel/"+ownerMark(cluster))...)
	}
	return groups
}

// cgroups lists the folders of a cgroup that exist: one with cgroup v2, one in each hierarchy with v1.
func cgroups(name string) []string {
	var found []string
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		match, _ := filepath.Glob(filepath.Join(pattern, name)) // fails on bad patterns only
		for _, path := range match {
			// With v1 /sys/fs/cgroup/cpu may be a link to /sys/fs/cgroup/cpu,cpuacct.
			if real, err := filepath.EvalSymlinks(path); err == nil && !slices.Contains(found, real) {
				found = append(found, real)
			}
		}
	}
	return found
}

// removeCgroup removes a cgroup and those below it. The processes in it have ended, which the kernel may take a moment
// to notice.
func removeCgroup(dir string) error {
	var groups []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, g := range slices.Backward(groups) {
		for range 50 {
			if err = os.Remove(g); err == nil || errors.Is(err, fs.ErrNotExist) {
				err = nil
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// processesOf lists the processes that have a path in their command line or as their working directory.
func processesOf(path string) []string {
	var found []string
	for _, pid := range pids() {
		proc := filepath.Join("/proc", strconv.Itoa(pid))
		line, _ := os.ReadFile(filepath.Join(proc, "cmdline")) // the process may be gone
		cwd, _ := os.Readlink(filepath.Join(proc, "cwd"))
		if pid != os.Getpid() && (bytes.Contains(line, []byte(path)) || strings.HasPrefix(cwd, path)) {
			found = append(found, fmt.Sprintf("process %d: %s", pid, bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// mountsOf lists what is mounted at or below a path in this mount namespace.
func mountsOf(path string) []string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && (f[4] == path || strings.HasPrefix(f[4], path+"/")) {
			found = append(found, "mount "+f[4])
		}
	}
	return found
}

// traces is what a cluster has on the machine, its folder aside, by kind. In the namespaces of a run, before its daemons
// have started, every interface, table and foreign process is the cluster's.
func traces(dir string) (map[string][]string, error) {
	found := map[string][]string{"mounts": mountsOf(dir), "cgroups": cgroups("fardel/" + ownerMark(dir)), "processes": nil, "interfaces": nil}
	for _, p := range others() {
		found["processes"] = append(found["processes"], fmt.Sprintf("%d %s", p.pid, p.args))
	}
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if l.Name != "lo" {
			found["interfaces"] = append(found["interfaces"], l.Name)
		}
	}
	nft, err := exec.LookPath("nft")
	if err != nil {
		return found, nil // fardel needs none
	}
	tables, err := exec.Command(nft, "list", "tables").Output()
	if err != nil {
		return nil, fmt.Errorf("nft list tables: %w", err)
	}
	found["nftables"] = slices.Collect(strings.Lines(string(tables)))
	return found, nil
}

// checkTraces looks whether a cluster has what it must have while a task runs, all kinds of traces, or has none any
// more. The first is what makes the second worth something.
func checkTraces(dir string, running bool) error {
	found, err := traces(dir)
	if err != nil {
		return err
	}
	var errs []error
	for kind, what := range found {
		switch {
		case running && len(what) == 0:
			errs = append(errs, fmt.Errorf("a task runs, and the look for what is left would find no %s of it", kind))
		case !running && len(what) > 0:
			errs = append(errs, fmt.Errorf("closed cluster left %s: %s", kind, strings.Join(what, "; ")))
		}
	}
	return errors.Join(errs...)
}
