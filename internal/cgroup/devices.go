package cgroup

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

// devices collects what is known of block devices, by "major:minor".
type devices map[string]*runtime.BlockIO

// device returns the entry of a device, nil if name is not one.
func (d devices) device(name string) *runtime.BlockIO {
	major, minor, ok := strings.Cut(name, ":")
	if !ok {
		return nil
	}
	b := d[name]
	if b == nil {
		b = &runtime.BlockIO{Major: number(major), Minor: number(minor)}
		d[name] = b
	}
	return b
}

// linesV1 adds lines of "8:0 Read 4096", with a Total that repeats them. into says which counters they are.
func (d devices) linesV1(text string, into func(*runtime.BlockIO) (read, write *uint64)) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		b := d.device(f[0])
		if b == nil {
			continue
		}
		read, write := into(b)
		switch f[1] {
		case "Read":
			*read += number(f[2])
		case "Write":
			*write += number(f[2])
		}
	}
}

// linesV2 adds lines of "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0".
func (d devices) linesV2(text string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		b := d.device(f[0])
		if b == nil {
			continue
		}
		for _, word := range f[1:] {
			switch key, value, _ := strings.Cut(word, "="); key {
			case "rbytes":
				b.ReadBytes += number(value)
			case "wbytes":
				b.WriteBytes += number(value)
			case "rios":
				b.Reads += number(value)
			case "wios":
				b.Writes += number(value)
			}
		}
	}
}

// addTo puts the devices, in order, and their sums into s.
func (d devices) addTo(s *runtime.Stats) {
	for _, b := range d {
		s.BlockIO = append(s.BlockIO, *b)
		s.ReadBytes += b.ReadBytes
		s.WriteBytes += b.WriteBytes
	}
	slices.SortFunc(s.BlockIO, func(a, b runtime.BlockIO) int {
		return cmp.Or(cmp.Compare(a.Major, b.Major), cmp.Compare(a.Minor, b.Minor))
	})
}
