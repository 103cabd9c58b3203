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
