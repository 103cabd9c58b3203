//go:build linux

package local_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
)

// halt is a container that stops each process that comes into its PID namespace, the OCI runtime's on its way in among them.
func halt() error {
	known := map[int]bool{}
	for _, p := range processes() {
		known[p] = true
	}
	fmt.Println("waiting")
	for range time.Tick(100 * time.Microsecond) {
		for _, p := range processes() {
			if !known[p] && unix.Kill(p, unix.SIGSTOP) == nil {
				known[p] = true
				fmt.Println("halted one")
			}
		}
	}
	return nil
}

// TestHostileHalt has a container stop the OCI runtime as it enters.
func TestHostileHalt(t *testing.T) {
	const late = 15 * time.Second // for machines whose processors are taken
	c := open(t)
	def := define([]string{"app", "hostile-halt"})
	run := start(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
	running(t, run)
	awaitOutput(t, run, "app", "waiting")
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := run.Exec(ctx, "app", runtime.ExecSpec{Args: []string{guestPath(t), "out x"}})
	hostiletest.Report(t, "an Exec outlasts its context", time.Since(begin) > 5*time.Second+late, fmt.Sprintf("%v, %v", time.Since(begin), err))
	begin = time.Now()
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
	hostiletest.Report(t, "a task outlasts its stop", time.Since(begin) > 2*time.Second+late, fmt.Sprint(time.Since(begin)))
}
