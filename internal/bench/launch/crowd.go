package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// How often what is quick is repeated.
const (
	bursts    = 3
	adoptions = 5
)

// crowd is who holds many containers at the same time. Its processes are all that weigh finds.
type crowd interface {
	// launch starts n containers at once and returns when all run, and how long that took.
	launch(ctx context.Context, n int) (time.Duration, error)

	// release stops and removes them.
	release(ctx context.Context) error

	close() error
}

// crowder makes a crowd. It returns a *missingError when the machine lacks a program.
type crowder struct {
	name, what string
	open       func(ctx context.Context, w *workshop, o options) (crowd, error)
}

// crowders are who takes part in the last two tables, fardel first, and as the only one without "peers".
var crowders = []crowder{
	{"fardel", "Fargate tasks: addresses, security groups, sizes, seccomp, logs kept", openHostCrowd},
	{"runc run -d", "prepared bundles: no image, network, seccomp nor logs; nobody watches them", openRuncCrowd},
	{"docker run -d", "images on a bridge, with seccomp; logs kept", openDockerCrowd},
	{"podman run -d", "the same, without a daemon", openPodmanCrowd},
}

// burstRow is what many launches at once cost.
type burstRow struct {
	Name  string `json:"name"`
	What  string `json:"what"`
	Tasks int    `json:"tasks"`

	Took       series  `json:"took"` // until all run
	PerDocker  float64 `json:"timesDocker,omitempty"`
	Sampled    series  `json:"sampled"` // the same, of the launch in which memory was looked at
	Peak       memory  `json:"peak"`    // of everything but what is in the containers
	PeakN      int     `json:"peakProcesses"`
	PeakKernel int64   `json:"peakKernelKiB"` // that was added
}

// idleRow is what containers cost that do nothing.
type idleRow struct {
	Name      string        `json:"name"`
	Tasks     int           `json:"tasks"`
	Held      time.Duration `json:"heldNs"`
	Empty     burden        `json:"empty"` // before there were any
	Full      burden        `json:"full"`  // at the end of the time
	Each      share         `json:"each"`
	CPU       time.Duration `json:"cpuNs"`                 // in that time
	Wakeups   int64         `json:"wakeups"`               // in that time
	PerDocker float64       `json:"timesDocker,omitempty"` // memory of each
}

// measureCrowds fills in the last tables. No daemon may run: every process here but this one counts.
func (r *report) measureCrowds(ctx context.Context, w *workshop, o options, say func(string, ...any)) error {
	var errs []error
	for i, c := range crowders {
		if i > 0 && !o.wants("peers") || ctx.Err() != nil {
			break
		}
		err := r.measureCrowd(ctx, w, o, c, say)
		if missing := new(missingError); errors.As(err, &missing) {
			r.LeftOut = append(r.LeftOut, leftOut{c.name, err.Error()})
			continue
		}
		if err != nil && ctx.Err() == nil {
			r.LeftOut = append(r.LeftOut, leftOut{c.name, err.Error()})
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return errors.Join(errs...)
}

func (r *report) measureCrowd(ctx context.Context, w *workshop, o options, c crowder, say func(string, ...any)) (err error) {
	opened, err := c.open(ctx, w, o)
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, opened.close())
		}
	}()
	if o.wants("burst") {
		row, err := measureBurst(ctx, opened, o.burst, func(i int) { say("%s: %d at once, %d of %d", c.name, o.burst, i, bursts+2) })
		if err != nil {
			return err
		}
		row.Name, row.What = c.name, c.what
		r.Bursts = append(r.Bursts, row)
	}
	if !o.wants("idle") {
		return nil
	}
	hold := o.hold
	own, ours := opened.(*hostCrowd)
	if !ours {
		hold = max(hold/5, time.Second)
	}
	say("%s: %d idle for %v", c.name, o.idle, hold)
	row, err := measureIdle(ctx, opened, o.idle, hold)
	if err != nil {
		return err
	}
	row.Name = c.name
	r.Idles = append(r.Idles, row)
	if !ours {
		return opened.release(ctx)
	}
	if r.Adoptions, err = own.measureAdoptions(ctx, o.idle, say); err != nil {
		return err
	}
	closed = true
	return errors.Join(own.close(), checkTraces(clusterDirs(w.dir)[2], false))
}

// measureBurst launches once for nothing, some times for the time, and once for the memory, whose measuring takes time
// itself.
func measureBurst(ctx context.Context, c crowd, n int, say func(int)) (burstRow, error) {
	row := burstRow{Tasks: n}
	for i := range bursts + 2 {
		say(i + 1)
		before, err := weigh()
		if err != nil {
			return row, err
		}
		expected := quiet(ctx)
		peak, finish := burden{}, func() error { return nil }
		if i == bursts+1 {
			finish = samplePeak(&peak)
		}
		took, err := c.launch(ctx, n)
		if err := errors.Join(err, finish()); err != nil {
			return row, err
		}
		switch {
		case i > bursts:
			row.Sampled = series{took}
			row.Peak, row.PeakN, row.PeakKernel = peak.Memory, peak.Processes, peak.Kernel-before.Kernel
		case i > 0:
			row.Took = append(row.Took, took)
		}
		if err := c.release(ctx); err != nil {
			return row, err
		}
		if err := settle(ctx, expected); err != nil {
			return row, err
		}
	}
	return row, nil
}

// samplePeriod is how often the peak of memory is looked for. Looking at some hundred processes takes a tenth of it.
const samplePeriod = 250 * time.Millisecond

// samplePeak keeps the greatest burden in peak until the function that it returns is called.
func samplePeak(peak *burden) (finish func() error) {
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			b, err := weigh()
			if err != nil {
				done <- err
				return
			}
			if b.Memory.PSS > peak.Memory.PSS {
				peak.Memory = b.Memory
			}
			peak.Processes, peak.Kernel = max(peak.Processes, b.Processes), max(peak.Kernel, b.Kernel)
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(samplePeriod):
			}
		}
	}()
	return func() error { close(stop); return <-done }
}

// settling is how long containers that have just been started are left alone before their idleness is measured.
const settling = 5 * time.Second

func measureIdle(ctx context.Context, c crowd, n int, hold time.Duration) (idleRow, error) {
	row := idleRow{Tasks: n}
	quiet(ctx)
	var err error
	if row.Empty, err = weigh(); err != nil {
		return row, err
	}
	for left := n; left > 0; left -= launchesTogether {
		if _, err := c.launch(ctx, min(left, launchesTogether)); err != nil {
			return row, err
		}
	}
	if err := pause(ctx, min(settling, hold)); err != nil {
		return row, err
	}
	before, err := weigh()
	if err != nil {
		return row, err
	}
	began := time.Now()
	if err := pause(ctx, hold); err != nil {
		return row, err
	}
	if row.Full, err = weigh(); err != nil {
		return row, err
	}
	row.Held = time.Since(began)
	row.CPU, row.Wakeups = row.Full.CPU-before.CPU, row.Full.Wakeups-before.Wakeups
	row.Each = row.Full.since(row.Empty, n)
	return row, nil
}

// launchesTogether is how many idle containers are started at a time.
const launchesTogether = 20

// adoption is what it takes a host program to take over its tasks after it was killed.
type adoption struct {
	Tasks   int    `json:"tasks"`
	Opened  series `json:"opened"`  // the call of Open
	Watched series `json:"watched"` // until each task is watched, from the call of Open
	Ended   series `json:"ended"`   // from the kill of every container until each task is STOPPED and released
}

// hostCrowd is fardel, in a process of its own.
type hostCrowd struct {
	w    *workshop
	o    options
	dir  string
	host *host
}

func openHostCrowd(_ context.Context, w *workshop, o options) (crowd, error) {
	if _, err := w.find("runc"); err != nil {
		return nil, err
	}
	c := &hostCrowd{w: w, o: o, dir: filepath.Clean(clusterDirs(w.dir)[2])}
	var err error
	c.host, _, err = startHost(w, o, c.dir, 0)
	return c, err
}

func (c *hostCrowd) launch(_ context.Context, n int) (time.Duration, error) {
	return c.host.order("%s %d", runMany, n)
}

func (c *hostCrowd) release(context.Context) error {
	_, err := c.host.order(stopAll)
	return err
}

func (c *hostCrowd) close() error { return c.host.close() }

// measureAdoptions kills the host and starts another one, some times, and at last ends all containers behind its back:
// a host that did not watch them would not notice.
func (c *hostCrowd) measureAdoptions(ctx context.Context, tasks int, say func(string, ...any)) (*adoption, error) {
	a := &adoption{Tasks: tasks}
	for i := range adoptions {
		say("host program killed under %d tasks, %d of %d", tasks, i+1, adoptions)
		if err := c.host.kill(); err != nil {
			return nil, err
		}
		quiet(ctx)
		next, took, err := startHost(c.w, c.o, c.dir, tasks)
		if err != nil {
			return nil, err
		}
		c.host = next
		a.Opened, a.Watched = append(a.Opened, took.Opened), append(a.Watched, took.Took)
	}
	began := time.Now()
	if err := killContained(tasks); err != nil {
		return nil, err
	}
	if _, err := c.host.order(awaitAll); err != nil {
		return nil, err
	}
	a.Ended = series{time.Since(began)}
	return a, nil
}
