package oci

import (
	"io/fs"
	"path"
	"slices"

	"github.com/fardel-io/fardel/runtime"
)

// Paths that show or change the host. Those that a kernel lacks are skipped by OCI runtimes.
//
// What stays readable: what free, lscpu, htop and language runtimes size themselves by (meminfo, cpuinfo, stat, loadavg,
// /sys/devices/system/cpu, /sys/kernel/mm), and what names the kernel without a way into it (modules, version). Of debugfs,
// tracefs, bpffs, securityfs and pstore a container's sysfs has the empty directories only, where an operator may mount them.
var (
	maskedPaths = []string{
		// Docker's: hardware, the kernel's memory, keys of all users, what runs when.
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", // what the processor draws tells what others compute
		"/sys/firmware",

		// Where the kernel has which of its objects, which only root may read, and a container's root is that: it makes of an
		// overflow an exploit that works at the first try. slabtop and vmstat -m show nothing then.
		"/proc/kpagecgroup", "/proc/kpagecount", "/proc/kpageflags", "/proc/pagetypeinfo", "/proc/slabinfo", "/proc/vmallocinfo",
		"/sys/kernel/slab",

		// What the kernel logs of itself, line by line of its source: root may switch each on, without a capability.
		"/proc/dynamic_debug",

		// Addresses of the kernel's memory for who debugs it or starts the next one.
		"/sys/kernel/boot_params", "/sys/kernel/notes", "/sys/kernel/vmcoreinfo",
	}

	// The kernel gives these to who has CAP_SYSLOG; whether to others, too, depends on settings of the host.
	syslogPaths = []string{"/proc/kallsyms", "/proc/kmsg"}

	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/mtrr", "/proc/sys", "/proc/sysrq-trigger"}
)

// masked are the paths that a container does not see.
func masked(c runtime.ContainerSpec, o Options) ([]string, error) {
	set, err := capabilitySet(c, o.Limits)
	if err != nil {
		return nil, err
	}
	paths := slices.Concat(maskedPaths, o.Throttling)
	if !slices.Contains(set, "CAP_SYSLOG") {
		paths = append(paths, syslogPaths...)
	}
	slices.Sort(paths)
	return paths, nil
}

// ThrottlingCounters finds in a /sys file system the directories that count how often each processor was throttled for its
// heat, by which a container could tell what others compute: os.DirFS("/sys"). It returns paths on the host.
func ThrottlingCounters(sys fs.FS) ([]string, error) {
	dirs, err := fs.Glob(sys, "devices/system/cpu/cpu[0-9]*/thermal_throttle")
	for i, d := range dirs {
		dirs[i] = path.Join("/sys", d)
	}
	return dirs, err
}
