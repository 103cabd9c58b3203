package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// commandCrowd is containers that commands start, one each.
type commandCrowd struct {
	of     *contender
	start  func(name string) ([]string, error) // arguments of the command that starts a container and returns
	remove func(name string) []string

	names    []string // of what runs
	launches int
}

// contender is a contestant's program, and what it needs.
type contender struct {
	path  string
	env   []string
	netns *netns
	stop  func() error
}

func (c *commandCrowd) launch(ctx context.Context, n int) (time.Duration, error) {
	args := make([][]string, n)
	for i := range args {
		c.launches++
		name := fmt.Sprintf("crowd-%d", c.launches)
		var err error
		if args[i], err = c.start(name); err != nil {
			return 0, err
		}
		c.names = append(c.names, name)
	}
	began := time.Now()
	err := c.all(ctx, args)
	return time.Since(began), err
}

func (c *commandCrowd) release(ctx context.Context) error {
	var args [][]string
	for _, name := range c.names {
		args = append(args, c.remove(name))
	}
	c.names = nil
	return c.all(ctx, args)
}

// all runs the commands at the same time.
func (c *commandCrowd) all(ctx context.Context, args [][]string) error {
	var group sync.WaitGroup
	errs := make([]error, len(args))
	for i := range args {
		group.Go(func() {
			cmd := exec.CommandContext(ctx, c.of.path, args[i]...)
			cmd.Env = append(os.Environ(), c.of.env...)
			run := func() error { _, err := timed(cmd); return err }
			if c.of.netns != nil {
				errs[i] = c.of.netns.do(run)
			} else {
				errs[i] = run()
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (c *commandCrowd) close() error {
	err := c.release(context.Background())
	if c.of.stop != nil {
		err = errors.Join(err, c.of.stop())
	}
	if c.of.netns != nil {
		c.of.netns.close()
	}
	return err
}

// sleepForLong is what runs in every container.
var sleepForLong = []string{"/bin/sleep", "1000000"}

// openRuncCrowd gives each container a bundle with the root file system of all.
func openRuncCrowd(ctx context.Context, w *workshop, _ options) (crowd, error) {
	found, err := w.find("runc")
	if err != nil {
		return nil, err
	}
	root := w.path("crowd-rootfs")
	if err := makeRootFS(root, w.busybox); err != nil {
		return nil, err
	}
	common := []string{"--root", w.path("runc-crowd")}
	bundle := func(name string) string { return w.path("bundles", name) }
	return &commandCrowd{
		of: &contender{path: found[0]},
		start: func(name string) ([]string, error) {
			dir := bundle(name)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return nil, err
			}
			if _, err := output(ctx, nil, found[0], "spec", "--bundle", dir); err != nil {
				return nil, err
			}
			err := editSpec(filepath.Join(dir, "config.json"), "/"+mark(w.dir)+"/"+name, root, sleepForLong)
			return append(common[:2:2], "run", "--detach", "--bundle", dir, name), err
		},
		remove: func(name string) []string { return append(common[:2:2], "delete", "--force", name) },
	}, nil
}

func openDockerCrowd(ctx context.Context, w *workshop, _ options) (crowd, error) {
	of, err := startDocker(ctx, w, "docker-crowd")
	if err != nil {
		return nil, err
	}
	return &commandCrowd{
		of: of,
		start: func(name string) ([]string, error) {
			return append([]string{"run", "--detach", "--pull", "never", "--name", name, imageRef}, sleepForLong...), nil
		},
		remove: func(name string) []string { return []string{"rm", "--force", name} },
	}, nil
}

func openPodmanCrowd(ctx context.Context, w *workshop, _ options) (crowd, error) {
	of, common, err := preparePodman(ctx, w, "podman-crowd")
	if err != nil {
		return nil, err
	}
	return &commandCrowd{
		of: of,
		start: func(name string) ([]string, error) {
			args := append(common[:len(common):len(common)], "run", "--detach", "--pull", "never", "--network", "bridge",
				"--log-driver", "k8s-file", "--cgroup-parent", "/"+mark(w.dir), "--name", name, imageRef)
			return append(args, sleepForLong...), nil
		},
		remove: func(name string) []string {
			return append(common[:len(common):len(common)], "rm", "--force", "--time", "0", name)
		},
	}, nil
}

// killContained kills the processes in containers, which are to be so many.
func killContained(want int) error {
	killed := 0
	for _, p := range others() {
		if !p.contained {
			continue
		}
		if !strings.HasPrefix(p.args, sleepForLong[0]) {
			return fmt.Errorf("process %d in a container is %s, want %s", p.pid, p.args, sleepForLong[0])
		}
		if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill process %d: %w", p.pid, err)
		}
		killed++
	}
	if killed != want {
		return fmt.Errorf("killed %d processes in containers, want %d", killed, want)
	}
	return nil
}
