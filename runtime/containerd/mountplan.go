//go:build linux

package containerd

import (
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

// maxLinks is how many symbolic links the kernel follows in one path.
const maxLinks = 40

// links reads the symbolic links of a root file system. ok is false for what is none, or not there.
type links func(name string) (target string, ok bool)

// follow returns what a path of a container leads to, when nothing but its root file system is there: links are followed
// as after chroot. What is in /dev, /proc and /sys is not the image's, and below lies what others write to: there a path is
// what it says.
func (l links) follow(name string, below func(dir string) bool) (string, error) {
	at, rest := "/", strings.Split(name, "/")
	for followed := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		next := path.Join(at, part)
		if part == "" || part == "." || part == ".." || runtime.IsKernelPath(at) || below(at) {
			at = next
			continue
		}
		target, isLink := l(next)
		if !isLink {
			at = next
			continue
		}
		if followed++; followed > maxLinks {
			return "", fmt.Errorf("%s: too many links", name)
		}
		if path.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

// nested is a mount that lies in a directory which others may change while an OCI runtime looks for the place.
type nested struct {
	in    int    // the mount of that directory, by its place among the mounts that are left
	at    string // in it, "a/b"
	mount specs.Mount
}

// settled are the mounts of a container as an OCI runtime is to make them.
type settled struct {
	mounts []specs.Mount
	nested []nested // those that are made before, in their order
}

// settleMounts replaces the paths that things are to be mounted at by what they lead to, and takes those out that lie in
// another one, which the OCI runtime would look up while the containers that share it exchange what is there
// (CVE-2021-30465). It refuses what links lead to where the kernel's file systems are, and an image in which these are links.
// It is pure.
func settleMounts(spec *specs.Spec, l links) (settled, error) {
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		// OCI runtimes make device nodes by their names before they have changed the root directory (CVE-2026-41579).
		if target, isLink := l(dir); isLink {
			return settled{}, fmt.Errorf("%s is a link to %s in the image: %w", dir, target, runtime.ErrInvalid)
		}
	}
	var s settled
	for _, m := range spec.Mounts {
		if m.Type != "bind" && m.Type != "tmpfs" || runtime.IsKernelPath(m.Destination) {
			s.mounts = append(s.mounts, m)
			continue
		}
		asked := m.Destination
		at, err := l.follow(asked, s.covers)
		switch {
		case err != nil:
			return settled{}, fmt.Errorf("mount at %s: %w: %w", asked, err, runtime.ErrInvalid)
		case runtime.IsKernelPath(at):
			return settled{}, fmt.Errorf("%w: %w", ledTo(asked, at), runtime.ErrInvalid)
		case at == "/":
			return settled{}, fmt.Errorf("mount at %s: a link of the image leads to its root directory: %w", asked, runtime.ErrInvalid)
		}
		m.Destination = at
		if i := s.holder(path.Dir(at)); i >= 0 && s.mounts[i].Type == "bind" {
			s.nested = append(s.nested, nested{i, strings.TrimPrefix(at, s.mounts[i].Destination+"/"), m})
			continue
		}
		s.mounts = append(s.mounts, m)
	}
	for _, node := range devicesOf(spec) {
		at, err := l.follow(node, s.covers)
		i := s.holder(at)
		if err != nil || i >= 0 && s.mounts[i].Type == "bind" || runtime.IsKernelPath(at) && !runtime.IsKernelPath(node) {
			return settled{}, fmt.Errorf("device at %s: it leads into a volume, or to where the kernel's files are: %w", node, runtime.ErrInvalid)
		}
	}
	return s, nil
}

func devicesOf(spec *specs.Spec) []string {
	if spec.Linux == nil {
		return nil
	}
	var names []string
	for _, d := range spec.Linux.Devices {
		names = append(names, d.Path)
	}
	return names
}

// holder finds the mount that a path outside of the kernel's directories is at or lies in, by its place; -1 for none.
func (s *settled) holder(name string) int {
	found, depth := -1, -1
	for i, m := range s.mounts {
		d := strings.Count(m.Destination, "/")
		if (m.Destination == name || isBelow(name, m.Destination)) && d >= depth && !runtime.IsKernelPath(m.Destination) {
			found, depth = i, d
		}
	}
	return found
}

// covers reports whether a directory is not the image's, but of a mount.
func (s *settled) covers(dir string) bool { return s.holder(dir) >= 0 }
