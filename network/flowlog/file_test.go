package flowlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rotated opens files of two fields in a directory, three at most.
func rotated(t *testing.T, dir string) *File {
	t.Helper()
	format, err := ParseFormat("${interface-id} ${log-status}")
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(FileConfig{Path: filepath.Join(dir, "flow.log"), Format: format, MaxBytes: minBytes, MaxFiles: 3})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// put writes records with the numbers first to last, in one call.
func put(t *testing.T, f *File, first, last int) {
	t.Helper()
	var records []Record
	for i := first; i <= last; i++ {
		records = append(records, Record{Interface: Interface{ID: fmt.Sprintf("eni-%04d", i)}, Status: NoData})
	}
	if err := f.Write(Log{}, records); err != nil {
		t.Fatal(err)
	}
}

// contents returns the lines below the header of each file, the oldest first, after a look at each file's shape.
func contents(t *testing.T, dir string) (lines []string) {
	t.Helper()
	for _, name := range []string{"flow.log.3", "flow.log.2", "flow.log.1", "flow.log"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		head, rest, _ := strings.Cut(string(data), "\n")
		if head != "interface-id log-status" || len(data) > minBytes || rest == "" || !strings.HasSuffix(rest, "\n") || name == "flow.log.3" {
			t.Errorf("%s has %d bytes and begins with %q", name, len(data), head)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(rest, "\n"), "\n")...)
	}
	return lines
}

// suffix returns the lines that records with numbers to a last one make, as many as asked.
func suffix(last, n int) (lines []string) {
	for i := last - n + 1; i <= last; i++ {
		lines = append(lines, fmt.Sprintf("eni-%04d NODATA", i))
	}
	return lines
}

// perFile is how many such lines a file has.
const perFile = (minBytes - len("interface-id log-status\n")) / len("eni-0001 NODATA\n")

func TestFileRotates(t *testing.T) {
	for name, step := range map[string]int{"one by one": 1, "in batches": 100, "in one call that takes all files and more": 4000} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := rotated(t, dir)
			for i := 1; i <= 4000; i += step {
				put(t, f, i, i+step-1)
				if i == 2000+1 { // as another program does
					if err := f.Close(); err != nil {
						t.Fatal(err)
					}
					f = rotated(t, dir)
				}
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			want := suffix(4000, 2*perFile+4000%perFile)
			if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestFileKilled has the next program find what one has left that was killed between any two steps of a rotation.
func TestFileKilled(t *testing.T) {
	move := func(from, to string) func(dir string) error {
		return func(dir string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
	}
	write := func(text string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, "flow.log"), []byte(text), 0o600) }
	}
	remove := func(dir string) error { return os.Remove(filepath.Join(dir, "flow.log.2")) }
	steps := []func(string) error{remove, move("flow.log.1", "flow.log.2"), move("flow.log", "flow.log.1"), write(""), write("interface-i"), write("interface-id log-status\n")}
	for n := range len(steps) + 1 {
		dir := t.TempDir()
		f := rotated(t, dir)
		put(t, f, 1, 3*perFile)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		for _, step := range steps[:n] {
			if err := step(dir); err != nil {
				t.Fatal(err)
			}
		}
		f = rotated(t, dir)
		put(t, f, 3*perFile+1, 3*perFile+1)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(suffix(3*perFile+1, 2*perFile+1), contents(t, dir)); diff != "" {
			t.Errorf("killed after step %d: -want +got\n%s", n, diff)
		}
	}
}

func TestFileInvalid(t *testing.T) {
	dir := t.TempDir()
	for name, cfg := range map[string]FileConfig{"no path": {}, "small": {Path: filepath.Join(dir, "f"), MaxBytes: 1}, "none": {Path: filepath.Join(dir, "f"), MaxFiles: -1}} {
		if _, err := OpenFile(cfg); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want %v", name, err, ErrInvalid)
		}
	}
	f := rotated(t, dir)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(Log{}, []Record{{}}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
}
