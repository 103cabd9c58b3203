//go:build linux

package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/runc"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/ttrpc"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"
)

// shims is the tasks of an embedded driver: one process for each sandbox, started from this binary, that speaks
// containerd's shim protocol. Each has its listening socket from the driver, so that requests can be sent at once,
// while it starts.
type shims struct {
	namespace string
	dir       string                   // Config.Dir
	runtime   string                   // path of the OCI runtime
	helpers   func() (*os.File, error) // the cgroup that shims start in; a nil file is this process's

	mu   sync.Mutex
	open map[string]*shim // by sandbox
}

// shim is a connection to a running shim.
type shim struct {
	process process
	client  *ttrpc.Client
	taskapi.TTRPCTaskService
}

var _ tasks = (*shims)(nil)

func (s *shims) sandboxDir(id string) string { return filepath.Join(s.dir, "sandboxes", id) }

func (s *shims) bundle(t target) string { return filepath.Join(s.dir, "containers", t.container) }

func (s *shims) mayReturn() bool { return false }

func (s *shims) openSandbox(ctx context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[id] != nil {
		return nil
	}
	sh, err := s.adopt(id)
	if err != nil {
		return err
	}
	if sh == nil {
		if sh, err = s.launch(id); err != nil {
			return err
		}
	}
	s.open[id] = sh
	return nil
}

// adopt connects to the shim that an earlier driver started. It is nil if that does not run any more.
func (s *shims) adopt(id string) (*shim, error) {
	var p process
	found, err := readJSON(filepath.Join(s.sandboxDir(id), shimFile), &p)
	if err != nil || !found || !p.alive() {
		return nil, err
	}
	conn, err := s.dial(id)
	if err != nil { // it runs but does not listen: half started
		return nil, p.kill()
	}
	return s.connect(id, p, conn), nil
}

// launch starts a shim. The process is single-threaded until it serves, which takes about as long as making a root file
// system does; nothing waits for it here.
func (s *shims) launch(id string) (*shim, error) {
	dir := s.sandboxDir(id)
	listener, err := s.listen(id)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	socket, err := listener.File()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	log, err := os.OpenFile(filepath.Join(dir, "shim.log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// /proc/self/exe is this program even when its file was replaced or deleted meanwhile.
	cmd := &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{shimName, s.namespace, id, s.dir},
		Dir:         dir,
		Env:         []string{"PATH=" + os.Getenv("PATH"), "GOMAXPROCS=2"},
		Stderr:      log,
		ExtraFiles:  []*os.File{socket},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	group, err := s.helpers()
	if err != nil {
		return nil, err
	}
	if group != nil {
		defer group.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start shim: %w", err)
	}
	p, err := identify(cmd.Process.Pid)
	if err == nil {
		err = writeJSON(filepath.Join(dir, shimFile), p)
	}
	var conn net.Conn
	if err == nil {
		conn, err = s.dial(id)
	}
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	// Whoever holds it then waits for it by number: it may be another process, or outlive this one.
	if err := cmd.Process.Release(); err != nil {
		return nil, errors.Join(err, p.kill())
	}
	return s.connect(id, p, conn), nil
}

func (s *shims) connect(id string, p process, conn net.Conn) *shim {
	sh := &shim{process: p}
	sh.client = ttrpc.NewClient(conn, ttrpc.WithOnClose(func() { s.lost(id, sh) }))
	sh.TTRPCTaskService = taskapi.NewTTRPCTaskClient(sh.client)
	return sh
}

// lost is called when a connection ends: because we closed it, or because the shim died.
func (s *shims) lost(id string, sh *shim) {
	s.mu.Lock()
	mine := s.open[id] == sh
	if mine {
		delete(s.open, id)
	}
	s.mu.Unlock()
	if mine {
		_ = sh.process.kill() // reaps it
	}
}

// detach closes all connections. The shims go on.
func (s *shims) detach() {
	s.mu.Lock()
	open := s.open
	s.open = map[string]*shim{}
	s.mu.Unlock()
	for _, sh := range open {
		sh.client.Close()
	}
}

// listen makes the socket of a shim, and dial connects to it, through a descriptor of its directory: the kernel takes
// no names of sockets above 107 bytes.
func (s *shims) listen(id string) (*net.UnixListener, error) {
	dir, err := os.Open(s.sandboxDir(id))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	name := fmt.Sprintf("/proc/self/fd/%d/shim.sock", dir.Fd())
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

func (s *shims) dial(id string) (net.Conn, error) {
	dir, err := os.Open(s.sandboxDir(id))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return net.DialTimeout("unix", fmt.Sprintf("/proc/self/fd/%d/shim.sock", dir.Fd()), time.Second)
}

func (s *shims) closeSandbox(ctx context.Context, id string) error {
	s.mu.Lock()
	sh := s.open[id]
	delete(s.open, id)
	s.mu.Unlock()
	if sh != nil {
		sh.client.Close()
		return sh.process.kill()
	}
	var p process
	found, err := readJSON(filepath.Join(s.sandboxDir(id), shimFile), &p)
	if err != nil || !found {
		return err
	}
	return p.kill()
}

// shim returns the connection for a task, or an error that matches errdefs.ErrUnavailable.
func (s *shims) shim(t target) (*shim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.open[t.sandbox]; sh != nil {
		return sh, nil
	}
	return nil, s.dead(t)
}

// dead is the error for requests that a shim cannot answer any more, with its last words.
func (s *shims) dead(t target) error {
	err := fmt.Errorf("the shim of sandbox %s has died: %w", t.sandbox, errdefs.ErrUnavailable)
	if words := tail(filepath.Join(s.sandboxDir(t.sandbox), "shim.log")); words != "" {
		err = fmt.Errorf("%w: %s", err, words)
	}
	return err
}

// native turns an error of a request into one of errdefs.
func (s *shims) native(t target, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ttrpc.ErrClosed):
		return s.dead(t)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return errgrpc.ToNative(err)
}

func (s *shims) create(ctx context.Context, t target, c creation) (int, error) {
	sh, err := s.shim(t)
	if err != nil {
		return 0, err
	}
	bundle := s.bundle(t)
	if err := writeJSON(filepath.Join(bundle, "config.json"), c.spec); err != nil {
		return 0, err
	}
	// The rootfs is mounted here, and a process with another user must be able to pass.
	if err := os.Mkdir(filepath.Join(bundle, "rootfs"), 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return 0, err
	}
	stdin := ""
	if c.stdin {
		stdin = filepath.Join(bundle, "stdin")
		if err := syscall.Mkfifo(stdin, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
			return 0, err
		}
	}
	opts, err := typeurl.MarshalAnyToProto(&options.Options{BinaryName: s.runtime, Root: s.runtimeRoot()})
	if err != nil {
		return 0, err
	}
	log := logURI(c)
	resp, err := sh.Create(ctx, &taskapi.CreateTaskRequest{
		ID: t.container, Bundle: bundle, Rootfs: protoMounts(c.rootfs), Terminal: c.terminal,
		Stdin: stdin, Stdout: log, Stderr: log, Options: opts,
	})
	if err != nil {
		return 0, s.native(t, err)
	}
	return int(resp.Pid), nil
}

func (s *shims) conceal(_ context.Context, t target, spec *specs.Spec) error {
	return writeJSON(filepath.Join(s.bundle(t), "config.json"), spec)
}

// logURI is where a container's output goes.
func logURI(c creation) string {
	switch {
	case c.log != "":
		return spoolURI(c)
	case c.stdin || c.terminal: // containerd opens either all streams or none
		return "file:///dev/null"
	}
	return ""
}

func protoMounts(mounts []mount.Mount) []*types.Mount {
	list := make([]*types.Mount, len(mounts))
	for i, m := range mounts {
		list[i] = &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options}
	}
	return list
}

func (s *shims) start(ctx context.Context, t target) error {
	sh, err := s.shim(t)
	if err != nil {
		return err
	}
	_, err = sh.Start(ctx, &taskapi.StartRequest{ID: t.container, ExecID: t.exec})
	return s.native(t, err)
}

func (s *shims) wait(ctx context.Context, t target) (ended, error) {
	sh, err := s.shim(t)
	if err != nil {
		return ended{}, err
	}
	resp, err := sh.Wait(ctx, &taskapi.WaitRequest{ID: t.container, ExecID: t.exec})
	if err != nil {
		return ended{}, s.native(t, err)
	}
	return ended{code: int(resp.ExitStatus), at: resp.ExitedAt.AsTime()}, nil
}

func (s *shims) state(ctx context.Context, t target) (taskState, error) {
	sh, err := s.shim(t)
	if err != nil {
		return taskState{}, err
	}
	resp, err := sh.State(ctx, &taskapi.StateRequest{ID: t.container, ExecID: t.exec})
	if err != nil {
		return taskState{}, s.native(t, err)
	}
	return taskState{status: resp.Status, pid: int(resp.Pid)}, nil
}

func (s *shims) kill(ctx context.Context, t target, signal int, all bool) error {
	sh, err := s.shim(t)
	if err != nil {
		return err
	}
	_, err = sh.Kill(ctx, &taskapi.KillRequest{ID: t.container, ExecID: t.exec, Signal: uint32(signal), All: all})
	return s.native(t, err)
}

func (s *shims) delete(ctx context.Context, t target) error {
	sh, err := s.shim(t)
	if err != nil {
		return err
	}
	_, err = sh.Delete(ctx, &taskapi.DeleteRequest{ID: t.container, ExecID: t.exec})
	return s.native(t, err)
}

func (s *shims) runtimeRoot() string { return filepath.Join(s.dir, "runc") }

func (s *shims) reclaim(ctx context.Context, t target) (ended, bool, error) {
	if end, known, err := s.reclaimFromShim(ctx, t); known || err != nil {
		return end, known, err
	}
	bundle := s.bundle(t)
	cmd := exec.CommandContext(ctx, s.runtime, "--root", filepath.Join(s.runtimeRoot(), s.namespace), "delete", "--force", t.container)
	cmd.WaitDelay = time.Second // for what it has started and still has its output
	if out, err := cmd.CombinedOutput(); err != nil {
		return ended{}, false, fmt.Errorf("delete container %s: %w: %s", t.container, err, lastLine(string(out)))
	}
	if err := mount.UnmountRecursive(filepath.Join(bundle, "rootfs"), 0); err != nil {
		return ended{}, false, err
	}
	exit, err := runc.ReadExitStatus(bundle)
	if err != nil {
		return ended{}, false, nil
	}
	return ended{code: exit.Status, at: exit.Timestamp}, true, nil
}

// sweep removes the OCI runtime's state of containers; their processes are ended with their cgroups.
func (s *shims) sweep(_ context.Context, known func(container string) bool) error {
	root := filepath.Join(s.runtimeRoot(), s.namespace)
	names, err := subdirs(root)
	if err != nil {
		return err
	}
	for _, name := range names {
		if known(name) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}

// reclaimFromShim reports false without error if the shim is dead or does not know the task.
func (s *shims) reclaimFromShim(ctx context.Context, t target) (ended, bool, error) {
	sh, err := s.shim(t)
	if err != nil {
		return ended{}, false, nil
	}
	return sh.reclaim(ctx, s, t)
}

func (sh *shim) reclaim(ctx context.Context, s *shims, t target) (ended, bool, error) {
	// The OCI runtime is not asked to kill what has been killed and is about to be found to have ended.
	short, cancel := context.WithTimeout(ctx, endPatience)
	_, err := sh.Wait(short, &taskapi.WaitRequest{ID: t.container})
	cancel()
	if err != nil {
		_, err = sh.Kill(ctx, &taskapi.KillRequest{ID: t.container, Signal: uint32(syscall.SIGKILL), All: true})
		if err == nil {
			_, err = sh.Wait(ctx, &taskapi.WaitRequest{ID: t.container})
		}
	}
	resp, derr := sh.Delete(ctx, &taskapi.DeleteRequest{ID: t.container})
	switch derr = s.native(t, derr); {
	case derr == nil:
		return ended{code: int(resp.ExitStatus), at: resp.ExitedAt.AsTime()}, true, nil
	case errdefs.IsNotFound(derr), errdefs.IsUnavailable(derr):
		return ended{}, false, nil
	}
	return ended{}, false, errors.Join(derr, s.native(t, err))
}

func (s *shims) forget(context.Context, target) error { return nil }

func (s *shims) runtimeID(container string) string { return container }

func (s *shims) abandon(t target) error {
	s.mu.Lock()
	sh := s.open[t.sandbox]
	delete(s.open, t.sandbox)
	s.mu.Unlock()
	if sh == nil {
		return nil
	}
	err := sh.process.kill()
	return errors.Join(err, sh.client.Close())
}

func (s *shims) discard(_ context.Context, t target) error {
	root := filepath.Join(s.runtimeRoot(), s.namespace)
	for _, pattern := range []string{t.container, t.container + "_sandbox:*"} { // a directory, or gVisor's files
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := os.RemoveAll(f); err != nil {
				return err
			}
		}
	}
	return mount.UnmountRecursive(filepath.Join(s.bundle(t), "rootfs"), 0)
}

func (s *shims) exec(ctx context.Context, t target, p *specs.Process, streams cio.Config) error {
	sh, err := s.shim(t)
	if err != nil {
		return err
	}
	spec, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = sh.Exec(ctx, &taskapi.ExecProcessRequest{
		ID: t.container, ExecID: t.exec, Terminal: streams.Terminal,
		Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
		Spec: &anypb.Any{TypeUrl: processType, Value: spec},
	})
	return s.native(t, err)
}

// processType is how containerd names specs.Process; its content is JSON.
const processType = "types.containerd.io/opencontainers/runtime-spec/1/Process"

func (s *shims) resize(ctx context.Context, t target, width, height uint16) error {
	sh, err := s.shim(t)
	if err != nil {
		return err
	}
	_, err = sh.ResizePty(ctx, &taskapi.ResizePtyRequest{ID: t.container, ExecID: t.exec, Width: uint32(width), Height: uint32(height)})
	return s.native(t, err)
}

func (s *shims) closeStdin(ctx context.Context, t target) error {
	sh, err := s.shim(t)
	if err != nil {
		return err
	}
	_, err = sh.CloseIO(ctx, &taskapi.CloseIORequest{ID: t.container, ExecID: t.exec, Stdin: true})
	return s.native(t, err)
}
