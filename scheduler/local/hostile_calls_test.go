//go:build linux

package local_test

import (
	"errors"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// systemCalls are those that Docker's seccomp profile, or the lack of a capability, keeps from containers. Their arguments
// are of no use, so that nothing happens where they come through.
func systemCalls() []trial {
	list := []trial{
		// Keys are not of any namespace.
		refused("add_key", unix.SYS_ADD_KEY, text("user"), text("fardel"), text("x"), 1, 0),
		refused("request_key", unix.SYS_REQUEST_KEY, text("user"), text("fardel"), 0, 0),
		refused("keyctl", unix.SYS_KEYCTL, 0, 0, 0),
		// Code in the kernel.
		refused("bpf", unix.SYS_BPF, 5, zeros(128), 128),
		refused("init_module", unix.SYS_INIT_MODULE, text("x"), 1, text("")),
		refused("finit_module", unix.SYS_FINIT_MODULE, none, text(""), 0),
		refused("delete_module", unix.SYS_DELETE_MODULE, text("no_such_module"), 0),
		refused("kexec_load", unix.SYS_KEXEC_LOAD, 0, 0, 0, 0),
		refused("kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, none, none, 0, 0, 0),
		// File systems.
		refused("mount", unix.SYS_MOUNT, text("none"), text("/no/such"), text("tmpfs"), 0, 0),
		refused("umount2", unix.SYS_UMOUNT2, text("/no/such"), 0),
		refused("pivot_root", unix.SYS_PIVOT_ROOT, text("/no/such"), text("/no/such")),
		refused("open_tree", unix.SYS_OPEN_TREE, none, text("x"), 0),
		refused("move_mount", unix.SYS_MOVE_MOUNT, none, text("x"), none, text("x"), 0),
		refused("fsopen", unix.SYS_FSOPEN, text("tmpfs"), 0),
		refused("fsconfig", unix.SYS_FSCONFIG, none, 0, 0, 0, 0),
		refused("fsmount", unix.SYS_FSMOUNT, none, 0, 0),
		refused("fspick", unix.SYS_FSPICK, none, text("x"), 0),
		refused("mount_setattr", unix.SYS_MOUNT_SETATTR, none, text("x"), 0, zeros(32), 32),
		refused("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, ^uintptr(99), zeros(16), 0),
		refused("quotactl", unix.SYS_QUOTACTL, 0x800007<<8, 0, 0, 0),
		refused("quotactl_fd", unix.SYS_QUOTACTL_FD, none, 0x800007<<8, 0, 0),
		refused("swapon", unix.SYS_SWAPON, text("/no/such"), 0),
		refused("swapoff", unix.SYS_SWAPOFF, text("/no/such")),
		refused("fanotify_init", unix.SYS_FANOTIFY_INIT, 0x4, 0),
		// What others do.
		refused("perf_event_open", unix.SYS_PERF_EVENT_OPEN, zeros(128), none, 0, none, 0),
		refused("process_madvise", unix.SYS_PROCESS_MADVISE, none, 0, 0, 0, 0),
		refused("pidfd_getfd", unix.SYS_PIDFD_GETFD, none, 0, 0),
		refused("kcmp", unix.SYS_KCMP, 1, 1, 0, 0, 0),
		refused("syslog", unix.SYS_SYSLOG, 3, zeros(64), 64),
		refused("lookup_dcookie", unix.SYS_LOOKUP_DCOOKIE, 0, zeros(64), 64),
		refused("acct", unix.SYS_ACCT, text("/no/such")),
		// Ways into the kernel that exploits begin with.
		refused("userfaultfd", unix.SYS_USERFAULTFD, 1<<30),
		refused("io_uring_setup", unix.SYS_IO_URING_SETUP, 0, 0),
		refused("io_uring_enter", unix.SYS_IO_URING_ENTER, none, 0, 0, 0),
		refused("io_uring_register", unix.SYS_IO_URING_REGISTER, none, 0, 0),
		refused("personality without random addresses", unix.SYS_PERSONALITY, 0x0040000),
		refused("personality that maps page 0", unix.SYS_PERSONALITY, 0x0100000),
		// Memory of a machine with several nodes.
		refused("move_pages", unix.SYS_MOVE_PAGES, 1, 0, 0, 0, 0, 1<<30),
		refused("migrate_pages", unix.SYS_MIGRATE_PAGES, 1, 1<<30, 0, 0),
		refused("mbind", unix.SYS_MBIND, 1, 1, 99, 0, 0, 0),
		refused("set_mempolicy", unix.SYS_SET_MEMPOLICY, 99, 0, 0),
		// The machine.
		refused("reboot", unix.SYS_REBOOT, 0xfee1dead, 672274793, unix.LINUX_REBOOT_CMD_CAD_OFF),
		refused("sethostname", unix.SYS_SETHOSTNAME, text("evil"), 4),
		refused("setdomainname", unix.SYS_SETDOMAINNAME, text("evil"), 4),
		refused("settimeofday", unix.SYS_SETTIMEOFDAY, none, 0),
		refused("clock_settime", unix.SYS_CLOCK_SETTIME, 0, none),
		refused("vhangup", unix.SYS_VHANGUP),
		refused("nfsservctl", unix.SYS_NFSSERVCTL, 0, 0, 0),
		// Namespaces; the calls that make or join them are tried again with the flags of each.
		refused("unshare", unix.SYS_UNSHARE, unix.CLONE_FS),
		refused("setns", unix.SYS_SETNS, none, 0),
		refused("clone3", unix.SYS_CLONE3, 0, 0),
		// What was added to kernels lately is not let before somebody has looked at it.
		refused("open_tree_attr", 467, none, text("x"), 0, 0, 0),
		refused("file_setattr", 469, none, text("x"), 0, 0, 0),
		refused("listns", 470, 0, 0, 0, 1),
		refused("the next system call", 471),
	}
	return append(list, privileged()...)
}

// privileged are calls that a container may make, but not like that.
func privileged() []trial {
	return []trial{
		fails("adjtimex", func() error {
			_, err := unix.Adjtimex(&unix.Timex{Modes: 0x0002, Freq: 0}) // ADJ_FREQUENCY
			return err
		}),
		fails("clock_adjtime", func() error {
			_, err := unix.ClockAdjtime(unix.CLOCK_REALTIME, &unix.Timex{Modes: 0x0100, Time: unix.Timeval{}}) // ADJ_SETOFFSET of nothing
			return err
		}),
		fails("nice below zero", func() error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, -10) }),
		fails("become a real-time process", func() error { return invoke(unix.SYS_SCHED_SETSCHEDULER, 0, 1, text("\x01\x00\x00\x00")) }),
		fails("become a process with deadlines", func() error {
			return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Runtime: 5e7, Deadline: 1e8, Period: 1e8}, 0)
		}),
		fails("real-time priority on disks", func() error { return invoke(unix.SYS_IOPRIO_SET, 1, 0, 1<<13) }),
		fails("more open files than the hard limit", func() error {
			return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1 << 19, Max: 1 << 19})
		}),
		fails("wake the machine from sleep", func() error { return invoke(unix.SYS_TIMERFD_CREATE, unix.CLOCK_BOOTTIME_ALARM, 0) }),
		fails("a capability that it does not have", func() error {
			h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var have [2]unix.CapUserData
			if err := unix.Capget(&h, &have[0]); err != nil {
				return err
			}
			have[0].Permitted |= 1 << unix.CAP_SYS_ADMIN
			have[0].Effective |= 1 << unix.CAP_SYS_ADMIN
			return unix.Capset(&h, &have[0])
		}),
		fails("an ambient capability that it does not have", func() error {
			return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN, 0, 0)
		}),
		fails("an inheritable capability", inheritable),
		fails("more of a pipe than there may be", func() error {
			var p [2]int
			if err := unix.Pipe(p[:]); err != nil {
				return err
			}
			defer unix.Close(p[0])
			defer unix.Close(p[1])
			_, err := unix.FcntlInt(uintptr(p[0]), unix.F_SETPIPE_SZ, 1<<26)
			return err
		}),
	}
}

// inheritable wants to have been given capabilities that a program which it starts would inherit (CVE-2022-24769).
func inheritable() error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&h, &have[0]); err != nil {
		return err
	}
	if have[0].Inheritable|have[1].Inheritable == 0 {
		return errHeld
	}
	return nil
}

// spaces are the namespaces that there are.
var spaces = []struct {
	name, file string
	flag       uintptr
}{
	{"user", "user", unix.CLONE_NEWUSER}, {"mount", "mnt", unix.CLONE_NEWNS}, {"PID", "pid", unix.CLONE_NEWPID},
	{"network", "net", unix.CLONE_NEWNET}, {"IPC", "ipc", unix.CLONE_NEWIPC}, {"UTS", "uts", unix.CLONE_NEWUTS},
	{"cgroup", "cgroup", unix.CLONE_NEWCGROUP}, {"time", "time", unix.CLONE_NEWTIME},
}

func namespaceAttempts() []trial {
	var list []trial
	for _, s := range spaces {
		list = append(list,
			trial{name: "unshare a " + s.name + " namespace", apart: true, sandboxed: ownKernel, try: func() (string, error) {
				return came(invoke(unix.SYS_UNSHARE, s.flag))
			}},
			fails("join the "+s.name+" namespace of the first process", func() error {
				fd, err := unix.Open("/proc/1/ns/"+s.file, unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				defer unix.Close(fd)
				return invoke(unix.SYS_SETNS, uintptr(fd), s.flag)
			}),
		)
		if s.flag != unix.CLONE_NEWTIME { // clone(2) has no bit left for it
			list = append(list, fails("clone into a "+s.name+" namespace", func() error {
				cmd := exec.Command("/proc/self/exe", "exit 0")
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: s.flag}
				return cmd.Run()
			}))
		}
	}
	return list
}

// families that the profile lets nobody have, with what is behind them.
var families = []struct {
	name   string
	number uintptr
}{
	{"AF_ALG, the kernel's ciphers", unix.AF_ALG},
	{"AF_VSOCK, the hypervisor", unix.AF_VSOCK},
}

func socketAttempts() []trial {
	var list []trial
	for _, f := range families {
		list = append(list, refused(f.name, unix.SYS_SOCKET, f.number, unix.SOCK_DGRAM, 0))
	}
	return append(list,
		fails("take down its interface", func() error { return ioctlInterface("eth0", unix.SIOCSIFFLAGS) }),
		fails("another hardware address", func() error { return ioctlInterface("eth0", unix.SIOCSIFHWADDR) }),
		fails("another address", func() error { return ioctlInterface("eth0", unix.SIOCSIFADDR) }),
		fails("another name of its interface", func() error { return ioctlInterface("eth0", unix.SIOCSIFNAME) }),
		strictly("take down its interface by netlink", func() error { return netlink(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, make([]byte, 16)) }),
		strictly("a route by netlink", func() error {
			return netlink(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, []byte{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, 3, 0, 1, 0, 0, 0, 0})
		}),
		strictly("a neighbour by netlink", func() error {
			return netlink(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH, []byte{unix.AF_INET, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0})
		}),
		strictly("a policy of IPsec", func() error { return netlink(unix.NETLINK_XFRM, 0x1d /* XFRM_MSG_FLUSHPOLICY */, make([]byte, 8)) }),
		strictly("the packet filter", func() error {
			return netlink(unix.NETLINK_NETFILTER, 10<<8|2 /* NFT_MSG_DELTABLE */, []byte{unix.AF_INET, 0, 0, 0})
		}),
		strictly("the table of connections", func() error {
			return netlink(unix.NETLINK_NETFILTER, 1<<8|1 /* IPCTNL_MSG_CT_GET */, []byte{unix.AF_INET, 0, 0, 0})
		}),
		strictly("settings of the audit", func() error { return netlink(unix.NETLINK_AUDIT, 1001 /* AUDIT_SET */, make([]byte, 44)) }),
		strictly("rules of the audit", func() error { return netlink(unix.NETLINK_AUDIT, 1011 /* AUDIT_ADD_RULE */, make([]byte, 1056)) }),
		strictly("a privileged control call of generic netlink", func() error {
			return netlink(unix.NETLINK_CRYPTO, 0x10 /* CRYPTO_MSG_NEWALG */, make([]byte, 216))
		}),
		fails("a buffer larger than it may be", func() error {
			s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(s)
			return unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<30)
		}),
		fails("the credentials of another process", func() error {
			p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(p[0])
			defer unix.Close(p[1])
			return unix.Sendmsg(p[0], []byte("x"), unix.UnixCredentials(&unix.Ucred{Pid: 99999}), nil, 0)
		}),
	)
}

// ioctlInterface sets a property of an interface to nothing.
func ioctlInterface(name string, request uintptr) error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(s)
	var req [40]byte
	copy(req[:], name)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), request, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return errno
	}
	return nil
}

// netlink makes a request of the kernel and returns its answer. Data instead of an acknowledgement is no error.
func netlink(protocol int, kind uint16, payload []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	msg := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(payload))
	h := (*unix.NlMsghdr)(unsafe.Pointer(&msg[0]))
	h.Len, h.Type, h.Flags, h.Seq = uint32(cap(msg)), kind, unix.NLM_F_REQUEST|unix.NLM_F_ACK, 1
	if err := unix.Sendto(s, append(msg, payload...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	n, _, err := unix.Recvfrom(s, buf, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 {
		return errors.New("a short answer")
	}
	if (*unix.NlMsghdr)(unsafe.Pointer(&buf[0])).Type != unix.NLMSG_ERROR {
		return nil
	}
	if code := *(*int32)(unsafe.Pointer(&buf[unix.SizeofNlMsghdr])); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}
