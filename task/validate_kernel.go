package task

import (
	"fmt"
	"slices"
	"strings"
)

// ulimitNames are the limits ECS can set.
var ulimitNames = []string{
	"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice",
	"nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
}

// maxFargateFiles is the most open files that Fargate lets a container have.
const maxFargateFiles = 1048576

func (s *containerScope) ulimits() {
	seen := make(map[string]bool)
	for i, u := range s.c.Ulimits {
		member := fmt.Sprintf("ulimits[%d]", i)
		switch {
		case !slices.Contains(ulimitNames, u.Name):
			s.bad(member+".name", "%s", oneOf(u.Name, ulimitNames))
		case seen[u.Name]:
			s.bad(member+".name", "duplicate limit %q", u.Name)
		}
		seen[u.Name] = true
		if u.SoftLimit < -1 || u.HardLimit < -1 {
			s.bad(member, "limits must be -1, which is none, or more")
		} else if u.HardLimit != -1 && (u.SoftLimit > u.HardLimit || u.SoftLimit == -1) {
			s.bad(member+".softLimit", "must not be above hardLimit (%d and %d)", u.SoftLimit, u.HardLimit)
		}
		if s.fargate && u.Name == "nofile" && max(u.SoftLimit, u.HardLimit) > maxFargateFiles {
			s.bad(member, "nofile must be at most %d on Fargate", maxFargateFiles)
		}
	}
}

// ipcControls are the kernel parameters that belong to an IPC namespace; beside
// them there are those that start with fs.mqueue.
var ipcControls = []string{
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
	"kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
}

func (s *containerScope) systemControls() {
	for i, c := range s.c.SystemControls {
		member := fmt.Sprintf("systemControls[%d]", i)
		ipc := slices.Contains(ipcControls, c.Namespace) || len(c.Namespace) > len("fs.mqueue.") && strings.HasPrefix(c.Namespace, "fs.mqueue.")
		net := len(c.Namespace) > len("net.") && strings.HasPrefix(c.Namespace, "net.")
		switch {
		case !ipc && !net:
			s.bad(member+".namespace", "must start with net. or fs.mqueue. or be one of %s, not %q", joinWords(ipcControls, "and"), c.Namespace)
		case net && s.mode == NetworkModeHost:
			s.bad(member+".namespace", "%s is not supported when networkMode=host", c.Namespace)
		case ipc && s.def.IPCMode == IPCModeHost:
			s.bad(member+".namespace", "%s is not supported when ipcMode=host", c.Namespace)
		}
		if c.Value == "" {
			s.bad(member+".value", "must be set")
		}
	}
}

// capabilityNames are the Linux capabilities ECS knows.
var capabilityNames = strings.Fields(`ALL AUDIT_CONTROL AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH
	FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN
	NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE
	SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM`)

func (s *containerScope) capabilities() {
	c := s.c.linux().Capabilities
	if c == nil {
		return
	}
	for _, list := range []struct {
		member string
		names  []string
	}{{"add", c.Add}, {"drop", c.Drop}} {
		for i, name := range list.names {
			member := fmt.Sprintf("linuxParameters.capabilities.%s[%d]", list.member, i)
			switch {
			case !slices.Contains(capabilityNames, name):
				hint := ""
				if plain := strings.TrimPrefix(strings.ToUpper(name), "CAP_"); slices.Contains(capabilityNames, plain) {
					hint = fmt.Sprintf(", did you mean %q?", plain)
				}
				s.bad(member, "%q is not a Linux capability%s", name, hint)
			case s.fargate && list.member == "add" && name != "SYS_PTRACE":
				s.bad(member, "%s cannot be added on Fargate, only SYS_PTRACE can", name)
			}
		}
	}
}

func (s *containerScope) devices() {
	permissions := []string{"read", "write", "mknod"}
	for i, d := range s.c.linux().Devices {
		member := fmt.Sprintf("linuxParameters.devices[%d]", i)
		if d.HostPath == "" {
			s.bad(member+".hostPath", "must be set")
		}
		for j, p := range d.Permissions {
			if !slices.Contains(permissions, p) {
				s.bad(fmt.Sprintf("%s.permissions[%d]", member, j), "%s", oneOf(p, permissions))
			}
		}
	}
}

// tmpfsOptions are mount options without a value, tmpfsValues those with one.
var (
	tmpfsOptions = strings.Fields(`defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount mand
		nomand atime noatime diratime nodiratime bind rbind unbindable runbindable private rprivate shared rshared
		slave rslave relatime norelatime strictatime nostrictatime`)
	tmpfsValues = strings.Fields("mode uid gid nr_inodes nr_blocks mpol")
)

func (s *containerScope) tmpfs() {
	for i, t := range s.c.linux().Tmpfs {
		member := fmt.Sprintf("linuxParameters.tmpfs[%d]", i)
		if !strings.HasPrefix(t.ContainerPath, "/") {
			s.bad(member+".containerPath", "must be an absolute path, not %q", t.ContainerPath)
		}
		if t.Size < 1 {
			s.bad(member+".size", "must be a positive number of MiB")
		}
		for j, o := range t.MountOptions {
			name, _, _ := strings.Cut(o, "=")
			if !slices.Contains(tmpfsOptions, o) && !slices.Contains(tmpfsValues, name) {
				s.bad(fmt.Sprintf("%s.mountOptions[%d]", member, j), "%q is not a mount option that ECS knows", o)
			}
		}
	}
}

// swap checks the memory members of linuxParameters.
func (s *containerScope) swap() {
	l := s.c.linux()
	if l.MaxSwap != nil && *l.MaxSwap < 0 {
		s.bad("linuxParameters.maxSwap", "must be 0 or more, not %d", *l.MaxSwap)
	}
	if l.Swappiness != nil && (*l.Swappiness < 0 || *l.Swappiness > 100) {
		s.bad("linuxParameters.swappiness", "must be 0 to 100, not %d", *l.Swappiness)
	}
	if l.SharedMemorySize < 0 {
		s.bad("linuxParameters.sharedMemorySize", "must not be negative")
	}
}
