package oci

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

// ipcSysctls belong to the IPC namespace; together with fs.mqueue.* and net.* they are what ECS's systemControls allow.
var ipcSysctls = []string{
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
	"kernel.shm_rmid_forced",
}

func linux(c runtime.ContainerSpec, s runtime.SandboxSpec, o Options) (*specs.Linux, error) {
	sysctls, err := sysctls(c, s)
	if err != nil {
		return nil, err
	}
	resources, err := resources(c, o)
	if err != nil {
		return nil, err
	}
	l := &specs.Linux{
		CgroupsPath: o.CgroupsPath,
		Namespaces:  namespaces(c, s, o),
		Sysctl:      sysctls,
		Resources:   resources,
	}
	if l.Devices, err = devices(c, o, resources); err != nil {
		return nil, err
	}
	if !c.Privileged {
		if l.MaskedPaths, err = masked(c, o); err != nil {
			return nil, err
		}
		l.ReadonlyPaths = slices.Clone(readonlyPaths)
		if !o.CgroupV2 { // the tmpfs that the hierarchies are mounted in stays writable, whatever its options say
			l.ReadonlyPaths = append(l.ReadonlyPaths, "/sys/fs/cgroup")
		}
	}
	return l, nil
}

// namespaces are private to the container but for the network and, with pidMode task, the processes. Without a path in
// the sandbox the container stays in the host's network namespace. In a new one OCI runtimes bring up loopback.
func namespaces(c runtime.ContainerSpec, s runtime.SandboxSpec, o Options) []specs.LinuxNamespace {
	list := []specs.LinuxNamespace{
		{Type: specs.MountNamespace},
		{Type: specs.UTSNamespace},
		{Type: specs.IPCNamespace},
		{Type: specs.PIDNamespace, Path: o.PIDNamespace},
	}
	switch {
	case c.NoNetwork:
		list = append(list, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	case s.NetNS != "":
		list = append(list, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: s.NetNS})
	}
	if o.CgroupV2 { // v1 shows a container its own cgroups through bind mounts instead
		list = append(list, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	return list
}

// sysctls lets through only what a namespace of the task owns; anything else would change the host.
func sysctls(c runtime.ContainerSpec, s runtime.SandboxSpec) (map[string]string, error) {
	if len(c.Sysctls) == 0 {
		return nil, nil
	}
	allowed := make(map[string]string, len(c.Sysctls))
	for name, value := range c.Sysctls {
		dotted := strings.ReplaceAll(name, "/", ".")
		switch {
		case strings.Contains(dotted, ".."):
			return nil, invalid(c, "system control %q is not a name", name)
		case strings.HasPrefix(dotted, "net."):
			if s.NetNS == "" && !c.NoNetwork {
				return nil, invalid(c, "system control %s would change the host: the task has no network namespace", name)
			}
		case slices.Contains(ipcSysctls, dotted), strings.HasPrefix(dotted, "fs.mqueue."):
		default:
			return nil, invalid(c, "system control %s is not one of net.*, fs.mqueue.*, %s", name, strings.Join(ipcSysctls, ", "))
		}
		allowed[name] = value
	}
	return allowed, nil
}

func resources(c runtime.ContainerSpec, o Options) (*specs.LinuxResources, error) {
	shares := Shares(c.CPUShares)
	r := &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: &shares}, Devices: deviceRules(c)}
	for _, m := range []struct {
		field string
		value int64
	}{
		{"memory", int64(c.Memory)}, {"memoryReservation", int64(c.MemoryReservation)},
		{"sharedMemorySize", int64(c.SharedMemory)}, {"maxSwap", int64(c.Swap)},
	} {
		if m.value < 0 || m.value > 1<<40 {
			return nil, invalid(c, "%s of %d MiB is out of range", m.field, m.value)
		}
	}
	memory := &specs.LinuxMemory{}
	if c.Memory > 0 {
		limit := c.Memory.Bytes()
		memory.Limit = &limit
		if !o.NoSwapAccounting {
			sum := limit + c.Swap.Bytes() // the OCI limit is of memory and swap together
			memory.Swap = &sum
		}
	}
	if c.MemoryReservation > 0 {
		if c.Memory > 0 && c.MemoryReservation > c.Memory {
			return nil, invalid(c, "memoryReservation of %d MiB exceeds memory of %d MiB", c.MemoryReservation, c.Memory)
		}
		reservation := c.MemoryReservation.Bytes()
		memory.Reservation = &reservation
	}
	if c.Swappiness != nil {
		if *c.Swappiness > 100 {
			return nil, invalid(c, "swappiness %d is not between 0 and 100", *c.Swappiness)
		}
		if !o.CgroupV2 { // the unified hierarchy has no such file
			swappiness := *c.Swappiness
			memory.Swappiness = &swappiness
		}
	}
	if *memory != (specs.LinuxMemory{}) {
		r.Memory = memory
	}
	return r, nil
}
