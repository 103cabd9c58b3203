package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// patience is how long one check may take on a slow, loaded machine.
const patience = 2 * time.Minute

// mainImage is the name of the image that most containers run.
const mainImage = "fardel.test/guest:main"

// mainConfig is its configuration.
var mainConfig = runtime.Image{
	Entrypoint: []string{"/guest"},
	Command:    []string{"out from the image"},
	Env:        []string{"PATH=/image/bin:/bin", "IMAGE=yes", "BOTH=image"},
	WorkingDir: "/work",
}

// check is one running check.
type check struct {
	Fixture
	t     *testing.T
	ctx   context.Context
	image runtime.Image // mainImage as pulled
	count int
}

// newCheck pulls the main image and arranges that the end of the check removes everything and finds nothing left.
func newCheck(t *testing.T, f Fixture) *check {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c := &check{Fixture: f, t: t, ctx: ctx}
	if c.LogDir == "" {
		c.LogDir = t.TempDir()
	}
	c.image = c.addImage(mainImage, mainConfig)
	return c
}

func (c *check) addImage(ref string, config runtime.Image) runtime.Image {
	c.t.Helper()
	if err := c.AddImage(c.ctx, ref, config); err != nil {
		c.t.Fatalf("add image %s: %v", ref, err)
	}
	img, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: ref})
	if err != nil {
		c.t.Fatalf("Pull(%s): %v", ref, err)
	}
	return img
}

// clean removes what the check made and wants nothing left of it.
func (c *check) clean() {
	c.t.Helper()
	left, err := c.Driver.List(c.ctx)
	c.ok("List", err)
	for _, container := range left.Containers {
		c.ok("RemoveContainer("+container.ID+")", c.Driver.RemoveContainer(c.ctx, container.ID))
	}
	for _, sandbox := range left.Sandboxes {
		c.ok("RemoveSandbox("+sandbox.ID+")", c.Driver.RemoveSandbox(c.ctx, sandbox.ID))
	}
	c.nothingLeft()
}

// nothingLeft fails the check if the driver lists anything or has left anything on the machine.
func (c *check) nothingLeft() {
	c.t.Helper()
	after, err := c.Driver.List(c.ctx)
	c.ok("List", err)
	if len(after.Containers)+len(after.Sandboxes) > 0 {
		c.t.Errorf("after removal List has %+v", after)
	}
	if c.Leftovers == nil {
		return
	}
	names, err := c.Leftovers(c.ctx)
	c.ok("Leftovers", err)
	if len(names) > 0 {
		c.t.Errorf("after removal there is left: %s", strings.Join(names, ", "))
	}
}

// ok ends the check if a call failed.
func (c *check) ok(call string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", call, err)
	}
}

// want fails the check if err does not match target.
func (c *check) want(call string, err, target error) {
	c.t.Helper()
	if !errors.Is(err, target) {
		c.t.Errorf("%s: got error %v, want %v", call, err, target)
	}
}

// newID returns 32 hex digits that no other check of this process uses at the same time.
func (c *check) newID() string {
	c.count++
	return fmt.Sprintf("%08x%08x%016x", os.Getpid(), time.Now().UnixNano()&0xffffffff, c.count)
}

// sandbox makes one of 1 vCPU and 256 MiB.
func (c *check) sandbox(change ...func(*runtime.SandboxSpec)) runtime.SandboxSpec {
	c.t.Helper()
	s := runtime.SandboxSpec{ID: c.newID(), Size: task.Size{CPU: 1024, Memory: 256}, Labels: map[string]string{"check": c.t.Name()}}
	for _, f := range change {
		f(&s)
	}
	c.ok("CreateSandbox", c.Driver.CreateSandbox(c.ctx, s))
	return s
}

// spec is a container of the main image that runs statements.
func (c *check) spec(s runtime.SandboxSpec, statements ...string) runtime.ContainerSpec {
	c.count++
	id := fmt.Sprintf("%s-%d", s.ID, c.count)
	return runtime.ContainerSpec{
		ID: id, SandboxID: s.ID, Name: "app", Image: c.image.Ref, Command: statements,
		Log: filepath.Join(c.LogDir, id+".log"), Labels: map[string]string{"check": c.t.Name()},
	}
}

// create makes a container and does not start it.
func (c *check) create(spec runtime.ContainerSpec) {
	c.t.Helper()
	c.ok("CreateContainer", c.Driver.CreateContainer(c.ctx, spec))
}

// start makes and starts a container.
func (c *check) start(spec runtime.ContainerSpec) runtime.ContainerSpec {
	c.t.Helper()
	c.create(spec)
	c.ok("Start", c.Driver.Start(c.ctx, spec.ID))
	return spec
}

func (c *check) wait(id string) runtime.Exit {
	c.t.Helper()
	exit, err := c.Driver.Wait(c.ctx, id)
	c.ok("Wait", err)
	return exit
}

// run makes, starts and awaits a container, and returns how it ended and what it wrote.
func (c *check) run(spec runtime.ContainerSpec) (runtime.Exit, string) {
	c.t.Helper()
	c.start(spec)
	exit := c.wait(spec.ID)
	return exit, c.log(spec.Log)
}

// output is what statements write in a container of their own, which must end with 0.
func (c *check) output(s runtime.SandboxSpec, change func(*runtime.ContainerSpec), statements ...string) string {
	c.t.Helper()
	spec := c.spec(s, statements...)
	if change != nil {
		change(&spec)
	}
	exit, out := c.run(spec)
	if exit.Code != 0 {
		c.t.Errorf("%q ended with %d and wrote %q", statements, exit.Code, out)
	}
	return out
}

// log is what a container has written so far.
func (c *check) log(path string) string {
	c.t.Helper()
	content, err := c.readLog(path)
	c.ok("read log "+path, err)
	return content
}

func (c *check) readLog(path string) (string, error) {
	reader, ok := c.Driver.(runtime.LogReader)
	if !ok {
		content, err := os.ReadFile(path)
		return string(content), err
	}
	log, err := reader.OpenLog(c.ctx, path)
	if err != nil {
		return "", err
	}
	defer log.Close()
	content, err := io.ReadAll(log)
	return string(content), err
}

// awaitLog waits until a container has written text.
func (c *check) awaitLog(path, text string) {
	c.t.Helper()
	c.eventually("log with "+text, func() bool {
		content, err := c.readLog(path)
		return err == nil && strings.Contains(content, text)
	})
}

// eventually asks until the answer is yes.
func (c *check) eventually(what string, ask func() bool) {
	c.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			c.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// equal compares what a check got.
func (c *check) equal(what, got, want string) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// status is a container as List has it.
func (c *check) status(id string) (runtime.ContainerStatus, bool) {
	c.t.Helper()
	inventory, err := c.Driver.List(c.ctx)
	c.ok("List", err)
	for _, container := range inventory.Containers {
		if container.ID == id {
			return container, true
		}
	}
	return runtime.ContainerStatus{}, false
}
