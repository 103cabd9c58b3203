package apparmor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Unconfined is the name of no profile.
const Unconfined = "unconfined"

// isName reports whether a name needs no quotes in the language of profiles.
func isName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return s != "" && strings.ContainsAny(s[:1], letters) && strings.Trim(s, letters+"_.-") == "" && s != Unconfined
}

// Profile returns the text of a profile for containers. It names no file of the distribution's, which minimal systems lack.
//
// Beyond what is denied below everything is allowed: there is no telling what an image needs. A profile without rules for
// mounts denies them; they are named so that they are denied without a line in the kernel's log for each.
func Profile(name string) (string, error) {
	if !isName(name) {
		return "", fmt.Errorf("apparmor: %q is no name of a profile", name)
	}
	return strings.ReplaceAll(profile, "NAME", name), nil
}

const profile = `# Containers of fardel. Loaded when a cluster is opened, removed with its last task.
profile NAME flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,

  # Whoever may signal a container is the sender's matter: the host, and the OCI runtime, which distributions confine. What is
  # in a container signals and traces nothing beside containers.
  signal (receive),
  signal (send) peer=NAME,
  ptrace (trace, read, tracedby, readby) peer=NAME,

  # CAP_SYS_ADMIN would take the masks away, and mount what is writable.
  deny mount,
  deny umount,
  deny pivot_root,

  # The kernel's settings, its triggers and its hardware. Runtimes set what a definition asks for before this holds.
  deny /proc/sys/** wl,
  deny /proc/{sysrq-trigger,mtrr,latency_stats,timer_stats} wl,
  deny /proc/{acpi,asound,bus,driver,fs,irq,scsi}/** wl,
  deny /sys/** wl,

  # The kernel's memory, and what tells of it or of other users.
  deny /proc/{kcore,kpagecgroup,kpagecount,kpageflags,pagetypeinfo,slabinfo,vmallocinfo} rwlkx,
  deny /proc/{interrupts,keys,latency_stats,sched_debug,timer_list,timer_stats} rwlkx,
  deny /proc/{acpi,asound,scsi}/** rwlkx,
  deny /sys/firmware/** rwlkx,
  deny /sys/devices/virtual/powercap/** rwlkx,
  deny /sys/kernel/security/** rwlkx,
  deny /sys/kernel/slab/** rwlkx,
}
`

// Enabled reports whether a /sys file system is that of a kernel that confines by profiles. As an OCI runtime does, it asks
// for both: without securityfs no profile can be loaded or known.
func Enabled(sys fs.FS) bool {
	value, err := fs.ReadFile(sys, "module/apparmor/parameters/enabled")
	if err != nil || !bytes.HasPrefix(value, []byte("Y")) {
		return false
	}
	_, err = fs.Stat(sys, "kernel/security/apparmor")
	return err == nil
}

// Loaded reports whether the kernel has a profile that it enforces. One in complain mode only tells what it would forbid.
func Loaded(sys fs.FS, name string) (bool, error) {
	list, err := fs.ReadFile(sys, "kernel/security/apparmor/profiles")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(list)); lines.Scan(); {
		// name (mode)
		if i := strings.LastIndex(lines.Text(), " ("); i > 0 && lines.Text()[:i] == name {
			return lines.Text()[i:] == " (enforce)" || lines.Text()[i:] == " (kill)", nil
		}
	}
	return false, nil
}
