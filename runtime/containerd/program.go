//go:build linux

package containerd

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// program is a program that makes system calls in a row. It ends at the first one that fails. It is written in the
// machine's own code, so that a process can be less than a Go program: it has a page of code, one of stack, and no thread
// but one, and what it gives up no thread of it keeps.
type program struct {
	data  []byte
	calls []sysCall
	rest  *sysCall // made again and again in the end; nil for a program that becomes another

	forked int // number of the call, counted from 1, that makes a process in which it goes on; 0 is none
}

// sysCall is a system call with numbers, or addresses that text and bytes return.
type sysCall struct {
	step    string // what it is for, in messages
	number  uint64
	args    []uint64
	mayFail bool
	keep    bool // its result is what kept stands for in the calls after it
}

// What the arguments of a call can be besides numbers. No system call takes these.
const (
	kept        = 1<<62 + iota // as the first: the result of a call before
	arguments                  // as the second: those that the program was started with
	environment                // as the third: what it was started with
)

// reportFD is the descriptor to which a program says how it went: four bytes, of which the first is the number of the step
// that failed, counted from 1, and the next two are its error. All are zero when the last call but one has been made.
const reportFD = 3

// Where a program is in memory. Its data comes first, hence addresses are known as it is made.
const (
	programBase   = 0x400000
	elfHeaderSize = 64
	elfSegment    = 56
	programData   = elfHeaderSize + 2*elfSegment
)

// bytes adds data and returns its address.
func (p *program) bytes(b []byte) uint64 {
	for len(p.data)%8 != 0 {
		p.data = append(p.data, 0)
	}
	at := programBase + programData + uint64(len(p.data))
	p.data = append(p.data, b...)
	return at
}

// text adds a string as C has it and returns its address.
func (p *program) text(s string) uint64 { return p.bytes(append([]byte(s), 0)) }

func (p *program) call(step string, number uint64, args ...uint64) {
	p.calls = append(p.calls, sysCall{step: step, number: number, args: args})
}

// try adds a call that may fail.
func (p *program) try(step string, number uint64, args ...uint64) {
	p.calls = append(p.calls, sysCall{step: step, number: number, args: args, mayFail: true})
}

// tryKeep adds one whose result is kept.
func (p *program) tryKeep(step string, number uint64, args ...uint64) {
	p.calls = append(p.calls, sysCall{step: step, number: number, args: args, mayFail: true, keep: true})
}

// fork is a call that makes a process, in which the program goes on.
func (p *program) fork(step string, number uint64, args ...uint64) {
	p.call(step, number, args...)
	p.forked = len(p.calls)
}

// failure is what a report says, nil if all went well.
func (p *program) failure(report [4]byte) error {
	step := int(report[0])
	switch {
	case report == [4]byte{}:
		return nil
	case step == 0 || step > len(p.calls):
		return fmt.Errorf("unknown step %d", step)
	}
	return fmt.Errorf("%s: %w", p.calls[step-1].step, unix.Errno(binary.LittleEndian.Uint16(report[1:])))
}

// machine is how a kind of processor is told to make system calls.
type machine struct {
	elf       uint16                                        // e_machine
	audit     uint32                                        // AUDIT_ARCH_…, what system call filters know it as
	start     []byte                                        // notes where the arguments are
	keep      []byte                                        // keeps a result
	call      func(code []byte, step int, c sysCall) []byte // c, its step where onFailure finds it
	onFailure func(write, exit uint64) []byte               // reports the error and the step and ends
	check     func(code []byte, to int) []byte              // goes to an offset if the call has failed
	jump      func(code []byte, to int) []byte              // goes there in any case
	leave     func(code []byte, exit uint64) []byte         // ends unless the call returned zero, as it does in a new process
}

// Numbers of the ELF format.
const (
	elfX8664   = 62
	elfAArch64 = 183
)

// machines are those that fardel is made for, by GOARCH.
var machines = map[string]machine{
	"amd64": {elfX8664, unix.AUDIT_ARCH_X86_64, amd64Start, amd64Keep, amd64Call, amd64Failure, amd64Check, amd64Jump, amd64Leave},
	"arm64": {elfAArch64, unix.AUDIT_ARCH_AARCH64, arm64Start, arm64Keep, arm64Call, arm64Failure, arm64Check, arm64Jump, arm64Leave},
}

// encode returns the program as an ELF file.
func (p *program) encode(m machine) []byte {
	for len(p.data)%16 != 0 {
		p.data = append(p.data, 0)
	}
	start := programData + len(p.data)
	code := m.onFailure(unix.SYS_WRITE, unix.SYS_EXIT_GROUP)
	entry := start + len(code)
	code = append(code, m.start...)
	for i, c := range p.calls {
		code = m.call(code, i+1, c)
		if c.keep {
			code = append(code, m.keep...)
		}
		if !c.mayFail {
			code = m.check(code, 0)
		}
		if i+1 == p.forked {
			code = m.leave(code, unix.SYS_EXIT_GROUP)
		}
	}
	if p.rest != nil {
		loop := len(code)
		code = m.jump(m.call(code, 0, *p.rest), loop)
	}
	size := uint64(start + len(code))

	le := binary.LittleEndian
	file := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...) // 64 bits, little endian
	file = le.AppendUint16(file, 2)                                   // ET_EXEC
	file = le.AppendUint16(file, m.elf)
	file = le.AppendUint32(file, 1)
	file = le.AppendUint64(file, programBase+uint64(entry))
	file = le.AppendUint64(file, elfHeaderSize) // segments
	file = le.AppendUint64(file, 0)             // no sections
	file = le.AppendUint32(file, 0)
	for _, n := range []uint16{elfHeaderSize, elfSegment, 2, 0, 0, 0} {
		file = le.AppendUint16(file, n)
	}
	for _, s := range []struct {
		kind, flags uint32
		address     uint64
		size, align uint64
	}{
		{1, 5, programBase, size, 1 << 16}, // PT_LOAD, read and execute; pages have up to 64 KiB
		{0x6474e551, 6, 0, 0, 16},          // PT_GNU_STACK, not executable
	} {
		file = le.AppendUint32(le.AppendUint32(file, s.kind), s.flags)
		for _, n := range []uint64{0, s.address, s.address, s.size, s.size, s.align} {
			file = le.AppendUint64(file, n)
		}
	}
	return append(append(file, p.data...), code...)
}

// The registers of arguments as they stand in an instruction "mov imm, register".
var amd64Registers = [][]byte{{0xbf}, {0xbe}, {0xba}, {0x41, 0xba}, {0x41, 0xb8}, {0x41, 0xb9}} // rdi, rsi, rdx, r10, r8, r9

// amd64Load puts a number into a register. A move of 32 bits clears the others.
func amd64Load(code, register []byte, n uint64) []byte {
	if n>>32 == 0 {
		return binary.LittleEndian.AppendUint32(append(code, register...), uint32(n))
	}
	wide := byte(0x48)
	if len(register) > 1 {
		wide = 0x49
	}
	return binary.LittleEndian.AppendUint64(append(code, wide, register[len(register)-1]), n)
}

// Registers that system calls leave as they are: rbp for the arguments, r12 for what is kept, rbx for the step.
var (
	amd64Start  = []byte{0x48, 0x89, 0xe5} // mov rbp, rsp
	amd64Keep   = []byte{0x49, 0x89, 0xc4} // mov r12, rax
	amd64Others = map[uint64][]byte{
		kept:        {0x4c, 0x89, 0xe7},                                // mov rdi, r12
		arguments:   {0x48, 0x8d, 0x75, 8},                             // lea rsi, [rbp+8]
		environment: {0x48, 0x8b, 0x45, 0, 0x48, 0x8d, 0x54, 0xc5, 16}, // mov rax, [rbp]; lea rdx, [rbp+rax*8+16]
	}
)

func amd64Call(code []byte, step int, c sysCall) []byte {
	code = amd64Load(code, []byte{0xbb}, uint64(step))
	for i, a := range c.args {
		if other, ok := amd64Others[a]; ok {
			code = append(code, other...)
			continue
		}
		code = amd64Load(code, amd64Registers[i], a)
	}
	code = amd64Load(code, []byte{0xb8}, c.number)
	return append(code, 0x0f, 0x05) // syscall
}

func amd64Check(code []byte, to int) []byte {
	code = append(code, 0x85, 0xc0, 0x0f, 0x88) // test eax, eax; js
	return binary.LittleEndian.AppendUint32(code, uint32(to-len(code)-4))
}

func amd64Jump(code []byte, to int) []byte {
	code = append(code, 0xe9)
	return binary.LittleEndian.AppendUint32(code, uint32(to-len(code)-4))
}

func amd64Leave(code []byte, exit uint64) []byte {
	end := append(amd64Load(amd64Load(nil, amd64Registers[0], 0), []byte{0xb8}, exit), 0x0f, 0x05)
	return append(append(code, 0x85, 0xc0, 0x74, byte(len(end))), end...) // test eax, eax; je
}

func amd64Failure(write, exit uint64) []byte {
	code := []byte{
		0xf7, 0xd8, // neg eax
		0xc1, 0xe0, 8, // shl eax, 8
		0x09, 0xd8, // or eax, ebx
		0x50,             // push rax
		0x48, 0x89, 0xe6, // mov rsi, rsp
	}
	code = amd64Load(code, amd64Registers[0], reportFD)
	code = amd64Load(code, amd64Registers[2], 4)
	code = append(amd64Load(code, []byte{0xb8}, write), 0x0f, 0x05)
	code = amd64Load(code, amd64Registers[0], 1)
	return append(amd64Load(code, []byte{0xb8}, exit), 0x0f, 0x05)
}

func arm64Append(code []byte, instructions ...uint32) []byte {
	for _, i := range instructions {
		code = binary.LittleEndian.AppendUint32(code, i)
	}
	return code
}

// arm64Load puts a number into a register, 16 bits at a time.
func arm64Load(code []byte, register uint32, n uint64) []byte {
	code = arm64Append(code, 0xd2800000|uint32(n&0xffff)<<5|register) // movz
	for i := uint32(1); i < 4; i++ {
		if part := uint32(n >> (16 * i) & 0xffff); part != 0 {
			code = arm64Append(code, 0xf2800000|i<<21|part<<5|register) // movk
		}
	}
	return code
}

const arm64Supervisor = 0xd4000001 // svc 0

// Registers that system calls leave as they are: x20 for the arguments, x21 for what is kept, x19 for the step.
var (
	arm64Start  = arm64Append(nil, 0x910003f4) // mov x20, sp
	arm64Keep   = arm64Append(nil, 0xaa0003f5) // mov x21, x0
	arm64Others = map[uint64][]byte{
		kept:        arm64Append(nil, 0xaa1503e0),                         // mov x0, x21
		arguments:   arm64Append(nil, 0x91002281),                         // add x1, x20, 8
		environment: arm64Append(nil, 0xf9400282, 0x8b020e82, 0x91004042), // ldr x2, [x20]; add x2, x20, x2, lsl 3; add x2, x2, 16
	}
)

func arm64Call(code []byte, step int, c sysCall) []byte {
	code = arm64Load(code, 19, uint64(step))
	for i, a := range c.args {
		if other, ok := arm64Others[a]; ok {
			code = append(code, other...)
			continue
		}
		code = arm64Load(code, uint32(i), a)
	}
	return arm64Append(arm64Load(code, 8, c.number), arm64Supervisor)
}

func arm64Check(code []byte, to int) []byte {
	return arm64Append(code, 0xb7f80000|uint32((to-len(code))/4)&0x3fff<<5) // tbnz x0, 63
}

func arm64Jump(code []byte, to int) []byte {
	return arm64Append(code, 0x14000000|uint32((to-len(code))/4)&0x3ffffff)
}

func arm64Leave(code []byte, exit uint64) []byte {
	end := arm64Append(arm64Load(arm64Load(nil, 0, 0), 8, exit), arm64Supervisor)
	return append(arm64Append(code, 0xb4000000|uint32(len(end)/4+1)<<5), end...) // cbz x0
}

func arm64Failure(write, exit uint64) []byte {
	code := arm64Append(nil,
		0x4b0003e0, // neg w0, w0
		0x2a002260, // orr w0, w19, w0, lsl 8
		0xb81f0fe0, // str w0, [sp, -16]!
		0x910003e1, // mov x1, sp
	)
	code = arm64Load(arm64Load(code, 0, reportFD), 2, 4)
	code = arm64Append(arm64Load(code, 8, write), arm64Supervisor)
	return arm64Append(arm64Load(arm64Load(code, 0, 1), 8, exit), arm64Supervisor)
}
