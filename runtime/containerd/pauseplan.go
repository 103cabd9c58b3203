//go:build linux

package containerd

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// nobody is the user and the group of the first process of a PID namespace, by number: the kernel's own for those that
// have none.
const nobody = 65534

// pausePlan is what the first process of a PID namespace finds when it starts.
type pausePlan struct {
	groups         []int  // descriptors of the files through which it enters its cgroups
	userNS         int    // descriptor of the task's user namespace; 0 is the machine's
	namespaces     uint64 // that it makes itself, in a user namespace; else it has started in them
	netNS          int    // descriptor of the task's network namespace; 0 is a new one, in which it has started
	lastCapability int    // the last that the kernel knows
	audit          uint32 // the processor, as filters of system calls know it
	closeRange     bool   // the kernel has close_range, since 5.9
}

// oldDescriptors is how many descriptors are closed one by one where the kernel does not close all at once: those that the
// host program was started with and knows nothing of are among the first.
const oldDescriptors = 1024

// program is the life of a process that holds a PID namespace and lives in the hands of the containers in it. Who may trace
// has root's powers over it, its /proc/1 included, and must not get anything by them: it is started in namespaces of its
// own, and leaves behind the host's files for an empty and read-only root, its user, capabilities, descriptors and all
// system calls but the wait.
//
// When it ends the kernel kills the namespace, so it has nothing to fail with either. That it ignores SIGCHLD has the
// kernel itself reap processes whose parents have ended.
func (p pausePlan) program() *program {
	g := &program{}
	root, here, name := g.text("/"), g.text("."), g.text("fardel-pause")
	for _, fd := range p.groups { // first, so that it is found by them whenever who started it is killed
		g.call("enter the cgroup", unix.SYS_WRITE, uint64(fd), g.text("0"), 1)
	}
	if p.userNS != 0 {
		p.enterUserNS(g)
	}
	g.call("make a cgroup namespace", unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	if p.netNS != 0 {
		g.call("join the network namespace", unix.SYS_SETNS, uint64(p.netNS), unix.CLONE_NEWNET)
	}
	g.call("set the host name", unix.SYS_SETHOSTNAME, name, uint64(len("fardel-pause")))
	g.call("set the domain name", unix.SYS_SETDOMAINNAME, name, 0)

	// Any directory will do to mount on, and this one is on every machine.
	empty := g.text("/proc")
	g.call("make mounts private", unix.SYS_MOUNT, 0, root, 0, unix.MS_REC|unix.MS_PRIVATE, 0)
	g.call("mount an empty root", unix.SYS_MOUNT, name, empty, g.text("tmpfs"),
		unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, g.text("size=4k,nr_inodes=1,mode=555"))
	g.call("go to the empty root", unix.SYS_CHDIR, empty)
	g.call("change the root", unix.SYS_PIVOT_ROOT, here, here)
	g.call("unmount the host's files", unix.SYS_UMOUNT2, here, unix.MNT_DETACH)
	g.call("go to the root", unix.SYS_CHDIR, root)

	g.call("set the name", unix.SYS_PRCTL, unix.PR_SET_NAME, name)
	ignore := append([]byte{1}, make([]byte, 31)...) // SIG_IGN, no flags, restorer or mask
	g.call("ignore the end of children", unix.SYS_RT_SIGACTION, uint64(unix.SIGCHLD), g.bytes(ignore), 0, 8)
	g.call("limit descriptors", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, g.bytes(make([]byte, 16)), 0)

	for c := range p.lastCapability + 1 {
		g.call("drop a capability", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uint64(c))
	}
	g.call("drop ambient capabilities", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	g.call("drop groups", unix.SYS_SETGROUPS, 0, 0)
	g.call("change the group", unix.SYS_SETRESGID, nobody, nobody, nobody)
	g.call("change the user", unix.SYS_SETRESUID, nobody, nobody, nobody)
	header := binary.LittleEndian.AppendUint64(nil, unix.LINUX_CAPABILITY_VERSION_3) // of this process
	g.call("drop capabilities", unix.SYS_CAPSET, g.bytes(header), g.bytes(make([]byte, 24)))
	g.call("forbid dumps", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	g.call("forbid new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

	g.rest = &sysCall{step: "wait", number: unix.SYS_PPOLL, args: []uint64{0, 0, 0, 0, 0}}
	last := uint32(unix.SYS_CLOSE)
	if p.closeRange {
		last = unix.SYS_CLOSE_RANGE
	}
	filter := allowOnly(p.audit, unix.SYS_PPOLL, unix.SYS_WRITE, last, unix.SYS_EXIT_GROUP)
	g.call("filter system calls", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, g.filter(filter))
	g.call("report", unix.SYS_WRITE, reportFD, g.bytes(make([]byte, 4)), 4)
	if p.closeRange {
		g.call("close descriptors", uint64(last), 0, 1<<32-1, 0)
		return g
	}
	for fd := range uint64(oldDescriptors) {
		g.try("close a descriptor", uint64(last), fd)
	}
	return g
}

// enterUserNS goes to the task's user namespace. All other namespaces must be made from there to belong to it, and a PID
// namespace is that of the next process; so the program goes on in a new one.
func (p pausePlan) enterUserNS(g *program) {
	g.call("join the user namespace", unix.SYS_SETNS, uint64(p.userNS), unix.CLONE_NEWUSER)
	g.call("become its group", unix.SYS_SETRESGID, 0, 0, 0)
	g.call("become its root", unix.SYS_SETRESUID, 0, 0, 0)
	g.call("make namespaces", unix.SYS_UNSHARE, p.namespaces)
	g.fork("make the first process", unix.SYS_CLONE, unix.CLONE_PARENT|uint64(unix.SIGCHLD), 0, 0, 0, 0)
}

// filter adds a filter of system calls and returns the address by which the kernel is told of it.
func (p *program) filter(f []unix.SockFilter) uint64 {
	var code []byte
	for _, i := range f {
		code = binary.LittleEndian.AppendUint16(code, i.Code)
		code = append(code, i.Jt, i.Jf)
		code = binary.LittleEndian.AppendUint32(code, i.K)
	}
	at := p.bytes(code)
	return p.bytes(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(len(f))), at))
}

// Instructions of filters of system calls.
const (
	filterLoad   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	filterEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	filterFrom   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	filterReturn = unix.BPF_RET | unix.BPF_K
	filterEPERM  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
)

// allowOnly is a filter that lets system calls through by their numbers. The others fail with EPERM, and so do all of another
// architecture, which has other numbers.
func allowOnly(audit uint32, numbers ...uint32) []unix.SockFilter {
	f := []unix.SockFilter{
		{Code: filterLoad, K: 4}, // struct seccomp_data: nr, arch, …
		{Code: filterEqual, Jf: uint8(len(numbers) + 1), K: audit},
		{Code: filterLoad, K: 0},
	}
	for i, n := range numbers {
		f = append(f, unix.SockFilter{Code: filterEqual, Jt: uint8(len(numbers) - i), K: n})
	}
	return append(f, unix.SockFilter{Code: filterReturn, K: filterEPERM}, unix.SockFilter{Code: filterReturn, K: unix.SECCOMP_RET_ALLOW})
}
