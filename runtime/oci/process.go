package oci

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// defaultNoFile is Fargate's limit of open files, soft and hard.
const defaultNoFile = 65535

// The ulimits that ECS knows.
var ulimitNames = []string{
	"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
	"sigpending", "stack",
}

func process(c runtime.ContainerSpec, s runtime.SandboxSpec, img runtime.Image, o Options) (*specs.Process, error) {
	args, err := c.CommandLine(img)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(args, func(arg string) bool { return strings.ContainsRune(arg, 0) }) {
		return nil, invalid(c, "the command has a NUL byte")
	}
	if c.Init {
		args = append([]string{initPath, "--"}, args...)
	}
	env, err := c.Environment(img, c.UTSHostname(s))
	if err != nil {
		return nil, err
	}
	dir := firstOf(c.WorkingDir, img.WorkingDir, "/")
	if !path.IsAbs(dir) {
		return nil, invalid(c, "workingDirectory %q is not an absolute path", dir)
	}
	rlimits, err := rlimits(c, o.Limits)
	if err != nil {
		return nil, err
	}
	capabilities, err := capabilities(c, o.Limits, o.User.UID == 0)
	if err != nil {
		return nil, err
	}
	score := max(0, o.Limits.OOMScoreAdj) // set, or the container inherits the protection that a daemon gave itself
	return &specs.Process{
		Terminal:        c.Terminal,
		User:            specs.User{UID: o.User.UID, GID: o.User.GID, AdditionalGids: groups(o.User)},
		Args:            args,
		Env:             withHome(env, o.User),
		Cwd:             path.Clean(dir),
		Capabilities:    capabilities,
		Rlimits:         rlimits,
		NoNewPrivileges: c.NoNewPrivileges,
		ApparmorProfile: appArmorProfile(c, o),
		OOMScoreAdj:     &score,
	}, nil
}

// withHome sets HOME where it is not set, or empty, to what Docker sets it to. OCI runtimes do so, too, for which they read
// /etc/passwd in the container: a file that the container may have made a FIFO of, and that they wait for then.
func withHome(env []string, u User) []string {
	home := "HOME=" + firstOf(u.Home, "/")
	for i, entry := range env {
		if value, found := strings.CutPrefix(entry, "HOME="); found {
			if value == "" {
				env[i] = home
			}
			return env
		}
	}
	return append(env, home)
}

func appArmorProfile(c runtime.ContainerSpec, o Options) string {
	switch {
	case c.AppArmorProfile == "unconfined":
		return ""
	case c.AppArmorProfile == "" && !c.Privileged:
		return o.AppArmorProfile
	}
	return c.AppArmorProfile
}

// groups are the supplementary ones with the primary one among them: without it a program could leave its primary group
// and with it what that group is denied (CVE-2022-2989).
func groups(u User) []uint32 {
	all := append([]uint32{u.GID}, u.AdditionalGIDs...)
	slices.Sort(all)
	return slices.Compact(all)
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// rlimits are sorted by name, core and nofile always among them. The default of nofile is what the host allows if that is
// less, and a limit that was asked for is an error then. Nobody dumps core unless the definition says how much: the files are
// as large as the process, wherever the host's core_pattern puts them. What that pipes to a program has no limit.
func rlimits(c runtime.ContainerSpec, host Limits) ([]specs.POSIXRlimit, error) {
	files := min(defaultNoFile, host.allowed("nofile"))
	limits := map[string]specs.POSIXRlimit{
		"core":   {Type: "RLIMIT_CORE"},
		"nofile": {Type: "RLIMIT_NOFILE", Soft: files, Hard: files},
	}
	for _, u := range c.Ulimits {
		if !slices.Contains(ulimitNames, u.Name) {
			return nil, invalid(c, "unknown ulimit %q: want one of %s", u.Name, strings.Join(ulimitNames, ", "))
		}
		if u.SoftLimit < -1 || u.HardLimit < -1 {
			return nil, invalid(c, "ulimit %s: %d:%d is negative; -1 is no limit", u.Name, u.SoftLimit, u.HardLimit)
		}
		soft, hard := limit(u.SoftLimit), limit(u.HardLimit)
		if soft > hard {
			return nil, invalid(c, "ulimit %s: the soft limit %d exceeds the hard limit %d", u.Name, u.SoftLimit, u.HardLimit)
		}
		if most := host.allowed(u.Name); hard > most {
			return nil, fmt.Errorf("container %s: %w", c.ID, &runtime.UnsupportedError{
				Feature: fmt.Sprintf("ulimit %s with a hard limit of %d", u.Name, u.HardLimit),
				Needs:   fmt.Sprintf("a container runtime that may set more than %d: give it CAP_SYS_RESOURCE or a higher limit of its own", most),
			})
		}
		limits[u.Name] = specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: soft, Hard: hard}
	}
	sorted := make([]specs.POSIXRlimit, 0, len(limits))
	for _, name := range ulimitNames {
		if l, ok := limits[name]; ok {
			sorted = append(sorted, l)
		}
	}
	return sorted, nil
}

// limit translates -1, which is no limit in a task definition, to RLIM_INFINITY.
func limit(n int64) uint64 {
	if n == -1 {
		return math.MaxUint64
	}
	return uint64(n)
}

// Shares returns the weight of a container with this ContainerDefinition.cpu: the kernel takes 2 to 262144, and ECS's
// agent moves what is outside to the nearest end.
func Shares(cpu uint64) uint64 { return min(max(cpu, 2), 262144) }

// permissions translates those of a device to the letters of the device cgroup.
func permissions(c runtime.ContainerSpec, d task.Device) (string, error) {
	if len(d.Permissions) == 0 {
		return "rwm", nil
	}
	letters := ""
	for _, p := range d.Permissions {
		switch p {
		case "read":
			letters += "r"
		case "write":
			letters += "w"
		case "mknod":
			letters += "m"
		default:
			return "", invalid(c, "device %s: unknown permission %q: want read, write or mknod", d.HostPath, p)
		}
	}
	return letters, nil
}
