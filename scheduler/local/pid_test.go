//go:build linux

package local_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// TestSharedProcesses has containers with pidMode task see each other, and the first one end: nothing happens to the others.
// A minute later a container that is restarted is seen with its new run, one that ended with an ignored exit code is not, and a
// stop ends all.
func TestSharedProcesses(t *testing.T) {
	c := open(t)
	def := define(
		[]string{"first", "out up", "await go", "exit 0"},
		[]string{"app", "out up", "catch TERM 5", "hang"},
		[]string{"again", "out begin", "exists /mark", "write /mark", "sleep 61s", "exit 3"},
		[]string{"ignored", "out once", "sleep 61s", "exit 4"},
	)
	def.PIDMode = task.PIDModeTask
	no := false
	for _, i := range []int{0, 2, 3} {
		def.ContainerDefinitions[i].Essential = &no
	}
	def.ContainerDefinitions[2].RestartPolicy = &task.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60}
	def.ContainerDefinitions[3].RestartPolicy = &task.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60, IgnoredExitCodes: []int{4}}
	run := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
	running(t, run)
	awaitOutput(t, run, "first", "up")
	awaitOutput(t, run, "app", "up")
	awaitOutput(t, run, "again", "begin")
	ask := func(statements ...string) string {
		t.Helper()
		var out strings.Builder
		code, err := run.Exec(t.Context(), "app", runtime.ExecSpec{Args: append([]string{guestPath(t)}, statements...), Stdout: &out})
		if err != nil || code != 0 {
			t.Fatalf("exec %q: %d, %v", statements, code, err)
		}
		return out.String()
	}
	for _, other := range []string{"await go", "hang", "sleep 61s"} {
		if got := ask("pids"); !strings.Contains(got, other) {
			t.Errorf("processes without %q:\n%s", other, got)
		}
	}
	telling, told := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = run.Exec(telling, "app", runtime.ExecSpec{Args: []string{guestPath(t), "tell go", "hang"}}) // until told
	}()
	await(t, run, "the end of the first container", func(rec *task.Task) bool { return rec.Container("first").LastStatus == task.ContainerStopped })
	told()
	<-ended
	if got := ask("pids"); strings.Contains(got, "await go") || !strings.Contains(got, "hang") {
		t.Errorf("processes after the end of the first:\n%s", got)
	}
	await(t, run, "a restart", func(rec *task.Task) bool { return rec.Container("again").RestartCount == 1 })
	await(t, run, "an end without restart", func(rec *task.Task) bool {
		ignored := rec.Container("ignored")
		return ignored.LastStatus == task.ContainerStopped && ignored.RestartCount == 0 && *ignored.ExitCode == 4
	})
	awaitOutput(t, run, "again", "exists\nwritten\n") // its file system is that of the run before
	if got := ask("pids"); strings.Count(got, "sleep 61s") != 1 {
		t.Errorf("processes after the restart:\n%s", got)
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	stopped := wait(t, run)
	for name, want := range map[string]int{"first": 0, "app": 5} {
		if got := stopped.Container(name).ExitCode; got == nil || *got != want {
			t.Errorf("%s ended with %v, want %d", name, got, want)
		}
	}
}

// await waits until a task's record is as asked for.
func await(t *testing.T, run *scheduler.Run, what string, ask func(*task.Task) bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(3 * time.Minute)
	for {
		rec, err := run.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ask(rec) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
