package task

import "fmt"

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
