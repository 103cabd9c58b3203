//go:build linux

package local_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// escape renames the window of a terminal, clears it, and goes back to the beginning of a line.
const escape = "\x1b]0;owned\a\x1b[2J\u009b31m\r"

// unprintable returns what of a text a terminal would obey.
func unprintable(s string) string {
	if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		return fmt.Sprintf("%q", s[i:])
	}
	return ""
}

// TestHostileReasons has terminal escapes in what reasons and errors quote. Logs are the container's own words, byte by byte, and
// a program that shows them has to know that.
func TestHostileReasons(t *testing.T) {
	c := open(t)
	for name, change := range map[string]func(*task.ContainerDefinition){
		"a command":         func(d *task.ContainerDefinition) { d.EntryPoint = []string{"/no/such" + escape} },
		"a command in PATH": func(d *task.ContainerDefinition) { d.EntryPoint = []string{"nosuch" + escape} },
		"a user":            func(d *task.ContainerDefinition) { d.User = "nobody" + escape },
		"a directory":       func(d *task.ContainerDefinition) { d.WorkingDirectory = "/proc/1/no/such" + escape },
		"a path to search": func(d *task.ContainerDefinition) {
			d.EntryPoint, d.Environment = []string{"nosuch"}, []task.KeyValuePair{{Name: "PATH", Value: "/x" + escape}}
		},
	} {
		def := define([]string{"app", "exit 0"})
		change(&def.ContainerDefinitions[0])
		run, err := c.Run(t.Context(), def, scheduler.RunOptions{})
		if err != nil {
			hostiletest.Report(t, "escapes in an error, by "+name, unprintable(strings.ReplaceAll(err.Error(), "\n", " ")) != "", err.Error())
			continue
		}
		stopped := wait(t, run)
		for what, reason := range map[string]string{"a task's reason": stopped.StoppedReason, "a container's reason": stopped.Containers[0].Reason} {
			hostiletest.Report(t, "escapes in "+what+", by "+name, unprintable(reason) != "", fmt.Sprintf("%q", reason))
		}
	}
	run := start(t, c, define([]string{"app", "out " + escape, "hang"}), scheduler.RunOptions{EnableExecuteCommand: true})
	running(t, run)
	awaitOutput(t, run, "app", escape)
	for name, spec := range map[string]runtime.ExecSpec{
		"a command":   {Args: []string{"nosuch" + escape}},
		"a path":      {Args: []string{"/no/such" + escape}},
		"a user":      {Args: []string{guestPath(t)}, User: "nobody" + escape},
		"a directory": {Args: []string{guestPath(t)}, WorkingDir: "/proc/self/fd/7/" + escape},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := run.Exec(ctx, "app", spec)
		cancel()
		if err == nil {
			t.Errorf("exec by %s succeeded", name)
			continue
		}
		hostiletest.Report(t, "escapes in the error of an exec, by "+name, unprintable(strings.ReplaceAll(err.Error(), "\n", " ")) != "", fmt.Sprintf("%q", err))
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}
