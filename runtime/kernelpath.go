package runtime

import (
	"path"
	"slices"
	"strings"
)

// Where a container has file systems of the kernel, what of them belongs to its programs, and what OCI runtimes and programs
// take for granted in /dev.
var (
	kernelDirs  = []string{"/dev", "/proc", "/sys"}
	programDirs = []string{"/dev/shm", "/dev/mqueue"}
	deviceNames = []string{
		"/dev", "/dev/console", "/dev/core", "/dev/fd", "/dev/full", "/dev/null", "/dev/ptmx", "/dev/pts", "/dev/random", "/dev/stderr",
		"/dev/stdin", "/dev/stdout", "/dev/tty", "/dev/urandom", "/dev/zero",
	}
)

// IsKernelPath reports whether a path of a container is /dev, /proc or /sys or lies in one of them, but for /dev/shm and
// /dev/mqueue, which are the programs' own. What is mounted there can take away what keeps a container from the host, or
// lead those who prepare the container elsewhere. The path is absolute; links are not followed.
func IsKernelPath(name string) bool { return isIn(name, kernelDirs) && !isIn(name, programDirs) }

// MayMountTmpfs reports whether an empty file system at a path of a container takes no protection from it: everywhere but in
// /proc and /sys, and at what every container has in /dev. The path is absolute; links are not followed.
func MayMountTmpfs(name string) bool {
	clean := path.Clean(name)
	return !isIn(clean, []string{"/proc", "/sys"}) && !slices.Contains(deviceNames, clean) && !isIn(clean, []string{"/dev/pts", "/dev/fd"})
}

// MayMountHostPath reports whether a directory of the host, which is the operator's to give, can be mounted at a path of a
// container: everywhere but in /proc and at /sys, of which the container has its own. The path is absolute; links are not
// followed.
func MayMountHostPath(name string) bool {
	return !isIn(name, []string{"/proc"}) && path.Clean(name) != "/sys"
}

// isIn reports whether a path is one of some directories or lies in one.
func isIn(name string, dirs []string) bool {
	clean := path.Clean(name)
	return slices.ContainsFunc(dirs, func(dir string) bool { return clean == dir || strings.HasPrefix(clean, dir+"/") })
}
