package main

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// recorder is a log handler that keeps how long the phases of each task lasted: the records "phase" of the engine at
// level Debug, with the attributes name, took and taskArn. Warnings and errors go on to next.
type recorder struct {
	next slog.Handler
	task string // the taskArn that was given to With
	*recording
}

type recording struct {
	mu     sync.Mutex
	phases map[string][]phase // by taskArn, in the order of their ends
}

// phase is one phase of one launch.
type phase struct {
	name  string
	began time.Time
	took  time.Duration
}

func newRecorder(next slog.Handler) *recorder {
	return &recorder{next: next, recording: &recording{phases: map[string][]phase{}}}
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }

func (r *recorder) WithGroup(name string) slog.Handler {
	return &recorder{next: r.next.WithGroup(name), task: r.task, recording: r.recording}
}

func (r *recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := &recorder{next: r.next.WithAttrs(attrs), task: r.task, recording: r.recording}
	for _, a := range attrs {
		if a.Key == "taskArn" {
			with.task = a.Value.String()
		}
	}
	return with
}

func (r *recorder) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelWarn {
		return r.next.Handle(ctx, record)
	}
	if record.Message != "phase" {
		return nil
	}
	p, task := phase{}, r.task
	record.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "name":
			p.name = a.Value.String()
		case "took":
			p.took = a.Value.Duration()
		case "taskArn":
			task = a.Value.String()
		}
		return true
	})
	p.began = record.Time.Add(-p.took)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phases[task] = append(r.phases[task], p)
	return nil
}

// count is in how many tasks a phase has ended.
func (r *recording) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, phases := range r.phases {
		if slices.ContainsFunc(phases, func(p phase) bool { return p.name == name }) {
			n++
		}
	}
	return n
}

// launched is one launch of a task that ran to its end.
type launched struct {
	arn     string
	at      time.Time     // of the call of Run
	ran     time.Duration // until Run returned
	running time.Duration // until RUNNING, from the call
	stopped time.Duration // until STOPPED, from the call
}

// timeline says where the time of launches went.
func (r *recording) timeline(launches []launched) []phaseRow {
	r.mu.Lock()
	defer r.mu.Unlock()
	var t timeline
	for _, l := range launches {
		t.add(l.at, append(slices.Clip(r.phases[l.arn]),
			phase{"Run returns", l.at, l.ran},
			phase{"RUNNING is seen", l.at.Add(l.running), 0},
			phase{"STOPPED is seen", l.at.Add(l.stopped), 0},
		))
	}
	return t.table()
}

// phaseRow is one phase over all launches.
type phaseRow struct {
	Name  string `json:"name"`
	Times int    `json:"times"` // in one launch, most often
	Began series `json:"began"` // after the call of Run; the first time in each launch
	Took  series `json:"took"`  // all times in a launch together
}

// timeline is the phases of launches.
type timeline struct {
	rows  map[string]*phaseRow
	times map[string][]int
}

// add takes the phases of a launch that began at a time.
func (t *timeline) add(launched time.Time, phases []phase) {
	if t.rows == nil {
		t.rows, t.times = map[string]*phaseRow{}, map[string][]int{}
	}
	first, total, times := map[string]time.Duration{}, map[string]time.Duration{}, map[string]int{}
	for _, p := range phases {
		began := p.began.Sub(launched)
		if times[p.name] == 0 || began < first[p.name] {
			first[p.name] = began
		}
		total[p.name] += p.took
		times[p.name]++
	}
	for name := range times {
		if t.rows[name] == nil {
			t.rows[name] = &phaseRow{Name: name}
		}
		row := t.rows[name]
		row.Began, row.Took = append(row.Began, first[name]), append(row.Took, total[name])
		t.times[name] = append(t.times[name], times[name])
	}
}

// table returns the phases in the order in which they begin, the longer one first when two begin at the same time.
func (t *timeline) table() []phaseRow {
	var rows []phaseRow
	for name, row := range t.rows {
		times := slices.Sorted(slices.Values(t.times[name]))
		row.Times = times[len(times)/2]
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b phaseRow) int {
		return cmp.Or(
			cmp.Compare(a.Began.median().Round(100*time.Microsecond), b.Began.median().Round(100*time.Microsecond)),
			cmp.Compare(b.Took.median(), a.Took.median()),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return rows
}
