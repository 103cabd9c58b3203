//go:build linux

package local_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/containerd"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

var ociRuntime = flag.String("oci-runtime", "", "the OCI `runtime` of most tests; runc without it")

// needRoot skips a test that runs real tasks where that is not possible.
func needRoot(t *testing.T) {
	t.Helper()
	lane.Root(t)
	lane.Command(t, "runc")
	lane.Command(t, "ip")
}

// open opens a cluster in a new directory, with the guest as image "guest", that is purged at the end of the test; then
// nothing of it may be left.
func open(t *testing.T, change ...func(*local.Config)) *local.Cluster {
	t.Helper()
	cfg := local.Config{Dir: filepath.Join(t.TempDir(), "c"), Runtime: *ociRuntime}
	for _, f := range change {
		f(&cfg)
	}
	if cfg.Containerd == "" {
		cfg.Containerd = laneDaemon(t)
	}
	var c *local.Cluster
	openAs(t, cfg, &c)
	return c
}

// openAs opens a cluster as open does, for a test that closes it and sets c to the one that it opens after it.
func openAs(t *testing.T, cfg local.Config, c **local.Cluster) {
	t.Helper()
	needRoot(t)
	before := leaktest.Take(t, cfg.Dir, local.Owner(cfg.Dir))
	withUserNS(&cfg)
	var err error
	if *c, err = local.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := (*c).Purge(context.Background()); err != nil {
			t.Errorf("purge: %v", err)
		}
		before.Check()
	})
	addGuest(t, *c)
}

// purgeFailed ends the tasks of a test that has failed, whoever has the cluster open. c is the test's own, or nil.
func purgeFailed(t *testing.T, cfg local.Config, c **local.Cluster) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if *c != nil {
			_ = (*c).Close() // it may be closed
		}
		again, err := local.Open(ctx, cfg)
		if err == nil {
			err = again.Purge(ctx)
		}
		if err != nil {
			t.Logf("what the test has left: %v", err)
		}
	})
}

func addGuest(t *testing.T, c *local.Cluster) {
	t.Helper()
	if err := addSelf(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// define returns a definition of containers of the guest; each is a name and then its statements.
func define(containers ...[]string) *task.TaskDefinition {
	def := &task.TaskDefinition{
		Family: "guest", NetworkMode: task.NetworkModeAWSVPC, CPU: "256", Memory: "512",
		RequiresCompatibilities: []task.LaunchType{task.LaunchTypeFargate},
	}
	for _, c := range containers {
		def.ContainerDefinitions = append(def.ContainerDefinitions, task.ContainerDefinition{
			Name: c[0], Image: "guest", Command: c[1:], StopTimeout: 2,
		})
	}
	return def
}

func start(t *testing.T, c *local.Cluster, def *task.TaskDefinition, o scheduler.RunOptions) *scheduler.Run {
	t.Helper()
	run, err := c.Run(t.Context(), def, o)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func running(t *testing.T, run *scheduler.Run) *task.Task {
	t.Helper()
	got, err := run.WaitRunning(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wait(t *testing.T, run *scheduler.Run) *task.Task {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := run.Wait(ctx)
	if err != nil {
		t.Fatalf("task is %+v: %v", got, err)
	}
	return got
}

func output(t *testing.T, run *scheduler.Run, container string) string {
	t.Helper()
	out, err := run.Output(t.Context(), container)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestTwoContainers(t *testing.T) {
	c := open(t)
	run := start(t, c, define(
		[]string{"app", "out from app", "hostname", "link eth0", "read /etc/hosts", "await side", "exit 3"},
		[]string{"side", "out from side", "catch TERM 7", "tell side", "hang"},
	), scheduler.RunOptions{})
	followed, err := io.ReadAll(run.Logs(t.Context(), "app"))
	if err != nil {
		t.Fatal(err)
	}
	stopped := wait(t, run)
	addr := stopped.Attachments[0].Detail("privateIPv4Address")
	name := stopped.Attachments[0].Detail("privateDnsName")
	for _, want := range []string{"from app", name, addr + " " + name} {
		if !strings.Contains(string(followed), want) {
			t.Errorf("log of app lacks %q:\n%s", want, followed)
		}
	}
	if got := output(t, run, "side"); got != "from side\ntold side\ncaught TERM\n" {
		t.Errorf("log of side %q", got)
	}
	if app, side := stopped.Container("app"), stopped.Container("side"); *app.ExitCode != 3 || *side.ExitCode != 7 {
		t.Errorf("exit codes %d and %d, want 3 and 7", *app.ExitCode, *side.ExitCode)
	}
	if stopped.StopCode != task.StopCodeEssentialContainerExited {
		t.Errorf("%s: %s", stopped.StopCode, stopped.StoppedReason)
	}
}

func TestKilledAfterStopTimeout(t *testing.T) {
	c := open(t)
	run := start(t, c, define([]string{"app", "ignore TERM", "out deaf", "hang"}), scheduler.RunOptions{})
	running(t, run)
	awaitOutput(t, run, "app", "deaf")
	if err := run.Stop(t.Context(), "enough"); err != nil {
		t.Fatal(err)
	}
	stopped := wait(t, run)
	if *stopped.Containers[0].ExitCode != 137 || stopped.StoppedReason != "enough" {
		t.Errorf("exit code %d, reason %q", *stopped.Containers[0].ExitCode, stopped.StoppedReason)
	}
	if took := stopped.StoppedAt.Sub(stopped.StoppingAt); took < 2*time.Second {
		t.Errorf("killed after %v, before its stopTimeout of 2 s", took)
	}
}

// awaitOutput returns when a container has written a text.
func awaitOutput(t *testing.T, run *scheduler.Run, container, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	logs := run.Logs(ctx, container)
	defer logs.Close()
	var got strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(got.String(), text); {
		n, err := logs.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			t.Fatalf("log of %s is %q without %q: %v", container, got.String(), text, err)
		}
	}
}

func TestCPUQuota(t *testing.T) {
	c := open(t)
	run := start(t, c, define([]string{"app", "out spinning", "spin"}), scheduler.RunOptions{})
	running(t, run)
	awaitOutput(t, run, "app", "spinning")
	const quota = 0.25
	var got []float64
	for range 4 {
		before, err := run.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(4 * time.Second)
		after, err := run.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		used := (after.Task.CPU - before.Task.CPU).Seconds()
		got = append(got, used/after.Task.At.Sub(before.Task.At).Seconds())
		if share := got[len(got)-1]; share >= quota*0.95 && share <= quota*1.05 {
			break
		} else if share > quota {
			continue // whoever reads the counter and then the clock may be kept waiting between
		}
		// Others kept it from its share. Every period of 100 ms that ended with it throttled had the whole quota all the
		// same, and on a machine that leaves it none of those there is nothing to measure.
		full := float64(after.Task.CPUThrottled-before.Task.CPUThrottled) * quota / 10
		if used < full*0.95 {
			t.Errorf("throttled after %.3f s of CPU, before its quota of %.3f s", used, full)
		}
		t.Logf("the machine is busy: %.4f of a processor, %.3f s in throttled periods", got[len(got)-1], full)
	}
	if least := slices.Min(got); least > quota*1.05 {
		t.Errorf("a spinning task of 0.25 vCPU got %.4f, want at most 5%% more", got)
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}

func TestOutOfMemory(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "out taking", "alloc 700", "out unreachable", "hang"}, []string{"side", "hang"})
	stopped := wait(t, start(t, c, def, scheduler.RunOptions{}))
	app, side := stopped.Container("app"), stopped.Container("side")
	if *app.ExitCode != 137 || app.Reason != task.ReasonOutOfMemory {
		t.Errorf("app exited with %d: %s; want 137: %s", *app.ExitCode, app.Reason, task.ReasonOutOfMemory)
	}
	if side.Reason != "" {
		t.Errorf("side was not out of memory: %s", side.Reason)
	}
	if stopped.StopCode != task.StopCodeEssentialContainerExited {
		t.Errorf("%s: %s", stopped.StopCode, stopped.StoppedReason)
	}
}

func TestSizeSeenFromInside(t *testing.T) {
	c := open(t)
	run := start(t, c, define([]string{"app", "read /proc/self/cgroup", "nofile", "caps"}), scheduler.RunOptions{})
	stopped := wait(t, run)
	var own syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	nofile := fmt.Sprint(min(own.Max, 65535)) // without CAP_SYS_RESOURCE nobody gets more than this process may have
	if got := output(t, run, "app"); !strings.Contains(got, nofile) {
		t.Errorf("nofile is not Fargate's 65535, nor the %s that this process may give:\n%s", nofile, got)
	}
	if *stopped.Containers[0].ExitCode != 0 {
		t.Errorf("%+v", stopped.Containers[0])
	}
}

func TestExecInTask(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "hang"})
	def.ContainerDefinitions[0].User = "1000:1000"
	run := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
	running(t, run)
	var out strings.Builder
	code, err := run.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{"/proc/self/exe", "out from exec", "exit 5"}, Stdout: &out})
	if err != nil || code == 0 {
		// /proc/self/exe is the runtime's helper at that moment; the guest's own path is its entry point.
		t.Logf("exec through /proc/self/exe: %d, %v", code, err)
	}
	out.Reset()
	code, err = run.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{guestPath(t), "out from exec", "exit 5"}, Stdout: &out})
	if err != nil || code != 5 || out.String() != "from exec\n" {
		t.Errorf("code %d, output %q, %v", code, out.String(), err)
	}
	for user, want := range map[string]string{"": "0 0 ", "root": "0 0 ", "7:8": "7 8 ", scheduler.ContainerUser: "1000 1000 "} {
		out.Reset()
		code, err = run.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{guestPath(t), "id"}, User: user, Stdout: &out})
		if err != nil || code != 0 || !strings.HasPrefix(out.String(), want) {
			t.Errorf("as user %q: code %d, output %q, %v", user, code, out.String(), err)
		}
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}

// guestPath is where image.Self puts this program.
func guestPath(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "/bin/" + filepath.Base(exe)
}

func TestBadInput(t *testing.T) {
	c := open(t, func(cfg *local.Config) {
		cfg.PullAttempts, cfg.Registries = 2, map[string]containerd.Registry{"127.0.0.1:1": {PlainHTTP: true}}
	})
	tests := map[string]struct {
		change func(*task.TaskDefinition)
		want   []string // in the reason
	}{
		"registry on loopback": {func(d *task.TaskDefinition) { d.ContainerDefinitions[0].Image = "127.0.0.1:2/nothing:1" },
			[]string{"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref 127.0.0.1:2/nothing:1: ",
				`needs an entry Config.Registries["127.0.0.1:2"]`}},
		"no such registry": {func(d *task.TaskDefinition) { d.ContainerDefinitions[0].Image = "127.0.0.1:1/nothing:1" },
			[]string{"CannotPullContainerError: pull image manifest has been retried 2 time(s): failed to resolve ref 127.0.0.1:1/nothing:1: ",
				"connection refused", "Check your network configuration"}},
		"no such command": {func(d *task.TaskDefinition) { d.ContainerDefinitions[0].EntryPoint = []string{"/no/such/thing"} },
			[]string{"CannotStartContainerError", "/no/such/thing"}},
		"no such user": {func(d *task.TaskDefinition) { d.ContainerDefinitions[0].User = "nobody-here" },
			[]string{"CannotCreateContainerError", "nobody-here"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			def := define([]string{"app", "exit 0"}, []string{"side", "hang"})
			tt.change(def)
			stopped := wait(t, start(t, c, def, scheduler.RunOptions{}))
			if stopped.StopCode != task.StopCodeTaskFailedToStart {
				t.Errorf("stop code %s", stopped.StopCode)
			}
			t.Log(stopped.StoppedReason)
			for _, want := range tt.want {
				if !strings.Contains(stopped.StoppedReason, want) {
					t.Errorf("reason lacks %q: %s", want, stopped.StoppedReason)
				}
			}
		})
	}
	large := define([]string{"app", "exit 0"})
	large.CPU, large.Memory = "32768", "249856"
	var full *scheduler.PlacementError
	if _, err := c.Run(t.Context(), large, scheduler.RunOptions{}); !errors.As(err, &full) {
		t.Errorf("a task larger than the machine: %v, want a PlacementError", err)
	}
}

func TestDirectoryInUse(t *testing.T) {
	var dir string
	open(t, func(cfg *local.Config) { dir = cfg.Dir })
	_, err := local.Open(t.Context(), local.Config{Dir: dir})
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second Open: %v, want ErrInUse that names %s", err, dir)
	}
}

func TestNotRoot(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), notRootVar+"="+t.TempDir())
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "run this program as root, or with sudo") {
		t.Errorf("Open without root: %v, %s", err, out)
	}
}

func TestNoRunc(t *testing.T) {
	needRoot(t)
	_, err := local.Open(t.Context(), local.Config{Dir: filepath.Join(t.TempDir(), "c"), Runtime: "/no/such/runc"})
	if !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), "/no/such/runc") {
		t.Errorf("Open without runc: %v", err)
	}
}

func TestCgroupsNotWritable(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "c")
	before := leaktest.Take(t, dir, local.Owner(dir))
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), cgroupVar+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err == nil || !strings.Contains(string(out), "cgroup") || !strings.Contains(string(out), "read-only") {
		t.Errorf("Open with read-only cgroups: %v, %s", err, out)
	}
	before.Check()
}

func TestOpenCancelled(t *testing.T) {
	needRoot(t)
	for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		dir := filepath.Join(t.TempDir(), "c")
		before := leaktest.Take(t, dir, local.Owner(dir))
		ctx, cancel := context.WithTimeout(t.Context(), after)
		defer cancel()
		c, err := local.Open(ctx, local.Config{Dir: dir})
		if err == nil { // it was faster
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open cancelled after %v: %v", after, err)
		}
		before.Check()
	}
}

func TestTasksReachEachOtherAsGroupsAllow(t *testing.T) {
	c := open(t)
	s, err := c.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closed := network.SecurityGroup{ID: network.NewID("sg", "closed"), VPC: s.VPCs[0].ID, Name: "closed", Description: "nothing in"}
	s.SecurityGroups = append(s.SecurityGroups, closed)
	if err := c.SetNetwork(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	subnets := []string{s.Subnets[0].ID, s.Subnets[1].ID}
	for _, group := range []network.SecurityGroup{s.SecurityGroups[0], closed} {
		server := start(t, c, define([]string{"app", "serve 8080"}), scheduler.RunOptions{
			NetworkConfiguration: &scheduler.AWSVPCConfiguration{Subnets: subnets, SecurityGroups: []string{group.ID}},
		})
		addr := running(t, server).Attachments[0].Detail("privateIPv4Address")
		awaitOutput(t, server, "app", "serving")
		if conn, err := net.DialTimeout("tcp", addr+":8080", 5*time.Second); err != nil { // group or not
			t.Errorf("the host does not reach a task of group %s: %v", group.Name, err)
		} else {
			conn.Close()
		}
		client := start(t, c, define([]string{"app", "dial " + addr + ":8080"}), scheduler.RunOptions{})
		wait(t, client)
		want := "connected"
		if group.ID == closed.ID {
			want = "timeout"
		}
		if got := output(t, client, "app"); !strings.Contains(got, want) {
			t.Errorf("dial to group %s: %q, want %s", group.Name, got, want)
		}
		if err := server.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wait(t, server)
	}
}

// hostProgram is a program that opens a cluster, runs a task that ends by itself and one that does not, and waits to be
// killed.
func hostProgram(ctx context.Context, dir string) error {
	c, err := local.Open(ctx, local.Config{Dir: dir})
	if err != nil {
		return err
	}
	if err := addSelf(ctx, c); err != nil {
		return err
	}
	short, err := c.Run(ctx, define([]string{"app", "out early", "sleep 2s", "out late", "exit 9"}), scheduler.RunOptions{})
	if err != nil {
		return err
	}
	long, err := c.Run(ctx, define([]string{"app", "catch TERM 4", "out up", "hang"}), scheduler.RunOptions{})
	if err != nil {
		return err
	}
	for _, r := range []*scheduler.Run{short, long} {
		if _, err := r.WaitRunning(ctx); err != nil {
			return err
		}
	}
	up := make([]byte, len("up\n")) // from then on it catches TERM
	if _, err := io.ReadFull(long.Logs(ctx, "app"), up); err != nil {
		return err
	}
	fmt.Println(short.ID(), long.ID())
	<-ctx.Done()
	return ctx.Err()
}

func TestTasksOutliveTheHostProgram(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "c")
	before := leaktest.Take(t, dir, local.Owner(dir))
	var c *local.Cluster
	purgeFailed(t, local.Config{Dir: dir}, &c)
	short, long := killHost(t, dir)
	<-time.After(3 * time.Second) // the short task ends with nobody there

	var err error
	if c, err = local.Open(t.Context(), local.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	ended, err := c.Lookup(t.Context(), short)
	if err != nil {
		t.Fatal(err)
	}
	stopped := wait(t, ended)
	if *stopped.Containers[0].ExitCode != 9 || output(t, ended, "app") != "early\nlate\n" {
		t.Errorf("ended meanwhile: %+v, log %q", stopped.Containers[0], output(t, ended, "app"))
	}
	lives, err := c.Lookup(t.Context(), long)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := lives.Describe(t.Context()); err != nil || got.LastStatus != task.Running {
		t.Errorf("adopted task is %v, %v", got.LastStatus, err)
	}
	if err := lives.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, lives); *got.Containers[0].ExitCode != 4 {
		t.Errorf("adopted and stopped: %+v", got.Containers[0])
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	before.Check()
}

func TestRangeOfTheHost(t *testing.T) {
	needRoot(t)
	for _, args := range []string{"link add fardeltest0 type veth peer name fardeltest1", "addr add 10.99.7.1/24 dev fardeltest0", "link set fardeltest0 up"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v, %s", args, err, out)
		}
	}
	defer func() {
		if err := exec.Command("ip", "link", "del", "fardeltest0").Run(); err != nil {
			t.Error(err)
		}
	}()
	dir := filepath.Join(t.TempDir(), "c")
	before := leaktest.Take(t, dir, local.Owner(dir))
	_, err := local.Open(t.Context(), local.Config{Dir: dir, CIDR: netip.MustParsePrefix("10.99.0.0/16")})
	if !errors.Is(err, network.ErrConflict) || !strings.Contains(err.Error(), "10.99.0.0/16") {
		t.Errorf("Open with a range that the host has routes to: %v", err)
	}
	before.Check()
}
