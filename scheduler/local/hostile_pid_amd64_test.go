//go:build linux

package local_test

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// injections have a process that is traced make system calls.
func injections(pid int, file string) []attempt {
	p := &puppet{pid: pid}
	address := []byte{unix.AF_INET, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	const at = unix.AT_FDCWD
	return []attempt{
		{"open a file of the host in it", p.call(unix.SYS_OPEN, file+"\x00", data, unix.O_RDWR)},
		{"open its root in it", p.call(unix.SYS_OPENAT, "/\x00", at, data, unix.O_RDONLY)},
		{"make a file in it", p.call(unix.SYS_MKDIR, "/x\x00", data, 0o700)},
		{"have a socket in it", p.call(unix.SYS_SOCKET, "", unix.AF_INET, unix.SOCK_STREAM, 0)},
		{"have a Unix socket in it", p.call(unix.SYS_SOCKET, "", unix.AF_UNIX, unix.SOCK_STREAM, 0)},
		{"connect a socket in it", p.call(unix.SYS_CONNECT, string(address), 0, data, 16)},
		{"make a user namespace in it", p.call(unix.SYS_UNSHARE, "", unix.CLONE_NEWUSER)},
		{"make a mount namespace in it", p.call(unix.SYS_UNSHARE, "", unix.CLONE_NEWNS)},
		{"join a namespace in it", p.call(unix.SYS_SETNS, "", 0, 0)},
		{"mount in it", p.call(unix.SYS_MOUNT, "tmpfs\x00/\x00", data, data+6, data, 0, 0)},
		{"become root in it", p.call(unix.SYS_SETUID, "", 0)},
		{"take capabilities in it", p.call(unix.SYS_CAPSET, "\x22\x05\x08\x20\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", data, data+8)},
		{"fork in it", p.call(unix.SYS_FORK, "")},
		{"execute in it", p.call(unix.SYS_EXECVE, "/proc/self/exe\x00", data, 0, 0)},
		{"trace from it", p.call(unix.SYS_PTRACE, "", 16, 2, 0, 0)},
		{"signal from it", p.call(unix.SYS_KILL, "", 2, 0)},
		{"have memory executed in it", p.call(unix.SYS_MEMFD_CREATE, "x\x00", data, 0)},
		{"call as a program of 32 bits in it", p.call32(20)},
	}
}

// data stands for the address of what a system call is given.
const data = 1 << 62

// puppet is a process that is traced.
type puppet struct {
	pid  int
	held bool
}

// call has it make a system call with text in its memory. It fails as that does.
func (p *puppet) call(number int, text string, args ...int) func() error {
	return func() error { return p.inject([]byte{0x0f, 0x05}, number, text, args) }
}

// call32 has it make a call of 32-bit programs, which have other numbers.
func (p *puppet) call32(number int) func() error {
	return func() error { return p.inject([]byte{0xcd, 0x80}, number, "", nil) }
}

func (p *puppet) inject(code []byte, number int, text string, args []int) error {
	if !p.held {
		if err := seize(p.pid, 0); err != nil {
			return fmt.Errorf("attach: %w", err)
		}
		p.held = true
	}
	var saved, regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(p.pid, &saved); err != nil {
		return err
	}
	regs = saved
	old := make([]byte, 8)
	if _, err := syscall.PtracePeekText(p.pid, uintptr(regs.Rip), old); err != nil {
		return err
	}
	if _, err := syscall.PtracePokeText(p.pid, uintptr(regs.Rip), append(code, old[2:]...)); err != nil {
		return err
	}
	at := (regs.Rsp - 2048) &^ 15
	if len(text) > 0 {
		if _, err := syscall.PtracePokeData(p.pid, uintptr(at), []byte(text)); err != nil {
			return err
		}
	}
	for i, a := range args {
		if a >= data {
			args[i] = a - data + int(at)
		}
	}
	args = append(args, make([]int, 6-len(args))...)
	regs.Rax, regs.Orig_rax = uint64(number), ^uint64(0)
	regs.Rdi, regs.Rsi, regs.Rdx = uint64(args[0]), uint64(args[1]), uint64(args[2])
	regs.R10, regs.R8, regs.R9 = uint64(args[3]), uint64(args[4]), uint64(args[5])
	if code[0] == 0xcd {
		regs.Rbx = regs.Rdi
	}
	if err := syscall.PtraceSetRegs(p.pid, &regs); err != nil {
		return err
	}
	if err := syscall.PtraceSingleStep(p.pid); err != nil {
		return err
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(p.pid, &status, unix.WALL, nil); err != nil {
		return err
	}
	if !status.Stopped() {
		p.held = false
		return errors.New("it has ended")
	}
	if err := syscall.PtraceGetRegs(p.pid, &regs); err != nil {
		return err
	}
	result := int64(regs.Rax)
	saved.Orig_rax = ^uint64(0)
	_, err := syscall.PtracePokeText(p.pid, uintptr(saved.Rip), old)
	if err := errors.Join(err, syscall.PtraceSetRegs(p.pid, &saved)); err != nil {
		return err
	}
	if result < 0 && result > -4096 {
		return syscall.Errno(-result)
	}
	return nil
}
