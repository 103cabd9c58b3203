package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/lane"
)

// verdict runs a program of denial's instructions.
func verdict(t *testing.T, program []instruction, ctx [3]uint32) uint64 {
	t.Helper()
	var r [11]uint64
	for at := 0; at < len(program); at++ {
		i := program[at]
		to, from := i.registers&15, i.registers>>4
		jump := false
		switch i.code {
		case move:
			r[to] = uint64(i.constant)
		case and:
			r[to] &= uint64(i.constant)
		case load:
			if from != 1 {
				t.Fatalf("instruction %d loads from what register %d points to", at, from)
			}
			r[to] = uint64(ctx[i.offset/4])
		case unequal:
			jump = r[to] != uint64(i.constant)
		case bits:
			jump = r[to]&uint64(i.constant) != 0
		case exit:
			return r[0]
		default:
			t.Fatalf("instruction %d has code %#x", at, i.code)
		}
		if jump {
			at += int(i.offset)
		}
	}
	t.Fatal("it does not end")
	return 0
}

func TestDenial(t *testing.T) {
	program := denial(Device{5, 1})
	const read, write, mknod = unix.BPF_DEVCG_ACC_READ << 16, unix.BPF_DEVCG_ACC_WRITE << 16, unix.BPF_DEVCG_ACC_MKNOD << 16
	const char, block = unix.BPF_DEVCG_DEV_CHAR, unix.BPF_DEVCG_DEV_BLOCK
	for _, tt := range []struct {
		access, major, minor uint32
		allowed              uint64
	}{
		{char | read, 5, 1, 0},
		{char | write, 5, 1, 0},
		{char | read | write, 5, 1, 0},
		{char | read | write | mknod, 5, 1, 0},
		{char | mknod, 5, 1, 1},
		{block | read, 5, 1, 1},
		{char | read, 5, 2, 1},
		{char | read, 1, 1, 1},
		{char | read, 5, 1 << 16, 1},
		{char | read, 5 << 16, 1, 1},
	} {
		if got := verdict(t, program, [3]uint32{tt.access, tt.major, tt.minor}); got != tt.allowed {
			t.Errorf("access %#x to %d:%d: %d, want %d", tt.access, tt.major, tt.minor, got, tt.allowed)
		}
	}
}

func TestDenyDeviceV1(t *testing.T) {
	tree, root := fake(t, hybrid+"42 31 0:39 / %[1]s/devices rw,relatime - cgroup cgroup rw,devices\n")
	file := filepath.Join(root, "devices/fardel/test/task/app/devices.deny")
	put(t, file, "")
	if err := tree.DenyDevice("task/app", Device{5, 1}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "c 5:1 rw" {
		t.Errorf("devices.deny has %q, %v", text, err)
	}
}

// TestDenyDevice has the kernel take a device from a process, in a group of v2, which the hybrid layout has, too.
func TestDenyDevice(t *testing.T) {
	lane.Root(t)
	point := ""
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			point = dir
		}
	}
	if point == "" {
		t.Skip("no hierarchy of cgroup v2 is mounted")
	}
	group := filepath.Join(point, fmt.Sprintf("fardel-deny-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Rmdir(group); err != nil {
			t.Error(err)
		}
	})
	inside := func(script string) string {
		t.Helper()
		dir, err := os.Open(group)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Sprintf("%v: %s", err, out)
		}
		return string(out)
	}
	const try = "head -c 3 /dev/zero | wc -c; exec 3</dev/full && echo open"
	if got := inside(try); got != "3\nopen\n" {
		t.Fatalf("before: %q", got)
	}
	if err := attachDeny(group, Device{1, 7}); err != nil {
		t.Fatal(err)
	}
	if got := inside(try); !strings.Contains(got, "3\n") || strings.Contains(got, "open\n") || !strings.Contains(got, "not permitted") {
		t.Errorf("without /dev/full: %q", got)
	}
}
