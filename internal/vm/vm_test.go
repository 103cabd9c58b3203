//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// modules makes a folder as setup unpacks it.
func modules(t *testing.T, dep string) kernel {
	t.Helper()
	k := kernel{t.TempDir(), "6.1.0"}
	for path, text := range map[string]string{k.image(): "", filepath.Join(k.modules(), "modules.dep"): dep} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func TestEarlyModules(t *testing.T) {
	k := modules(t, `kernel/virtio_pci.ko: kernel/virtio_ring.ko kernel/virtio.ko
kernel/9p.ko: kernel/9pnet.ko kernel/fscache.ko
kernel/9pnet.ko:
kernel/9pnet_virtio.ko: kernel/9pnet.ko kernel/virtio_ring.ko kernel/virtio.ko
kernel/nothing-of-ours.ko: kernel/virtio.ko
`)
	found, err := findKernel(k.dir)
	if err != nil || found != k {
		t.Fatalf("findKernel: %+v, %v", found, err)
	}
	files, err := k.earlyModules()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, strings.TrimSuffix(filepath.Base(f), ".ko"))
	}
	want := []string{"virtio", "virtio_ring", "virtio_pci", "9pnet", "9pnet_virtio", "fscache", "9p"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if _, err := modules(t, "kernel/9p.ko.xz:\n").earlyModules(); err == nil || !strings.Contains(err.Error(), "compressed") {
		t.Errorf("compressed modules: %v", err)
	}
	if _, err := findKernel(t.TempDir()); err == nil {
		t.Error("a folder without a kernel: no error")
	}
}

func TestArchive(t *testing.T) {
	var buf bytes.Buffer
	a := archive{w: &buf}
	a.add("/dir", modeDir|0o755, nil)
	a.device("/dir/tty", 5, 1)
	a.add("/file", modeFile|0o644, []byte("hello"))
	want := "070701" + "00000001" + "000041ED" + "0000000000000000" + "00000001" + "00000000" + "00000000" +
		"0000000000000000" + "0000000000000000" + "00000004" + "00000000" + "dir\x00" + "\x00\x00" +
		"070701" + "00000002" + "00002180" + "0000000000000000" + "00000001" + "00000000" + "00000000" +
		"0000000000000000" + "0000000500000001" + "00000008" + "00000000" + "dir/tty\x00" + "\x00\x00" +
		"070701" + "00000003" + "000081A4" + "0000000000000000" + "00000001" + "00000000" + "00000005" +
		"0000000000000000" + "0000000000000000" + "00000005" + "00000000" + "file\x00" + "\x00" + "hello\x00\x00\x00"
	if diff := cmp.Diff(want, buf.String()); a.err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", a.err, diff)
	}
}

// TestReport: a run is good only if every step ran to its end, with exit code 0 and at least one test.
func TestReport(t *testing.T) {
	said := stepMark + "one\n=== RUN   TestX\n--- PASS: TestX (0.00s)\n    --- SKIP: TestX/y (0.00s)\nPASS\n"
	for name, tt := range map[string]struct {
		said     string
		outcomes []outcome
		good     bool
		want     string
	}{
		"good":       {said, []outcome{{Name: "one", Took: 1500 * time.Millisecond}}, true, "ok  \tone\t1.5s\t1 tests, 1 skipped\n"},
		"exit code":  {said, []outcome{{Name: "one", Code: 2}}, false, "FAIL\tone\t0.0s\texit code 2\n"},
		"timeout":    {said, []outcome{{Name: "one", Code: -1, Err: "not done within 1s"}}, false, "FAIL\tone\t0.0s\tnot done within 1s\n"},
		"no test":    {stepMark + "one\ntesting: warning: no tests to run\nPASS\n", []outcome{{Name: "one"}}, false, "FAIL\tone\t0.0s\tno test ran\n"},
		"no output":  {"", []outcome{{Name: "one"}}, false, "FAIL\tone\t0.0s\tno test ran\n"},
		"never done": {said, nil, false, "FAIL\tone\tdid not run to its end\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var log, out bytes.Buffer
			r := newReport(&log, &out)
			for _, b := range []byte(tt.said) { // in pieces, as it comes
				if _, err := r.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.close(tt.outcomes, []step{{Name: "one"}}); got != tt.good || !strings.HasSuffix(out.String(), tt.want) || log.String() != tt.said {
				t.Errorf("good %t, output %q, log %q; want %t and %q", got, out.String(), log.String(), tt.good, tt.want)
			}
			if !tt.good && len(tt.outcomes) > 0 && tt.said != "" && !strings.Contains(out.String(), "PASS\nFAIL\t") {
				t.Errorf("what it said is not shown: %q", out.String())
			}
		})
	}
}

func TestReadResults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results")
	for text, want := range map[string]int{"": -1, `{"Name":"a"}` + "\n": -1, `{"Name":"a"}` + "\n" + complete: 1, "{\n" + complete: -1} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readResults(path, path)
		if (err != nil) != (want < 0) || want >= 0 && len(got) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestChoose(t *testing.T) {
	all, err := choose("", false)
	if err != nil || len(all) < 5 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, s := range all {
		if s.only || s.timeout == 0 {
			t.Errorf("suite %+v in the whole set", s)
		}
	}
	crun, err := choose("crun", true)
	if err != nil || len(crun) != 1 || crun[0].runtime != "crun" {
		t.Errorf("crun in the reduced set: %+v, %v", crun, err)
	}
	if _, err := choose("nothing", false); err == nil {
		t.Error("no such suite: no error")
	}
}

// TestRunStep: a step that hangs ends with all that it started, and one that cannot start says so.
func TestRunStep(t *testing.T) {
	var out bytes.Buffer
	if o := runStep(step{Args: []string{"sh", "-c", "echo hello; exit 3"}, Timeout: time.Minute}, &out); o.Code != 3 || o.Err != "" || out.String() != "hello\n" {
		t.Errorf("%+v, %q", o, out.String())
	}
	if o := runStep(step{Args: []string{"sh", "-c", "sleep 1000 & wait"}, Timeout: 50 * time.Millisecond}, &out); o.Code != -1 || !strings.Contains(o.Err, "not done within") {
		t.Errorf("%+v", o)
	}
	if o := runStep(step{Args: []string{"/no/such/program"}, Timeout: time.Minute}, &out); o.Code != -1 || !strings.Contains(o.Err, "no such file") {
		t.Errorf("%+v", o)
	}
}

func TestVerdictJoins(t *testing.T) {
	if err := verdict(outcome{}, tally{passed: 1}); err != nil {
		t.Error(err)
	}
	if err := verdict(outcome{Code: 1}, tally{}); err == nil || err.Error() != "exit code 1\nno test ran" {
		t.Errorf("got %v", err)
	}
}
