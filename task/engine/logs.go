package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/task"
)

// deliverLimit is how long the release of a task waits for its log drivers, as Docker waits for one to end. They go on
// after it.
const deliverLimit = 10 * time.Second

// tails take the output of containers to their log drivers. They outlive the workers: output may still be under way when
// its task is STOPPED.
type tails struct {
	spawn func(func(context.Context)) // runs a function until the engine's Run ends; set before the first worker runs

	mu   sync.Mutex                // guards what follows
	open map[string]map[*tail]bool // by task
}

// tail is one container's.
type tail struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
}

// undeliveredPath is of a file that is there while output of a task may not have been delivered.
func undeliveredPath(dir, taskID string) string {
	return filepath.Join(dir, "logs", taskID, "undelivered")
}

// Undelivered reports whether a task that is over may have output which its log drivers have not taken. Submit such a task
// again after a restart.
func (e *Engine) Undelivered(taskID string) bool {
	if e.cfg.Dir == "" {
		return false
	}
	_, err := os.Stat(undeliveredPath(e.cfg.Dir, taskID))
	return err == nil
}

// logged reports whether a container's output goes to a log driver.
func logged(d *task.ContainerDefinition) bool {
	return d.LogConfiguration != nil && d.LogConfiguration.LogDriver != task.LogDriverNone
}

// logSpec says where and how the runtime keeps a container's output.
func (w *worker) logSpec(s *runtime.ContainerSpec, d *task.ContainerDefinition) {
	if d.LogConfiguration != nil && d.LogConfiguration.LogDriver == task.LogDriverNone {
		return
	}
	s.Log = w.logPath(d.Name)
	s.LogOptions = logs.RuntimeOptions(d.LogConfiguration, w.e.cfg.LogMode, w.e.cfg.LogLimit)
	if w.tailer() == nil {
		s.LogOptions.Blocking = false // nobody would ever take it
	}
}

// tailer is what log drivers read from, nil without either.
func (w *worker) tailer() runtime.LogTailer {
	t, _ := w.e.cfg.Driver.(runtime.LogTailer)
	if w.e.cfg.Logs == nil {
		return nil
	}
	return t
}

// deliver takes a container's output to its log driver from now on, until it has ended and everything is delivered.
func (w *worker) deliver(c *container) {
	source := w.tailer()
	if !logged(c.def) || source == nil || c.delivered != nil {
		return
	}
	if w.rec.LastStatus >= task.Stopped && c.def.LogConfiguration.LogDriver == task.LogDriverAWSFirelens {
		return // its log router is gone
	}
	if w.e.cfg.Dir != "" {
		path := undeliveredPath(w.e.cfg.Dir, w.id)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, nil, 0o600)
		}
		if err != nil {
			w.log.Error("output that is not delivered when the task ends is not, should this process end", "error", err)
		}
	}
	log := w.log.With("containerName", c.def.Name, "logDriver", string(c.def.LogConfiguration.LogDriver))
	info := w.logInfo(c)
	info.Env = w.environment(c)
	run := &logs.Tail{
		Log: source, Path: w.logPath(c.def.Name), Ended: c.silent, Logger: log,
		Open: func(ctx context.Context) (logs.Writer, error) { return w.openLog(ctx, c, info) },
		Dropped: func(lines uint64) {
			log.Warn("log driver is too slow, output is dropped", "lines", lines, "total", c.dropped.Add(lines))
		},
	}
	if o := logs.RuntimeOptions(c.def.LogConfiguration, w.e.cfg.LogMode, w.e.cfg.LogLimit); o.Blocking {
		run.Limit = max(cmp.Or(o.Limit, runtime.DefaultLogLimit), runtime.MinLogLimit)
	}
	c.delivered, c.abandon = w.e.tails.start(w.id, run.Run, w.allDelivered)
}

// silence says that the container writes no more: it has ended and is not restarted.
func (c *container) silence() { c.once.Do(func() { close(c.silent) }) }

// checkLog has the secret options of a container's log driver, and asks whether the container may log with them.
func (w *worker) checkLog(ctx context.Context, c *container) error {
	if sends(c.def) {
		return nil // its options are the log router's
	}
	options, err := w.logOptions(ctx, c)
	if err != nil {
		return err
	}
	secret := c.concealer()
	for _, s := range c.def.LogConfiguration.SecretOptions {
		if logs.CheckOption(s.Name, options[s.Name]) != nil { // what is wrong may quote the value
			err = errors.Join(err, fmt.Errorf("the value of the secret option %s is not one that the log driver %s takes",
				s.Name, c.def.LogConfiguration.LogDriver))
		}
	}
	if err == nil && c.def.LogConfiguration.LogDriver == task.LogDriverAWSLogs {
		err = w.mayLog(ctx, c, options)
	}
	if err != nil {
		return &startError{task.ErrorResourceInitialization, c.def.Name,
			secret.conceal(fmt.Errorf("failed to validate logger args: %w", err))}
	}
	return nil
}

// mayLog asks whether the execution role may send a container's output to its log stream. A task without that role, which
// Fargate does not have, sends in the name of the host program. On AWS a role that may make the stream and not write to it
// loses the output; here its task does not start.
func (w *worker) mayLog(ctx context.Context, c *container, options map[string]string) error {
	if w.def.ExecutionRoleARN == "" {
		return nil
	}
	at, err := task.ParseARN(w.arn)
	if err != nil {
		return err
	}
	group := "arn:" + at.Partition + ":logs:" + options["awslogs-region"] + ":" + at.Account + ":log-group:" + options["awslogs-group"] + ":log-stream:"
	stream := group + logs.StreamName(options["awslogs-stream-prefix"], w.logInfo(c))
	if options["awslogs-create-group"] == "true" {
		err = w.authorize(ctx, "logs:CreateLogGroup", group)
	}
	for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
		if err == nil {
			err = w.authorize(ctx, action, stream)
		}
	}
	return err
}

// logOptions are those of a container's log driver, with the values of the secret ones.
func (w *worker) logOptions(ctx context.Context, c *container) (map[string]string, error) {
	options := maps.Clone(c.def.LogConfiguration.Options)
	secret, err := w.secretOptions(ctx, c)
	if err != nil || len(secret) == 0 {
		return options, err
	}
	if options == nil {
		options = map[string]string{}
	}
	maps.Copy(options, secret)
	return options, nil
}

// logInfo is what a log driver is told of a container, but for its environment, which takes the image.
func (w *worker) logInfo(c *container) logs.Info {
	_, definition, _ := strings.Cut(w.rec.TaskDefinitionARN, "task-definition/")
	return logs.Info{
		Cluster: w.rec.ClusterARN[strings.LastIndexByte(w.rec.ClusterARN, '/')+1:], TaskARN: w.rec.TaskARN, TaskID: w.id,
		TaskDefinition: definition, ContainerName: c.def.Name, RuntimeID: c.id, Image: c.def.Image,
		Labels: w.labels(c.def), RouterSocket: w.routerSocket(),
	}
}

// start runs a tail for a task. done is called when it has delivered everything and no other of the task runs; the channel
// is closed when it has ended. Abandon ends it as if it had delivered everything.
func (t *tails) start(taskID string, run func(context.Context) error, done func()) (ended <-chan struct{}, abandon func()) {
	one := &tail{done: make(chan struct{})}
	abandoned := make(chan struct{})
	started := make(chan struct{})
	t.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		t.mu.Lock()
		one.cancel = cancel
		if t.open[taskID] == nil {
			t.open[taskID] = map[*tail]bool{}
		}
		t.open[taskID][one] = true
		t.mu.Unlock()
		close(started)
		err := run(ctx)
		t.mu.Lock()
		delete(t.open[taskID], one)
		last := len(t.open[taskID]) == 0
		if last {
			delete(t.open, taskID)
		}
		t.mu.Unlock()
		select {
		case <-abandoned:
			err = nil
		default:
		}
		if err == nil && last {
			done()
		}
		close(one.done)
	})
	<-started
	return one.done, sync.OnceFunc(func() {
		close(abandoned)
		one.cancel()
		<-one.done
	})
}

// stop ends the tails of a task and waits until they have.
func (t *tails) stop(taskID string) {
	t.mu.Lock()
	var list []*tail
	for one := range t.open[taskID] {
		one.cancel()
		list = append(list, one)
	}
	t.mu.Unlock()
	for _, one := range list {
		<-one.done
	}
}

// allDelivered notes that nothing of the task is left for the next process to deliver, once no container of it can write.
func (w *worker) allDelivered() {
	if w.e.cfg.Dir == "" {
		return
	}
	for _, c := range w.containers {
		select {
		case <-c.silent:
		default:
			if logged(c.def) {
				return
			}
		}
	}
	if err := os.Remove(undeliveredPath(w.e.cfg.Dir, w.id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.log.Error("note that all output is delivered", "error", err)
	}
}

// awaitDelivery waits for the log drivers of containers, for a while.
func (w *worker) awaitDelivery(ctx context.Context, containers []*container) {
	t := time.NewTimer(deliverLimit)
	defer t.Stop()
	for _, c := range containers {
		if c.delivered == nil {
			continue
		}
		select {
		case <-c.delivered:
		case <-ctx.Done():
			return
		case <-t.C:
			w.log.Warn("output of container is not delivered yet, its log driver goes on", "containerName", c.def.Name)
			return
		}
	}
}
