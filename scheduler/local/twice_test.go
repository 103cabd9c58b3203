//go:build linux

package local_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// openUntilEnd opens a cluster and closes it when its input ends.
func openUntilEnd(ctx context.Context, dir string) error {
	c, err := local.Open(ctx, local.Config{Dir: dir})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	if err != nil {
		return err
	}
	return c.Close()
}

// second is a program that opens a directory which another may have.
type second struct {
	cmd  *exec.Cmd
	in   io.Closer
	said strings.Builder
}

func startSecond(t *testing.T, dir string) *second {
	t.Helper()
	s := &second{cmd: exec.Command("/proc/self/exe")}
	s.cmd.Env = append(os.Environ(), openVar+"="+dir)
	s.cmd.Stdout, s.cmd.Stderr = &s.said, os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.in = in
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// openBusy opens a cluster with a task that ends when it is told to, and returns that and the runtime's ID of its container.
func openBusy(t *testing.T, dir string, c **local.Cluster) (run *scheduler.Run, id string) {
	t.Helper()
	cfg := local.Config{Dir: dir}
	var err error
	if *c, err = local.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	purgeFailed(t, cfg, c)
	addGuest(t, *c)
	run = start(t, *c, define([]string{"app", "catch TERM 7", "out up", "hang"}), scheduler.RunOptions{EnableExecuteCommand: true})
	id = running(t, run).Containers[0].RuntimeID
	awaitOutput(t, run, "app", "up")
	return run, id
}

// TestTwoPrograms has other programs open the directory of one that runs tasks: each is told so, and breaks nothing.
func TestTwoPrograms(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "c")
	before := leaktest.Take(t, dir, local.Owner(dir))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	var (
		c   *local.Cluster
		err error
	)
	run, id := openBusy(t, dir, &c)
	was := processOf(t, id)
	alone := leaktest.Take(t, dir, local.Owner(dir), local.Owner(link)).Folder(filepath.Join(dir, "containerd", "containers")).
		Folder(filepath.Join(dir, "containerd", "sandboxes")).Folder(filepath.Join(dir, "network"))
	for _, path := range []string{dir, filepath.Dir(dir) + "/x/../c/", link} {
		s := startSecond(t, path)
		err := s.cmd.Wait()
		if err == nil || !strings.Contains(s.said.String(), "store: in use: another process has it open") || !strings.Contains(s.said.String(), filepath.Clean(path)) {
			t.Errorf("a second program at %s: %v, %s", path, err, s.said.String())
		}
		alone.Check()
	}
	var out strings.Builder
	if code, err := run.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{guestPath(t), "exit 5"}, Stdout: &out}); code != 5 || err != nil {
		t.Errorf("exec: %d, %v", code, err)
	}
	if got, err := run.Describe(t.Context()); err != nil || got.LastStatus != task.Running || processOf(t, id) != was {
		t.Errorf("the task is %v, %v", got.LastStatus, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	// Several that want to take over at once: one does.
	var all []*second
	for range 4 {
		all = append(all, startSecond(t, dir))
	}
	opened := 0
	for _, s := range all {
		if err := s.in.Close(); err != nil {
			t.Error(err)
		}
		err := s.cmd.Wait()
		switch {
		case err == nil && s.said.String() == "open\n":
			opened++
		case err == nil || !strings.Contains(s.said.String(), "store: in use"):
			t.Errorf("one of several: %v, %s", err, s.said.String())
		}
	}
	if opened == 0 {
		t.Error("none of several could take over")
	}
	if c, err = local.Open(t.Context(), local.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if run, err = c.Lookup(t.Context(), run.ID()); err != nil {
		t.Fatal(err)
	}
	if got, err := run.Describe(t.Context()); err != nil || got.LastStatus != task.Running || processOf(t, id) != was {
		t.Errorf("after them the task is %v, %v", got.LastStatus, err)
	}
	if err := c.Purge(t.Context()); err != nil {
		t.Error(err)
	}
	before.Check()
}

// TestTwoNames opens one directory by its name, through a link to it, through a link to its parent, and by its name again:
// it is one cluster with one owner mark, whose task goes on.
func TestTwoNames(t *testing.T) {
	needRoot(t)
	parent := t.TempDir()
	dir, link, above := filepath.Join(parent, "c"), filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "above")
	for from, to := range map[string]string{link: dir, above: parent} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	before := leaktest.Take(t, dir, local.Owner(dir))
	others := leaktest.Take(t, local.Owner(link), local.Owner(filepath.Join(above, "c")))
	var (
		c   *local.Cluster
		err error
	)
	run, id := openBusy(t, dir, &c)
	was := processOf(t, id)
	for _, name := range []string{link, filepath.Join(above, "c"), dir} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if c, err = local.Open(t.Context(), local.Config{Dir: name}); err != nil {
			t.Fatal(err)
		}
		run = lookup(t, c, run)
		if got, err := run.Describe(t.Context()); err != nil || got.LastStatus != task.Running || processOf(t, id) != was {
			t.Errorf("opened as %s: the task is %v, %v", name, got.LastStatus, err)
		}
		if code, err := run.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{guestPath(t), "exit 5"}}); code != 5 || err != nil {
			t.Errorf("opened as %s: exec: %d, %v", name, code, err)
		}
		others.Check()
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if rec := wait(t, run); rec.Containers[0].ExitCode == nil || *rec.Containers[0].ExitCode != 7 {
		t.Errorf("ended with %+v", rec.Containers[0])
	}
	if err := c.Purge(t.Context()); err != nil {
		t.Error(err)
	}
	before.Check()
}
