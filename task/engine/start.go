package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// provision makes what the containers share, and at the same time pulls their images and has their secrets.
func (w *worker) provision(ctx context.Context) error {
	if !resolvable(w.def) {
		return &startError{task.ErrorTaskDependency, "", errors.New("Task dependencies cannot be resolved, taskArn: " + w.arn)}
	}
	if w.rec.PullStartedAt.IsZero() {
		w.rec.PullStartedAt = time.Now().UTC()
	}
	if err := together(ctx, w.provisionSandbox, w.pullAll, w.unsealAll); err != nil {
		return err
	}
	w.rec.PullStoppedAt = time.Now().UTC()
	for i, c := range w.containers {
		w.record(i).ImageDigest = c.image.Digest
	}
	w.setAttached()
	return nil
}

func (w *worker) provisionSandbox(ctx context.Context) error {
	if err := w.attach(ctx); err != nil {
		return &startError{task.ErrorResourceInitialization, "", err}
	}
	began := time.Now()
	err := w.e.cfg.Driver.CreateSandbox(ctx, w.sandboxSpec(w.attached))
	w.took("sandbox", began)
	if err != nil {
		return &startError{task.ErrorResourceInitialization, "", err}
	}
	if err := w.writeFiles(); err != nil {
		return &startError{task.ErrorResourceInitialization, "", err}
	}
	if err := w.writeRouter(ctx); err != nil {
		return &startError{task.ErrorResourceInitialization, "", err}
	}
	return nil
}

// attach makes the task's interface and has it reach its endpoint.
func (w *worker) attach(ctx context.Context) error {
	if w.def.NetworkMode == task.NetworkModeNone {
		return nil
	}
	defer w.took("attach", time.Now())
	at, err := w.e.cfg.Fabric.Attach(ctx, w.eni)
	if err != nil {
		return fmt.Errorf("attach network interface %s: %w", w.eni.ID, err)
	}
	w.attached = at
	return w.e.endpoints.join(ctx, w)
}

// setAttached notes in the record that the interface is in place, and with it what else is attached.
func (w *worker) setAttached() {
	for i := range w.rec.Attachments {
		w.rec.Attachments[i].Status = task.AttachmentAttached
	}
}

// sandboxSpec is the sandbox of the task. It depends on nothing but the assignment, so that the call may be repeated.
func (w *worker) sandboxSpec(at network.Attachment) runtime.SandboxSpec {
	size, _ := w.def.Size() // the definition is valid
	s := runtime.SandboxSpec{
		ID: w.id, Size: size, NetNS: at.NetNS, Hostname: at.Hostname,
		SharePID: w.def.PIDMode == task.PIDModeTask, PIDs: maxProcesses(size.Memory), Scratch: w.scratchDir(),
	}
	storage := w.def.EphemeralStorage
	if storage == nil {
		storage = w.rec.EphemeralStorage // what the scheduler gives without being asked
	}
	if storage != nil {
		s.Storage = task.MiB(storage.SizeInGiB) << 10
	}
	if size.CPU == 0 {
		for _, c := range w.containers {
			s.CPUShares += cpuShares(c.def)
		}
	}
	return s
}

// maxProcesses is how many processes and threads a task can have: as many as Linux allows a machine of the task's memory,
// one for each 128 KiB, which is what a task on Fargate finds. A task without a size of its own has as many as one of 4 GiB.
func maxProcesses(memory task.MiB) int64 {
	if memory == 0 {
		memory = 4096
	}
	return int64(memory) * 8
}

// pullAll pulls the images of all containers side by side.
func (w *worker) pullAll(ctx context.Context) error {
	var pulls []func(context.Context) error
	for _, c := range w.containers {
		pulls = append(pulls, func(ctx context.Context) error { return w.pull(ctx, c) })
	}
	return together(ctx, pulls...)
}

func (w *worker) pull(ctx context.Context, c *container) error {
	spec := runtime.ImageSpec{Ref: c.def.Image, Platform: platform(w.def), Holder: w.holder}
	if rc := c.def.RepositoryCredentials; rc != nil {
		auth, err := w.registryLogin(ctx, rc.CredentialsParameter)
		if err != nil {
			return authFailure(w.rec.LaunchType, c.def.Name, err)
		}
		spec.Auth = &auth
	} else if err := w.registryAuth(ctx, c, &spec); err != nil {
		return err
	}
	transferred := false
	spec.Progress = func(p runtime.PullProgress) {
		transferred = transferred || !p.Cached
		if report := w.e.cfg.PullProgress; report != nil {
			report(w.rec.TaskARN, p)
		}
	}
	began := time.Now()
	img, err := w.e.pullImage(ctx, spec)
	w.took("pull", began)
	if transferred {
		w.e.cacheGrew()
	}
	if err != nil {
		return pullFailure(w.rec.LaunchType, w.e.cfg.PullBehavior, c.def.Name, err)
	}
	c.image = img
	return nil
}

// registryAuth has the credentials for the registry of an image without repositoryCredentials.
func (w *worker) registryAuth(ctx context.Context, c *container, spec *runtime.ImageSpec) error {
	name, err := runtime.ParseImageName(spec.Ref)
	if err != nil || w.e.cfg.RegistryAuth == nil || w.e.cfg.PullBehavior == PullNever {
		return nil // the driver says what is wrong with the name
	}
	if b := w.e.cfg.PullBehavior; b != PullAlways && b != PullDefault {
		here := *spec
		here.Offline, here.Progress = true, nil
		if _, err := w.e.cfg.Driver.Pull(ctx, here); err == nil {
			return nil // no registry will be asked
		}
	}
	if spec.Auth, err = w.e.cfg.RegistryAuth(ctx, name.Registry); err != nil {
		return registryFailure(w.rec.LaunchType, c.def.Name, name.Registry, err)
	}
	return nil
}

// create prepares every container that has not run, side by side but for those that share a volume.
func (w *worker) create(ctx context.Context) error {
	var creates []func(context.Context) error
	after := createAfter(w.def)
	made := make([]chan struct{}, len(w.containers))
	for i, c := range w.containers {
		rec := w.record(i)
		made[i] = make(chan struct{})
		if rec.LastStatus != task.ContainerPending {
			close(made[i])
			continue
		}
		rec.RuntimeID = c.id
		creates = append(creates, func(ctx context.Context) error {
			for _, j := range after[i] {
				select {
				case <-made[j]:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			err := w.createOne(ctx, c)
			if err == nil {
				close(made[i])
			}
			return err
		})
	}
	err := together(ctx, creates...)
	now := time.Now().UTC()
	for i, c := range w.containers {
		if rec := w.record(i); c.created && rec.CreatedAt.IsZero() {
			rec.CreatedAt = now
		}
	}
	return err
}

func (w *worker) createOne(ctx context.Context, c *container) error {
	if c.image.Ref == "" { // adopted after the pull
		if err := w.pull(ctx, c); err != nil {
			return err
		}
	}
	if err := w.mountVolumes(ctx); err != nil {
		return err
	}
	spec := w.containerSpec(c)
	var err error
	if spec.SecretEnv, err = w.unseal(ctx, c); err != nil {
		return err
	}
	began := time.Now()
	err = w.e.cfg.Driver.CreateContainer(ctx, spec)
	w.took("create", began)
	if err != nil && !errors.Is(err, runtime.ErrExists) { // made by the process before, perhaps when the tag meant another image
		return createError(c.def.Name, err)
	}
	c.created = true
	return nil
}

// errStopping ends the activation of a task that is to stop.
var errStopping = errors.New("engine: task is stopping")

// activate starts the containers in the order that their dependencies ask for, and returns when all have been started.
func (w *worker) activate(ctx context.Context) error {
	for {
		seen := w.observe()
		n := planStart(w.e.startOrder(w.def, seen), seen, time.Now())
		switch {
		case n.done():
			return nil
		case len(n.doomed) > 0:
			w.giveUp(n.doomed)
		case len(n.start) > 0:
			if err := w.startAll(ctx, n.start); err != nil {
				return err
			}
		default:
			w.awaitDependency(ctx, n.deadline)
		}
		if err := w.save(ctx); err != nil {
			return err
		}
		if w.rec.DesiredStatus >= task.Stopped {
			return errStopping
		}
	}
}

// observe is what the plan needs to know of the containers.
func (w *worker) observe() map[string]seen {
	obs := make(map[string]seen, len(w.containers))
	for i, c := range w.containers {
		rec := w.record(i)
		obs[c.def.Name] = seen{rec.LastStatus, rec.ExitCode, rec.HealthStatus, c.startedAt}
	}
	return obs
}

// startAll starts containers side by side and follows them.
func (w *worker) startAll(ctx context.Context, names []string) error {
	var starts []func() error
	for _, name := range names {
		c := w.container(name)
		starts = append(starts, func() error {
			began := time.Now()
			err := w.e.cfg.Driver.Start(ctx, c.id)
			w.took("start", began)
			if err != nil {
				return &startError{task.ErrorCannotStartContainer, name, err}
			}
			c.startedAt = began // it may have ended before Start returned
			w.watch(ctx, c)
			w.deliver(c)
			return nil
		})
	}
	err := each(starts...)
	for _, name := range names {
		if at := w.container(name).startedAt; !at.IsZero() {
			rec := w.rec.Container(name)
			rec.LastStatus, rec.StartedAt = task.ContainerRunning, at.UTC()
		}
	}
	return err
}

// exitCodeNeverStarted is what ECS reports for a container whose dependencies could not be met.
const exitCodeNeverStarted = 143

// giveUp ends containers that can never start. An essential one takes the task with it.
func (w *worker) giveUp(doomed map[string]string) {
	for name, why := range doomed {
		rec := w.rec.Container(name)
		code := exitCodeNeverStarted
		rec.LastStatus, rec.ExitCode = task.ContainerStopped, &code
		rec.Reason = task.FailureReason(task.ErrorCannotStartContainer, "dependency graph: "+why)
		c := w.container(name)
		close(c.ended)
		c.silence()
		if c.def.IsEssential() {
			w.want(stopRequest{task.StopCodeTaskFailedToStart, rec.Reason})
		}
	}
}

// awaitDependency waits until a container ends, the deadline passes or ctx ends.
func (w *worker) awaitDependency(ctx context.Context, deadline time.Time) {
	var late <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-ctx.Done():
	case <-late:
	case ev := <-w.exits:
		w.exited(ctx, ev)
	case ev := <-w.checks:
		w.checked(ev)
	}
}
