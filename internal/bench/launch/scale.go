package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fardel-io/fardel/scheduler"
)

// levels are how many tasks run when memory and launches are measured.
var levels = []int{0, 1, 10, 100}

// level is what is measured while a number of tasks run.
type level struct {
	Tasks      int    `json:"tasks"`
	Host       memory `json:"host"`       // this process
	Helpers    memory `json:"helpers"`    // processes that fardel started for the tasks
	Containers memory `json:"containers"` // the tasks' own processes
	HelperN    int    `json:"helperProcesses"`

	Climb   series `json:"climb"`   // Run to RUNNING of the tasks that were added since the last level, one after the other
	Running series `json:"running"` // Run to RUNNING of one task more
	Stopped series `json:"stopped"` // Run to STOPPED of the same

	Phases []phaseRow `json:"phases"` // of the same
}

// measureScale measures what running tasks cost. No daemon may run: every process here but this one counts as a task's.
func measureScale(ctx context.Context, w *workshop, n int, say func(string, ...any)) (_ []level, err error) {
	dir := clusterDirs(w.dir)[1]
	c, err := openCluster(ctx, w, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if ctx.Err() != nil {
			err = nil // of no interest any more; what follows is
		}
		if err = errors.Join(err, c.close()); err == nil {
			err = checkTraces(dir, false)
		}
	}()
	var measured []level
	running := 0
	for _, tasks := range levels {
		say("%d tasks", tasks)
		l := level{Tasks: tasks}
		for ; running < tasks; running++ {
			took, err := c.launchSleep(ctx)
			if err != nil {
				return nil, fmt.Errorf("launch while %d tasks run: %w", running, err)
			}
			l.Climb = append(l.Climb, took...)
		}
		if running == 1 {
			if err := checkTraces(dir, true); err != nil {
				return nil, err
			}
		}
		if err := l.measure(ctx, c, n); err != nil {
			return nil, fmt.Errorf("while %d tasks run: %w", tasks, err)
		}
		measured = append(measured, l)
	}
	return measured, nil
}

func (c *cluster) launchSleep(ctx context.Context) (series, error) {
	ctx, cancel := context.WithTimeout(ctx, oneLaunch)
	defer cancel()
	began := time.Now()
	run, err := c.Run(ctx, c.sleeper, scheduler.RunOptions{})
	if err != nil {
		return nil, err
	}
	_, err = run.WaitRunning(ctx)
	return series{time.Since(began)}, err
}

// measure measures memory first, before more launches leave their garbage, and then n launches.
func (l *level) measure(ctx context.Context, c *cluster, n int) error {
	expected := quiet(ctx)
	if err := l.measureMemory(); err != nil {
		return err
	}
	var launches []launched
	for i := range n + 1 { // the first one warms up
		once, cancel := context.WithTimeout(ctx, oneLaunch)
		one, err := c.launchTrue(once)
		cancel()
		if err != nil {
			return err
		}
		if err := settle(ctx, expected); err != nil {
			return err
		}
		if i > 0 {
			l.Running, l.Stopped = append(l.Running, one.running), append(l.Stopped, one.stopped)
			launches = append(launches, one)
		}
	}
	l.Phases = c.phases.timeline(launches)
	return nil
}

func (l *level) measureMemory() error {
	var err error
	if l.Host, err = memoryOf(os.Getpid()); err != nil {
		return err
	}
	contained := 0
	for _, p := range others() {
		m, err := memoryOf(p.pid)
		if err != nil {
			return fmt.Errorf("process %d (%s): %w", p.pid, p.args, err)
		}
		if p.contained {
			l.Containers.add(m)
			contained++
		} else {
			l.Helpers.add(m)
			l.HelperN++
		}
	}
	if contained != l.Tasks {
		return fmt.Errorf("found %d processes in containers, want one for each task", contained)
	}
	return nil
}

// perTask is what each task adds to the memory of the host program and its helpers, in KiB, when none run at l0.
func (l *level) perTask(l0 level) float64 {
	if l.Tasks == 0 {
		return 0
	}
	return float64(l.Host.PSS+l.Helpers.PSS-l0.Host.PSS-l0.Helpers.PSS) / float64(l.Tasks)
}
