//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// tally counts the tests of a step.
type tally struct{ passed, failed, skipped int }

// report follows the output of steps that are test binaries: all of it goes to the log, and the lines about tests of
// the top level to out.
type report struct {
	log, out io.Writer
	line     []byte // not ended yet
	step     string
	tallies  map[string]*tally
	said     map[string]*bytes.Buffer // all that a step said
}

func newReport(log, out io.Writer) *report {
	return &report{log: log, out: out, tallies: map[string]*tally{}, said: map[string]*bytes.Buffer{}}
}

func (r *report) Write(b []byte) (int, error) {
	if _, err := r.log.Write(b); err != nil {
		return 0, err
	}
	r.line = append(r.line, b...)
	for {
		line, rest, ok := bytes.Cut(r.line, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		r.take(strings.TrimRight(string(line), "\r"))
		r.line = rest
	}
}

func (r *report) take(line string) {
	if name, ok := strings.CutPrefix(line, stepMark); ok {
		r.step = name
		r.tallies[name], r.said[name] = &tally{}, &bytes.Buffer{}
		return
	}
	t := r.tallies[r.step]
	if t == nil {
		fmt.Fprintln(r.out, line)
		return
	}
	fmt.Fprintln(r.said[r.step], line)
	result := strings.TrimLeft(line, " ")
	switch {
	case strings.HasPrefix(result, "--- PASS"):
		t.passed++
	case strings.HasPrefix(result, "--- FAIL"):
		t.failed++
	case strings.HasPrefix(result, "--- SKIP"):
		t.skipped++
	default:
		return
	}
	if result == line || !strings.HasPrefix(result, "--- PASS") {
		fmt.Fprintln(r.out, line)
	}
}

// stepMark begins the line before the output of a step.
const stepMark = "=== STEP  "

// close prints the closing line of each step, as go test does, with all output of those that failed, and reports whether
// all went well.
func (r *report) close(outcomes []outcome, steps []step) bool {
	good := true
	ended := map[string]outcome{}
	for _, o := range outcomes {
		ended[o.Name] = o
	}
	for _, s := range steps {
		o, ok := ended[s.Name]
		if !ok {
			fmt.Fprintf(r.out, "FAIL\t%s\tdid not run to its end\n", s.Name)
			good = false
			continue
		}
		t := r.tallies[s.Name]
		if t == nil {
			t = &tally{}
		}
		if err := verdict(o, *t); err != nil {
			if said := r.said[s.Name]; said != nil {
				fmt.Fprintf(r.out, "=== %s\n%s", s.Name, said.Bytes())
			}
			fmt.Fprintf(r.out, "FAIL\t%s\t%.1fs\t%s\n", s.Name, o.Took.Seconds(), strings.ReplaceAll(err.Error(), "\n", "; "))
			good = false
			continue
		}
		fmt.Fprintf(r.out, "ok  \t%s\t%.1fs\t%d tests, %d skipped\n", s.Name, o.Took.Seconds(), t.passed, t.skipped)
	}
	return good
}
