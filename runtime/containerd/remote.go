//go:build linux

package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/runc/options"
	taskv1 "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"
)

// remote is the tasks of a driver that uses a daemon. The shims are the daemon's.
type remote struct {
	tasks      tasksapi.TasksClient
	containers containers.Store
	owner      string
	dir        string // Config.Dir
	runtime    string // path of the OCI runtime
	self       string // path of this program
	bundles    bundles
}

var _ tasks = (*remote)(nil)

// shimRuntime is the shim that comes with every daemon. There is one for each container: with containerd's annotation
// that groups them, a shim whose last container is deleted can be handed out for the next one while it shuts down.
const shimRuntime = "io.containerd.runc.v2"

// Labels of our containers in the daemon, beside ownerLabel.
const (
	idLabel      = "io.fardel/container"
	sandboxLabel = "io.fardel/sandbox"
)

func newRemote(c *client.Client, cfg Config, binary string) (*remote, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &remote{tasks: c.TaskService(), containers: c.ContainerService(), owner: cfg.Owner, dir: cfg.Dir, runtime: binary, self: self}
	// The daemon's shim starts it to keep what containers write.
	link := filepath.Join(cfg.Dir, logName)
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return r, os.Symlink(self, link)
}

// daemonID is the ID of a container in the daemon, which takes fewer characters than we do.
func daemonID(id string) string {
	if daemonPattern.MatchString(id) {
		return id
	}
	return fmt.Sprintf("x-%x", sha256.Sum256([]byte(id)))
}

var daemonPattern = regexp.MustCompile(`^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$`)

func (r *remote) mayReturn() bool { return true }

func (r *remote) openSandbox(context.Context, string) error { return nil }

func (r *remote) closeSandbox(context.Context, string) error { return nil }

func (r *remote) create(ctx context.Context, t target, c creation) (int, error) {
	spec, err := typeurl.MarshalAny(c.spec)
	if err != nil {
		return 0, err
	}
	opts, err := typeurl.MarshalAnyToProto(&options.Options{BinaryName: r.runtime, Root: filepath.Join(r.dir, "runc")})
	if err != nil {
		return 0, err
	}
	id := daemonID(t.container)
	_, err = r.containers.Create(ctx, containers.Container{
		ID: id, Image: c.image, SnapshotKey: c.snapshot, Snapshotter: c.snapshotter, Spec: spec,
		Labels:  map[string]string{ownerLabel: r.owner, idLabel: t.container, sandboxLabel: t.sandbox},
		Runtime: containers.RuntimeInfo{Name: shimRuntime, Options: opts},
	})
	if errdefs.IsAlreadyExists(err) { // a restart: what it has was concealed
		_, err = r.containers.Update(ctx, containers.Container{ID: id, Spec: spec}, "spec")
	}
	if err != nil {
		return 0, err
	}
	stdin := ""
	if c.stdin {
		stdin = filepath.Join(r.dir, "containers", t.container, "stdin")
		if err := syscall.Mkfifo(stdin, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
			return 0, err
		}
	}
	log, stderr := logURI(c), logURI(c)
	logger := ""
	if c.terminal || c.log != "" {
		if logger, err = r.logger(t, c); err != nil {
			return 0, err
		}
		log = loggerURI(logger, c)
		stderr = log
	}
	if c.terminal {
		stderr = ""
	}
	if c.stdin && !c.terminal && c.log != "" {
		dir := filepath.Join(r.dir, "containers", t.container)
		streams, err := startLogger(logger, dir, c)
		if err != nil {
			return 0, err
		}
		defer streams.release()
		log, stderr = filepath.Join(dir, "stdout"), filepath.Join(dir, "stderr")
	}
	resp, err := r.tasks.Create(ctx, &tasksapi.CreateTaskRequest{
		ContainerID: id, Rootfs: protoMounts(c.rootfs), Stdin: stdin, Stdout: log, Stderr: stderr, Terminal: c.terminal, Options: opts,
	})
	if err != nil {
		return 0, daemonError(err)
	}
	r.bundles.note(t.container, int(resp.Pid))
	return int(resp.Pid), nil
}

// conceal replaces the configuration in the daemon's database. What the daemon's shim has in its bundle, which only root
// can read, stays until the container is removed.
func (r *remote) conceal(ctx context.Context, t target, spec *specs.Spec) error {
	value, err := typeurl.MarshalAny(spec)
	if err != nil {
		return err
	}
	_, err = r.containers.Update(ctx, containers.Container{ID: daemonID(t.container), Spec: value}, "spec")
	return daemonError(err)
}

// loggerURI has the shim start this program, see serveLog: it writes to files by itself, but without bounds and times, and
// not what a terminal shows.
func loggerURI(logger string, c creation) string {
	return (&url.URL{Scheme: "binary", Path: logger, RawQuery: url.Values{"to": {spoolURI(c)}}.Encode()}).String()
}

// daemonError turns an error of gRPC into one of errdefs.
func daemonError(err error) error {
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "ttrpc: closed"): // containerd 1.6 gives no better name to a shim that has ended
		return fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
	}
	return errgrpc.ToNative(err)
}

func (r *remote) start(ctx context.Context, t target) error {
	_, err := r.tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: daemonID(t.container), ExecID: t.exec})
	return daemonError(err)
}

func (r *remote) wait(ctx context.Context, t target) (ended, error) {
	resp, err := r.tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: daemonID(t.container), ExecID: t.exec})
	if err == nil {
		return ended{code: int(resp.ExitStatus), at: resp.ExitedAt.AsTime()}, nil
	}
	if err = daemonError(err); t.exec == "" && errdefs.IsUnavailable(err) {
		if end, ok := r.waitWithoutDaemon(ctx, t.container); ok {
			return end, nil
		}
	}
	return ended{}, err
}

func (r *remote) state(ctx context.Context, t target) (taskState, error) {
	resp, err := r.tasks.Get(ctx, &tasksapi.GetRequest{ContainerID: daemonID(t.container), ExecID: t.exec})
	if err != nil {
		return taskState{}, daemonError(err)
	}
	if resp.Process.Status == taskv1.Status_UNKNOWN { // its shim has not answered in time
		return taskState{}, fmt.Errorf("the daemon does not know the state of container %s: %w", t.container, errdefs.ErrUnknown)
	}
	if t.exec == "" {
		r.bundles.note(t.container, int(resp.Process.Pid))
	}
	return taskState{status: resp.Process.Status, pid: int(resp.Process.Pid)}, nil
}

func (r *remote) kill(ctx context.Context, t target, signal int, all bool) error {
	_, err := r.tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: daemonID(t.container), ExecID: t.exec, Signal: uint32(signal), All: all})
	return daemonError(err)
}

func (r *remote) delete(ctx context.Context, t target) error {
	id := daemonID(t.container)
	if t.exec != "" {
		_, err := r.tasks.DeleteProcess(ctx, &tasksapi.DeleteProcessRequest{ContainerID: id, ExecID: t.exec})
		return daemonError(err)
	}
	end, err := r.finishLogger(t)
	if err != nil {
		return err
	}
	_, err = r.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
	return errors.Join(daemonError(err), end())
}

func (r *remote) reclaim(ctx context.Context, t target) (ended, bool, error) {
	// As with a shim of ours: what has been killed is about to be found to have ended.
	short, cancel := context.WithTimeout(ctx, endPatience)
	_, err := r.wait(short, t)
	cancel()
	if err != nil {
		if err = r.kill(ctx, t, int(syscall.SIGKILL), true); err == nil {
			_, err = r.wait(ctx, t)
		}
	}
	end, lerr := r.finishLogger(t)
	if lerr != nil {
		return ended{}, false, lerr
	}
	resp, derr := r.tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: daemonID(t.container)})
	if lerr := end(); lerr != nil {
		return ended{}, false, lerr
	}
	switch derr = daemonError(derr); {
	case derr == nil:
		return ended{code: int(resp.ExitStatus), at: resp.ExitedAt.AsTime()}, true, nil
	case errdefs.IsNotFound(derr):
		// One whose creation the daemon has given up may have left its shim, and the OCI runtime at work.
		_, err := endRuntime(r.runtimeRoot(), daemonID(t.container), "")
		if err = errors.Join(err, r.abandon(t)); err == nil {
			err = r.deleteState(ctx, t)
		}
		return ended{}, false, err
	}
	return ended{}, false, errors.Join(derr, err)
}

func (r *remote) runtimeRoot() string { return filepath.Join(r.dir, "runc", "fardel-"+r.owner) }

// deleteState removes what the OCI runtime keeps of a container that the daemon does not know: a creation that was broken off
// leaves it, and the next one with that ID is refused for it.
func (r *remote) deleteState(ctx context.Context, t target) error {
	id := daemonID(t.container)
	state := filepath.Join(r.runtimeRoot(), id)
	if _, err := os.Lstat(state); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	cmd := exec.CommandContext(ctx, r.runtime, "--root", r.runtimeRoot(), "delete", "--force", id)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); ctx.Err() != nil {
		return fmt.Errorf("delete container %s: %w: %s", t.container, errors.Join(err, ctx.Err()), lastLine(string(out)))
	}
	return os.RemoveAll(state) // it may be too little for the OCI runtime to know it
}

func (r *remote) forget(ctx context.Context, t target) error {
	r.bundles.forget(t.container)
	if err := r.containers.Delete(ctx, daemonID(t.container)); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

func (r *remote) runtimeID(container string) string { return daemonID(container) }

// abandon ends the daemon's shim of a container. The daemon finds that out and forgets the task.
func (r *remote) abandon(t target) error {
	return endDaemonShim("fardel-"+r.owner, daemonID(t.container))
}

// discard ends the shim of a task, and waits until the daemon has found that out and forgotten the task. It has the OCI runtime
// clean up then, once more.
func (r *remote) discard(ctx context.Context, t target) error {
	ctx, cancel := context.WithTimeout(ctx, discardTimeout)
	defer cancel()
	id, root := daemonID(t.container), r.runtimeRoot()
	err := r.abandon(t)
	for err == nil {
		short, cancel := context.WithTimeout(ctx, time.Second)
		_, derr := r.tasks.Delete(short, &tasksapi.DeleteTaskRequest{ContainerID: id})
		cancel()
		if derr = daemonError(derr); derr == nil || errdefs.IsNotFound(derr) {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the daemon keeps container %s: %w", t.container, derr)
		}
		_, err = endRuntime(root, id, "")
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.Join(err, os.RemoveAll(filepath.Join(root, id)))
}

// discardTimeout is longer than a daemon gives the OCI runtime to clean up after a dead shim, which is five seconds.
const discardTimeout = 15 * time.Second

// sweep also removes what a driver with another directory has left in our namespace.
func (r *remote) sweep(ctx context.Context, known func(container string) bool) error {
	list, err := r.containers.List(ctx, fmt.Sprintf("labels.%q==%s", ownerLabel, r.owner))
	if err != nil {
		return err
	}
	for _, c := range list {
		if known(c.Labels[idLabel]) {
			continue
		}
		t := target{sandbox: c.Labels[sandboxLabel], container: c.Labels[idLabel]}
		if _, _, err := r.reclaim(ctx, t); err != nil {
			return err
		}
		if err := r.forget(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (r *remote) exec(ctx context.Context, t target, p *specs.Process, streams cio.Config) error {
	spec, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = r.tasks.Exec(ctx, &tasksapi.ExecProcessRequest{
		ContainerID: daemonID(t.container), ExecID: t.exec, Terminal: streams.Terminal,
		Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
		Spec: &anypb.Any{TypeUrl: processType, Value: spec},
	})
	return daemonError(err)
}

func (r *remote) resize(ctx context.Context, t target, width, height uint16) error {
	_, err := r.tasks.ResizePty(ctx, &tasksapi.ResizePtyRequest{
		ContainerID: daemonID(t.container), ExecID: t.exec, Width: uint32(width), Height: uint32(height),
	})
	return daemonError(err)
}

func (r *remote) closeStdin(ctx context.Context, t target) error {
	_, err := r.tasks.CloseIO(ctx, &tasksapi.CloseIORequest{ContainerID: daemonID(t.container), ExecID: t.exec, Stdin: true})
	return daemonError(err)
}
