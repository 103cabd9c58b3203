package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
	"github.com/fardel-io/fardel/task/secrets"
	"github.com/fardel-io/fardel/task/volumes"
)

// Journal keeps the records of tasks. The engine takes no step before the outcome of the last one is in it.
type Journal interface {
	// Save writes t and returns the record as it is now. Others may have changed the desired status, the stop code and
	// the reason since the engine last saw them; the first to want a task stopped wins, and everything else is the
	// engine's to say. Save does not keep t. When it returns without error the record survives a crash.
	Save(ctx context.Context, t *task.Task) (*task.Task, error)
}

// Config is what an engine works with.
type Config struct {
	Driver  runtime.Driver // required
	Fabric  network.Fabric // required
	Journal Journal        // required

	// Dir is where the files of tasks are kept: /etc/hosts and resolv.conf of each, and logs. "" is for drivers that run
	// no real container: nothing is written then, and no such file is mounted.
	Dir string

	// Secrets has the values of secrets and of secretOptions, and the credentials that repositoryCredentials name. Nil
	// refuses definitions that use them.
	Secrets secrets.Provider

	// EnvironmentFiles has the objects of environmentFiles and of a log router's config-file-type s3. Nil refuses
	// definitions that use them.
	EnvironmentFiles secrets.ObjectStore

	// Authorize is asked before a secret, a registry's credentials or an environment file is had for a task, in the name
	// of its execution role, "" if it has none, with IAM's names: "secretsmanager:GetSecretValue", "ssm:GetParameters",
	// "s3:GetObject". What it returns keeps the task from starting. Nil allows everything.
	Authorize func(ctx context.Context, taskARN, executionRoleARN, action, resource string) error

	// Credentials resolves repositoryCredentials.credentialsParameter in place of Secrets.
	Credentials func(ctx context.Context, parameter string) (runtime.Credentials, error)

	// RegistryAuth has the credentials for a registry, by host, such as an ECR token that is good for twelve hours. It is
	// asked before a pull of an image whose container has no repositoryCredentials, so it should remember its answers.
	// Nil credentials, and a nil function, leave it to the driver's configuration.
	RegistryAuth func(ctx context.Context, registry string) (*runtime.Credentials, error)

	// TaskCredentials serves the credentials of task roles: the paths /v1/credentials and /v2/credentials/ at
	// 169.254.170.2, in every VPC. [CallerFrom] finds the task that asks in a request's context. A task whose definition
	// or overrides name a task role is told where with AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, which ends with its
	// [CredentialsID]. Nil serves none and sets no such variable.
	TaskCredentials http.Handler

	// Protector keeps the scale-in protection that tasks ask for at 169.254.170.2. Nil answers that there is none.
	Protector metadata.Protector

	// Region is what containers are told in AWS_REGION and AWS_DEFAULT_REGION. "" tells none.
	Region string

	// Volumes provides the storage of EFS, FSx, S3 Files and EBS volumes and of shared Docker volumes. Nil refuses
	// definitions that have one.
	Volumes volumes.Provider

	// PullBehavior says when a registry is asked for an image. "" is PullPreferCached.
	PullBehavior PullBehavior

	// Logs is the log drivers that output is delivered to. Nil delivers none: it can be read here all the same.
	Logs *logs.Set

	// LogMode is of log configurations without "mode", logs.ModeBlocking or logs.ModeNonBlocking: ECS's account setting
	// defaultLogDriverMode. "" is non-blocking.
	LogMode string

	// LogLimit is how many bytes of each container's output are kept on this host. 0 is runtime.DefaultLogLimit.
	LogLimit int64

	// ImageCache is how much the images take that were pulled, if Driver is a [runtime.ImageCollector].
	ImageCache ImageCache

	// PullProgress is told how far the pull of a task's image is. It must not block. Nil is for nobody.
	PullProgress func(taskARN string, p runtime.PullProgress)

	Logger *slog.Logger // nil discards
}

// Assignment is a task for this host.
type Assignment struct {
	Task       *task.Task           // the record as it was last saved; the engine keeps its own copy
	Definition *task.TaskDefinition // with the run's overrides applied; must not change
	ENI        network.ENI          // the interface to attach
	// Subnet is the interface's. Without one the task has no endpoint at 169.254.170.2.
	Subnet network.Subnet

	// VolumeConfigurations describe the volumes that are configured at launch.
	VolumeConfigurations []task.VolumeConfiguration

	// Confinement is the same whenever the task is assigned: containers are made again as they were.
	Confinement Confinement
}

// Engine runs tasks. All methods are safe for concurrent use.
type Engine struct {
	cfg       Config
	log       *slog.Logger
	endpoints endpoints
	tails     tails
	overfull  atomic.Bool // the image cache, when it was looked at last

	// attachments are the interfaces that the fabric had when Run began, by ID. Written before the first worker runs.
	attachments map[string]network.Attachment

	mu      sync.Mutex // guards what follows
	workers map[string]*worker
	waiting []*worker     // submitted and not yet taken up by Run
	queued  chan struct{} // one element when waiting is not empty
	swept   bool          // all tasks of the journal are known
	pulled  chan struct{} // one element when the image cache is to be looked at
	running bool
}

// ErrNotFound is matched when no task, or no container of it, has the name.
var ErrNotFound = errors.New("engine: not found")

// New returns an engine. It touches nothing; [Engine.Run] does.
func New(cfg Config) (*Engine, error) {
	switch {
	case cfg.Driver == nil:
		return nil, errors.New("engine: Config.Driver is required")
	case cfg.Fabric == nil:
		return nil, errors.New("engine: Config.Fabric is required")
	case cfg.Journal == nil:
		return nil, errors.New("engine: Config.Journal is required")
	}
	if err := cfg.PullBehavior.Check(); err != nil {
		return nil, fmt.Errorf("engine: Config.PullBehavior: %w", err)
	}
	if err := cfg.ImageCache.check(); err != nil {
		return nil, fmt.Errorf("engine: Config.ImageCache: %w", err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{cfg: cfg, log: log, workers: map[string]*worker{}, queued: make(chan struct{}, 1), pulled: make(chan struct{}, 1)}
	e.tails.open = map[string]map[*tail]bool{}
	e.endpoints = endpoints{e: e, byVPC: map[string]*endpoint{}, ending: map[string]*endpoint{}}
	return e, nil
}

// Submit hands a task to the engine, which starts it or, when its record says that it was under way, adopts it. A task
// that the engine has already is left alone, and of one that is STOPPED only the output is delivered that was not yet.
func (e *Engine) Submit(a Assignment) {
	id := a.Task.ID()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.workers[id] != nil || a.Task.LastStatus >= task.Stopped && !e.Undelivered(id) {
		return
	}
	w := newWorker(e, a)
	w.holdImages()
	e.workers[id] = w
	e.waiting = append(e.waiting, w)
	select {
	case e.queued <- struct{}{}:
	default:
	}
}

// Stop has a task stopped, with the code and reason given, unless it is stopping already. It does not wait. A task that
// the engine does not have is none of its business: no error.
func (e *Engine) Stop(id string, code task.StopCode, reason string) {
	if w := e.worker(id); w != nil {
		w.requestStop(code, reason)
	}
}

// Sweep removes every sandbox and container of the driver that belongs to none of the tasks submitted. Call it once
// after a restart, when the tasks of the journal are submitted and before new ones are.
func (e *Engine) Sweep(ctx context.Context) error {
	found, err := e.cfg.Driver.List(ctx)
	if err != nil {
		return fmt.Errorf("list what the last run left: %w", err)
	}
	var errs []error
	for _, c := range found.Containers {
		if e.worker(c.SandboxID) == nil {
			errs = append(errs, e.cfg.Driver.RemoveContainer(ctx, c.ID))
		}
	}
	for _, s := range found.Sandboxes {
		if e.worker(s.ID) == nil {
			errs = append(errs, e.cfg.Driver.RemoveSandbox(ctx, s.ID), e.removeFiles(s.ID))
		}
	}
	e.mu.Lock()
	e.swept = true
	e.mu.Unlock()
	e.cacheGrew()
	return errors.Join(errs...)
}

// worker returns the worker of a task, or nil.
func (e *Engine) worker(id string) *worker {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.workers[id]
}

// take returns the workers that wait to be started.
func (e *Engine) take() []*worker {
	e.mu.Lock()
	defer e.mu.Unlock()
	ws := e.waiting
	e.waiting = nil
	return ws
}

// forget drops a worker that has ended.
func (e *Engine) forget(w *worker) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.workers, w.id)
	if w.rec.LastStatus < task.Stopped { // it goes on in the next process
		return
	}
	w.releaseImages()
	if e.overfull.Load() {
		e.cacheGrew()
	}
}
