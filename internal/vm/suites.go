//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// suite is tests of one package that run in the VM.
type suite struct {
	name    string
	pkg     string // folder in the repository
	run     string // as go test -run; "" is all
	skip    string // as go test -skip
	runtime string // OCI runtime that stands for runc; "" is runc itself
	short   bool   // in the reduced set
	only    bool   // only in the reduced set: another suite has its tests
	env     []string
	args    []string // further ones of the test binary
	timeout time.Duration
}

// limits are the checks of the runtime's suite that are about cgroups, with some that show that all else works.
const limits = "TestEmbedSuite/(LifeCycle|ReopenAfterEnd|Stats|CPUQuota|OutOfMemory|KillEndsChildren|SharedPID|ExecStreams)"

// promises are what the VM's kernel has and this machine's may lack: a test that misses it fails there.
var promises = []string{"FARDEL_APPARMOR=1"}

// suites are what is tested in the VM. Names say the package and what differs.
var suites = []suite{
	{name: "cgroup", pkg: "internal/cgroup", short: true, timeout: 2 * time.Minute},
	{name: "manager", pkg: "runtime/containerd", run: "TestCgroupManager|TestScope|TestStoppedService|TestAdoptAfterSIGKILL", short: true, timeout: 3 * time.Minute},
	{name: "limits-runc", pkg: "runtime/containerd", run: limits, short: true, only: true, timeout: 4 * time.Minute},
	{name: "limits-crun", pkg: "runtime/containerd", run: "TestEmbedSuite/(Stats|CPUQuota|OutOfMemory)", runtime: "crun", short: true, only: true, timeout: 4 * time.Minute},
	{name: "tasks-runc", pkg: "scheduler/local", run: "TestTwoContainers|TestTasksOutlive", short: true, only: true, timeout: 4 * time.Minute},
	{name: "runtime-runc", pkg: "runtime/containerd", run: "TestEmbedSuite", timeout: 20 * time.Minute},
	{name: "runtime-crun", pkg: "runtime/containerd", run: "TestEmbedSuite", runtime: "crun", timeout: 20 * time.Minute},
	{name: "daemon-runc", pkg: "runtime/containerd", run: "TestConnectSuiteDistribution", timeout: 25 * time.Minute},
	{name: "daemon-crun", pkg: "runtime/containerd", run: "TestConnectSuiteDistribution", runtime: "crun", timeout: 25 * time.Minute},
	{name: "local-runc", pkg: "scheduler/local", args: []string{"-kills=3"}, timeout: 25 * time.Minute},
	{name: "local-crun", pkg: "scheduler/local", runtime: "crun", args: []string{"-kills=3"}, timeout: 25 * time.Minute},
	{name: "apparmor", pkg: "scheduler/local", run: "^TestAppArmor", env: promises, short: true, timeout: 5 * time.Minute},
	{name: "hostile-short", pkg: "scheduler/local", run: "^TestHostile(Container|AppArmor)$", env: promises, short: true, only: true, timeout: 6 * time.Minute},
	{name: "hostile-runc", pkg: "scheduler/local", run: "^TestHostile", env: promises, timeout: 30 * time.Minute},
	{name: "hostile-crun", pkg: "scheduler/local", run: "^TestHostile", runtime: "crun", env: promises, timeout: 30 * time.Minute},
	{name: "hostile-driver-runc", pkg: "runtime/containerd", run: "^TestHostile", timeout: 30 * time.Minute},
	{name: "hostile-driver-crun", pkg: "runtime/containerd", run: "^TestHostile", runtime: "crun", timeout: 30 * time.Minute},
	{name: "faults", pkg: "network/linux", run: "TestFault", short: true, timeout: 4 * time.Minute},
	{name: "network", pkg: "network/linux", run: "TestFabric|TestCrash|TestTalk|TestTwoFabrics", timeout: 12 * time.Minute},
	{name: "property", pkg: "network/linux", run: "TestProperty", args: []string{"-property.states=3"}, timeout: 8 * time.Minute},
}

// choose returns the suites that a run is about.
func choose(names string, short bool) ([]suite, error) {
	var chosen []suite
	for _, s := range suites {
		wanted := names == "" || slices.ContainsFunc(strings.Split(names, ","), func(n string) bool { return strings.Contains(s.name, n) })
		if wanted && (short && s.short || !short && !s.only) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-suites %q names none of the %d suites", names, len(suites))
	}
	return chosen, nil
}

// builder builds what suites run, below dir, once each.
type builder struct{ repository, dir string }

// steps builds the test binaries of suites and returns what to run.
func (b builder) steps(ctx context.Context, chosen []suite) ([]step, error) {
	guest := filepath.Join(b.dir, "guest")
	if err := b.goRun(ctx, "build", "-ldflags=-s -w", "-o", guest, "./runtime/runtimetest/guest/static"); err != nil {
		return nil, err
	}
	built := map[string]bool{}
	var steps []step
	for _, s := range chosen {
		binary := filepath.Join(b.dir, strings.ReplaceAll(s.pkg, "/", "-")+".test")
		if !built[binary] {
			if err := b.goRun(ctx, "test", "-c", "-ldflags=-s -w", "-o", binary, "./"+s.pkg); err != nil {
				return nil, err
			}
			built[binary] = true
		}
		args := []string{binary, "-test.v", "-test.count=1", "-test.timeout=" + s.timeout.String()}
		if s.run != "" {
			args = append(args, "-test.run="+s.run)
		}
		if s.skip != "" {
			args = append(args, "-test.skip="+s.skip)
		}
		args = append(args, s.args...)
		path := substitute("go") + ":" + stepPath
		if s.runtime != "" {
			path = substitute(s.runtime) + ":" + path
		}
		env := append([]string{"FARDEL_GUEST=" + guest, "PATH=" + path}, s.env...)
		steps = append(steps, step{
			Name: s.name, Dir: filepath.Join(b.repository, s.pkg), Args: args, Env: env,
			Timeout: s.timeout + 10*time.Second, // after the binary's own, which says more
		})
	}
	return steps, nil
}

func (b builder) goRun(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.repository
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as little as possible is read through the share
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// verdict says what is wrong with the outcome of a suite, nil for nothing. A test that is skipped although the VM has what
// it needs has failed by itself, for the steps promise the root lane.
func verdict(o outcome, t tally) error {
	var errs []error
	switch {
	case o.Err != "":
		errs = append(errs, errors.New(o.Err))
	case o.Code != 0:
		errs = append(errs, fmt.Errorf("exit code %d", o.Code))
	}
	if t.passed == 0 {
		errs = append(errs, errors.New("no test ran"))
	}
	return errors.Join(errs...)
}
