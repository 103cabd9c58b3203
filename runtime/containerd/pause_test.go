//go:build linux

package containerd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
)

func TestPausePlan(t *testing.T) {
	plan := pausePlan{groups: []int{4, 5}, netNS: 6, lastCapability: 40, audit: unix.AUDIT_ARCH_X86_64, closeRange: true}
	steps := func(p pausePlan) (list []string) {
		for _, c := range p.program().calls {
			list = append(list, c.step)
		}
		return slices.Compact(list)
	}
	want := []string{
		"enter the cgroup", "make a cgroup namespace", "join the network namespace", "set the host name", "set the domain name",
		"make mounts private", "mount an empty root", "go to the empty root", "change the root", "unmount the host's files", "go to the root",
		"set the name", "ignore the end of children", "limit descriptors", "drop a capability", "drop ambient capabilities", "drop groups",
		"change the group", "change the user", "drop capabilities", "forbid dumps", "forbid new privileges", "filter system calls", "report",
		"close descriptors",
	}
	if diff := cmp.Diff(want, steps(plan)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	dropped := 0
	for _, c := range plan.program().calls {
		if c.step == "drop a capability" {
			if c.args[1] != uint64(dropped) {
				t.Errorf("capability %d is dropped after %d", c.args[1], dropped)
			}
			dropped++
		}
	}
	if dropped != 41 {
		t.Errorf("%d capabilities are dropped", dropped)
	}
	plan.netNS, plan.closeRange = 0, false
	got := steps(plan)
	if slices.Contains(got, "join the network namespace") || got[len(got)-1] != "close a descriptor" {
		t.Errorf("without a network and close_range: %q", got)
	}
	closed := uint64(0)
	for _, c := range plan.program().calls {
		if c.step == "close a descriptor" {
			if c.args[0] != closed || !c.mayFail {
				t.Errorf("descriptor %d is closed after %d", c.args[0], closed)
			}
			closed++
		}
	}
	if closed != oldDescriptors {
		t.Errorf("%d descriptors are closed", closed)
	}
}

// TestAllowOnly runs a filter as the kernel does.
func TestAllowOnly(t *testing.T) {
	const audit, other = unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386
	for _, c := range []struct {
		arch, number uint32
		allowed      bool
	}{
		{audit, 7, true}, {audit, 8, true}, {audit, 9, true}, {audit, 10, false}, {audit, 0, false}, {audit, 7 | 1<<30, false}, {other, 7, false},
	} {
		want := uint32(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
		if c.allowed {
			want = unix.SECCOMP_RET_ALLOW
		}
		if got := runFilter(allowOnly(audit, 7, 8, 9), c.arch, c.number); got != want {
			t.Errorf("call %d of %x: %x, want %x", c.number, c.arch, got, want)
		}
	}
}

func runFilter(f []unix.SockFilter, arch, number uint32) uint32 {
	var a uint32
	for at := 0; at < len(f); at++ {
		switch i := f[at]; i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = map[uint32]uint32{0: number, 4: arch}[i.K]
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if a == i.K {
				at += int(i.Jt)
			} else {
				at += int(i.Jf)
			}
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			if a >= i.K {
				at += int(i.Jt)
			} else {
				at += int(i.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		}
	}
	return 0
}

// TestMachineCode holds instructions against those that Go's assembler makes.
func TestMachineCode(t *testing.T) {
	c := sysCall{number: 0x1234, args: []uint64{1, 0x123456789a}}
	for _, m := range []struct{ arch, want string }{
		{"amd64", "bb05000000" + "bf01000000" + "48be9a78563412000000" + "b834120000" + "0f05" + "85c0" + "0f88" + "ddffffff" + "e9" + "d8ffffff"},
		{"arm64", "b30080d2" + "200080d2" + "41138fd2" + "c18aa6f2" + "4102c0f2" + "884682d2" + "010000d4" + "20ffffb7" + "f8ffff17"},
	} {
		code := machines[m.arch].jump(machines[m.arch].check(machines[m.arch].call(nil, 5, c), 0), 0)
		if got := hex.EncodeToString(code); got != m.want {
			t.Errorf("%s: %s, want %s", m.arch, got, m.want)
		}
	}
	want := "e003004b" + "6022002a" + "e00f1fb8" + "e1030091" + "600080d2" + "820080d2" + "080880d2" + "010000d4" + "200080d2" + "c80b80d2" + "010000d4"
	if got := hex.EncodeToString(arm64Failure(64, 94)); got != want {
		t.Errorf("failure on arm64: %s, want %s", got, want)
	}
}

// TestProgramReports runs programs, for which nobody need be root.
func TestProgramReports(t *testing.T) {
	m, ok := machines[goruntime.GOARCH]
	if !ok {
		t.Skip("fardel is not made for this processor")
	}
	for _, dir := range []string{"/", "/no/such/directory"} {
		p := &program{rest: &sysCall{number: unix.SYS_PPOLL, args: []uint64{0, 0, 0, 0, 0}}}
		p.call("stay", unix.SYS_CHDIR, p.text("/"))
		p.call("go", unix.SYS_CHDIR, p.text(dir))
		p.call("report", unix.SYS_WRITE, reportFD, p.bytes(make([]byte, 4)), 4)
		file, err := sealed("fardel-test", p.encode(m))
		if err != nil {
			t.Fatal(err)
		}
		report, end, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := &exec.Cmd{Path: "/proc/self/fd/4", Args: []string{"test"}, ExtraFiles: []*os.File{end, file}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end.Close()
		var said [4]byte
		_, err = io.ReadFull(report, said[:])
		got := p.failure(said)
		if want := dir != "/"; err != nil || want != errors.Is(got, unix.ENOENT) || want != (got != nil && strings.HasPrefix(got.Error(), "go: ")) {
			t.Errorf("chdir %s: %v, %v", dir, got, err)
		}
		if _, err := file.WriteAt([]byte{0}, 0); err == nil {
			t.Error("the program can be written to")
		}
		if w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), os.O_WRONLY, 0); err == nil {
			if _, err := w.WriteAt([]byte{0}, 0); !errors.Is(err, unix.EPERM) {
				t.Errorf("writing to the program: %v", err)
			}
			w.Close()
		}
		_ = cmd.Process.Kill() // one that failed has ended
		_ = cmd.Wait()
		file.Close()
		report.Close()
	}
}

// sharing opens a driver with a sandbox whose containers share a PID namespace.
func sharing(t *testing.T, dir string) (*Driver, process) {
	t.Helper()
	d := crashDriver(t, dir)
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "shared", SharePID: true}); err != nil {
		t.Fatal(err)
	}
	return d, d.sandboxes["shared"].pause
}

// TestPauseLives looks at the first process of a PID namespace from outside.
func TestPauseLives(t *testing.T) {
	lane.Root(t)
	dir := prepareCrash(t)
	began := time.Now()
	d, p := sharing(t, dir)
	t.Log("sandbox after", time.Since(began))
	defer d.Close()
	proc := fmt.Sprintf("/proc/%d", p.PID)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Name:\tfardel-pause", "Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "Groups:\t ", "NoNewPrivs:\t1", "Seccomp:\t2",
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000",
		"Threads:\t1",
	} {
		if !strings.Contains(string(status), line+"\n") {
			t.Errorf("status without %q:\n%s", line, status)
		}
	}
	for _, ns := range []string{"pid", "mnt", "ipc", "uts", "net", "cgroup"} {
		own, err := os.Readlink("/proc/self/ns/" + ns)
		its, ierr := os.Readlink(proc + "/ns/" + ns)
		if err != nil || ierr != nil || own == its {
			t.Errorf("%s namespace %q, ours is %q: %v", ns, its, own, errors.Join(err, ierr))
		}
	}
	if fds, err := os.ReadDir(proc + "/fd"); err != nil || len(fds) > 0 {
		t.Errorf("descriptors %v, %v", fds, err)
	}
	if files, err := os.ReadDir(proc + "/root"); err != nil || len(files) > 0 {
		t.Errorf("root %v, %v", files, err)
	}
	if line, err := os.ReadFile(proc + "/cmdline"); string(line) != "fardel-pause\x00" {
		t.Errorf("command line %q, %v", line, err)
	}
	if score, err := os.ReadFile(proc + "/oom_score_adj"); string(score) != "0\n" {
		t.Errorf("oom_score_adj %q, %v", score, err)
	}
	if size := pss(t, p.PID); size > 64 {
		t.Errorf("it takes %d KiB", size)
	} else {
		t.Logf("it takes %d KiB", size)
	}
	if err := d.RemoveSandbox(t.Context(), "shared"); err != nil {
		t.Error(err)
	}
	if p.alive() {
		t.Error("it outlives its sandbox")
	}
	wantNothingLeft(t, d)
}

// pss is the memory of a process in KiB, its share of what is shared.
func pss(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] == "Pss:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no Pss in %s", text)
	return 0
}

// TestPauseReaps has a process whose parent has ended end, too.
func TestPauseReaps(t *testing.T) {
	dir := prepareCrash(t)
	d, p := sharing(t, dir)
	defer d.Close()
	img := crashRef(t, d)
	spec := runtime.ContainerSpec{ID: "stays", SandboxID: "shared", Image: img, Entrypoint: []string{"/guest"}, Command: []string{"hang"}}
	if err := errors.Join(d.CreateContainer(t.Context(), spec), d.Start(t.Context(), "stays")); err != nil {
		t.Fatal(err)
	}
	code, err := d.Exec(t.Context(), "stays", runtime.ExecSpec{Args: []string{"/guest", "spawn sleep 300ms", "exit 4"}})
	if err != nil || code != 4 {
		t.Fatal(code, err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.PID, p.PID))
		if err != nil {
			t.Fatal(err)
		}
		if len(children) == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("children that are not reaped: %s", children)
		}
	}
	if err := d.RemoveSandbox(t.Context(), "shared"); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, d)
}

// TestPauseNotNoted opens a driver after one was killed that had started a first process and not noted it.
func TestPauseNotNoted(t *testing.T) {
	dir := prepareCrash(t)
	d, p := sharing(t, dir)
	err := os.Remove(filepath.Join(d.sandboxDir("shared"), pauseFile))
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	d = crashDriver(t, dir)
	defer d.Close()
	if now := d.sandboxes["shared"].pause; p.alive() || !now.alive() || now == p {
		t.Errorf("the first was %+v, which lives: %t; now it is %+v", p, p.alive(), now)
	}
	if err := d.RemoveSandbox(t.Context(), "shared"); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, d)
}

// TestPauseOfEarlierVersion opens a driver where an earlier version's first processes run: the one that is noted goes on, with
// a warning, and the other is ended.
func TestPauseOfEarlierVersion(t *testing.T) {
	dir := prepareCrash(t)
	d, p := sharing(t, dir)
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
	old := func() process {
		cmd := &exec.Cmd{
			Path: "/proc/self/exe", Args: []string{pauseName, d.namespace, "shared", d.cfg.Dir},
			Env:         []string{childDir + "=" + dir, childRole + "=pause"},
			SysProcAttr: &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID},
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p, err := identify(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.kill() }) // the driver has
		return p
	}
	noted, lost := old(), old()
	if err := errors.Join(writeJSON(filepath.Join(d.sandboxDir("shared"), pauseFile), noted), d.Close()); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg := Config{Owner: fmt.Sprintf("crash-%d", os.Getpid()), Dir: filepath.Join(dir, "driver"), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	d, err := Embed(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if now := d.sandboxes["shared"].pause; !noted.alive() || now != noted || lost.alive() {
		t.Errorf("noted lives: %t; the sandbox has %+v, want %+v; the other lives: %t", noted.alive(), now, noted, lost.alive())
	}
	if strings.Count(log.String(), "start their tasks again") != 1 {
		t.Errorf("log %q", log.String())
	}
	if err := d.RemoveSandbox(t.Context(), "shared"); err != nil {
		t.Error(err)
	}
	if noted.alive() {
		t.Error("it outlives its sandbox")
	}
	wantNothingLeft(t, d)
}
