//go:build linux

package local_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// dig is a container that makes a directory in a directory, and so on, more of them than the test may have open.
func dig() error {
	for _, top := range []string{"/", "/v"} {
		if err := os.Chdir(top); err != nil {
			return err
		}
		for range 6_000 {
			if err := unix.Mkdir("d", 0o755); err != nil {
				return err
			}
			if err := unix.Chdir("d"); err != nil {
				return err
			}
		}
	}
	fmt.Println("dug")
	return nil
}

// TestHostileDepth has a container leave directories so deep in each other, in its root file system and in a volume, that
// removing them takes more open files than there may be.
func TestHostileDepth(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = min(limit.Cur, 4_000)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	var dir string
	c := open(t, func(cfg *local.Config) { dir = cfg.Dir })
	def := define([]string{"app", "hostile-dig"})
	def.Volumes = []task.Volume{{Name: "v"}}
	def.ContainerDefinitions[0].MountPoints = []task.MountPoint{{SourceVolume: "v", ContainerPath: "/v"}}
	run := start(t, c, def, scheduler.RunOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	stopped, err := run.Wait(ctx)
	if err != nil || !strings.Contains(output(t, run, "app"), "dug") {
		hostiletest.Report(t, "directories that keep a task from its end", true, fmt.Sprintf("%v, %v", err, stopped))
		return
	}
	hostiletest.Report(t, "directories that keep a task from its end", false, "it has ended")
	for _, place := range []string{"containerd/images/*/snapshots/*/fs/d", "containerd/sandboxes/*/volumes/*/data/d"} {
		left, err := filepath.Glob(filepath.Join(dir, place))
		hostiletest.Report(t, "directories that stay at "+place, err != nil || len(left) > 0, fmt.Sprint(left, err))
	}
}
