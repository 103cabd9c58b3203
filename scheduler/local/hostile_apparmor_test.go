//go:build linux

package local_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/apparmor"
	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// needAppArmor skips a test where the kernel has no AppArmor, unless the environment promises it, as that of the virtual
// machine does.
func needAppArmor(t *testing.T) {
	t.Helper()
	needRoot(t)
	if apparmor.Enabled(os.DirFS("/sys")) {
		lane.Command(t, "apparmor_parser")
		return
	}
	if os.Getenv("FARDEL_APPARMOR") != "" {
		t.Fatal("AppArmor was promised, and this kernel runs without it")
	}
	t.Skip("needs a kernel that runs with AppArmor")
}

// hostileAdmin tries, in a container with SYS_ADMIN, what only a profile keeps from it. It changes nothing of the host's.
func hostileAdmin() int {
	report := func(name string, err error) {
		if err != nil {
			fmt.Printf("held: %s: %v\n", name, err)
		} else {
			fmt.Printf("BROKEN: %s\n", name)
		}
	}
	opens := func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return f.Close()
	}
	const at = "/at"
	if err := os.MkdirAll(at, 0o755); err != nil {
		return outcome(err)
	}
	report("mount a file system", syscall.Mount("none", at, "tmpfs", 0, ""))
	report("bind the root file system", syscall.Mount("/", at, "", syscall.MS_BIND, ""))
	report("mount another proc", syscall.Mount("proc", at, "proc", 0, ""))
	report("write core_pattern there", opens(at+"/sys/kernel/core_pattern"))
	report("remount /proc/sys writable", syscall.Mount("", "/proc/sys", "", syscall.MS_REMOUNT|syscall.MS_BIND, ""))
	report("write core_pattern", opens("/proc/sys/kernel/core_pattern"))
	report("remount /sys writable", syscall.Mount("", "/sys", "", syscall.MS_REMOUNT|syscall.MS_BIND, ""))
	report("write to /sys", opens("/sys/kernel/profiling"))
	report("unmount a mask", syscall.Unmount("/proc/kcore", syscall.MNT_DETACH))
	report("read behind a mask", readAny("/proc/kcore"))
	report("change the root", unix.PivotRoot("/", at))
	report("leave the profile", os.WriteFile("/proc/self/attr/current", []byte("changeprofile unconfined"), 0))
	return 0
}

// underProfile says what the process runs under.
func underProfile() int {
	text, err := os.ReadFile("/proc/self/attr/current")
	if err != nil {
		return outcome(err)
	}
	fmt.Println("under", strings.TrimRight(string(text), "\n\x00"))
	return 0
}

// withAdmin is a definition for EC2 whose containers have SYS_ADMIN.
func withAdmin(options []string, containers ...[]string) *task.TaskDefinition {
	def := define(containers...)
	def.RequiresCompatibilities = []task.LaunchType{task.LaunchTypeEC2}
	for i := range def.ContainerDefinitions {
		d := &def.ContainerDefinitions[i]
		d.DockerSecurityOptions = options
		d.LinuxParameters = &task.LinuxParameters{Capabilities: &task.KernelCapabilities{Add: []string{"SYS_ADMIN"}}}
	}
	return def
}

func TestHostileAppArmor(t *testing.T) {
	needAppArmor(t)
	c := open(t)
	ec2 := scheduler.RunOptions{LaunchType: task.LaunchTypeEC2}
	run := start(t, c, withAdmin(nil, []string{"app", "hostile-admin"}), ec2)
	wait(t, run)
	reportLines(t, output(t, run, "app"), 12)

	// Without the profile most of it works, or the attempts say nothing.
	free := start(t, c, withAdmin([]string{"apparmor:unconfined"}, []string{"app", "hostile-admin"}), ec2)
	wait(t, free)
	out := output(t, free, "app")
	t.Logf("unconfined:\n%s", out)
	if strings.Count(out, "BROKEN: ") < 8 {
		t.Error("too little works without the profile")
	}

	for name, tt := range map[string]struct {
		options []string
		change  func(*task.ContainerDefinition)
		own     bool
	}{
		"by default":    {own: true},
		"unconfined":    {options: []string{"apparmor:unconfined"}},
		"if privileged": {change: func(d *task.ContainerDefinition) { d.Privileged, d.LinuxParameters = true, nil }},
	} {
		def := withAdmin(tt.options, []string{"app", "under-profile"})
		if tt.change != nil {
			tt.change(&def.ContainerDefinitions[0])
		}
		run := start(t, c, def, ec2)
		wait(t, run)
		if out := output(t, run, "app"); strings.Contains(out, "under fardel-") != tt.own || !strings.Contains(out, "under ") {
			t.Errorf("%s: %q", name, out)
		}
	}

	_, err := c.Run(t.Context(), withAdmin([]string{"apparmor:fardel-no-such"}, []string{"app", "hang"}), ec2)
	hostiletest.Report(t, "run under a profile that is not there", err == nil, fmt.Sprint(err))
	if err == nil || !strings.Contains(err.Error(), "containerDefinitions[0].dockerSecurityOptions[0]") {
		t.Errorf("got %v, want an error with the path", err)
	}
}

// TestAppArmorProfileLives follows the profile: processes that are added run under it, it stays while a task runs, also when no
// program has the cluster open, and goes with the last.
func TestAppArmorProfileLives(t *testing.T) {
	needAppArmor(t)
	cfg := local.Config{Dir: filepath.Join(t.TempDir(), "c")}
	var c *local.Cluster
	openAs(t, cfg, &c)
	loaded := func() bool {
		t.Helper()
		ok, err := apparmor.Loaded(os.DirFS("/sys"), "fardel-"+local.Owner(cfg.Dir))
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !loaded() {
		t.Fatal("Open loads no profile")
	}
	run := start(t, c, define([]string{"app", "hang"}), scheduler.RunOptions{EnableExecuteCommand: true})
	running(t, run)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if _, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{guestPath(t), "under-profile"}, Stdout: &out}); err != nil {
		t.Error(err)
	}
	hostiletest.Report(t, "an added process without the profile", !strings.Contains(out.String(), "under fardel-"), out.String())
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	hostiletest.Report(t, "outlive the profile", !loaded(), "it is loaded while the task runs")
	var err error
	if c, err = local.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := c.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if loaded() {
		t.Error("the profile is left behind")
	}
	if c, err = local.Open(t.Context(), cfg); err != nil { // for what ends the test
		t.Fatal(err)
	}
}
