package task

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pairs is the table of Fargate sizes written out, as a check on the ranges the
// package builds it from.
var pairs = map[CPUUnits]string{
	256:   "512 1024 2048",
	512:   "1024 2048 3072 4096",
	1024:  "2048 3072 4096 5120 6144 7168 8192",
	2048:  "4096 5120 6144 7168 8192 9216 10240 11264 12288 13312 14336 15360 16384",
	4096:  "8192 9216 10240 11264 12288 13312 14336 15360 16384 17408 18432 19456 20480 21504 22528 23552 24576 25600 26624 27648 28672 29696 30720",
	8192:  "16384 20480 24576 28672 32768 36864 40960 45056 49152 53248 57344 61440",
	16384: "32768 40960 49152 57344 65536 73728 81920 90112 98304 106496 114688 122880",
	32768: "61440 122880 249856",
}

func TestFargateSizes(t *testing.T) {
	sizes := FargateSizes(false)
	if got, want := len(sizes), 77; got != want {
		t.Errorf("got %d sizes, want %d", got, want)
	}
	got := make(map[CPUUnits]string)
	for _, s := range sizes {
		got[s.CPU] = strings.TrimSpace(got[s.CPU] + " " + s.Memory.String())
	}
	if diff := cmp.Diff(pairs, got); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
	if got, want := len(FargateSizes(true)), 7+13+23; got != want {
		t.Errorf("got %d sizes for Windows, want %d", got, want)
	}
}

// TestFargateSizesValidate accepts all 77 pairs and refuses their neighbours:
// other memory for each CPU, other CPU for each memory.
func TestFargateSizesValidate(t *testing.T) {
	valid := make(map[Size]bool)
	for _, s := range FargateSizes(false) {
		valid[s] = true
	}
	try := make(map[Size]bool)
	for s := range valid {
		for _, cpu := range []CPUUnits{0, -1, 1, s.CPU, -s.CPU / 2, s.CPU * 3} {
			for _, memory := range []MiB{0, -1, 1, 512, -512, 1024, -1024, 4096, -4096, 8192, -8192} {
				n := Size{s.CPU + cpu, s.Memory + memory}
				if n.CPU > 0 && n.Memory > 0 {
					try[n] = true
				}
			}
		}
	}
	accepted := 0
	for s := range try {
		d := fargate()
		d.ContainerDefinitions = d.ContainerDefinitions[:1]
		d.CPU, d.Memory = s.CPU.String(), s.Memory.String()
		got := problemsOf(t, d.Validate(LaunchTypeFargate))
		if valid[s] {
			accepted++
			if len(got) > 0 {
				t.Errorf("%v: got %q, want it valid", s, got)
			}
			continue
		}
		want := fmt.Sprintf("cpu: No Fargate configuration exists for given values: %d CPU, %d memory. See the Amazon ECS documentation for the valid values.", s.CPU, s.Memory)
		if len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%v: got %q, want %q", s, got, want)
		}
	}
	if accepted != 77 || len(try) < 1000 {
		t.Errorf("tried %d sizes of which %d are valid, want over 1000 and 77", len(try), accepted)
	}
}

func TestParseCPU(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want CPUUnits // 0 for an error
	}{
		{"256", 256}, {"1024", 1024}, {"0256", 256}, {"1", 1},
		{".25 vCPU", 256}, {".25 vcpu", 256}, {"0.25vCPU", 256}, {"1 vCPU", 1024}, {"1 VCPU", 1024}, {"1vcpu", 1024},
		{"32   vCPU", 32768}, {"1. vCPU", 1024}, {"0.0009765625 vCPU", 1}, {"1.5 vCPU", 1536},
		{"", 0}, {"0", 0}, {"0 vCPU", 0}, {"-1", 0}, {"+1", 0}, {"1.5", 0}, {"1e3", 0}, {"0x10", 0}, {" 256", 0}, {"256 ", 0},
		{"vCPU", 0}, {" vCPU", 0}, {". vCPU", 0}, {"1.2.3 vCPU", 0}, {"0.3 vCPU", 0}, {"1 GB", 0}, {"٢٥٦", 0},
		{"999999999999", 999999999999}, {"9999999999999", 0}, {"0.0000000000001 vCPU", 0},
	} {
		got, err := ParseCPU(tt.in)
		if got != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("ParseCPU(%q) = %d, %v, want %d", tt.in, got, err, tt.want)
		}
	}
}

func TestParseMemory(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want MiB // 0 for an error
	}{
		{"512", 512}, {"1GB", 1024}, {"1 GB", 1024}, {".5 gb", 512}, {"0.5Gb", 512}, {"244 GB", 249856}, {"2.5 GB", 2560},
		{"", 0}, {"0", 0}, {"512MB", 0}, {"512 MiB", 0}, {"1 GiB", 0}, {"GB", 0}, {"0.1 GB", 0}, {"1\tGB", 0},
	} {
		got, err := ParseMemory(tt.in)
		if got != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("ParseMemory(%q) = %d, %v, want %d", tt.in, got, err, tt.want)
		}
	}
}

func TestSize(t *testing.T) {
	d := &TaskDefinition{CPU: ".25 vCPU", Memory: "0.5 GB"}
	got, err := d.Size()
	if want := (Size{256, 512}); got != want || err != nil {
		t.Errorf("Size() = %v, %v, want %v", got, err, want)
	}
	if got, err := new(TaskDefinition).Size(); got != (Size{}) || err != nil {
		t.Errorf("Size() of nothing = %v, %v, want zero", got, err)
	}
	if _, err := (&TaskDefinition{CPU: "x"}).Size(); err == nil {
		t.Error("Size() of cpu x: got no error")
	}
	if got, want := got.Memory.Bytes(), int64(512<<20); got != want {
		t.Errorf("Bytes() = %d, want %d", got, want)
	}
	if got, want := got.CPU.VCPU(), 0.25; got != want {
		t.Errorf("VCPU() = %g, want %g", got, want)
	}
}
