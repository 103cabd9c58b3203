//go:build linux

package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// BenchmarkLaunch takes a task with one container from its creation to its removal and reports medians of its phases in
// milliseconds, and the least, which is closer to the truth on a busy machine.
func BenchmarkLaunch(b *testing.B) {
	lane.Root(b)
	dir := b.TempDir()
	d, err := Embed(b.Context(), Config{Owner: fmt.Sprintf("bench-%d", os.Getpid()), Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if err := addGuest(b, d, crashImage, runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		b.Fatal(err)
	}
	phases := map[string][]time.Duration{}
	memory := 0
	for i := 0; b.Loop(); i++ {
		sandbox, id := fmt.Sprintf("s%d", i), fmt.Sprintf("c%d", i)
		last := time.Now()
		first := last
		phase := func(name string, err error) {
			if err != nil {
				b.Fatal(err)
			}
			now := time.Now()
			phases[name] = append(phases[name], now.Sub(last))
			last = now
		}
		phase("sandbox", d.CreateSandbox(b.Context(), runtime.SandboxSpec{ID: sandbox, Size: task.Size{CPU: 1024, Memory: 64}}))
		phase("create", d.CreateContainer(b.Context(), runtime.ContainerSpec{ID: id, SandboxID: sandbox, Image: crashImage, Log: filepath.Join(dir, id)}))
		phase("start", d.Start(b.Context(), id))
		phases["launch"] = append(phases["launch"], last.Sub(first))
		_, err := d.Wait(b.Context(), id)
		phase("wait", err)
		memory = shimMemory(d, sandbox)
		phase("remove", d.RemoveSandbox(b.Context(), sandbox))
	}
	for name, list := range phases {
		slices.Sort(list)
		b.ReportMetric(float64(list[len(list)/2].Microseconds())/1000, name+"-ms")
		b.ReportMetric(float64(list[0].Microseconds())/1000, name+"-least-ms")
	}
	b.ReportMetric(float64(memory), "shim-KiB")
}

// shimMemory is what a shim has for itself alone.
func shimMemory(d *Driver, sandbox string) (kib int) {
	var p process
	if found, err := readJSON(filepath.Join(d.sandboxDir(sandbox), shimFile), &p); !found || err != nil {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, "Private_Dirty: %d", &n); err == nil {
			kib += n
		}
	}
	return kib
}
