package logs

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/task"
)

var info = Info{
	TaskID: "0123", ContainerName: "app", RuntimeID: "0123-0000000001-and-more", Image: "img:1",
	Labels: map[string]string{"team": "a", "other": "b"}, Env: []string{"STAGE=prod", "X=1"},
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		driver  task.LogDriver
		options string
		want    []Problem
	}{
		{"awslogs", "awslogs-group=g awslogs-region=r mode=blocking max-buffer-size=10m awslogs-datetime-format=%Y", nil},
		{"awslogs", "max-size=1m awslogs-grup=x", []Problem{{"", "Log driver awslogs disallows options: awslogs-grup, max-size"}}},
		{"awslogs", "mode=x", []Problem{{"mode", `"x": want blocking or non-blocking`}}},
		{"awslogs", "max-buffer-size=ten awslogs-datetime-format=%Q", []Problem{
			{"awslogs-datetime-format", `"%Q": unknown directive at character 2`}, {"max-buffer-size", `"ten": want a size such as 10m`}}},
		{"json-file", "max-size=10m max-file=3 compress=true tag={{.Name}} labels=a", nil},
		{"json-file", "max-file=0 tag={{.Nope}}", []Problem{
			{"max-file", `"0": want a number from 1 to 1000`}, {"tag", `"{{.Nope}}": template: tag:1:2: executing "tag" at <.Nope>: can't evaluate field Nope in type logs.tagFields`}}},
		{"none", "", nil},
		{"none", "a=b", []Problem{{"", "Log driver none disallows options: a"}}},
		{"splunk", "splunk-url=x", []Problem{{"", "not supported: splunk"}}},
	} {
		options := map[string]string{}
		for kv := range strings.FieldsSeq(c.options) {
			k, v, _ := strings.Cut(kv, "=")
			options[k] = v
		}
		got := Check(&task.LogConfiguration{LogDriver: c.driver, Options: options})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.driver, c.options, diff)
		}
	}
}

func writeAll(t *testing.T, w Writer, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := w.Write(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func flush(t *testing.T, w Writer, end bool) uint64 {
	t.Helper()
	n, err := w.Flush(t.Context(), end)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestJSONFile(t *testing.T) {
	dir := t.TempDir()
	set := New(Config{Dir: dir})
	options := map[string]string{"labels": "team", "env-regex": "^STA", "tag": "{{.Name}}/{{.ID}}"}
	w, err := set.Open(t.Context(), task.LogDriverJSONFile, options, info)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	writeAll(t, w, Record{Time: at, Line: []byte("a<b\xff")}, Record{Time: at, Stderr: true, Line: []byte("part"), Part: &Part{ID: "x", Ordinal: 1}})
	if n := flush(t, w, false); n != 2 {
		t.Errorf("%d delivered", n)
	}
	path := filepath.Join(dir, "0123", "app-json.log")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	attrs := `"attrs":{"STAGE":"prod","tag":"app/0123-0000000","team":"a"},"time":"2026-01-02T03:04:05.000000006Z"}` + "\n"
	want := `{"log":"a\u003cb\ufffd\n","stream":"stdout",` + attrs + `{"log":"part","stream":"stderr",` + attrs
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := set.Remove("0123", "app"); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestRotation(t *testing.T) {
	for _, zip := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "a[b", "f.log")
		line := strings.Repeat("x", 99) + "\n"
		for range 3 { // again and again, as after restarts
			f, err := openRotated(path, 1000, 3, zip)
			if err != nil {
				t.Fatal(err)
			}
			for range 25 {
				if err := f.write([]byte(line)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(f.flush(), f.close()); err != nil {
				t.Fatal(err)
			}
		}
		total := 0
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(entries) != 3 {
			t.Fatal(entries, err)
		}
		for _, e := range entries {
			total += len(content(t, filepath.Join(filepath.Dir(path), e.Name())))
		}
		if total != 2500 { // 75 lines, of which 25 are in the last three files of ten
			t.Errorf("zip %t: %d bytes in %v", zip, total, entries)
		}
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.log")
	for have, want := range map[string]string{"one\ntw": "one\n", "half": "", "": "", "a\nb\n": "a\nb\n", "a\n" + strings.Repeat("x", 200<<10): "a\n"} {
		if err := os.WriteFile(path, []byte(have), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := openRotated(path, 1<<30, 2, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.write([]byte("next\n")), f.flush(), f.close()); err != nil {
			t.Fatal(err)
		}
		if got := string(content(t, path)); got != want+"next\n" {
			t.Errorf("%.10q: got %.20q", have, got)
		}
	}
}

// memory is a sink that checks the limits of PutLogEvents.
type memory struct {
	t       *testing.T
	fail    bool
	stream  Stream
	batches [][]Event
}

func (m *memory) CreateStream(_ context.Context, s Stream, createGroup bool) error {
	m.stream = s
	if s.Group == "missing" && !createGroup {
		return ErrGroupNotFound
	}
	return nil
}

func (m *memory) PutEvents(_ context.Context, s Stream, events []Event) error {
	if m.fail {
		return errors.New("slow down")
	}
	size := 0
	for i, e := range events {
		if len(e.Message) == 0 || len(e.Message)+26 > 262144 || !utf8.ValidString(e.Message) {
			m.t.Errorf("event of %d bytes %.20q", len(e.Message), e.Message)
		}
		if i > 0 && e.Time.Before(events[i-1].Time) {
			m.t.Error("not in order")
		}
		size += len(e.Message) + 26
	}
	span := events[len(events)-1].Time.Sub(events[0].Time)
	if len(events) > 10000 || size > 1<<20 || span > 24*time.Hour || s != m.stream {
		m.t.Errorf("%d events, %d bytes, %v, to %v", len(events), size, span, s)
	}
	m.batches = append(m.batches, events)
	return nil
}

func (m *memory) messages() (all []string) {
	for _, b := range m.batches {
		for _, e := range b {
			all = append(all, e.Message)
		}
	}
	return all
}

func openLogs(t *testing.T, m *memory, options map[string]string) Writer {
	t.Helper()
	m.t = t
	options["awslogs-group"], options["awslogs-region"], options["awslogs-stream-prefix"] = "g", "r", "p"
	w, err := New(Config{Sink: m}).Open(t.Context(), task.LogDriverAWSLogs, options, info)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Stream{"r", "g", "p/app/0123"}); m.stream != want {
		t.Errorf("stream %v, want %v", m.stream, want)
	}
	return w
}

func line(at time.Time, text string) Record { return Record{Time: at, Line: []byte(text)} }

func TestAWSLogsBatches(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var m memory
	w := openLogs(t, &m, map[string]string{})
	for i := range 10001 {
		writeAll(t, w, line(at.Add(time.Duration(i)*time.Second/100), "x"))
	}
	writeAll(t, w, line(at.Add(25*time.Hour), "a day later"), line(at.Add(24*time.Hour), "clock set back"), line(at, ""))
	big := strings.Repeat("é", 200<<10)
	for i := 0; i < len(big); i += MaxLine {
		end := min(i+MaxLine, len(big))
		writeAll(t, w, Record{Time: at.Add(25 * time.Hour), Line: []byte(big[i:end]), Part: &Part{ID: "p", Ordinal: i/MaxLine + 1, Last: end == len(big)}})
	}
	writeAll(t, w, line(at.Add(25*time.Hour), "bad \xff\xfe"))
	if n := flush(t, w, true); n != 10001+3+uint64((len(big)+MaxLine-1)/MaxLine)+1 {
		t.Errorf("%d delivered", n)
	}
	all := m.messages()
	if len(m.batches) < 3 || len(m.batches[0]) != 10000 || strings.Join(all[10003:len(all)-1], "") != big || all[len(all)-1] != "bad \ufffd\ufffd" {
		t.Errorf("%d batches, %d events", len(m.batches), len(all))
	}
}

func TestAWSLogsMultiline(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, options := range map[string]map[string]string{
		"pattern": {"awslogs-multiline-pattern": `^START`},
		"format":  {"awslogs-datetime-format": `[%b %d, %Y %H:%M:%S]`, "awslogs-multiline-pattern": "loses"},
	} {
		first, second := "START one", "START two"
		if name == "format" {
			first, second = "[Jan 02, 2026 03:04:05] one", "[Feb 31, 2026 23:59:59] two"
		}
		var m memory
		w := openLogs(t, &m, options)
		writeAll(t, w, line(at, "lost its start"), line(at, first), line(at, "  more"), line(at, ""), line(at, "end"), line(at, second))
		if n := flush(t, w, false); n != 0 {
			t.Errorf("%d delivered before anything was due", n)
		}
		if n := flush(t, w, true); n != 6 {
			t.Errorf("%d delivered", n)
		}
		want := []string{"lost its start\n", first + "\n  more\n\nend\n", second + "\n"}
		if diff := cmp.Diff(want, m.messages()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAWSLogsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		w := openLogs(t, &m, map[string]string{})
		writeAll(t, w, line(time.Now(), "one"))
		<-time.After(4 * time.Second)
		if n := flush(t, w, false); n != 0 {
			t.Errorf("%d delivered after four seconds", n)
		}
		<-time.After(time.Second)
		m.fail = true
		if _, err := w.Flush(t.Context(), false); err == nil {
			t.Error("no error")
		}
		m.fail = false
		if n := flush(t, w, false); n != 1 {
			t.Errorf("%d delivered after five", n)
		}
	})
}

// Room is made in the middle of a line: it stays whole as long as there is anything else to deliver.
func TestAWSLogsFlushInALine(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	part := func(n int, text string, last bool) Record {
		return Record{Time: at, Line: []byte(text), Part: &Part{ID: "p", Ordinal: n, Last: last}}
	}
	var m memory
	w := openLogs(t, &m, map[string]string{})
	writeAll(t, w, line(at, "one"), part(1, "first ", false))
	if n := flush(t, w, true); n != 1 {
		t.Errorf("%d delivered, want the one that ends", n)
	}
	writeAll(t, w, part(2, "second", true))
	if n := flush(t, w, true); n != 3 {
		t.Errorf("%d delivered, want all", n)
	}
	writeAll(t, w, part(1, "nothing beside it", false))
	if n := flush(t, w, true); n != 4 {
		t.Errorf("%d delivered, want the part as well", n)
	}
	if diff := cmp.Diff([]string{"one", "first second", "nothing beside it"}, m.messages()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDatetimePattern(t *testing.T) {
	for format, lines := range map[string][2]string{
		"%Y-%m-%dT%H:%M:%S%z":  {"2026-12-31T23:59:59+0100 x", "2026-13-31T23:59:59+0100"},
		"%d/%b/%Y:%H:%M:%S %z": {"1.2.3.4 [02/Jan/2026:03:04:05 +0000] GET", "02/Foo/2026:03:04:05 +0000"},
		"%I:%M %p, %A %j %y":   {"11:59 PM, Monday 366 26", "13:59 PM, Monday 366 26"},
		"%-d.%-m.%Y 100%%":     {"1.2.2026 100%", "a.2.2026 100%"},
		"%S%L":                 {"59.123", "59,123"},
	} {
		re, err := datetimePattern(format)
		if err != nil {
			t.Error(format, err)
			continue
		}
		if !re.MatchString(lines[0]) || re.MatchString(lines[1]) {
			t.Errorf("%s is %s", format, re)
		}
	}
	for _, format := range []string{"", "%", "%Q", "x%-"} {
		if _, err := datetimePattern(format); err == nil {
			t.Errorf("%q: no error", format)
		}
	}
}

func TestFileSink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sink")
	f, err := NewFileSink(FileSinkConfig{Dir: dir, StreamLimit: 4000, RequireGroups: true})
	if err != nil {
		t.Fatal(err)
	}
	s := Stream{"eu-west-1", "/ecs/app", "p/app/../0123"}
	if err := f.CreateStream(t.Context(), s, false); !errors.Is(err, ErrGroupNotFound) {
		t.Errorf("got %v", err)
	}
	for range 2 {
		if err := f.CreateStream(t.Context(), s, true); err != nil {
			t.Fatal(err)
		}
	}
	at := time.UnixMilli(1700000000123)
	var want []Event
	for i := range 200 {
		e := Event{at, fmt.Sprintf("event\n%d", i)}
		want = append(want, e)
		if err := f.PutEvents(t.Context(), s, []Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.Events(t.Context(), s)
	if err != nil || len(got) < 40 || len(got) > 120 {
		t.Fatalf("%d events are kept, %v", len(got), err)
	}
	if diff := cmp.Diff(want[len(want)-len(got):], got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if other, err := f.Events(t.Context(), Stream{"eu-west-1", "/ecs/app", "p"}); err != nil || other != nil {
		t.Errorf("another stream: %v, %v", other, err)
	}
}

func TestFileSinkTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := NewFileSink(FileSinkConfig{Dir: t.TempDir(), TotalLimit: 5000})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("x", 1000)
		for i := range 20 {
			s := Stream{"r", "g", fmt.Sprint(i)}
			if err := f.CreateStream(t.Context(), s, false); err != nil {
				t.Fatal(err)
			}
			if err := f.PutEvents(t.Context(), s, []Event{{time.Now(), text}}); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(filepath.Join(f.streamDir(s), eventsFile), time.Time{}, time.Unix(int64(i), 0)); err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * sweepEvery)
		}
		for i, want := range map[int]int{0: 0, 10: 0, 18: 1, 19: 1} {
			if got, err := f.Events(t.Context(), Stream{"r", "g", fmt.Sprint(i)}); err != nil || len(got) != want {
				t.Errorf("stream %d: %d events, %v", i, len(got), err)
			}
		}
	})
}

func FuzzJSONLine(f *testing.F) {
	f.Add([]byte("text\x00\xff<é\u2028"), true)
	f.Fuzz(func(t *testing.T, text []byte, whole bool) {
		path := filepath.Join(t.TempDir(), "f")
		w, err := openJSONFile(path, nil, info)
		if err != nil {
			t.Fatal(err)
		}
		r := Record{Time: time.Unix(1, 2), Line: text}
		if !whole {
			r.Part = &Part{Ordinal: 1}
		}
		writeAll(t, w, r)
		flush(t, w, true)
		w.Close()
		got := content(t, path)
		var back jsonLine
		if err := json.Unmarshal(got, &back); err != nil || strings.Count(string(got), "\n") != 1 {
			t.Fatalf("%q: %v", got, err)
		}
		want := validUTF8(text)
		if whole {
			want += "\n"
		}
		if back.Log != want || !back.Time.Equal(r.Time) {
			t.Errorf("got %q, want %q", back.Log, want)
		}
	})
}
