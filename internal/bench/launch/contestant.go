package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// oneLaunch is how long a launch may take before it counts as failed.
const oneLaunch = time.Minute

// row is one thing that is measured in a launch, and a line of the first table.
type row struct {
	Name string `json:"name"`
	What string `json:"what"` // that the user gets
}

// contestant launches containers.
type contestant interface {
	rows() []row

	// launch launches a container that runs true and ends, waits until it is removed, and returns one duration for each
	// row.
	launch(ctx context.Context) (series, error)

	// close ends what the contestant has running in the background.
	close() error
}

// opener makes a contestant ready for its first launch. It returns a *missingError when the machine lacks a program.
type opener func(ctx context.Context, w *workshop) (contestant, error)

// openers are the contestants by the name that -only knows.
var openers = map[string]opener{
	"unshare": openUnshare, "runc": openRunc, "fardel": openFardel, "ctr": openCtr, "docker": openDocker, "podman": openPodman,
}

// missingError is the lack of a program.
type missingError struct{ program string }

func (e *missingError) Error() string { return e.program + " is not in PATH" }

// workshop is what contestants share.
type workshop struct {
	dir     string // folder of the run
	busybox string
	image   string // archive of docker save
}

func newWorkshop(dir string) (*workshop, error) {
	busybox, err := findBusybox()
	if err != nil {
		return nil, err
	}
	w := &workshop{dir: dir, busybox: busybox, image: filepath.Join(dir, "image.tar")}
	return w, writeImage(w.image, busybox)
}

// path is a path in the folder of the run.
func (w *workshop) path(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

// find finds programs in PATH.
func (w *workshop) find(programs ...string) ([]string, error) {
	var paths []string
	for _, name := range programs {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, &missingError{name}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// command is a contestant that is a command line.
type command struct {
	row
	path  string
	args  func(launch int) []string
	env   []string
	netns *netns       // where it runs; nil is where this process is
	stop  func() error // nil for nothing

	launches int
}

func (c *command) rows() []row { return []row{c.row} }

func (c *command) launch(ctx context.Context) (series, error) {
	c.launches++
	cmd := exec.CommandContext(ctx, c.path, c.args(c.launches)...)
	cmd.Env = append(os.Environ(), c.env...)
	var took time.Duration
	run := func() (err error) {
		took, err = timed(cmd)
		return err
	}
	var err error
	if c.netns != nil {
		err = c.netns.do(run)
	} else {
		err = run()
	}
	return series{took}, err
}

func (c *command) close() error {
	var err error
	if c.stop != nil {
		err = c.stop()
	}
	if c.netns != nil {
		c.netns.close()
	}
	return err
}

// timed runs a command to its end. It has nothing to read, and what it says is looked at only when it fails: a file
// takes it, which needs no help from this process as a pipe would.
func timed(cmd *exec.Cmd) (time.Duration, error) {
	said, err := os.CreateTemp("", "said-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	began := time.Now()
	err = cmd.Run()
	took := time.Since(began)
	if err != nil {
		text, _ := os.ReadFile(said.Name())
		return took, fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(text))
	}
	return took, nil
}

// output runs a command that is part of the preparation.
func output(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(out))
	}
	return string(bytes.TrimSpace(out)), nil
}
