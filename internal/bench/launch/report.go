package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"slices"
	"strings"
	"time"
)

// report is what a run found out.
type report struct {
	Machine  machineInfo `json:"machine"`
	Rounds   int         `json:"rounds"`
	Launches []launchRow `json:"launches,omitempty"`
	LeftOut  []leftOut   `json:"leftOut,omitempty"`
	Phases   []phaseRow  `json:"phases,omitempty"`
	Scale    []level     `json:"scale,omitempty"`

	Bursts    []burstRow `json:"bursts,omitempty"`
	Idles     []idleRow  `json:"idles,omitempty"`
	Adoptions *adoption  `json:"adoptions,omitempty"`
}

type machineInfo struct {
	Kernel   string            `json:"kernel"`
	CPUs     int               `json:"cpus"`
	Go       string            `json:"go"`
	Load     string            `json:"loadAverage"` // before: what else there was to do, over 1, 5 and 15 minutes
	Versions map[string]string `json:"versions"`    // of programs
}

type launchRow struct {
	row
	Took   series  `json:"took"`
	PerCtr float64 `json:"timesCtr,omitempty"` // the median over that of ctr run
}

// leftOut is a contestant that did not take part, or not to the end.
type leftOut struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// machine says where the measuring was done. Programs that are missing have no version.
func machine(ctx context.Context) machineInfo {
	m := machineInfo{Kernel: kernel(), CPUs: goruntime.NumCPU(), Go: goruntime.Version(), Versions: map[string]string{}}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	for _, program := range []string{"unshare", "runc", "containerd", "docker", "dockerd", "podman"} {
		path, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		if text, err := output(ctx, nil, path, "--version"); err == nil {
			m.Versions[program], _, _ = strings.Cut(text, "\n")
		}
	}
	return m
}

// add takes over what was measured of a contestant.
func (r *report) add(e *entrant) {
	if e.failed != nil {
		r.LeftOut = append(r.LeftOut, leftOut{e.name, e.failed.Error()})
	}
	for i, row := range e.rows() {
		if len(e.samples[i]) > 0 {
			r.Launches = append(r.Launches, launchRow{row: row, Took: e.samples[i]})
		}
	}
	if f, ok := e.contestant.(*fardel); ok {
		r.Phases = f.phases.timeline(f.launches[max(0, len(f.launches)-len(e.samples[0])):]) // not of the first round
	}
}

// compare fills in how the launches stand to ctr's.
func (r *report) compare() {
	ctr := slices.IndexFunc(r.Launches, func(l launchRow) bool { return l.Name == ctrRun })
	if ctr < 0 {
		return
	}
	for i := range r.Launches {
		r.Launches[i].PerCtr = float64(r.Launches[i].Took.median()) / float64(r.Launches[ctr].Took.median())
	}
}

func (r *report) print(out io.Writer, asJSON bool) error {
	r.compare()
	r.compareCrowds()
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	r.printMachine(&b)
	r.printLaunches(&b)
	r.printPhases(&b)
	if len(r.Scale) > 0 {
		r.printScale(&b)
		r.printGrowth(&b)
	}
	r.printBursts(&b)
	r.printIdles(&b)
	r.printAdoptions(&b)
	_, err := io.WriteString(out, b.String())
	return err
}

func (r *report) printMachine(b *strings.Builder) {
	fmt.Fprintf(b, "Linux %s, %d CPUs, load average before %s, %s; %d rounds\n", r.Machine.Kernel, r.Machine.CPUs, r.Machine.Load,
		r.Machine.Go, r.Rounds)
	var versions []string
	for _, v := range r.Machine.Versions {
		versions = append(versions, v)
	}
	slices.Sort(versions)
	fmt.Fprintf(b, "%s\n", strings.Join(versions, "; "))
}

func (r *report) printLaunches(b *strings.Builder) {
	for _, l := range r.LeftOut {
		fmt.Fprintf(b, "left out: %s: %s\n", l.Name, l.Why)
	}
	if len(r.Launches) == 0 {
		return
	}
	fmt.Fprintf(b, "\nOne launch of true in a busybox image, in milliseconds; of commands, from start to end\n\n")
	t := table{{"", "min", "median", "max", "/ ctr", "what a user gets"}}
	for _, l := range r.Launches {
		ratio := "–"
		if l.PerCtr > 0 {
			ratio = fmt.Sprintf("%.2f", l.PerCtr)
		}
		t.add(l.Name, ms(slices.Min(l.Took)), ms(l.Took.median()), ms(slices.Max(l.Took)), ratio, l.What)
	}
	t.print(b)
}

func (r *report) printPhases(b *strings.Builder) {
	if len(r.Phases) == 0 {
		return
	}
	fmt.Fprintf(b, "\nWhere the time of one fardel launch goes, in milliseconds from the call of Run; phases overlap and contain each other\n\n")
	t := table{{"", "begins", "takes", "min", "max", "times"}}
	for _, p := range r.Phases {
		if p.Took.median() == 0 {
			t.add(p.Name, ms(p.Began.median()))
			continue
		}
		t.add(p.Name, ms(p.Began.median()), ms(p.Took.median()), ms(slices.Min(p.Took)), ms(slices.Max(p.Took)), fmt.Sprint(p.Times))
	}
	t.print(b)
}

func (r *report) printScale(b *strings.Builder) {
	fmt.Fprintf(b, "\nWhile tasks run: memory in MiB, and one launch more in milliseconds\n\n")
	t := table{{"tasks", "host RSS", "host PSS", "helpers PSS", "helpers", "per task", "containers PSS", "to RUNNING", "min", "to STOPPED", "min"}}
	for _, l := range r.Scale {
		per := "–"
		if l.Tasks > 0 {
			per = fmt.Sprintf("%.2f", l.perTask(r.Scale[0])/1024)
		}
		t.add(fmt.Sprint(l.Tasks), mib(l.Host.RSS), mib(l.Host.PSS), mib(l.Helpers.PSS), fmt.Sprint(l.HelperN), per,
			mib(l.Containers.PSS), ms(l.Running.median()), ms(slices.Min(l.Running)), ms(l.Stopped.median()), ms(slices.Min(l.Stopped)))
	}
	t.print(b)
	fmt.Fprintf(b, "\nhelpers: the processes that fardel starts for tasks; per task: what a task adds to host and helpers in PSS\n")
}

// printGrowth prints how long the phases last beside so many tasks.
func (r *report) printGrowth(b *strings.Builder) {
	fmt.Fprintf(b, "\nThe phases of that launch, in milliseconds, by the number of tasks that run\n\n")
	t := table{{""}}
	for _, l := range r.Scale {
		t[0] = append(t[0], fmt.Sprint(l.Tasks))
	}
	for _, p := range r.Scale[0].Phases {
		cells := []string{p.Name}
		for _, l := range r.Scale {
			took := series(nil)
			if i := slices.IndexFunc(l.Phases, func(o phaseRow) bool { return o.Name == p.Name }); i >= 0 {
				took = l.Phases[i].Took
			}
			cells = append(cells, ms(took.median()))
		}
		if p.Took.median() > 0 {
			t.add(cells...)
		}
	}
	t.print(b)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", milliseconds(d)) }

func mib(kib int64) string { return fmt.Sprintf("%.1f", float64(kib)/1024) }
