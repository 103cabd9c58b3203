//go:build linux

package local_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func write(path, text string) func() error {
	return func() error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(text)
		return err
	}
}

// readSome wants at least one byte.
func readSome(path string) func() error {
	return func() error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		n, err := unix.Read(fd, make([]byte, 1))
		if n == 0 && err == nil {
			err = io.EOF
		}
		return err
	}
}

// everywhere tries something on each file that matches, and fails unless one of them lets it.
func everywhere(pattern string, try func(path string) func() error) func() error {
	return func() error {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			return errors.Join(err, errHeld)
		}
		var last error
		for _, f := range files {
			if last = try(f)(); last == nil {
				return nil
			}
		}
		return last
	}
}

func writing(text string) func(path string) func() error {
	return func(path string) func() error { return write(path, text) }
}

// kernelFiles are what /proc and /sys show and let change.
func kernelFiles() []trial {
	return []trial{
		{name: "any file of /proc that can be written", sandboxed: ownKernel, try: func() (string, error) { return walk("/proc", unix.O_WRONLY, harmlessToWrite) }},
		{name: "any file of /sys that can be written", sandboxed: ownKernel, try: func() (string, error) { return walk("/sys", unix.O_WRONLY, nil) }},
		{name: "any file of /proc that tells of the host", sandboxed: ownKernel, try: func() (string, error) { return walk("/proc", unix.O_RDONLY, harmlessToRead) }},
		strictly("read the kernel's memory", readSome("/proc/kcore")),
		strictly("read the kernel's keys", readSome("/proc/keys")),
		strictly("read the kernel's log", readSome("/proc/kmsg")),
		strictly("read the timers", readSome("/proc/timer_list")),
		strictly("read the schedule", readSome("/proc/sched_debug")),
		strictly("read what interrupts", readSome("/proc/interrupts")),
		strictly("read the crash of a kernel", readSome("/proc/vmcore")),
		strictly("read addresses of the kernel", addressesOf("/proc/kallsyms")),
		strictly("read addresses of modules", addressesOf("/proc/modules")),
		strictly("read where memory is", addressesOf("/proc/iomem")),
		strictly("read what was on a page", readSome("/proc/kpageflags")),
		strictly("read which frame a page has", frame),
		strictly("read firmware tables", everywhere("/sys/firmware/*", readSome)),
		strictly("read what power is drawn", everywhere("/sys/devices/virtual/powercap/*/*", readSome)),
		strictly("look into the kernel's debugging", everywhere("/sys/kernel/debug/*", readSome)),
		strictly("look into the kernel's traces", everywhere("/sys/kernel/tracing/*", readSome)),
		strictly("look at programs of BPF", everywhere("/sys/fs/bpf/*", readSome)),
		strictly("look at what security modules show", everywhere("/sys/kernel/security/*", readSome)),
		fails("write core_pattern", write("/proc/sys/kernel/core_pattern", "|/evil")),
		fails("write modprobe", write("/proc/sys/kernel/modprobe", "/evil")),
		fails("write binfmt_misc", write("/proc/sys/fs/binfmt_misc/register", ":x:M::x::/evil:")),
		fails("write sysrq-trigger", write("/proc/sysrq-trigger", "h")),
		fails("write uevent_helper", write("/sys/kernel/uevent_helper", "/evil")),
		fails("write hotplug", write("/proc/sys/kernel/hotplug", "/evil")),
		fails("write poweroff_cmd", write("/proc/sys/kernel/poweroff_cmd", "/evil")),
		fails("write panic_on_oom", write("/proc/sys/vm/panic_on_oom", "0")),
		fails("write drop_caches", write("/proc/sys/vm/drop_caches", "0")),
		fails("write the host's name", write("/proc/sys/kernel/hostname", "evil")),
		fails("write a sysctl of its network", write("/proc/sys/net/ipv4/ip_forward", "1")),
		fails("write where a core goes, by another name", write("/proc/self/root/proc/sys/kernel/core_pattern", "|/evil")),
		fails("write core_pattern through its first process", write("/proc/1/root/proc/sys/kernel/core_pattern", "|/evil")),
		fails("write power states", write("/sys/power/state", "")),
		fails("announce a device", everywhere("/sys/class/*/*/uevent", writing("add"))),
		fails("unbind a driver", everywhere("/sys/bus/*/drivers/*/unbind", writing("none"))),
		fails("configure a disk", everywhere("/sys/block/*/queue/read_ahead_kb", writing("128"))),
		fails("configure memory", everywhere("/sys/kernel/mm/*/enabled", writing("never"))),
		fails("take a processor away", everywhere("/sys/devices/system/cpu/cpu*/online", writing("1"))),
		fails("a new parameter of a module", everywhere("/sys/module/*/parameters/*", writing("0"))),
		// Control groups, v1 and v2.
		fails("move to another cgroup", everywhere("/sys/fs/cgroup/cgroup.procs", writing("0"))),
		fails("move to another cgroup, v1", everywhere("/sys/fs/cgroup/*/cgroup.procs", writing("0"))),
		fails("move a thread to another cgroup", everywhere("/sys/fs/cgroup/cgroup.threads", writing("0"))),
		fails("raise the memory limit", everywhere("/sys/fs/cgroup/memory.max", writing("max"))),
		fails("raise the memory limit, v1", everywhere("/sys/fs/cgroup/memory/memory.limit_in_bytes", writing("-1"))),
		fails("raise the limit of processes", everywhere("/sys/fs/cgroup/pids.max", writing("max"))),
		fails("raise the limit of processes, v1", everywhere("/sys/fs/cgroup/pids/pids.max", writing("max"))),
		fails("raise the CPU quota", everywhere("/sys/fs/cgroup/cpu.max", writing("max"))),
		fails("raise the CPU quota, v1", everywhere("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", writing("-1"))),
		fails("allow itself devices, v1", everywhere("/sys/fs/cgroup/devices/devices.allow", writing("a"))),
		fails("freeze itself", everywhere("/sys/fs/cgroup/cgroup.freeze", writing("1"))),
		fails("kill its cgroup", everywhere("/sys/fs/cgroup/cgroup.kill", writing("1"))),
		fails("controllers for a cgroup of its own", everywhere("/sys/fs/cgroup/cgroup.subtree_control", writing("+pids"))),
		fails("write a release_agent", everywhere("/sys/fs/cgroup/*/release_agent", writing("/evil"))),
		fails("have a release_agent run", everywhere("/sys/fs/cgroup/*/notify_on_release", writing("1"))),
		fails("a cgroup of its own", func() error { return os.Mkdir("/sys/fs/cgroup/own", 0o755) }),
		fails("a cgroup of its own, v1", everywhere("/sys/fs/cgroup/*/tasks", func(p string) func() error {
			return func() error { return os.Mkdir(filepath.Join(filepath.Dir(p), "own"), 0o755) }
		})),
	}
}

// addressesOf wants an address that is not hidden, at the beginning of a line or at its end.
func addressesOf(path string) func() error {
	return func() error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			f := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '-' || r == '\n' })
			for _, word := range f {
				n, err := strconv.ParseUint(strings.TrimPrefix(word, "0x"), 16, 64)
				if err == nil && len(word) >= 8 && n > 1<<16 {
					return nil
				}
			}
		}
		return errHeld
	}
}

// frame wants the physical address of a page of its own.
func frame() error {
	page := make([]byte, 1)
	page[0] = 1
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return err
	}
	defer f.Close()
	entry := make([]byte, 8)
	if _, err := f.ReadAt(entry, int64(addressOf(page)/uintptr(os.Getpagesize()))*8); err != nil {
		return err
	}
	if entry[0]|entry[1]|entry[2]|entry[3] == 0 {
		return errHeld
	}
	return nil
}

// walk opens every file below a directory and returns those that nothing excuses. Of processes it looks at itself. Opening
// changes nothing.
func walk(root string, mode int, excused []string) (string, error) {
	var found []string
	tried := 0
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // what cannot be looked at cannot be opened
		}
		rel := strings.TrimPrefix(p, root+"/")
		first, _, _ := strings.Cut(rel, "/")
		if _, err := strconv.Atoi(first); err == nil {
			return fs.SkipDir // it is below /proc/self
		}
		if d.IsDir() || d.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		return open1(p, rel, mode, excused, &tried, &found)
	})
	if root == "/proc" && mode == unix.O_WRONLY {
		entries, rerr := os.ReadDir("/proc/self")
		for _, e := range entries {
			if e.Type().IsRegular() {
				err = errors.Join(err, open1("/proc/self/"+e.Name(), "self/"+e.Name(), mode, excused, &tried, &found))
			}
		}
		err = errors.Join(err, rerr)
	}
	if err != nil {
		return "", err
	}
	if tried < 20 {
		return fmt.Sprintf("only %d files were there to try", tried), nil
	}
	if len(found) == 0 {
		return "", fmt.Errorf("none of %d files, but for the %d that are known", tried, len(excused))
	}
	return strings.Join(found[:min(len(found), 40)], " "), nil
}

func open1(p, rel string, mode int, excused []string, tried *int, found *[]string) error {
	*tried++
	// Root opens what has no function to write to: what it writes is an error.
	if info, err := os.Lstat(p); err != nil || mode == unix.O_WRONLY && info.Mode()&0o222 == 0 {
		return nil
	}
	fd, err := unix.Open(p, mode|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3) {
		return nil // a mask: /dev/null is mounted over it
	}
	if slices.ContainsFunc(excused, func(pattern string) bool { ok, _ := path.Match(pattern, rel); return ok || pattern == rel }) {
		return nil
	}
	if mode == unix.O_RDONLY {
		if n, err := unix.Pread(fd, make([]byte, 16), 0); n <= 0 || err != nil {
			return nil // masked, or not for this process
		}
		if strings.HasPrefix(rel, "sys/") || strings.HasPrefix(rel, "sysvipc/") {
			return nil // settings, which everybody may know; and its own namespace
		}
	}
	*found = append(*found, rel)
	return nil
}

// harmlessToWrite are files of /proc that can be opened for writing: they are about the process itself, or ask for a
// capability once something is written.
var harmlessToWrite = []string{
	"self/attr/*", "self/autogroup", "self/clear_refs", "self/comm", "self/coredump_filter", "self/gid_map", "self/uid_map",
	"self/projid_map", "self/setgroups", "self/loginuid", "self/mem", "self/oom_adj", "self/oom_score_adj", "self/sched",
	"self/timerslack_ns", "self/make-it-fail", "self/fail-nth", "self/latency", "self/timens_offsets",
	"pressure/cpu", "pressure/io", "pressure/memory", "pressure/irq", // what wakes its own process
}

// harmlessToRead are files of /proc that tell of the host what a container may know: its kernel, processors, memory, load and
// disks' names.
var harmlessToRead = []string{
	"allocinfo", "buddyinfo", "bootconfig", "cgroups", "cmdline", "config.gz", "consoles", "cpuinfo", "crypto", "devices", "diskstats", "dma",
	"execdomains", "fb", "filesystems", "ioports", "iomem", "key-users", "loadavg", "locks", "mdstat", "meminfo",
	"misc", "modules", "mtrr", "partitions", "pressure/*", "schedstat", "softirqs", "stat", "swaps", "tty/*", "tty/driver/*",
	"tty/ldisc/*", "uptime", "version", "version_signature", "vmstat", "zoneinfo", "driver/*", "fs/*/*", "fs/*/*/*", "irq/*", "irq/*/*", "bus/*", "bus/*/*", "bus/*/*/*",
}

func fileSystemAttempts() []trial {
	return []trial{
		strictly("its root is the host's", sameRoot),
		strictly("above its root", above),
		{name: "out of a change of root", apart: true, try: secondRoot},
		strictly("descriptors that it was left", leftOpenOf("/proc/self/fd")),
		strictly("descriptors of its first process", leftOpenOf("/proc/1/fd")),
		strictly("a working directory outside", func() error {
			dir, err := os.Readlink("/proc/1/cwd")
			if err != nil {
				return err
			}
			if strings.HasPrefix(dir, "/") && !strings.Contains(dir, "unreachable") {
				return errHeld
			}
			return nil
		}),
		strictly("mounts of the host", hostMounts),
		fails("remount /proc/sys writable", func() error {
			return syscall.Mount("", "/proc/sys", "", syscall.MS_REMOUNT|syscall.MS_BIND, "")
		}),
		fails("remount /sys writable", func() error { return syscall.Mount("", "/sys", "", syscall.MS_REMOUNT|syscall.MS_BIND, "") }),
		fails("unmount a mask", func() error { return syscall.Unmount("/proc/kcore", syscall.MNT_DETACH) }),
		fails("mount cgroups for a release_agent", func() error { return syscall.Mount("none", "/mnt", "cgroup", 0, "memory") }),
		fails("a new /proc without masks", func() error { return syscall.Mount("proc", "/mnt", "proc", 0, "") }),
		fails("move a mask away", func() error { return os.Rename("/proc/kcore", "/proc/kcore2") }),
		fails("remove a mask", func() error { return os.Remove("/proc/timer_list") }),
		fails("a link over a mask", func() error { return os.Symlink("/", "/proc/kcore2") }),
		strictly("marks of overlayfs on its files", func() error { return setMark("trusted.overlay.redirect", "/etc") }),
		strictly("an opaque directory", func() error { return setMark("trusted.overlay.opaque", "y") }),
		{name: "capabilities of a file", apart: true, try: func() (string, error) { return fileCapabilities() }},
		strictly("files of the shim and the runtime", func() error {
			for _, name := range []string{"/config.json", "/../config.json", "/run/fardel", "/work", "/upper", "/rootfs", "/shim.sock"} {
				if _, err := os.Lstat(name); err == nil {
					return nil
				}
			}
			return errHeld
		}),
		fails("an immutable file, which nobody could remove", func() error {
			f, err := os.Create("/immutable")
			if err != nil {
				return err
			}
			defer f.Close()
			return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0x10 /* FS_IMMUTABLE_FL */)
		}),
		strictly("a quota project of another task", func() error {
			f, err := os.Create("/project")
			if err != nil {
				return err
			}
			defer f.Close()
			var attr [28]byte // struct fsxattr
			attr[12] = 7      // fsx_projid
			return ioctl(f.Fd(), 0x401c5820, addressOf(attr[:]))
		}),
		fails("freeze the file system", func() error { return ioctlOf("/", 0xc0045877) }),
		fails("trim the file system", func() error { return ioctlOf("/", 0xc0185879) }),
		fails("watch the whole file system", func() error { return invoke(unix.SYS_FANOTIFY_INIT, unix.FAN_CLASS_CONTENT, 0) }),
	}
}

// sameRoot compares its root with what the kernel says the first process's is.
func sameRoot() error {
	for _, name := range []string{"/proc/1/root/.dockerenv", "/proc/1/root/boot/vmlinuz", "/proc/1/root/var/lib/dpkg", "/etc/debian_version"} {
		if _, err := os.Lstat(name); err == nil {
			return nil
		}
	}
	return errHeld
}

func inode(path string) (uint64, uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return st.Dev, st.Ino, err
}

// above goes up from its root.
func above() error {
	dev, ino, err := inode("/")
	if err != nil {
		return err
	}
	for _, p := range []string{"/..", strings.Repeat("../", 64), "/proc/self/root/..", "/proc/1/root/..", "/proc/self/cwd/../../..", "/proc/self/root/proc/1/root/.."} {
		d, i, err := inode(p)
		if err == nil && (d != dev || i != ino) {
			return nil
		}
	}
	return errHeld
}

// secondRoot changes its root while it holds a directory outside of it, and goes up from that.
func secondRoot() (string, error) {
	before, err := names("/")
	if err != nil {
		return "", err
	}
	outside, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir("/jail", 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := unix.Chroot("/jail"); err != nil {
		return "", err
	}
	if err := unix.Fchdir(outside); err != nil {
		return "", err
	}
	for range 64 {
		if err := unix.Chdir(".."); err != nil {
			return "", err
		}
	}
	after, err := names(".")
	if err != nil {
		return "", err
	}
	if before == after {
		return "", errors.New("it came to its own root")
	}
	if after == "" { // gVisor's roots are mounted on an empty directory
		return "", errHeld
	}
	return fmt.Sprintf("%q instead of %q", after, before), nil
}

// names are what a directory holds, but for what attempts make there.
func names(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	var list strings.Builder
	for _, e := range entries {
		if e.Name() != "jail" {
			list.WriteString(e.Name() + " ")
		}
	}
	return list.String(), err
}

// leftOpenOf wants a descriptor of a directory, or of a file that is no stream, of a device or of its cgroup (which the
// Go program of this guest itself reads).
func leftOpenOf(dir string) func() error {
	return func() error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			target, err := os.Readlink(filepath.Join(dir, e.Name()))
			if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "/dev/") || strings.HasPrefix(target, "/sys/fs/cgroup/") ||
				strings.HasPrefix(target, "/proc/") {
				continue
			}
			var st unix.Stat_t
			if err := unix.Stat(filepath.Join(dir, e.Name()), &st); err != nil {
				continue
			}
			return nil
		}
		return errHeld
	}
}

// hostMounts wants a mount of the host's root, or one that events come through from there.
func hostMounts() error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, " shared:") || strings.Contains(line, " master:") {
			return nil
		}
	}
	return errHeld
}

func setMark(name, value string) error {
	if err := os.MkdirAll("/marked", 0o755); err != nil {
		return err
	}
	return unix.Setxattr("/marked", name, []byte(value), 0)
}

// fileCapabilities gives a file what this container does not have, and runs it.
func fileCapabilities() (string, error) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile("/capable", program, 0o755); err != nil {
		return "", err
	}
	defer os.Remove("/capable")
	all := append([]byte{1, 0, 0, 2}, []byte(strings.Repeat("\xff\xff\xff\xff\xff\xff\xff\xff", 2))...) // VFS_CAP_REVISION_2, effective
	all[12], all[16] = 0, 0
	if err := unix.Setxattr("/capable", "security.capability", all, 0); err != nil {
		return "", err
	}
	out, err := exec.Command("/capable", "caps").Output()
	if err != nil {
		return "", err
	}
	set, err := strconv.ParseUint(strings.TrimSpace(string(out)), 16, 64)
	if err == nil && set&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return "", fmt.Errorf("it has %x", set)
	}
	return string(out), nil
}

func ioctlOf(path string, request uintptr) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var arg [32]byte
	return ioctl(f.Fd(), request, addressOf(arg[:]))
}
