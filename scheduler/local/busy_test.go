//go:build linux

package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/containerd"
	"github.com/fardel-io/fardel/runtime/image"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// The families of the tasks that a busy host program starts.
const (
	familyBrief   = "brief"   // ends by itself
	familyStopped = "stopped" // is stopped when its containers catch the signal
	familyHasty   = "hasty"   // is stopped at any moment
	familyPulled  = "pulled"  // ends by itself, and has an image from the registry
)

// briefCode is what a brief container ends with.
const briefCode = 9

// brief writes a line with the time, waits, and writes another.
func brief(w io.Writer, wait string) int {
	d, err := time.ParseDuration(wait)
	if err != nil {
		return 1
	}
	fmt.Fprintln(w, "early", time.Now().UnixNano())
	<-time.After(d)
	fmt.Fprintln(w, "late", time.Now().UnixNano())
	return briefCode
}

// talk writes numbered lines, in one or two writes each, until it gets SIGTERM; then it says how many there were.
func talk(w io.Writer) error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for i := 0; ; i++ {
		line := numbered(i) + "\n"
		half := len(line) * (i % 3) / 3
		if half > 0 {
			if _, err := io.WriteString(w, line[:half]); err != nil {
				return err
			}
			<-pause.C
		}
		if _, err := io.WriteString(w, line[half:]); err != nil {
			return err
		}
		select {
		case <-term:
			_, err := fmt.Fprintf(w, "end %d\n", i+1)
			return err
		case <-pause.C:
		}
	}
}

// numbered is the i-th line of talk.
func numbered(i int) string {
	return fmt.Sprintf("%d %s", i, strings.Repeat(string(rune('a'+i%26)), i*7919%700))
}

// toggle makes a file and succeeds, or removes it and fails: as a health check it changes the health each time.
func toggle(path string) int {
	if os.Remove(path) == nil {
		return 1
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		fmt.Println(err)
		return 2
	}
	return 0
}

// busyConfig is the configuration of a busy host program, and of those that take over from it.
func busyConfig(dir, registry string) (local.Config, error) {
	sink, err := logs.NewFileSink(logs.FileSinkConfig{Dir: filepath.Join(dir, "sink"), StreamLimit: 256 << 20})
	cfg := local.Config{
		Dir: dir, Registries: map[string]containerd.Registry{registry: {PlainHTTP: true}},
		LogSink: sink, LogLimit: runtime.MinLogLimit, DefaultLogDriverMode: logs.ModeBlocking,
	}
	withUserNS(&cfg)
	return cfg, err
}

// busyHost starts tasks of three families, side by side, until it is killed. It tells what it knows of them, a line each:
// "task", "stopping" or "ended", and the ID.
func busyHost(ctx context.Context, dir, registry string) error {
	cfg, err := busyConfig(dir, registry)
	if err != nil {
		return err
	}
	c, err := local.Open(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Println("open")
	errs := make(chan error)
	for _, loop := range []func(context.Context, *local.Cluster, int) error{
		runBrief, runStopped,
		func(ctx context.Context, c *local.Cluster, i int) error { return runPulled(ctx, c, registry, i) },
	} {
		go func() {
			for i := 0; ; i++ {
				if err := loop(ctx, c, i); err != nil {
					errs <- err
				}
			}
		}()
	}
	return <-errs
}

func family(name string, containers ...[]string) *task.TaskDefinition {
	def := define(containers...)
	def.Family = name
	for i := range def.ContainerDefinitions {
		def.ContainerDefinitions[i].StopTimeout = 60
	}
	return def
}

func runTold(ctx context.Context, c *local.Cluster, def *task.TaskDefinition) (*scheduler.Run, error) {
	run, err := c.Run(ctx, def, scheduler.RunOptions{})
	if err != nil {
		return nil, err
	}
	fmt.Println("task", run.ID())
	return run, nil
}

func awaitEnd(ctx context.Context, run *scheduler.Run) error {
	if _, err := run.Wait(ctx); err != nil {
		return err
	}
	fmt.Println("ended", run.ID())
	return nil
}

func briefDefinition() *task.TaskDefinition {
	return family(familyBrief, []string{"app", fmt.Sprintf("brief %dms", rand.IntN(600))})
}

func runBrief(ctx context.Context, c *local.Cluster, _ int) error {
	run, err := runTold(ctx, c, briefDefinition())
	if err != nil {
		return err
	}
	return awaitEnd(ctx, run)
}

func runStopped(ctx context.Context, c *local.Cluster, i int) error {
	def := family(familyStopped, []string{"a", "catch TERM 7", "out up", "hang"}, []string{"b", "catch TERM 7", "out up", "hang"})
	if i%2 == 1 {
		// A signal before its program has a handler is lost on the first process of a PID namespace.
		def.Family, def.ContainerDefinitions[0].StopTimeout, def.ContainerDefinitions[1].StopTimeout = familyHasty, 2, 2
	}
	run, err := runTold(ctx, c, def)
	if err != nil {
		return err
	}
	if def.Family == familyHasty {
		<-time.After(time.Duration(rand.IntN(700)) * time.Millisecond)
	} else if err := awaitUp(ctx, run); err != nil {
		return err
	}
	if err := run.Stop(ctx, "enough"); err != nil {
		return err
	}
	fmt.Println("stopping", run.ID())
	return awaitEnd(ctx, run)
}

// awaitUp returns when both containers of a task have caught the signal.
func awaitUp(ctx context.Context, run *scheduler.Run) error {
	for _, name := range []string{"a", "b"} {
		log := run.Logs(ctx, name)
		_, err := io.ReadFull(log, make([]byte, len("up\n")))
		if err := errors.Join(err, log.Close()); err != nil {
			return fmt.Errorf("container %s of task %s: %w", name, run.ID(), err)
		}
	}
	return nil
}

func runPulled(ctx context.Context, c *local.Cluster, registry string, i int) error {
	def := briefDefinition()
	def.Family = familyPulled
	ref := fmt.Sprintf("%s/app:%d-%d-%d", registry, os.Getpid(), i, 1+rand.IntN(512))
	def.ContainerDefinitions[0].Image = ref
	run, err := runTold(ctx, c, def)
	if err != nil {
		return err
	}
	if err := awaitEnd(ctx, run); err != nil {
		return err
	}
	return c.RemoveImage(ctx, ref)
}

// addSelf adds the guest's image.
func addSelf(ctx context.Context, c *local.Cluster) error {
	img, err := image.Self(image.Config{Ref: "guest", Env: []string{guestVar + "=1"}})
	if err != nil {
		return err
	}
	_, err = c.AddImage(ctx, img)
	return err
}
