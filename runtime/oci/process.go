package oci

import (
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
	env, err := c.Environment(img, s.UTSHostname())
	if err != nil {
		return nil, err
	}
	dir := firstOf(c.WorkingDir, img.WorkingDir, "/")
	if !path.IsAbs(dir) {
		return nil, invalid(c, "workingDirectory %q is not an absolute path", dir)
	}
	rlimits, err := rlimits(c)
	if err != nil {
		return nil, err
	}
	capabilities, err := capabilities(c, o.User.UID == 0)
	if err != nil {
		return nil, err
	}
	score := 0 // set, or the container inherits the protection that a daemon gave itself
	return &specs.Process{
		Terminal:        c.Terminal,
		User:            specs.User{UID: o.User.UID, GID: o.User.GID, AdditionalGids: o.User.AdditionalGIDs},
		Args:            args,
		Env:             env,
		Cwd:             path.Clean(dir),
		Capabilities:    capabilities,
		Rlimits:         rlimits,
		NoNewPrivileges: c.NoNewPrivileges,
		OOMScoreAdj:     &score,
	}, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// rlimits are sorted by name, nofile always among them.
func rlimits(c runtime.ContainerSpec) ([]specs.POSIXRlimit, error) {
	limits := map[string]specs.POSIXRlimit{
		"nofile": {Type: "RLIMIT_NOFILE", Soft: defaultNoFile, Hard: defaultNoFile},
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
