package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// corpus returns every JSON file under testdata: published definitions in
// taskdefs, see its SOURCES.md, and our own in definitions.
func corpus(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{"taskdefs", "definitions"} {
		found, err := filepath.Glob(filepath.Join("testdata", dir, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Fatalf("no definitions in testdata/%s", dir)
		}
		files = append(files, found...)
	}
	return files
}

func TestCorpus(t *testing.T) {
	for _, file := range corpus(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d, err := DecodeDefinition(bytes.NewReader(data))
			compareGolden(t, strings.TrimSuffix(file, ".json")+".golden", verdict(d, err))
			if err == nil {
				checkRoundTrip(t, data, d)
			}
		})
	}
}

// verdict says all there is to say of a definition.
func verdict(d *TaskDefinition, err error) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "decode: %v\n", err)
		return b.String()
	}
	for _, u := range d.Unknown() {
		fmt.Fprintf(&b, "unknown: %v\n", u)
	}
	for _, lt := range launchTypes {
		var invalid *ValidationError
		if !errors.As(d.Validate(lt), &invalid) {
			fmt.Fprintf(&b, "%s: valid\n", lt)
			continue
		}
		for _, p := range invalid.Problems {
			fmt.Fprintf(&b, "%s: %v\n", lt, p)
		}
	}
	fmt.Fprintf(&b, "compatibilities: %v\n", d.ValidLaunchTypes())
	return b.String()
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run go test -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// checkRoundTrip wants the encoding of d to be the JSON it was decoded from, and
// to decode to d again.
func checkRoundTrip(t *testing.T, data []byte, d *TaskDefinition) {
	t.Helper()
	encoded, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(unwrapped(t, data), value(t, encoded)); diff != "" {
		t.Errorf("encoding differs (-decoded +encoded):\n%s", diff)
	}
	again, err := DecodeDefinition(bytes.NewReader(encoded))
	if err != nil {
		t.Fatalf("decode what was encoded: %v", err)
	}
	if diff := cmp.Diff(d, again); diff != "" {
		t.Errorf("second decoding differs (-first +second):\n%s", diff)
	}
	twice, err := json.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded, twice) {
		t.Errorf("encoding is not stable:\n%s\n%s", encoded, twice)
	}
}

// value decodes JSON with its numbers as they are written.
func value(t *testing.T, data []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// unwrapped decodes JSON and puts what is beside taskDefinition into it.
func unwrapped(t *testing.T, data []byte) any {
	t.Helper()
	top := value(t, data).(map[string]any)
	inner, ok := top["taskDefinition"].(map[string]any)
	if !ok {
		return top
	}
	for name, v := range top {
		if name != "taskDefinition" {
			inner[name] = v
		}
	}
	return inner
}
