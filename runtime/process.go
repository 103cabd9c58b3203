package runtime

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// DefaultPath is the PATH of a container whose image and definition name none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// CommandLine returns the arguments of the container's first process, with Docker's rules: an entry point in the spec
// replaces the image's entry point and its command, an empty one that is not nil clears the image's entry point, and a
// command replaces the image's command. The error matches [ErrInvalid] when nothing names a command.
func (c ContainerSpec) CommandLine(img Image) ([]string, error) {
	entrypoint, command := c.Entrypoint, c.Command
	if len(entrypoint) == 0 {
		if len(command) == 0 {
			command = img.Command
		}
		if entrypoint == nil {
			entrypoint = img.Entrypoint
		}
	}
	if len(entrypoint) == 1 && entrypoint[0] == "" { // Docker: [""] is no entry point
		entrypoint = nil
	}
	args := slices.Concat(entrypoint, command)
	if len(args) == 0 || args[0] == "" {
		return nil, fmt.Errorf("container %s: no command: neither the definition's entryPoint and command nor image %s name one: %w",
			c.ID, img.Name, ErrInvalid)
	}
	return args, nil
}

// Environment returns the variables of the container's first process as "KEY=value", each key once: PATH, HOSTNAME and,
// with a terminal, TERM; over them the image's; over them the spec's. Entries of the image that are not "KEY=value" are
// left out; in the spec they are an error that matches [ErrInvalid].
func (c ContainerSpec) Environment(img Image, hostname string) ([]string, error) {
	env := []string{"PATH=" + DefaultPath, "HOSTNAME=" + hostname}
	if c.Terminal {
		env = append(env, "TERM=xterm")
	}
	index := make(map[string]int, len(env)+len(img.Env)+len(c.Env)+len(c.SecretEnv))
	for i, entry := range env {
		index[envKey(entry)] = i
	}
	set := func(entry string) bool {
		key := envKey(entry)
		if key == "" || strings.ContainsRune(entry, 0) {
			return false
		}
		if i, ok := index[key]; ok {
			env[i] = entry
			return true
		}
		index[key] = len(env)
		env = append(env, entry)
		return true
	}
	for _, entry := range img.Env {
		set(entry)
	}
	for i, entry := range slices.Concat(c.Env, c.SecretEnv) {
		if !set(entry) { // the entry itself may be a secret
			return nil, fmt.Errorf("container %s: environment entry %d is not KEY=value: %w", c.ID, i, ErrInvalid)
		}
	}
	return env, nil
}

// CheckMounts says what is wrong with Mounts before a driver looks at the machine. Volumes and what is in a Root, whose content
// containers make, are kept out of /dev, /proc and /sys, see [IsKernelPath]. The error matches [ErrInvalid].
func (c ContainerSpec) CheckMounts() error {
	for _, m := range c.Mounts {
		problem := ""
		switch {
		case !path.IsAbs(m.Destination):
			problem = "the path in the container is not absolute"
		case (m.Source == "") == (m.Volume == ""):
			problem = "want either a source or a volume"
		case m.Volume != "" && !isVolumeName(m.Volume):
			problem = fmt.Sprintf("volume %q: want 1 to 255 of A-Z, a-z, 0-9, '_' and '-'", m.Volume)
		case m.Source != "" && !path.IsAbs(m.Source):
			problem = fmt.Sprintf("source %q is not an absolute path", m.Source)
		case m.Root != "" && (m.Source == "" || !path.IsAbs(m.Root) || m.Populate):
			problem = fmt.Sprintf("root %q: want an absolute path, beside a source that is not populated", m.Root)
		case (m.Volume != "" || m.Root != "") && IsKernelPath(m.Destination):
			problem = "what a container writes to cannot be where the kernel's files are"
		}
		if problem != "" {
			return fmt.Errorf("container %s: mount at %q: %s: %w", c.ID, m.Destination, problem, ErrInvalid)
		}
	}
	return nil
}

func isVolumeName(name string) bool {
	return len(name) <= 255 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

// envKey is the part before the first "=", or "" if there is none.
func envKey(entry string) string {
	key, _, found := strings.Cut(entry, "=")
	if !found {
		return ""
	}
	return key
}

// UTSHostname is the host name of the sandbox's containers: Hostname, or the start of the ID as with Docker.
func (s SandboxSpec) UTSHostname() string {
	if s.Hostname != "" {
		return s.Hostname
	}
	return s.ID[:min(len(s.ID), 12)]
}

// UTSHostname is the host name of the container in its sandbox.
func (c ContainerSpec) UTSHostname(s SandboxSpec) string {
	if c.Hostname != "" {
		return c.Hostname
	}
	return s.UTSHostname()
}

// Signal numbers of Linux on all architectures that Go has containers on but mips.
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "IOT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
	"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CLD": 17, "CONT": 18,
	"STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27,
	"WINCH": 28, "IO": 29, "POLL": 29, "PWR": 30, "SYS": 31,
}

// The real-time signals that libc leaves to programs.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// ParseSignal returns the number of a signal given as "SIGTERM", "TERM", "term", "15" or "SIGRTMIN+3". The error matches
// [ErrInvalid].
func ParseSignal(s string) (int, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > sigRTMax {
			return 0, fmt.Errorf("signal %s is not between 1 and %d: %w", s, sigRTMax, ErrInvalid)
		}
		return n, nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n, ok := signals[name]; ok {
		return n, nil
	}
	if n, ok := realTime(name); ok {
		return n, nil
	}
	return 0, fmt.Errorf("unknown signal %q: want a name such as SIGTERM or a number: %w", s, ErrInvalid)
}

func realTime(name string) (int, bool) {
	base, sign, rest := sigRTMin, 1, ""
	switch {
	case strings.HasPrefix(name, "RTMIN"):
		rest = name[len("RTMIN"):]
	case strings.HasPrefix(name, "RTMAX"):
		base, sign, rest = sigRTMax, -1, name[len("RTMAX"):]
	default:
		return 0, false
	}
	if rest == "" {
		return base, true
	}
	n, err := strconv.Atoi(rest)
	signal := base + n
	if err != nil || n*sign < 0 || rest[0] != '+' && rest[0] != '-' || signal < sigRTMin || signal > sigRTMax {
		return 0, false
	}
	return signal, true
}

// StopSignalNumber is what Kill("") sends: the spec's stop signal, the image's, or SIGTERM.
func (c ContainerSpec) StopSignalNumber(img Image) (int, error) {
	switch {
	case c.StopSignal != "":
		return ParseSignal(c.StopSignal)
	case img.StopSignal != "":
		return ParseSignal(img.StopSignal)
	}
	return signals["TERM"], nil
}
