//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// initMain is the VM's first process. It never returns: the VM stops when it is done.
func initMain() {
	err := bring()
	if err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	powerOff()
}

func powerOff() {
	syscall.Sync()
	err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintln(os.Stderr, "power off:", err)
	select {} // the first process may not end
}

// bring prepares the machine and runs its plan.
func bring() error {
	p, err := readPlan(planPath)
	if err != nil {
		return err
	}
	if err := mountAll([]mounting{
		{"proc", "/proc", "proc", 0, ""},
		{"sysfs", "/sys", "sysfs", 0, ""},
		{"devtmpfs", "/dev", "devtmpfs", 0, "mode=755"},
	}); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := enterShare(p); err != nil {
		return err
	}
	if err := prepare(p); err != nil {
		return err
	}
	if p.Systemd {
		return startSystemd(p)
	}
	return reapUntil(p)
}

// loadModules loads the early modules, whose names say their order.
func loadModules() error {
	files, err := filepath.Glob(modulesDir + "/*.ko")
	if err != nil {
		return err
	}
	for _, file := range files {
		image, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		none := []byte{0}
		_, _, errno := syscall.Syscall(syscall.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&image[0])), uintptr(len(image)), uintptr(unsafe.Pointer(&none[0])))
		if errno != 0 && errno != syscall.EEXIST {
			return fmt.Errorf("load %s: %w", file, errno)
		}
	}
	return nil
}

type mounting struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func mountAll(list []mounting) error {
	for _, m := range list {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.kind, m.target, err)
		}
	}
	return nil
}

// enterShare makes the root of an overlay over the host's file system and enters it.
func enterShare(p plan) error {
	// With a loose cache a file is read once: nothing that steps read changes while they run.
	if err := mountAll([]mounting{
		{shareTag, "/lower", "9p", syscall.MS_RDONLY, "trans=virtio,version=9p2000.L,msize=512000,cache=loose"},
		{"tmpfs", "/upper", "tmpfs", 0, "mode=755"},
	}); err != nil {
		return err
	}
	for _, dir := range []string{"/upper/upper", "/upper/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := mountAll([]mounting{
		{"overlay", "/root", "overlay", 0, "lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work"},
		{"/proc", "/root/proc", "", syscall.MS_MOVE, ""},
		{"/sys", "/root/sys", "", syscall.MS_MOVE, ""},
		{"/dev", "/root/dev", "", syscall.MS_MOVE, ""},
	}); err != nil {
		return err
	}
	if err := os.Chdir("/root"); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := syscall.Chroot("."); err != nil {
		return err
	}
	return os.Chdir("/")
}

// prepare makes of the host's file system one of a machine that has just started.
func prepare(p plan) error {
	keep, err := os.Open(p.Keep)
	if err != nil {
		return err
	}
	defer keep.Close()
	err = mountAll([]mounting{
		{filepath.Join(p.Modules, "lib", "modules"), "/lib/modules", "", syscall.MS_BIND, ""},
		{"tmpfs", "/tmp", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=1777"},
		{"tmpfs", "/run", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=755"},
		{"tmpfs", "/var/lib/containerd", "tmpfs", 0, "mode=711"},
		{"devpts", "/dev/pts", "devpts", syscall.MS_NOSUID | syscall.MS_NOEXEC, "mode=620,gid=5,ptmxmode=666"},
		{"tmpfs", "/dev/shm", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=1777"},
		{"mqueue", "/dev/mqueue", "mqueue", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
		{"securityfs", "/sys/kernel/security", "securityfs", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, "nsdelegate"},
	})
	if err != nil {
		return err
	}
	if _, err := os.Stat(p.Keep); errors.Is(err, os.ErrNotExist) { // it is below one of those
		if err := mountAll([]mounting{{fmt.Sprintf("/proc/self/fd/%d", keep.Fd()), p.Keep, "", syscall.MS_BIND, ""}}); err != nil {
			return err
		}
	}
	if err := syscall.Sethostname([]byte(p.Hosts)); err != nil {
		return err
	}
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	if err := run("ip", "link", "set", "lo", "up"); err != nil {
		return err
	}
	if err := addSubstitutes(); err != nil {
		return err
	}
	return addSwap()
}

// goScript stands for Go's program, which would take minutes in the VM: what a test of ours builds was built before.
const goScript = `#!/bin/sh
case $* in
"build "*" -o "*"runtimetest/guest/static") ;;
*) echo "no Go in the VM for: $*" >&2; exit 1 ;;
esac
while [ "$1" != -o ]; do shift; done
exec cp "$FARDEL_GUEST" "$2"
`

// addSubstitutes adds programs that stand for others in the PATH of steps.
func addSubstitutes() error {
	for _, name := range []string{"go", "crun"} {
		if err := os.MkdirAll(substitute(name), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(substitute("go"), "go"), []byte(goScript), 0o755); err != nil {
		return err
	}
	crun, err := exec.LookPath("crun")
	if err != nil {
		return err
	}
	return os.Symlink(crun, filepath.Join(substitute("crun"), "runc"))
}

// addSwap gives the machine compressed swap in memory, so that a limit that forgets swap is found out.
func addSwap() error {
	if err := run("modprobe", "zram"); err != nil {
		return err
	}
	if err := os.WriteFile("/sys/block/zram0/disksize", []byte("512M"), 0o644); err != nil {
		return err
	}
	if err := run("mkswap", "/dev/zram0"); err != nil {
		return err
	}
	return run("swapon", "/dev/zram0")
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// reapUntil starts the runner and reaps every process whose parent has ended, until the runner does.
func reapUntil(p plan) error {
	runner, err := startRunner(p)
	if err != nil {
		return err
	}
	for {
		pid, err := syscall.Wait4(-1, nil, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		case pid == runner:
			return nil
		}
	}
}

// runnerName is the first argument of this program as the process that runs the steps.
const runnerName = "fardel-vm-runner"

// runnerFile is where the program is in the new root, with the plan beside it: the first file system is out of reach.
const runnerFile = "/run/fardel-vm/runner"

func installRunner(p plan) error {
	if err := os.MkdirAll(filepath.Dir(runnerFile), 0o755); err != nil {
		return err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if err := os.WriteFile(runnerFile, self, 0o755); err != nil {
		return err
	}
	return writeJSON(runnerFile+".json", p)
}

func startRunner(p plan) (int, error) {
	if err := installRunner(p); err != nil {
		return 0, err
	}
	// Not os/exec, whose Wait would compete with the reaper.
	return syscall.ForkExec(runnerFile, []string{runnerName}, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
}

// portDevice finds a port by its name. The kernel learns names a moment after it finds the device.
func portDevice(name string) (string, error) {
	deadline := time.Now().Add(10 * time.Second)
	for wait := time.Millisecond; ; wait *= 2 {
		files, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) == name {
				return "/dev/" + filepath.Base(filepath.Dir(file)), nil
			}
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("no port %s among %q", name, files)
		}
		time.Sleep(wait)
	}
}
