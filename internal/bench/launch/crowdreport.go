package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// dockerCrowd is the row that the others are compared with.
const dockerCrowd = "docker run -d"

// compareCrowds fills in how the crowds stand to docker's.
func (r *report) compareCrowds() {
	if i := slices.IndexFunc(r.Bursts, func(b burstRow) bool { return b.Name == dockerCrowd }); i >= 0 {
		for j := range r.Bursts {
			r.Bursts[j].PerDocker = float64(r.Bursts[j].Took.median()) / float64(r.Bursts[i].Took.median())
		}
	}
	if i := slices.IndexFunc(r.Idles, func(o idleRow) bool { return o.Name == dockerCrowd }); i >= 0 {
		for j := range r.Idles {
			r.Idles[j].PerDocker = r.Idles[j].Each.PSS / r.Idles[i].Each.PSS
		}
	}
}

func ratio(f float64) string {
	if f <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", f)
}

func (r *report) printBursts(b *strings.Builder) {
	if len(r.Bursts) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%d launches at once: milliseconds until all run, of %d times, and the most MiB that everything but the containers' own processes had\n\n",
		r.Bursts[0].Tasks, bursts)
	t := table{{"", "min", "median", "max", "/ docker", "each", "peak PSS", "processes", "kernel", "what a user gets"}}
	for _, row := range r.Bursts {
		t.add(row.Name, ms(slices.Min(row.Took)), ms(row.Took.median()), ms(slices.Max(row.Took)), ratio(row.PerDocker),
			ms(row.Took.median()/time.Duration(row.Tasks)), mib(row.Peak.PSS), fmt.Sprint(row.PeakN), mib(row.PeakKernel), row.What)
	}
	t.print(b)
	fmt.Fprintf(b, "\nkernel: what the machine's kernel has added for itself (slab, stacks, page tables, per-CPU)\n")
}

func (r *report) printIdles(b *strings.Builder) {
	if len(r.Idles) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%d idle containers: MiB that each adds, containers' own processes left out, and what all take while nothing happens\n\n",
		r.Idles[0].Tasks)
	t := table{{"", "PSS", "/ docker", "private", "kernel", "processes", "threads", "all PSS", "held", "CPU µs/s", "each µs/s", "wake-ups/s"}}
	for _, row := range r.Idles {
		seconds := row.Held.Seconds()
		cpu := float64(row.CPU.Microseconds()) / seconds
		t.add(row.Name, fmt.Sprintf("%.2f", row.Each.PSS), ratio(row.PerDocker), fmt.Sprintf("%.2f", row.Each.Private),
			fmt.Sprintf("%.2f", row.Each.Kernel), fmt.Sprint(row.Full.Processes), fmt.Sprint(row.Full.Threads), mib(row.Full.Memory.PSS),
			row.Held.Round(time.Second).String(), fmt.Sprintf("%.0f", cpu), fmt.Sprintf("%.2f", cpu/float64(row.Tasks)),
			fmt.Sprintf("%.1f", float64(row.Wakeups)/seconds))
	}
	t.print(b)
	fmt.Fprintf(b, "\nprivate: pages that no other process has; CPU: of all processes that hold the containers, in µs for each second\n")
}

func (r *report) printAdoptions(b *strings.Builder) {
	if r.Adoptions == nil {
		return
	}
	a := r.Adoptions
	fmt.Fprintf(b, "\nA host program killed and started again under %d tasks, in milliseconds, of %d times\n\n", a.Tasks, len(a.Opened))
	t := table{{"", "min", "median", "max", "each"}}
	for _, row := range []struct {
		name string
		took series
	}{
		{"Open returns", a.Opened}, {"all are watched", a.Watched},
		{"all killed: STOPPED and released", a.Ended},
	} {
		t.add(row.name, ms(slices.Min(row.took)), ms(row.took.median()), ms(slices.Max(row.took)), ms(row.took.median()/time.Duration(a.Tasks)))
	}
	t.print(b)
}
