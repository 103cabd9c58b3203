package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/scheduler/local"
)

func TestMain(m *testing.M) {
	if local.Reexec() {
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "-inside" { // outside has started a copy of the test
		main()
		return
	}
	os.Exit(m.Run())
}

// A run of everything that is quick, as a user sees it.
func TestRun(t *testing.T) {
	lane.Root(t)
	for _, name := range []string{"busybox", "unshare", "runc"} {
		lane.Command(t, name)
	}
	var out bytes.Buffer
	if err := outside(t.Context(), options{
		n: 2, json: true, only: []string{"unshare", "runc", "fardel", "burst", "idle"}, burst: 3, idle: 2, hold: time.Second,
	}, &out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Rounds   int
		Launches []struct {
			Name string
			Took struct {
				MedianMs  float64
				SamplesMs []float64
			}
		}
		LeftOut []leftOut
		Phases  []struct{ Name string }
		Bursts  []struct {
			Name string
			Took struct{ MedianMs float64 }
			Peak memory
		}
		Idles []struct {
			Name  string
			Tasks int
			Each  share
		}
		Adoptions struct{ Watched struct{ SamplesMs []float64 } }
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	var names []string
	for _, l := range got.Launches {
		names = append(names, l.Name)
		if len(l.Took.SamplesMs) != 2 || l.Took.MedianMs <= 0 {
			t.Errorf("%s: got %+v, want two measurements", l.Name, l.Took)
		}
	}
	if diff := cmp.Diff([]string{"unshare", "runc run", "fardel, to RUNNING", "fardel, to STOPPED"}, names); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if len(got.Bursts) != 1 || got.Bursts[0].Took.MedianMs <= 0 || got.Bursts[0].Peak.PSS <= 0 {
		t.Errorf("bursts: %+v", got.Bursts)
	}
	if len(got.Idles) != 1 || got.Idles[0].Tasks != 2 || got.Idles[0].Each.PSS <= 0 || len(got.Adoptions.Watched.SamplesMs) != adoptions {
		t.Errorf("idle: %+v, %+v", got.Idles, got.Adoptions)
	}
	if len(got.LeftOut) > 0 || len(got.Phases) == 0 {
		t.Errorf("left out: %v, phases: %v", got.LeftOut, got.Phases)
	}
}

// What a run is told to stop leaves nothing, which outside checks itself.
func TestStop(t *testing.T) {
	lane.Root(t)
	lane.Command(t, "busybox")
	lane.Command(t, "unshare")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(2*time.Second, cancel)
	var out bytes.Buffer
	err := outside(ctx, options{n: 1_000_000, only: []string{"unshare"}, burst: 1, idle: 1, hold: time.Second}, &out)
	if err == nil || !strings.Contains(err.Error(), "stopped before the end") || strings.Contains(err.Error(), "left") {
		t.Errorf("got %v", err)
	}
	if out.Len() > 0 {
		t.Errorf("a run that was stopped printed %s", out.Bytes())
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestParseOptions(t *testing.T) {
	for _, tt := range []struct {
		args string
		want options
		fail string
	}{
		{"", options{n: 20, burst: 100, idle: 300, hold: 5 * time.Minute}, ""},
		{
			"-n 3 -json -only fardel,ctr -burst 5 -idle 6 -hold 7s",
			options{n: 3, json: true, only: []string{"fardel", "ctr"}, burst: 5, idle: 6, hold: 7 * time.Second}, "",
		},
		{"-hold 1ms", options{}, "at least one task and one second"},
		{"-n 0", options{}, "at least one round"},
		{"-only fardel,lxc", options{}, `"lxc"`},
		{"-only fardel,", options{}, `""`},
		{"fardel", options{}, "unexpected argument"},
		{"-x", options{}, "not defined"},
	} {
		var usage strings.Builder
		got, err := parseOptions(strings.Fields(tt.args), &usage)
		if tt.fail != "" {
			if err == nil || !strings.Contains(usage.String(), tt.fail) {
				t.Errorf("%q: got error %v and %q, want %q", tt.args, err, usage.String(), tt.fail)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(options{})); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", tt.args, err, diff)
		}
		got.inside, got.host, got.tasks = "/dir", "/dir/crowd", 3
		again, err := parseOptions(got.args(), io.Discard)
		if diff := cmp.Diff(got, again, cmp.AllowUnexported(options{})); diff != "" || err != nil {
			t.Errorf("args of %q: %v (-want +got):\n%s", tt.args, err, diff)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		of   series
		want time.Duration
	}{
		{nil, 0},
		{series{7}, 7},
		{series{9, 1}, 5},
		{series{9, 1, 2}, 2},
		{series{4, 100, 1, 2}, 3},
	} {
		if got := tt.of.median(); got != tt.want {
			t.Errorf("median of %v: got %d, want %d", tt.of, got, tt.want)
		}
	}
}

func TestParseRollup(t *testing.T) {
	const text = "00400000-7ffc7d rollup\nRss:    1892 kB\nPss:     304 kB\nPss_Dirty:  40 kB\nPrivate_Clean: 8 kB\nPrivate_Dirty: 30 kB\nSwapPss: 1 kB\n"
	got, err := parseRollup(text)
	if want := (memory{RSS: 1892, PSS: 304, Private: 38}); got != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "Rss: 1 kB\n", "Rss: 1 kB\nPss: x kB\n", "Rss: 1 kB\nPss: 1 MB\n"} {
		if got, err := parseRollup(bad); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, got)
		}
	}
}

func TestMemoryOf(t *testing.T) {
	got, err := memoryOf(os.Getpid())
	if err != nil || got.RSS < 1024 || got.PSS < 512 || got.PSS > got.RSS {
		t.Errorf("memory of this process: %+v, %v", got, err)
	}
}

func TestRecorder(t *testing.T) {
	var rest strings.Builder
	r := newRecorder(slog.NewTextHandler(&rest, nil))
	log := slog.New(r)
	worker := log.With("taskArn", "arn:1")
	before := time.Now()
	worker.Debug("phase", "name", "attach", "took", 5*time.Millisecond)
	worker.Info("task status", "lastStatus", "PENDING")
	log.Debug("phase", "taskArn", "arn:1", "name", "save", "took", time.Millisecond)
	log.With("taskArn", "arn:2").Debug("phase", "name", "create", "took", time.Second)
	worker.Warn("something")
	got := r.phases["arn:1"]
	if len(got) != 2 || got[0].name != "attach" || got[0].took != 5*time.Millisecond || got[1].name != "save" {
		t.Fatalf("got %+v", got)
	}
	if d := got[0].began.Sub(before); d < -5*time.Millisecond || d > time.Second {
		t.Errorf("attach began %v after the start", d)
	}
	if got := rest.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "something") || !strings.Contains(got, "arn:1") {
		t.Errorf("passed on: %q", got)
	}
}

func TestTimeline(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(name string, began, took int) phase {
		return phase{name, start.Add(time.Duration(began) * time.Millisecond), time.Duration(took) * time.Millisecond}
	}
	var tl timeline
	tl.add(start, []phase{at("attach", 2, 4), at("Provision", 2, 9), at("save", 11, 1), at("save", 13, 2)})
	tl.add(start, []phase{at("attach", 4, 6), at("Provision", 4, 9), at("save", 13, 1), at("save", 1, 2)})
	ms := time.Millisecond
	want := []phaseRow{
		{"Provision", 1, series{2 * ms, 4 * ms}, series{9 * ms, 9 * ms}},
		{"attach", 1, series{2 * ms, 4 * ms}, series{4 * ms, 6 * ms}},
		{"save", 2, series{11 * ms, 1 * ms}, series{3 * ms, 3 * ms}},
	}
	if diff := cmp.Diff(want, tl.table()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	table := table{{"", "ms", "what a user gets"}}
	table.add("runc run", "1.5", "little")
	table.add("–", "100.0")
	var got strings.Builder
	table.print(&got)
	want := "" +
		"                ms   what a user gets\n" +
		"  runc run     1.5   little\n" +
		"  –          100.0\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestImage(t *testing.T) {
	dir := t.TempDir()
	busybox := filepath.Join(dir, "busybox")
	if err := os.WriteFile(busybox, []byte("the program"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "image.tar")
	if err := writeImage(path, busybox); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, archive)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || len(manifest[0].Layers) != 1 || !cmp.Equal(manifest[0].RepoTags, []string{imageRef}) {
		t.Fatalf("manifest: %+v", manifest)
	}
	if len(files[manifest[0].Config]) == 0 {
		t.Errorf("the archive has no configuration %s", manifest[0].Config)
	}
	layer := untar(t, files[manifest[0].Layers[0]])
	if got := string(layer["bin/busybox"]); got != "the program" {
		t.Errorf("bin/busybox is %q", got)
	}
	for _, a := range applets {
		if _, ok := layer["bin/"+a]; !ok {
			t.Errorf("the layer has no bin/%s", a)
		}
	}
}

// untar returns the contents of a tar archive by name.
func untar(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
