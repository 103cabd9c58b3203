package engine

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

// How long a step that must not be given up, such as the release of an address, waits before it is tried again.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 30 * time.Second
)

// worker carries one task through its life. Its goroutine alone touches rec; others reach it through requestStop and
// the exits channel.
type worker struct {
	e      *Engine
	id     string
	arn    string
	holder string // of images, at the driver
	def    *task.TaskDefinition
	eni    network.ENI
	subnet network.Subnet
	log    *slog.Logger

	launchVolumes []task.VolumeConfiguration
	confinement   Confinement
	storage       storage

	rec        *task.Task
	attached   network.Attachment // zero until the interface is in place
	containers []*container       // in the order of the definition

	exits    chan exited  // one place per container: a watcher never waits
	checks   chan checked // of health; who checks waits until it is taken
	watchers sync.WaitGroup
	wake     chan struct{} // one element when stop is set
	unwatch  chan struct{} // closed when the watchers are to end

	faults faultState
	shown  atomic.Pointer[metadata.Snapshot] // what the task may know of itself, as of the last save

	mu     sync.Mutex         // guards what follows
	stop   *stopRequest       // nil until somebody wants the task stopped
	cancel context.CancelFunc // ends the step under way, nil when it must not be cut short
}

// container is one container of a task at run time.
type container struct {
	def       *task.ContainerDefinition
	id        string        // the driver's, and the record's runtimeId
	image     runtime.Image // zero until pulled
	sealed    sealed[runtime.Secrets]
	options   sealed[map[string]string] // secret ones of its log driver
	created   bool                      // the driver has it
	startedAt time.Time                 // by this process, or when it was adopted
	health    health                    // as far as it is checked
	samples   samples                   // of what it uses
	ended     chan struct{}             // closed when its end has been reported

	silent    chan struct{}   // closed by silence
	once      sync.Once       // closes silent
	delivered <-chan struct{} // closed when its log driver has ended; nil if it has none
	abandon   func()          // ends its log driver, whatever is left; nil if it has none
	dropped   atomic.Uint64   // lines that its log driver was too slow for
}

// stopRequest is why a task is to stop.
type stopRequest struct {
	code   task.StopCode
	reason string
}

// exited is the end of a container. With err the driver cannot say how it ended.
type exited struct {
	c    *container
	exit runtime.Exit
	err  error
}

func newWorker(e *Engine, a Assignment) *worker {
	a.Definition = withRouter(a.Definition)
	w := &worker{
		e: e, id: a.Task.ID(), holder: a.Task.ID(), arn: a.Task.TaskARN, def: a.Definition, eni: a.ENI, subnet: a.Subnet, rec: a.Task.Clone(),
		launchVolumes: a.VolumeConfigurations,
		confinement:   a.Confinement,
		log:           e.log.With("taskArn", a.Task.TaskARN),
		exits:         make(chan exited, len(a.Definition.ContainerDefinitions)),
		checks:        make(chan checked),
		wake:          make(chan struct{}, 1), unwatch: make(chan struct{}),
	}
	for i := range a.Definition.ContainerDefinitions {
		def := &a.Definition.ContainerDefinitions[i]
		w.containers = append(w.containers, &container{
			def: def, id: RuntimeID(w.id, i), health: health{status: w.rec.Containers[i].HealthStatus}, ended: make(chan struct{}),
			silent: make(chan struct{}),
		})
	}
	w.show()
	return w
}

// run works until the task is STOPPED or ctx ends.
func (w *worker) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer w.watchers.Wait()
	defer close(w.unwatch)
	defer cancel()
	began := time.Now()
	w.adopt(ctx)
	if w.rec.LastStatus > task.Provisioning {
		w.took("adopt", began)
	}
	wait := retryFirst
	for ctx.Err() == nil {
		w.takeStop()
		step, to := task.Next(w.rec.LastStatus, w.rec.DesiredStatus)
		if step == task.None {
			if w.rec.LastStatus >= task.Stopped {
				return
			}
			w.await(ctx)
			continue
		}
		err := w.take(ctx, step, to)
		if err == nil || ctx.Err() != nil {
			wait = retryFirst
			continue
		}
		if closed(err) {
			w.log.Error("driver or fabric was closed under the task, which waits for the next start", "error", err)
			return
		}
		if w.rec.LastStatus < task.Deactivating {
			w.fail(err)
			continue
		}
		w.log.Error("release of task is tried again", "step", step.String(), "in", wait, "error", err)
		sleep(ctx, wait)
		wait = min(2*wait, retryMost)
	}
}

// adopt follows the containers that an earlier process started.
func (w *worker) adopt(ctx context.Context) {
	if w.def.NetworkMode != task.NetworkModeNone && w.rec.LastStatus > task.Provisioning && w.rec.LastStatus < task.Deprovisioning {
		w.attached = w.e.attachments[w.eni.ID]
		w.adoptFaults(ctx)
		if err := w.e.endpoints.join(ctx, w); err != nil {
			w.log.Error("containers of task have no metadata until the next start", "error", err)
		}
	}
	w.noteStarted(ctx)
	for i, c := range w.containers {
		rec := w.record(i)
		c.created = rec.LastStatus != task.ContainerPending || w.rec.LastStatus > task.Pending
		switch {
		case rec.LastStatus == task.ContainerRunning:
			w.follow(ctx, c)
			w.deliver(c)
		case rec.LastStatus == task.ContainerStopped:
			if rec.ExitCode != nil {
				c.startedAt = startedAt(rec)
			}
			close(c.ended)
			c.silence()
			w.deliver(c)
		}
	}
	w.show()
}

// noteStarted finds the containers that an earlier process has started, and died before it could say so.
func (w *worker) noteStarted(ctx context.Context) {
	pending := func(c task.Container) bool { return c.LastStatus == task.ContainerPending }
	if w.rec.LastStatus < task.Activating || w.rec.LastStatus > task.Stopping || !slices.ContainsFunc(w.rec.Containers, pending) {
		return
	}
	found, err := w.e.cfg.Driver.List(ctx)
	if err != nil {
		w.log.Error("containers that were started may be started again", "error", err)
	}
	for _, have := range found.Containers {
		i := slices.IndexFunc(w.containers, func(c *container) bool { return c.id == have.ID })
		if i < 0 || have.State == runtime.StateCreated || have.StartedAt.IsZero() {
			continue
		}
		if rec := w.record(i); pending(*rec) {
			rec.LastStatus, rec.StartedAt = task.ContainerRunning, have.StartedAt.UTC()
		}
	}
}

// follow watches a container that an earlier process started, and does what is missing of its last restart.
func (w *worker) follow(ctx context.Context, c *container) {
	rec := w.rec.Container(c.def.Name)
	c.startedAt = startedAt(rec)
	if rec.RestartCount == 0 || w.rec.DesiredStatus >= task.Stopped { // what is to stop is not started for that
		w.watch(ctx, c)
		return
	}
	making, done := w.interruptible(ctx)
	defer done()
	err := w.runAgain(making, c)
	switch {
	case err == nil || ctx.Err() != nil || closed(err):
	case w.stopWanted():
		w.watch(ctx, c)
	default:
		w.exits <- exited{c: c, err: err}
		close(c.ended)
	}
}

// startedAt is when a container was started, and now for one that was started before the record said when.
func startedAt(rec *task.Container) time.Time {
	if rec.StartedAt.IsZero() {
		return time.Now()
	}
	return rec.StartedAt
}

// take does one step and has its outcome written down.
func (w *worker) take(ctx context.Context, step task.Step, to task.Status) error {
	if during := step.During(); during != w.rec.LastStatus {
		w.setStatus(during)
		if err := w.save(ctx); err != nil {
			return err
		}
	}
	do, cuttable := w.step(step)
	stepCtx, done := ctx, func() {}
	if cuttable {
		stepCtx, done = w.interruptible(ctx)
	}
	began := time.Now()
	err := do(stepCtx)
	w.took(step.String(), began)
	done()
	if err != nil && cuttable && (w.stopWanted() || w.rec.DesiredStatus >= task.Stopped) {
		return nil // a stop cut it short; what it made is released with the rest
	}
	if err != nil {
		return err
	}
	w.setStatus(to)
	return w.save(ctx)
}

// step returns what does a step, and whether a stop may cut it short.
func (w *worker) step(s task.Step) (do func(context.Context) error, cuttable bool) {
	switch s {
	case task.Provision:
		return w.provision, true
	case task.Accept:
		return w.create, true
	case task.Activate:
		return w.activate, true
	case task.Deactivate:
		return func(context.Context) error { return nil }, false
	case task.Stop:
		return w.stopContainers, false
	case task.Deprovision:
		return w.deprovision, false
	case task.None:
	}
	return func(context.Context) error { return errors.New("engine: no such step: " + s.String()) }, false
}

// setStatus moves the task on and notes the times that ECS notes.
func (w *worker) setStatus(s task.Status) {
	now := time.Now().UTC()
	w.rec.LastStatus = s
	switch s {
	case task.Running:
		w.rec.StartedAt = now
	case task.Stopping:
		w.rec.StoppingAt = now
	case task.Stopped:
		w.rec.StoppedAt = now
	}
	w.log.Info("task status", "lastStatus", s.String(), "desiredStatus", w.rec.DesiredStatus.String())
}

// save writes the record down and takes over what others have asked for in the meantime. It tries until it succeeds or
// ctx ends: a task whose journal cannot be written takes no further step.
func (w *worker) save(ctx context.Context) error {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		began := time.Now()
		merged, err := w.e.cfg.Journal.Save(ctx, w.rec)
		w.took("save", began)
		if err == nil {
			w.rec = merged
			w.show()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.log.Error("record of task cannot be saved, trying again", "in", wait, "error", err)
		sleep(ctx, wait)
	}
}

// await waits in RUNNING for something that moves the task on.
func (w *worker) await(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-w.wake:
	case ev := <-w.exits:
		w.exited(ctx, ev)
		_ = w.save(ctx) // fails only when ctx has ended, and then the next process sees the exit again
	case ev := <-w.checks:
		if w.checked(ev) {
			_ = w.save(ctx)
		}
	}
}

// exited notes the end of a container, unless it runs again. An essential one takes the task with it.
func (w *worker) exited(ctx context.Context, ev exited) {
	if w.restarts(ctx, ev) {
		return
	}
	ev.c.silence()
	rec := w.rec.Container(ev.c.def.Name)
	rec.LastStatus = task.ContainerStopped
	at := time.Now().UTC()
	if ev.err != nil {
		rec.Reason = task.FailureReason(task.ErrorContainerVanished, ev.err.Error())
	} else {
		code := ev.exit.Code
		rec.ExitCode = &code
		at = ev.exit.At.UTC()
		if ev.exit.OOMKilled {
			rec.Reason = task.ReasonOutOfMemory
		}
	}
	rec.FinishedAt = at
	w.log.Info("container ended", "containerName", rec.Name, "exitCode", ev.exit.Code, "reason", rec.Reason)
	if !ev.c.def.IsEssential() {
		return
	}
	if w.rec.ExecutionStoppedAt.IsZero() {
		w.rec.ExecutionStoppedAt = at
	}
	w.want(stopRequest{task.StopCodeEssentialContainerExited, task.ReasonEssentialContainerExited})
}

// fail has the task stopped because a step of its start failed.
func (w *worker) fail(err error) {
	reason := err.Error()
	var named *startError
	if errors.As(err, &named) {
		reason = named.reason()
		if rec := w.rec.Container(named.container); rec != nil {
			rec.Reason = reason
		}
	}
	w.log.Warn("task failed to start", "error", err)
	w.want(stopRequest{task.StopCodeTaskFailedToStart, reason})
}

// want moves the desired status to STOPPED. The first reason stays.
func (w *worker) want(r stopRequest) {
	if w.rec.DesiredStatus >= task.Stopped {
		return
	}
	w.rec.DesiredStatus = task.Stopped
	w.rec.StopCode = r.code
	w.rec.StoppedReason = r.reason
}

// requestStop asks the worker's goroutine to stop the task, and ends the step under way if it may be cut short.
func (w *worker) requestStop(code task.StopCode, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		return
	}
	w.stop = &stopRequest{code, reason}
	if w.cancel != nil {
		w.cancel()
	}
	w.wake <- struct{}{} // sent once, and there is room for one
}

// takeStop moves a stop that was requested into the record.
func (w *worker) takeStop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		w.want(*w.stop)
	}
}

func (w *worker) stopWanted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stop != nil
}

// interruptible returns a context that a stop request ends, for the time until done is called. It may be within another.
func (w *worker) interruptible(ctx context.Context) (stepCtx context.Context, done func()) {
	stepCtx, cancel := context.WithCancel(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		cancel()
	}
	outer := w.cancel
	w.cancel = func() {
		cancel()
		if outer != nil {
			outer()
		}
	}
	return stepCtx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.cancel = outer
		cancel()
	}
}

// took tells the log how long something lasted, for those who look where the time of a launch goes.
func (w *worker) took(phase string, began time.Time) {
	w.log.Debug("phase", "name", phase, "took", time.Since(began))
}

// record returns the record of the container that the definition lists at place i.
func (w *worker) record(i int) *task.Container {
	return w.rec.Container(w.containers[i].def.Name)
}

// container returns the container with a name.
func (w *worker) container(name string) *container {
	for _, c := range w.containers {
		if c.def.Name == name {
			return c
		}
	}
	return nil
}

// logPath is where a container's output is kept, or its name for drivers that keep it elsewhere.
func (w *worker) logPath(name string) string { return LogPath(w.e.cfg.Dir, w.id, name) }

// LogPath is where an engine with this Dir keeps the output of a container of a task.
func LogPath(dir, taskID, containerName string) string {
	return filepath.Join(dir, "logs", taskID, containerName+".log")
}

// sleep waits, or returns early when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
