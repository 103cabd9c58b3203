package task

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// CPUUnits is an amount of CPU; 1024 units are one vCPU.
type CPUUnits int64

// MiB is an amount of memory in units of 2^20 bytes.
type MiB int64

// VCPU returns the amount in vCPUs.
func (c CPUUnits) VCPU() float64 { return float64(c) / 1024 }

// String returns the amount the way ECS prints it, such as "256".
func (c CPUUnits) String() string { return strconv.FormatInt(int64(c), 10) }

// Bytes returns the amount in bytes.
func (m MiB) Bytes() int64 { return int64(m) << 20 }

// String returns the amount the way ECS prints it, such as "512".
func (m MiB) String() string { return strconv.FormatInt(int64(m), 10) }

// Size is the CPU and memory of a task. A zero member is unset.
type Size struct {
	CPU    CPUUnits
	Memory MiB
}

// String returns the size in words, such as "256 CPU, 512 memory".
func (s Size) String() string { return fmt.Sprintf("%d CPU, %d memory", s.CPU, s.Memory) }

// Size returns the task-level CPU and memory as numbers, 0 where the definition
// says nothing. It fails if either is not written the way ECS takes it.
func (d *TaskDefinition) Size() (Size, error) {
	var s Size
	var err error
	if d.CPU != "" {
		if s.CPU, err = ParseCPU(d.CPU); err != nil {
			return Size{}, err
		}
	}
	if d.Memory != "" {
		if s.Memory, err = ParseMemory(d.Memory); err != nil {
			return Size{}, err
		}
	}
	return s, nil
}

// ParseCPU reads a task-level CPU: units as in "256", or vCPUs as in ".25 vCPU".
// Letter case and the space do not matter.
func ParseCPU(s string) (CPUUnits, error) {
	n, err := parseAmount(s, "vcpu")
	if err != nil {
		return 0, fmt.Errorf("task: cpu %q %w: want CPU units such as \"256\", or vCPUs such as \".25 vCPU\"", s, err)
	}
	return CPUUnits(n), nil
}

// ParseMemory reads a task-level memory: MiB as in "512", or GB as in "0.5 GB",
// where 1 GB is 1024 MiB. Letter case and the space do not matter.
func ParseMemory(s string) (MiB, error) {
	n, err := parseAmount(s, "gb")
	if err != nil {
		return 0, fmt.Errorf("task: memory %q %w: want MiB such as \"512\", or GB such as \"0.5 GB\"", s, err)
	}
	return MiB(n), nil
}

// parseAmount reads a positive whole number, or a decimal one followed by a unit
// that is 1024 of the result.
func parseAmount(s, unit string) (int64, error) {
	number, scaled := s, false
	if at := len(s) - len(unit); at > 0 && strings.EqualFold(s[at:], unit) {
		number, scaled = strings.TrimRight(s[:at], " "), true
	}
	whole, fraction, dot := strings.Cut(number, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" || dot && !scaled {
		return 0, errors.New("is not an amount")
	}
	if len(whole) > 12 || len(fraction) > 12 {
		return 0, errors.New("is out of range")
	}
	n, err := strconv.ParseInt("0"+whole, 10, 64)
	if err != nil {
		return 0, err
	}
	if scaled {
		// In 1024ths of a unit, the fraction too must be whole.
		part, err := strconv.ParseInt((fraction + "000000000000")[:12], 10, 64)
		if err != nil {
			return 0, err
		}
		if part*1024%1e12 != 0 {
			return 0, errors.New("is not a whole number of 1024ths")
		}
		n = n*1024 + part*1024/1e12
	}
	if n == 0 {
		return 0, errors.New("is zero")
	}
	return n, nil
}

// fargateSizes lists, for each CPU that Fargate offers, the memory that goes
// with it: from, to and step, or, where the steps are uneven, the list.
var fargateSizes = [...]struct {
	cpu            CPUUnits
	from, to, step MiB
	list           []MiB
	windows        bool
}{
	{cpu: 256, list: []MiB{512, 1024, 2048}},
	{cpu: 512, from: 1024, to: 4096, step: 1024},
	{cpu: 1024, from: 2048, to: 8192, step: 1024, windows: true},
	{cpu: 2048, from: 4096, to: 16384, step: 1024, windows: true},
	{cpu: 4096, from: 8192, to: 30720, step: 1024, windows: true},
	{cpu: 8192, from: 16384, to: 61440, step: 4096},
	{cpu: 16384, from: 32768, to: 122880, step: 8192},
	// 60, 120 and 244 GB; offered since 2026, missing in older SDK documentation.
	{cpu: 32768, list: []MiB{61440, 122880, 249856}},
}

// FargateSizes returns the sizes a Fargate task can have, smallest first: 77 for
// Linux, of which Windows has those from 1 to 4 vCPU.
func FargateSizes(windows bool) []Size {
	var sizes []Size
	for _, row := range fargateSizes {
		if windows && !row.windows {
			continue
		}
		for _, m := range row.list {
			sizes = append(sizes, Size{row.cpu, m})
		}
		for m := row.from; row.step > 0 && m <= row.to; m += row.step {
			sizes = append(sizes, Size{row.cpu, m})
		}
	}
	return sizes
}

// fargateAdvice says which sizes are near one that Fargate does not have.
func fargateAdvice(s Size, windows bool) string {
	cpus := ""
	for _, row := range fargateSizes {
		if windows && !row.windows {
			continue
		}
		switch {
		case row.cpu == s.CPU && row.list != nil:
			return fmt.Sprintf("with %d CPU the memory is one of %v", s.CPU, row.list)
		case row.cpu == s.CPU:
			return fmt.Sprintf("with %d CPU the memory is %d to %d in steps of %d", s.CPU, row.from, row.to, row.step)
		}
		cpus += " " + row.cpu.String()
	}
	return "the CPU is one of" + cpus
}
