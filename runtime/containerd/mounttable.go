//go:build linux

package containerd

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

// location is a file or directory of a file system, whatever path leads to it: what a bind mount shows.
type location struct {
	major, minor int
	root         string // path in the file system
}

func (o location) String() string { return fmt.Sprintf("%d:%d %s", o.major, o.minor, o.root) }

func locationOf(m *mountinfo.Info) location { return location{m.Major, m.Minor, m.Root} }

// mountCheck is what is known of the mounts of a container that an OCI runtime has made and not started.
type mountCheck struct {
	spec    *specs.Spec
	sources map[string]location // what the sources of the spec's bind mounts and nodes of the host's /dev are, by path
	host    func(string) bool   // whether there is such a file of /proc or /sys on this machine
	table   []*mountinfo.Info   // of the container's first process
}

// checkMounts compares the mounts that a container has with those that were asked for. OCI runtimes look paths up in the
// root file system of the container, and whoever made that, or writes to a volume meanwhile, leads them elsewhere: what
// came of it is seen in the kernel's table alone. Everything in there must be something that the spec has: one mount
// explains one line. The kernel's own file systems must be at their places, with nothing over them that was not asked
// for by that very name; what is led there by a link is an error as much as what nobody asked for. It is pure.
func checkMounts(c mountCheck) error {
	t := &mountTable{mountCheck: c, explained: map[*mountinfo.Info]bool{}}
	for _, step := range []func() error{t.root, t.fixed, t.binds, t.free, t.console, t.nodes, t.readonly, t.masks, t.inner, t.rest} {
		if err := step(); err != nil {
			return fmt.Errorf("%w: %w", err, runtime.ErrInvalid)
		}
	}
	return nil
}

type mountTable struct {
	mountCheck
	explained map[*mountinfo.Info]bool
	moved     []specs.Mount // new file systems that are not where they were asked for
}

// take explains the first line for which ok holds.
func (t *mountTable) take(ok func(*mountinfo.Info) bool) *mountinfo.Info {
	for _, m := range t.table {
		if !t.explained[m] && ok(m) {
			t.explained[m] = true
			return m
		}
	}
	return nil
}

// at finds a line that is explained.
func (t *mountTable) at(point string) *mountinfo.Info {
	for _, m := range t.table {
		if t.explained[m] && m.Mountpoint == point {
			return m
		}
	}
	return nil
}

// root wants one root file system.
func (t *mountTable) root() error {
	m := t.take(func(m *mountinfo.Info) bool { return m.Mountpoint == "/" })
	if m == nil {
		return fmt.Errorf("there is no root file system")
	}
	if t.spec.Root != nil && t.spec.Root.Readonly && !readOnly(m) {
		return fmt.Errorf("the root file system is writable")
	}
	return nil
}

// fileSystems are the types that a mount of the spec may have in the table.
var fileSystems = map[string][]string{
	"proc": {"proc"}, "sysfs": {"sysfs"}, "tmpfs": {"tmpfs"}, "devpts": {"devpts"}, "mqueue": {"mqueue"},
	"cgroup": {"tmpfs", "cgroup2"}, "cgroup2": {"cgroup2"},
}

// fixed explains new file systems at the places that they were asked for.
func (t *mountTable) fixed() error {
	for _, want := range t.spec.Mounts {
		types, isNew := fileSystems[want.Type]
		if !isNew {
			continue
		}
		m := t.take(func(m *mountinfo.Info) bool {
			// What is seen of a cgroup begins where the one who looks has its own.
			whole := m.Root == "/" || m.FSType == "cgroup2"
			return m.Mountpoint == want.Destination && whole && slices.Contains(types, m.FSType)
		})
		switch {
		case m != nil:
		case want.Type == "tmpfs" && !runtime.IsKernelPath(want.Destination):
			t.moved = append(t.moved, want)
			continue
		default:
			return fmt.Errorf("%s is no %s of its own", want.Destination, want.Type)
		}
		if slices.Contains(want.Options, "ro") && !readOnly(m) && (want.Type != "cgroup" || m.FSType == "cgroup2") {
			return fmt.Errorf("%s is writable", want.Destination)
		}
		if want.Type == "cgroup" {
			t.controllers(m, slices.Contains(want.Options, "ro"))
		}
	}
	return nil
}

// controllers explains the hierarchies of cgroup v1 in their tmpfs.
func (t *mountTable) controllers(dir *mountinfo.Info, ro bool) {
	for _, m := range t.table {
		isGroup := m.FSType == "cgroup" || m.FSType == "cgroup2"
		if isGroup && m.Parent == dir.ID && path.Dir(m.Mountpoint) == dir.Mountpoint && (!ro || readOnly(m)) {
			t.explained[m] = true
		}
	}
}

// binds explains what was asked for of the host, of volumes, and of the driver's own: at the path that was asked for, or at
// what the image's links make of it, but then not where the kernel's file systems are.
func (t *mountTable) binds() error {
	var elsewhere []specs.Mount
	for _, want := range t.spec.Mounts {
		if want.Type != "bind" {
			continue
		}
		m := t.take(func(m *mountinfo.Info) bool {
			return m.Mountpoint == want.Destination && locationOf(m) == t.sources[want.Source]
		})
		if m == nil {
			elsewhere = append(elsewhere, want)
		} else if err := wantAccess(want, m); err != nil {
			return err
		}
	}
	for _, want := range elsewhere {
		m := t.take(func(m *mountinfo.Info) bool { return locationOf(m) == t.sources[want.Source] })
		switch {
		case m == nil:
			return fmt.Errorf("what was to be mounted at %s is not there", want.Destination)
		case runtime.IsKernelPath(m.Mountpoint):
			return ledTo(want.Destination, m.Mountpoint)
		}
		if err := wantAccess(want, m); err != nil {
			return err
		}
	}
	return nil
}

func wantAccess(want specs.Mount, m *mountinfo.Info) error {
	if slices.Contains(want.Options, "ro") && !readOnly(m) {
		return fmt.Errorf("the mount at %s is writable", want.Destination)
	}
	return nil
}

func ledTo(asked, point string) error {
	return fmt.Errorf("mount at %s: a link of the image or of a volume leads to %s, where the kernel's files are", asked, point)
}

// free explains new file systems that links have moved.
func (t *mountTable) free() error {
	for _, want := range t.moved {
		is := func(m *mountinfo.Info) bool { return m.Root == "/" && m.FSType == "tmpfs" && !t.isMask(m) }
		if t.take(func(m *mountinfo.Info) bool { return is(m) && !runtime.IsKernelPath(m.Mountpoint) }) != nil {
			continue
		}
		if m := t.take(is); m != nil {
			return ledTo(want.Destination, m.Mountpoint)
		}
		return fmt.Errorf("the %s at %s is not there", want.Type, want.Destination)
	}
	return nil
}

func (t *mountTable) isMask(m *mountinfo.Info) bool {
	return t.spec.Linux != nil && slices.Contains(t.spec.Linux.MaskedPaths, m.Mountpoint)
}

// console wants a terminal of the container's own (CVE-2025-52565).
func (t *mountTable) console() error {
	m := t.take(func(m *mountinfo.Info) bool { return m.Mountpoint == "/dev/console" && m.FSType == "devpts" })
	pts := t.at("/dev/pts")
	if m == nil {
		return nil
	}
	_, err := strconv.ParseUint(strings.TrimPrefix(m.Root, "/"), 10, 32)
	if err != nil || pts == nil || pts.Major != m.Major || pts.Minor != m.Minor {
		return fmt.Errorf("/dev/console is %s of another file system", m.Root)
	}
	if t.spec.Process == nil || !t.spec.Process.Terminal {
		return fmt.Errorf("there is something at /dev/console, and no terminal was asked for")
	}
	return nil
}

// standardNodes are those that every container has in /dev.
var standardNodes = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}

// nodes explains device nodes that an OCI runtime binds from the host where it cannot make any, as in a user namespace.
func (t *mountTable) nodes() error {
	names := slices.Clone(standardNodes)
	if t.spec.Linux != nil {
		for _, d := range t.spec.Linux.Devices {
			names = append(names, d.Path)
		}
	}
	for _, name := range names {
		t.take(func(m *mountinfo.Info) bool {
			source, known := t.sources[name]
			return known && m.Mountpoint == name && locationOf(m) == source
		})
	}
	return nil
}

// readonly explains the paths that were mounted once more to be read-only, with what is mounted in them.
func (t *mountTable) readonly() error {
	if t.spec.Linux == nil {
		return nil
	}
	for _, name := range t.spec.Linux.ReadonlyPaths {
		below := t.holder(name)
		if below == nil {
			return fmt.Errorf("%s is of no file system of the kernel", name)
		}
		want := location{below.Major, below.Minor, path.Join(below.Root, strings.TrimPrefix(name, below.Mountpoint))}
		m := t.take(func(m *mountinfo.Info) bool { return m.Mountpoint == name && locationOf(m) == want && readOnly(m) })
		if m == nil && t.host(name) {
			return fmt.Errorf("%s is not read-only", name)
		}
		if m == nil {
			continue
		}
		for _, copied := range t.table {
			if !t.explained[copied] && isBelow(copied.Mountpoint, name) && copied.Parent == m.ID && t.copies(copied) {
				t.explained[copied] = true
			}
		}
	}
	return nil
}

// copies reports whether a mount is one that is explained, at the same path once more.
func (t *mountTable) copies(m *mountinfo.Info) bool {
	return slices.ContainsFunc(t.table, func(o *mountinfo.Info) bool {
		return t.explained[o] && o.Mountpoint == m.Mountpoint && locationOf(o) == locationOf(m)
	})
}

// holder is the mount of the spec that a path of /proc or /sys lies in.
func (t *mountTable) holder(name string) *mountinfo.Info {
	for dir := name; dir != "/"; dir = path.Dir(dir) {
		if m := t.at(dir); m != nil {
			return m
		}
	}
	return nil
}

// masks wants an empty read-only directory or the null device over each path that the kernel has, and nothing else
// (CVE-2025-31133).
func (t *mountTable) masks() error {
	if t.spec.Linux == nil {
		return nil
	}
	for _, name := range t.spec.Linux.MaskedPaths {
		m := t.take(func(m *mountinfo.Info) bool { return m.Mountpoint == name })
		switch {
		case m == nil && t.host(name):
			return fmt.Errorf("%s is not masked", name)
		case m == nil || t.isNull(m) || m.FSType == "tmpfs" && m.Root == "/" && readOnly(m):
		default:
			return fmt.Errorf("the mask of %s is %s of a file system of the type %s", name, m.Root, m.FSType)
		}
	}
	return nil
}

// isNull reports whether a mount is the null device: the container's own or the host's.
func (t *mountTable) isNull(m *mountinfo.Info) bool {
	if host, known := t.sources["/dev/null"]; known && locationOf(m) == host {
		return true
	}
	if m.FSType == "devtmpfs" {
		return m.Root == "/null"
	}
	dev := t.at("/dev")
	return dev != nil && dev.FSType == "tmpfs" && locationOf(m) == location{dev.Major, dev.Minor, "/null"}
}

// inner explains what is mounted in a directory of the host that was asked for, and comes along.
func (t *mountTable) inner() error {
	bound := map[int]string{}
	for _, m := range t.table {
		if t.explained[m] && slices.ContainsFunc(t.spec.Mounts, func(want specs.Mount) bool {
			return want.Type == "bind" && slices.Contains(want.Options, "rbind") && t.sources[want.Source] == locationOf(m)
		}) {
			bound[m.ID] = m.Mountpoint
		}
	}
	for more := true; more; {
		more = false
		for _, m := range t.table {
			dir, isInner := bound[m.Parent]
			if isInner && !t.explained[m] && isBelow(m.Mountpoint, dir) {
				t.explained[m], bound[m.ID], more = true, m.Mountpoint, true
			}
		}
	}
	return nil
}

// rest wants that nothing is left without an explanation.
func (t *mountTable) rest() error {
	m := t.take(func(*mountinfo.Info) bool { return true })
	if m == nil {
		return nil
	}
	return fmt.Errorf("nobody asked for what is mounted at %s: %s of a file system of the type %s", m.Mountpoint, m.Root, m.FSType)
}

func isBelow(name, dir string) bool { return strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/") }

func readOnly(m *mountinfo.Info) bool {
	return slices.Contains(strings.Split(m.Options, ","), "ro") || m.FSType == "tmpfs" && slices.Contains(strings.Split(m.VFSOptions, ","), "ro")
}
