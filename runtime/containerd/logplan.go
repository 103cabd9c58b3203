//go:build linux

package containerd

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// logPlan is what becomes of the process that keeps what a container of a daemon writes: bytes come from the container, and
// all that it has to do with them is to write files in one directory. It gives up everything else before it is a Go program,
// as a Go program has threads by the time that it could, each with privileges of its own.
type logPlan struct {
	binary         string // the host program, which serveLog is in
	dir            string // where it writes; "" is nowhere
	lastCapability int    // the last that the kernel knows
	landlock       int    // version of the kernel's Landlock, 0 for none
	audit          uint32 // the processor, as filters of system calls know it
}

// Descriptors by which rules of Landlock are made. The kernel chooses others, which the rules cannot name.
const (
	landlockDir   = 100
	landlockRules = 101
)

// What Landlock can forbid, by the version that has it.
const (
	landlockTCP     = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP // 4
	landlockOutside = 1 | 2                                                                    // 6: abstract Unix sockets and signals out of the domain
	landlockChange  = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	landlockKeep = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_REG
)

// landlockRuleset is struct landlock_ruleset_attr, as long as the kernel knows it, and what is allowed in a directory.
func landlockRuleset(version int) (ruleset []byte, beneath uint64) {
	forbidden, allowed := uint64(landlockChange), uint64(landlockKeep)
	if version >= 2 {
		forbidden |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		forbidden |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
		allowed |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	ruleset = binary.LittleEndian.AppendUint64(nil, forbidden)
	if version >= 4 {
		ruleset = binary.LittleEndian.AppendUint64(ruleset, landlockTCP)
	}
	if version >= 6 {
		ruleset = binary.LittleEndian.AppendUint64(ruleset, landlockOutside)
	}
	return ruleset, allowed
}

// program gives up what it can and becomes the host program. A log matters more than what could not be given up.
func (p logPlan) program() *program {
	g := &program{}
	g.try("forbid new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if p.landlock > 0 {
		p.confine(g)
	}
	g.try("filter system calls", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, g.filter(refuse(p.audit, uselessForLogs)))
	for c := range p.lastCapability + 1 {
		if c != unix.CAP_DAC_OVERRIDE { // the directories above may be another user's
			g.try("drop a capability", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uint64(c))
		}
	}
	g.try("drop ambient capabilities", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	header := binary.LittleEndian.AppendUint64(nil, unix.LINUX_CAPABILITY_VERSION_3) // of this process
	sets := make([]byte, 24)                                                         // effective, permitted and inheritable, twice
	binary.LittleEndian.PutUint32(sets, 1<<unix.CAP_DAC_OVERRIDE)
	binary.LittleEndian.PutUint32(sets[4:], 1<<unix.CAP_DAC_OVERRIDE)
	g.try("drop capabilities", unix.SYS_CAPSET, g.bytes(header), g.bytes(sets))
	g.call("become "+p.binary, unix.SYS_EXECVE, g.text(p.binary), arguments, environment)
	return g
}

// confine forbids changes of files anywhere but in the directory. What it reads is not limited: the program may be linked with
// libraries, wherever they are.
func (p logPlan) confine(g *program) {
	const here = 1<<64 + unix.AT_FDCWD
	ruleset, allowed := landlockRuleset(p.landlock)
	g.tryKeep("make rules", unix.SYS_LANDLOCK_CREATE_RULESET, g.bytes(ruleset), uint64(len(ruleset)), 0)
	g.try("name the rules", unix.SYS_DUP3, kept, landlockRules, unix.O_CLOEXEC)
	if p.dir != "" {
		g.tryKeep("open the directory", unix.SYS_OPENAT, here, g.text(p.dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
		g.try("name the directory", unix.SYS_DUP3, kept, landlockDir, unix.O_CLOEXEC)
		rule := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, allowed), landlockDir)
		g.try("allow the directory", unix.SYS_LANDLOCK_ADD_RULE, landlockRules, unix.LANDLOCK_RULE_PATH_BENEATH, g.bytes(rule), 0)
	}
	g.try("follow the rules", unix.SYS_LANDLOCK_RESTRICT_SELF, landlockRules, 0)
}

// uselessForLogs are system calls that reach other processes, the network and the machine.
var uselessForLogs = []uint32{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN,
	unix.SYS_FSMOUNT, unix.SYS_MOUNT_SETATTR, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MKNODAT, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_KEYCTL, unix.SYS_ADD_KEY,
	unix.SYS_REQUEST_KEY, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME,
	unix.SYS_SYSLOG, unix.SYS_QUOTACTL, unix.SYS_ACCT,
}

// refuse is a filter by which some system calls fail with EPERM, and all of another architecture. The others are let through:
// which of them a Go program makes is for its version of Go to say.
func refuse(audit uint32, numbers []uint32) []unix.SockFilter {
	f := []unix.SockFilter{
		{Code: filterLoad, K: 4}, // struct seccomp_data: nr, arch, …
		{Code: filterEqual, Jf: uint8(len(numbers) + 3), K: audit},
		{Code: filterLoad, K: 0},
		{Code: filterFrom, Jt: uint8(len(numbers) + 1), K: 1 << 30}, // x32, which has numbers of its own
	}
	for i, n := range numbers {
		f = append(f, unix.SockFilter{Code: filterEqual, Jt: uint8(len(numbers) - i), K: n})
	}
	return append(f, unix.SockFilter{Code: filterReturn, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: filterReturn, K: filterEPERM})
}

// logger returns the program that keeps the output of a container: one that gives up its privileges and becomes this one, in
// the container's directory, or where that is not possible this one itself, under the name that has it do so.
func (r *remote) logger(t target, c creation) (string, error) {
	plain := filepath.Join(r.dir, logName)
	m, ok := machines[goruntime.GOARCH]
	var fs unix.Statfs_t
	if err := unix.Statfs(r.dir, &fs); err != nil || !ok || fs.Flags&unix.ST_NOEXEC != 0 {
		return plain, err
	}
	if _, err := os.Stat(r.self); err != nil { // nobody would hear of it from the daemon
		return "", fmt.Errorf("keep the log of container %s: %w", t.container, err)
	}
	last, err := lastCapability()
	if err != nil {
		return "", err
	}
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		version = 0
	}
	plan := logPlan{binary: r.self, dir: c.log, lastCapability: last, landlock: int(version), audit: m.audit}
	path := filepath.Join(r.dir, "containers", t.container, logName)
	return path, writeExecutable(path, plan.program().encode(m))
}

// writeExecutable replaces a program.
func writeExecutable(path string, content []byte) error {
	// One cannot be started while a descriptor for writing to it is open, which a process forked now would have.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	tmp := path + ".new"
	if err := os.WriteFile(tmp, content, 0o700); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
