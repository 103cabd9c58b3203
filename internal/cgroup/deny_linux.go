package cgroup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Device is a character device.
type Device struct{ Major, Minor uint32 }

// DenyDevice takes the use of a device from a group whose own rules were set, whatever they are: who set them may have
// devices of its own that it allows. Making nodes of it is not use.
func (t *Tree) DenyDevice(name string, d Device) error {
	if !t.unified {
		dir := t.dir("devices", name)
		if dir == "" {
			return nil // the machine has no rules about devices at all
		}
		return writeAll([]setting{{dir, "devices.deny", fmt.Sprintf("c %d:%d rw", d.Major, d.Minor)}})
	}
	if err := attachDeny(t.dir("", name), d); err != nil {
		return fmt.Errorf("cgroup: rule for device %d:%d of %s: %w", d.Major, d.Minor, name, err)
	}
	return nil
}

// attachDeny puts a rule beside those that a group of v2 has: all of them have to allow what is used.
func attachDeny(group string, d Device) error {
	dir, err := os.Open(group)
	if err != nil {
		return err
	}
	defer dir.Close()
	prog, err := loadDeny(d)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer unix.Close(prog) // the group holds it
	attr := struct{ target, prog, kind, flags uint32 }{uint32(dir.Fd()), uint32(prog), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI}
	if _, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	return nil
}

// instruction is one of BPF: its code, its registers (the source in the upper half), an offset and a constant.
type instruction struct {
	code, registers byte
	offset          int16
	constant        int32
}

// The codes that are used here.
const (
	load    = unix.BPF_LDX | unix.BPF_W | unix.BPF_MEM
	and     = unix.BPF_ALU64 | unix.BPF_AND | unix.BPF_K
	move    = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K
	unequal = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K
	bits    = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	exit    = unix.BPF_JMP | unix.BPF_EXIT
)

// denial is a program for what is asked about a device: in register 1 is where {access and type, major, minor} are, the
// answer in register 0 is 1 to allow. Of the first number the lower half is the type, and the upper one what is wanted.
func denial(d Device) []instruction {
	const r0, r1, r2, r3 = 0, 1, 2, 3
	const reading, writing = unix.BPF_DEVCG_ACC_READ << 16, unix.BPF_DEVCG_ACC_WRITE << 16
	return []instruction{
		{move, r0, 0, 1},
		{load, r1<<4 | r2, 0, 0},
		{load, r1<<4 | r3, 0, 0},
		{and, r2, 0, 0xffff},
		{unequal, r2, 7, unix.BPF_DEVCG_DEV_CHAR},
		{load, r1<<4 | r2, 4, 0},
		{unequal, r2, 5, int32(d.Major)},
		{load, r1<<4 | r2, 8, 0},
		{unequal, r2, 3, int32(d.Minor)},
		{bits, r3, 1, reading | writing},
		{exit, 0, 0, 0},
		{move, r0, 0, 0},
		{exit, 0, 0, 0},
	}
}

func loadDeny(d Device) (int, error) {
	var code bytes.Buffer
	list := denial(d)
	if err := binary.Write(&code, binary.NativeEndian, list); err != nil {
		return -1, err
	}
	text, licence := code.Bytes(), []byte("Apache-2.0\x00")
	attr := struct {
		kind, count   uint32
		code, licence uint64
		level, size   uint32
		log           uint64
		version       uint32
		flags         uint32
	}{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(list)),
		code: uint64(uintptr(unsafe.Pointer(&text[0]))), licence: uint64(uintptr(unsafe.Pointer(&licence[0]))),
	}
	prog, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(text)
	runtime.KeepAlive(licence)
	return prog, err
}

// bpf asks again while the kernel is busy verifying and a signal comes.
func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
		switch {
		case errno == 0:
			return int(fd), nil
		case !errors.Is(errno, unix.EAGAIN) && !errors.Is(errno, unix.EINTR):
			return -1, errno
		}
	}
}
