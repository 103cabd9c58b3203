// Command quickstart runs a Fargate task definition on this machine: two containers that share a network namespace, an
// address and a quarter of a processor. The image of both is this very program.
//
//	sudo quickstart
package main

import (
	"bufio"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fardel-io/fardel/runtime/image"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

//go:embed task.json
var definition string

func main() {
	if local.Reexec() { // the embedded runtime starts this program again as its shim
		return
	}
	dir := flag.String("dir", "/var/lib/fardel-quickstart", "directory of the cluster")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if flag.NArg() > 0 {
		err = inContainer(ctx, flag.Args()) // the commands of task.json
	} else {
		err = run(ctx, *dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string) error {
	began := time.Now()
	cluster, err := local.Open(ctx, local.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer cluster.Close()
	say(began, "cluster %s is open", cluster.Name())

	self, err := image.Self(image.Config{Ref: "quickstart:latest"})
	if err != nil {
		return err
	}
	if _, err := cluster.AddImage(ctx, self); err != nil {
		return err
	}
	say(began, "this program is imported as image quickstart:latest")

	def, err := task.DecodeDefinition(strings.NewReader(definition))
	if err != nil {
		return err
	}
	began = time.Now()
	run, err := cluster.Run(ctx, def, scheduler.RunOptions{})
	if err != nil {
		return err
	}
	defer stopAndWait(run) // does nothing to a task that is over
	say(began, "%s", run.ARN())
	if err := follow(ctx, began, run); err != nil {
		return err
	}
	stopped, err := run.Wait(ctx)
	if err != nil {
		return err
	}
	say(began, "STOPPED: %s: %s", stopped.StopCode, stopped.StoppedReason)
	for _, c := range stopped.Containers {
		say(began, "container %s: %s", c.Name, outcome(c))
	}
	return nil
}

// follow prints what becomes of a task until it is RUNNING, and then what its containers write.
func follow(ctx context.Context, began time.Time, run *scheduler.Run) error {
	for _, s := range []task.Status{task.Provisioning, task.Pending, task.Activating} {
		if _, err := run.WaitStatus(ctx, s); err != nil {
			return err
		}
		say(began, "%s", s)
	}
	t, err := run.WaitRunning(ctx)
	if err != nil {
		return err
	}
	say(began, "RUNNING in %s with %s CPU units and %s MiB at %s", t.AvailabilityZone, t.CPU, t.Memory,
		t.Attachments[0].Detail("privateIPv4Address"))
	if stats, err := run.Stats(ctx); err == nil { // the task may be over already
		say(began, "its cgroup has %d processes and %.1f of at most %d MiB", stats.Task.PIDs,
			float64(stats.Task.Memory)/(1<<20), stats.Task.MemoryLimit>>20)
	}
	var wg sync.WaitGroup
	for _, c := range t.Containers {
		wg.Go(func() { copyLines(began, c.Name, run.Logs(ctx, c.Name)) })
	}
	wg.Wait()
	return nil
}

func copyLines(began time.Time, name string, log io.ReadCloser) {
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		say(began, "%8s | %s", name, lines.Text())
	}
}

func outcome(c task.Container) string {
	switch {
	case c.ExitCode == nil:
		return "never ran: " + c.Reason
	case c.Reason != "":
		return fmt.Sprintf("exit code %d: %s", *c.ExitCode, c.Reason)
	}
	return fmt.Sprintf("exit code %d", *c.ExitCode)
}

// stopAndWait leaves nothing running, also after Ctrl-C.
func stopAndWait(run *scheduler.Run) {
	ctx := context.Background()
	if err := run.Stop(ctx, "quickstart is over"); err == nil {
		_, _ = run.Wait(ctx)
	}
}

func say(began time.Time, format string, args ...any) {
	fmt.Printf("%6.1f ms  %s\n", float64(time.Since(began).Microseconds())/1000, fmt.Sprintf(format, args...))
}
