package oci

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

const allCapabilities = "ALL"

// defaultCapabilities are the fourteen that Docker leaves a container.
var defaultCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// knownCapabilities are those of Linux 5.9 and later, in the kernel's order. An OCI runtime on an older kernel leaves
// out, with a warning, what that kernel lacks.
var knownCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// capabilities gives root its set at once and other users only the bounding set, from which a set-uid program may gain
// them. Nothing is inheritable (CVE-2022-24769).
func capabilities(c runtime.ContainerSpec, host Limits, root bool) (*specs.LinuxCapabilities, error) {
	set, err := capabilitySet(c, host)
	if err != nil {
		return nil, err
	}
	if !root {
		return &specs.LinuxCapabilities{Bounding: set}, nil
	}
	return &specs.LinuxCapabilities{Bounding: set, Effective: slices.Clone(set), Permitted: slices.Clone(set)}, nil
}

// capabilitySet drops first and adds then. With ALL it does what Docker does for ECS: adding ALL is everything there is
// but what is dropped, and dropping ALL leaves only what is added. ALL and the default mean what the host can give; a
// capability that was asked for by name must be there.
func capabilitySet(c runtime.ContainerSpec, host Limits) ([]string, error) {
	add, addAll, err := capabilityNames(c, c.CapAdd)
	if err != nil {
		return nil, err
	}
	drop, dropAll, err := capabilityNames(c, c.CapDrop)
	if err != nil {
		return nil, err
	}
	all := host.Capabilities
	if all == nil {
		all = knownCapabilities
	}
	for _, name := range add {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("container %s: %w", c.ID, &runtime.UnsupportedError{
				Feature: "capability " + name, Needs: "a container runtime that has it itself; this machine withholds it",
			})
		}
	}
	set := defaultCapabilities
	switch {
	case c.Privileged:
		return slices.Clone(all), nil
	case addAll:
		set, add = all, nil
	case dropAll:
		set = nil
	}
	set = slices.DeleteFunc(slices.Clone(set), func(name string) bool { return slices.Contains(drop, name) })
	set = append(set, add...)
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !slices.Contains(set, name) }), nil
}

func capabilityNames(c runtime.ContainerSpec, names []string) (list []string, all bool, err error) {
	for _, name := range names {
		upper := strings.ToUpper(name)
		if upper == allCapabilities {
			all = true
			continue
		}
		full := "CAP_" + strings.TrimPrefix(upper, "CAP_")
		if !slices.Contains(knownCapabilities, full) {
			return nil, false, invalid(c, "unknown capability %q", name)
		}
		list = append(list, full)
	}
	return list, all, nil
}
