//go:build linux

package local_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }

func ioctl(fd, request, arg uintptr) error {
	if _, _, errno := syscall.Syscall(unix.SYS_IOCTL, fd, request, arg); errno != 0 {
		return errno
	}
	return nil
}

// machineDevices are those of the machine that a container might want, by their numbers.
var machineDevices = []struct {
	name         string
	kind         uint32
	major, minor uint32
}{
	{"the machine's memory", unix.S_IFCHR, 1, 1},
	{"the kernel's memory", unix.S_IFCHR, 1, 2},
	{"I/O ports", unix.S_IFCHR, 1, 4},
	{"the kernel's log", unix.S_IFCHR, 1, 11},
	{"the system console", unix.S_IFCHR, 5, 1},
	{"a virtual terminal", unix.S_IFCHR, 4, 1},
	{"a serial line", unix.S_IFCHR, 4, 64},
	{"the screen's memory", unix.S_IFCHR, 7, 0},
	{"the mouse", unix.S_IFCHR, 13, 63},
	{"sound", unix.S_IFCHR, 116, 1},
	{"a SCSI device", unix.S_IFCHR, 21, 0},
	{"a frame buffer", unix.S_IFCHR, 29, 0},
	{"a real-time clock", unix.S_IFCHR, 252, 0},
	{"the watchdog", unix.S_IFCHR, 10, 130},
	{"non-volatile memory", unix.S_IFCHR, 10, 144},
	{"FUSE", unix.S_IFCHR, 10, 229},
	{"virtual machines", unix.S_IFCHR, 10, 232},
	{"control of loop devices", unix.S_IFCHR, 10, 237},
	{"control of btrfs", unix.S_IFCHR, 10, 234},
	{"control of the device mapper", unix.S_IFCHR, 10, 236},
	{"the automounter", unix.S_IFCHR, 10, 235},
	{"user input", unix.S_IFCHR, 10, 223},
	{"hibernation", unix.S_IFCHR, 10, 231},
	{"vhost", unix.S_IFCHR, 10, 238},
	{"vsock of guests", unix.S_IFCHR, 10, 241},
	{"VFIO", unix.S_IFCHR, 10, 196},
	{"page faults", unix.S_IFCHR, 10, 126},
	{"PPP", unix.S_IFCHR, 108, 0},
	{"registers of a processor", unix.S_IFCHR, 202, 0},
	{"identity of a processor", unix.S_IFCHR, 203, 0},
	{"a graphics card", unix.S_IFCHR, 226, 0},
	{"a RAM disk", unix.S_IFBLK, 1, 0},
	{"a loop device", unix.S_IFBLK, 7, 0},
	{"a SCSI disk", unix.S_IFBLK, 8, 0},
	{"a virtual disk", unix.S_IFBLK, 254, 0},
	{"a device of the mapper", unix.S_IFBLK, 253, 0},
	{"an NVMe disk", unix.S_IFBLK, 259, 0},
}

func deviceAttempts() []trial {
	var list []trial
	for _, d := range machineDevices {
		list = append(list, trial{name: "open " + d.name, sandboxed: "the sandbox has none of the machine's devices", try: func() (string, error) {
			return openDevice("/", d.kind, d.major, d.minor)
		}})
	}
	return append(list,
		trial{name: "open a device made in /dev", sandboxed: "the sandbox has none of the machine's devices", try: func() (string, error) {
			return openDevice("/dev/", unix.S_IFCHR, 1, 1)
		}},
		trial{name: "open a device made in /dev/shm", sandboxed: "the sandbox has none of the machine's devices", try: func() (string, error) {
			return openDevice("/dev/shm/", unix.S_IFCHR, 1, 3) // one that it may use, were there no nodev
		}},
		trial{name: "open every disk that the kernel names", sandboxed: "the sandbox has none of the machine's devices", try: everyDisk},
		fails("find devices that nobody gave it", func() error {
			for _, name := range []string{"mem", "kmem", "port", "kmsg", "fuse", "kvm", "loop-control", "sda", "vda", "nvme0", "tty0", "net/tun", "userfaultfd", "snapshot"} {
				if _, err := os.Lstat("/dev/" + name); err == nil {
					return nil
				}
			}
			return errHeld
		}),
		strictly("a device as another user", func() error {
			cmd := exec.Command("/proc/self/exe", "read /device-of-user")
			if err := unix.Mknod("/device-of-user", unix.S_IFBLK|0o666, int(unix.Mkdev(8, 0))); err != nil {
				return err
			}
			defer os.Remove("/device-of-user")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
			if out, err := cmd.Output(); err != nil || strings.Contains(string(out), "not permitted") {
				return errors.Join(err, fmt.Errorf("%s", out))
			}
			return nil
		}),
	)
}

// openDevice makes a node and opens it. What is not allowed is refused before the kernel looks for a driver.
func openDevice(dir string, kind, major, minor uint32) (string, error) {
	node := dir + "hostile-node"
	if err := os.Remove(node); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := unix.Mknod(node, kind|0o600, int(unix.Mkdev(major, minor))); err != nil {
		return "", err
	}
	defer os.Remove(node)
	for _, mode := range []int{unix.O_RDONLY, unix.O_WRONLY} {
		fd, err := unix.Open(node, mode|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
			return "it is open", nil
		}
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			return fmt.Sprintf("it was looked for: %v", err), nil
		}
	}
	return "", unix.EPERM
}

// everyDisk tries what /proc/partitions names.
func everyDisk() (string, error) {
	table, err := os.ReadFile("/proc/partitions")
	if err != nil {
		return "", err
	}
	tried := 0
	for line := range strings.Lines(string(table)) {
		var major, minor uint32
		if n, _ := fmt.Sscan(line, &major, &minor); n != 2 {
			continue
		}
		tried++
		if got, err := openDevice("/", unix.S_IFBLK, major, minor); err == nil {
			return line + got, nil
		}
	}
	return "", fmt.Errorf("none of %d", tried)
}
