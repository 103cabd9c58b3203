package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
)

// hybrid is the table of mounts of a machine with systemd's hybrid layout, %[1]s being where it is mounted.
const hybrid = `22 1 254:0 / / rw - ext4 /dev/vda rw
31 23 0:28 / %[1]s rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / %[1]s/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / %[1]s/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:32 / %[1]s/again rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / %[1]s/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / %[1]s/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / %[1]s/unified rw,relatime - cgroup2 cgroup2 rw
`

const unified = "41 31 0:38 / %[1]s rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"

func fake(t *testing.T, mounts string) (*Tree, string) {
	t.Helper()
	root := t.TempDir()
	tree, err := parse(strings.NewReader(fmt.Sprintf(mounts, root)), "/fardel/test/")
	if err != nil {
		t.Fatal(err)
	}
	return tree, root
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// contents are the files below a directory that have some content.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		if len(text) > 0 {
			files[strings.TrimPrefix(p, dir+"/")] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestParse(t *testing.T) {
	tree, root := fake(t, hybrid)
	if tree.Unified() || len(tree.mounts) != 5 {
		t.Errorf("hybrid: unified %t, mounts %+v, want 4 of v1 and one of v2", tree.Unified(), tree.mounts)
	}
	if got, want := tree.dir("cpuacct", "x"), root+"/cpu,cpuacct/fardel/test/x"; got != want {
		t.Errorf("dir: got %s, want %s", got, want)
	}
	if got := tree.dir("nope", "x"); got != "" {
		t.Errorf("dir of a controller that is not there: %s", got)
	}
	if tree, _ := fake(t, unified); !tree.Unified() {
		t.Error("unified: taken for v1")
	}
	for _, table := range []string{"", "garbage\n", "1 2 3 / /x rw - cgroup cgroup rw,cpu\n"} {
		if _, err := parse(strings.NewReader(table), "p"); err == nil {
			t.Errorf("%q: no error", table)
		}
	}
	if got := tree.Path("s", "c"); got != "/fardel/test/s/c" {
		t.Errorf("Path: %s", got)
	}
}

func TestCreateV1(t *testing.T) {
	tree, root := fake(t, hybrid)
	group := "fardel/test/task/"
	for _, f := range []string{"cpu,cpuacct/" + group + "cpu.shares", "cpu,cpuacct/" + group + "cpu.cfs_period_us",
		"cpu,cpuacct/" + group + "cpu.cfs_quota_us", "memory/" + group + "memory.limit_in_bytes",
		"memory/" + group + "memory.memsw.limit_in_bytes", "memory/fardel/test/memory.memsw.limit_in_bytes", "pids/" + group + "pids.max"} {
		put(t, filepath.Join(root, f), "")
	}
	err := tree.Create("task", Limits{CPU: 25 * time.Millisecond, Shares: 1, Memory: 512 << 20, PIDs: 100})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"cpu,cpuacct/" + group + "cpu.shares":             "2",
		"cpu,cpuacct/" + group + "cpu.cfs_period_us":      "100000",
		"cpu,cpuacct/" + group + "cpu.cfs_quota_us":       "25000",
		"memory/" + group + "memory.limit_in_bytes":       "536870912",
		"memory/" + group + "memory.memsw.limit_in_bytes": "536870912",
		"pids/" + group + "pids.max":                      "100",
	}
	if diff := cmp.Diff(want, contents(t, root)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// v2 makes the files of a group of v2 that the kernel would.
func v2(t *testing.T, dir, controllers, enabled string) {
	t.Helper()
	put(t, filepath.Join(dir, "cgroup.controllers"), controllers)
	put(t, filepath.Join(dir, "cgroup.subtree_control"), enabled)
	for _, f := range []string{"cpu.max", "cpu.weight", "memory.max", "memory.swap.max", "pids.max"} {
		put(t, filepath.Join(dir, f), "")
	}
}

func TestCreateV2(t *testing.T) {
	tree, root := fake(t, unified)
	all := "cpu io memory pids\n"
	for _, dir := range []string{"", "fardel", "fardel/test", "fardel/test/task"} {
		v2(t, filepath.Join(root, dir), all, "cpu io memory pids")
	}
	if err := tree.Create("task", Limits{CPU: 400 * time.Millisecond, Shares: 1024, Memory: 1 << 30, PIDs: 7}); err != nil {
		t.Fatal(err)
	}
	group, got := filepath.Join(root, "fardel/test/task"), map[string]string{}
	for name, text := range contents(t, group) {
		if !strings.HasPrefix(name, "cgroup.") {
			got[name] = text
		}
	}
	want := map[string]string{"cpu.max": "400000 100000", "cpu.weight": "39", "memory.max": "1073741824", "memory.swap.max": "0", "pids.max": "7"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestCreateV2WithoutController(t *testing.T) {
	tree, root := fake(t, unified)
	v2(t, root, "cpu io pids\n", "cpu io pids")
	if err := tree.Create("task", Limits{}); err == nil || !strings.Contains(err.Error(), "memory controller") {
		t.Errorf("got %v, want an error that names the memory controller", err)
	}
}

func TestEnableControllers(t *testing.T) {
	dir := t.TempDir()
	v2(t, dir, "cpu memory pids hugetlb", "cpu memory")
	if err := enableControllers(dir); err != nil {
		t.Fatal(err)
	}
	// A file keeps the last line alone; the kernel adds them up.
	if got := contents(t, dir)["cgroup.subtree_control"]; got != "+hugetlb" {
		t.Errorf("got %q", got)
	}
}

func TestWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{0: 1, 2: 1, 1024: 39, 262144: 10000, 1 << 40: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("weight(%d) = %d, want %d", shares, got, want)
		}
	}
}

func TestStatsV1(t *testing.T) {
	files := map[string]string{
		"cpuacct.usage": "1234567890\n", "cpuacct.stat": "user 80\nsystem 40\n",
		"cpu.stat":                  "nr_periods 100\nnr_throttled 30\nthrottled_time 5000000\nwait_sum 17\n",
		"memory.usage_in_bytes":     "104857600\n",
		"memory.stat":               "cache 1\ninactive_file 7\ntotal_inactive_file 4857600\n",
		"memory.limit_in_bytes":     "9223372036854771712\n",
		"memory.max_usage_in_bytes": "204857600\n",
		"pids.current":              "3\n",
		"pids.max":                  "max\n",
		"memory.failcnt":            "4\n", "cpuacct.usage_percpu": "1000000000 234567890 \n",
		"blkio.throttle.io_serviced_recursive":      "254:0 Read 2\n254:0 Write 3\n254:0 Total 5\nTotal 5\n",
		"blkio.throttle.io_service_bytes_recursive": "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 1\n254:0 Total 12288\n8:0 Read 1\nTotal 12289\n",
	}
	got := statsV1(func(_, file string) string { return files[file] })
	want := runtime.Stats{
		CPU: 1234567890, CPUUser: 800 * time.Millisecond, CPUSystem: 400 * time.Millisecond,
		CPUPeriods: 100, CPUThrottled: 30, CPUThrottledTime: 5 * time.Millisecond,
		Memory: 104857600, MemoryWorkingSet: 100000000, MemoryPeak: 204857600, PIDs: 3, ReadBytes: 4097, WriteBytes: 8192,
		PerCPU: []time.Duration{1000000000, 234567890}, MemoryFailures: 4,
		MemoryDetails: map[string]uint64{"cache": 1, "inactive_file": 7, "total_inactive_file": 4857600},
		BlockIO:       []runtime.BlockIO{{Major: 8, ReadBytes: 1}, {Major: 254, ReadBytes: 4096, WriteBytes: 8192, Reads: 2, Writes: 3}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatsV2(t *testing.T) {
	files := map[string]string{
		"cpu.stat":       "usage_usec 2000\nuser_usec 1500\nsystem_usec 500\nnr_periods 9\nnr_throttled 4\nthrottled_usec 70\n",
		"memory.current": "5000\n", "memory.stat": "anon 1\ninactive_file 9000\n", "memory.max": "536870912\n", "memory.peak": "6000\n",
		"memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n", "pids.current": "1\n", "pids.max": "64\n",
		"io.stat":         "254:0 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n8:0 rbytes=1 wbytes=2\n",
		"cpu.pressure":    "some avg10=1.50 avg60=0.20 avg300=0.00 total=900\n",
		"memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=7000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5000\n",
	}
	got := statsV2(func(file string) string { return files[file] })
	want := runtime.Stats{
		CPU: 2 * time.Millisecond, CPUUser: 1500 * time.Microsecond, CPUSystem: 500 * time.Microsecond,
		CPUPeriods: 9, CPUThrottled: 4, CPUThrottledTime: 70 * time.Microsecond,
		Memory: 5000, MemoryLimit: 536870912, MemoryPeak: 6000, OOMKills: 2, PIDs: 1, PIDsLimit: 64, ReadBytes: 11, WriteBytes: 22,
		MemoryFailures: 3, MemoryDetails: map[string]uint64{"anon": 1, "inactive_file": 9000},
		BlockIO:        []runtime.BlockIO{{Major: 8, ReadBytes: 1, WriteBytes: 2}, {Major: 254, ReadBytes: 10, WriteBytes: 20, Reads: 1, Writes: 1}},
		CPUPressure:    runtime.Pressure{Some: 900 * time.Microsecond},
		MemoryPressure: runtime.Pressure{Some: 7 * time.Millisecond, Full: 5 * time.Millisecond},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := statsV2(func(string) string { return "" }); !reflect.DeepEqual(got, runtime.Stats{}) {
		t.Errorf("no files: %+v", got)
	}
}

func TestHostCPU(t *testing.T) {
	total, n := hostCPU("cpu  1 2 3 400 5 6 7 8 1000 1000\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5 6\n")
	if total != 4320*time.Millisecond || n != 2 {
		t.Errorf("%v on %d processors, want 4.32s on 2", total, n)
	}
}

// TestKernel makes a group for real, with a process that ignores SIGTERM in a group below it.
func TestKernel(t *testing.T) {
	lane.Root(t)
	tree, err := Open(fmt.Sprintf("fardel/cgroup-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := tree.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer tree.RemoveParent()
	defer lock.Close()
	if _, err := tree.Lock(); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: got %v, want ErrLocked", err)
	}
	for range 2 {
		if err := tree.Create("task", Limits{CPU: 10 * time.Millisecond, Memory: 64 << 20, PIDs: 16}); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := tree.AddProcess("task", "child", cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	s, err := tree.Stats("task")
	if err != nil || s.MemoryLimit != 64<<20 || s.PIDs != 1 || s.PIDsLimit != 16 || s.HostCPU == 0 || s.OnlineCPUs == 0 || len(s.MemoryDetails) == 0 {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if names, err := tree.List(); err != nil || len(names) != 1 || names[0] != "task" {
		t.Errorf("List: %q, %v", names, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		if err := tree.Remove(ctx, "task"); err != nil {
			t.Fatal(err)
		}
	}
	var exit *exec.ExitError
	if err := <-done; !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v, want SIGKILL", err)
	}
	if names, err := tree.List(); err != nil || len(names) != 0 {
		t.Errorf("List after Remove: %q, %v", names, err)
	}
	if _, err := tree.Stats("task"); !errors.Is(err, ErrNoGroup) {
		t.Errorf("stats of a removed group: %v", err)
	}
}

func TestRemoveOnlyBelow(t *testing.T) {
	tree, _ := fake(t, unified)
	for _, name := range []string{"", ".", "..", "../x", "a/../.."} {
		if err := tree.Remove(t.Context(), name); err == nil {
			t.Errorf("Remove(%q): no error", name)
		}
	}
}
