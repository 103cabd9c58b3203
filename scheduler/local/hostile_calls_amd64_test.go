//go:build linux

package local_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// foreignCalls go round a filter that looks at the numbers of one architecture only: by the x32 numbers, and by the gate
// of 32-bit programs, whose numbers are others and whose socketcall has its arguments where a filter cannot see them. The
// others are of calls that only this architecture has.
func foreignCalls() []trial {
	list := []trial{
		refused("iopl", unix.SYS_IOPL, 3),
		refused("ioperm", unix.SYS_IOPERM, 0x70, 1, 1),
		refused("uselib", unix.SYS_USELIB, text("/no/such")),
		refused("create_module", unix.SYS_CREATE_MODULE, text("x"), 1),
		refused("query_module", unix.SYS_QUERY_MODULE, 0, 0, 0, 0, 0),
		refused("_sysctl", unix.SYS__SYSCTL, 0),
	}
	for _, c := range []struct {
		name   string
		number uintptr
		args   []uintptr
	}{
		{"getpid", unix.SYS_GETPID, nil},
		{"unshare", unix.SYS_UNSHARE, []uintptr{unix.CLONE_FS}},
		{"mount", unix.SYS_MOUNT, []uintptr{0, 0, 0, 0, 0}},
		{"keyctl", unix.SYS_KEYCTL, []uintptr{0, 0, 0}},
		{"ptrace", 521, []uintptr{0xffff}},
	} {
		const x32 = 0x40000000
		a := refused("x32: "+c.name, x32+c.number, c.args...)
		a.apart = true
		list = append(list, a)
	}
	for _, c := range []struct {
		name   string
		number uint32
		args   [5]uint32
	}{
		{"mount", 21, [5]uint32{}},
		{"umount2", 52, [5]uint32{}},
		{"unshare", 310, [5]uint32{unix.CLONE_FS}},
		{"setns", 346, [5]uint32{1<<32 - 1}},
		{"keyctl", 288, [5]uint32{}},
		{"add_key", 286, [5]uint32{}},
		{"bpf", 357, [5]uint32{}},
		{"init_module", 128, [5]uint32{}},
		{"finit_module", 350, [5]uint32{1<<32 - 1}},
		{"open_by_handle_at", 342, [5]uint32{1<<32 - 100}},
		{"perf_event_open", 336, [5]uint32{}},
		{"userfaultfd", 374, [5]uint32{1 << 30}},
		{"io_uring_setup", 425, [5]uint32{}},
		{"pivot_root", 217, [5]uint32{}},
		{"reboot", 88, [5]uint32{0xfee1dead, 672274793, 0}},
		{"stime", 25, [5]uint32{}},
		{"settimeofday", 79, [5]uint32{1}},
		{"swapon", 87, [5]uint32{}},
		{"iopl", 110, [5]uint32{3}},
		{"vm86", 166, [5]uint32{}},
		{"uselib", 86, [5]uint32{}},
		{"personality", 136, [5]uint32{0x0040000}},
		{"fsopen", 430, [5]uint32{}},
		{"move_mount", 429, [5]uint32{1<<32 - 1}},
	} {
		list = append(list, trial{name: "32 bits: " + c.name, apart: true, sandboxed: ownKernel, try: func() (string, error) {
			return came(gate(c.number, c.args))
		}})
	}
	for _, f := range families {
		list = append(list,
			trial{name: "32 bits: " + f.name, apart: true, sandboxed: ownKernel, try: func() (string, error) {
				return came(gate(359, [5]uint32{uint32(f.number), unix.SOCK_DGRAM, 0}))
			}},
			trial{name: "socketcall: " + f.name, apart: true, sandboxed: ownKernel, try: func() (string, error) {
				return came(socketCall(uint32(f.number), unix.SOCK_DGRAM))
			}},
		)
	}
	return list
}

// low is memory below 4 GiB, where a 32-bit call finds its arguments, that can be run.
func low() ([]byte, error) {
	at, _, errno := syscall.Syscall6(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_32BIT, ^uintptr(0), 0)
	if errno != 0 {
		return nil, errno
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), 4096), nil
}

// gate makes a system call as a 32-bit program does, with int 0x80.
func gate(number uint32, args [5]uint32) error {
	page, err := low()
	if err != nil {
		return err
	}
	return enter(page, number, args)
}

func enter(page []byte, number uint32, args [5]uint32) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var code []byte
	load := func(opcode byte, value uint32) { code = binary.LittleEndian.AppendUint32(append(code, opcode), value) }
	load(0xb8, number)  // mov eax
	load(0xbb, args[0]) // mov ebx
	load(0xb9, args[1]) // mov ecx
	load(0xba, args[2]) // mov edx
	load(0xbe, args[3]) // mov esi
	load(0xbf, args[4]) // mov edi
	code = append(code, 0xcd, 0x80)
	result := (*int32)(unsafe.Pointer(&page[2048]))
	*result = -int32(syscall.ENOTRECOVERABLE)
	code = append(code, 0x49, 0xba) // mov r10
	code = binary.LittleEndian.AppendUint64(code, uint64(uintptr(unsafe.Pointer(result))))
	code = append(code, 0x41, 0x89, 0x02, 0xc3) // mov [r10], eax; ret
	copy(page, code)
	function := unsafe.Pointer(&page[0])
	pointer := unsafe.Pointer(&function)
	(*(*func())(unsafe.Pointer(&pointer)))()
	if *result < 0 && *result > -4096 {
		return syscall.Errno(-*result)
	}
	return nil
}

// socketCall makes a socket by socketcall, whose arguments are in memory.
func socketCall(family, kind uint32) error {
	page, err := low()
	if err != nil {
		return err
	}
	args := page[1024:]
	binary.LittleEndian.PutUint32(args, family)
	binary.LittleEndian.PutUint32(args[4:], kind)
	binary.LittleEndian.PutUint32(args[8:], 0)
	address := uintptr(unsafe.Pointer(&args[0]))
	if address >= 1<<32 {
		return errors.New("no memory that a 32-bit call can name")
	}
	if err := enter(page, 102, [5]uint32{1, uint32(address)}); err != nil {
		return fmt.Errorf("socketcall: %w", err)
	}
	return nil
}
