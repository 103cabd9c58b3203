//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"

	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	shimtask "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/task"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/shutdown"
	"github.com/containerd/containerd/v2/pkg/sys/reaper"
	"github.com/containerd/log"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// serveShim is the life of a shim: the parent of all processes of a sandbox, which copies their output, waits for them
// and answers the host program, whichever instance of it is there. It works in the sandbox's directory, listens on the
// socket that it inherits as descriptor 3, has its log as standard error, and ends when it is killed: the driver does
// so when the sandbox is empty.
//
// containerd's shim binary adds flags, plugins, events and a second process to the same task service, none of which
// is of use here.
func serveShim(args []string) {
	if err := runShim(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func runShim(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("%s is started by the library, not by hand", shimName)
	}
	// A shim is idle most of its life, and there is one per task: memory is worth more than speed.
	debug.SetGCPercent(40)
	if err := log.SetLevel("warn"); err != nil {
		return err
	}
	// Sockets of terminals are made in here; a name through /proc is short whatever Config.Dir is.
	if err := os.Setenv("XDG_RUNTIME_DIR", fmt.Sprintf("/proc/%d/cwd", os.Getpid())); err != nil {
		return err
	}
	if err := hide(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 32)
	signal.Notify(signals, syscall.SIGCHLD)
	// Whoever stops the host program's process group means the program, not the tasks that shall outlive it.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	if err := reaper.SetSubreaper(1); err != nil {
		return err
	}
	file := os.NewFile(3, "socket")
	listener, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("listen on descriptor 3: %w", err)
	}
	file.Close()
	ctx, stop := shutdown.WithShutdown(namespaces.WithNamespace(context.Background(), args[0]))
	service, err := shimtask.NewTaskService(ctx, noEvents{}, stop)
	if err != nil {
		return err
	}
	server, err := ttrpc.NewServer(ttrpc.WithServerHandshaker(ttrpc.UnixSocketRequireSameUser()))
	if err != nil {
		return err
	}
	taskapi.RegisterTTRPCTaskService(server, newShimService(service, filepath.Join(args[2], "runc", args[0])))
	return serve(ctx, server, listener, signals)
}

// noEvents is where a shim's events go: the driver asks instead.
type noEvents struct{}

func (noEvents) Publish(context.Context, string, events.Event) error { return nil }

func (noEvents) Close() error { return nil }

// shimService is containerd's task service with what it lacks for our use.
type shimService struct {
	taskapi.TTRPCTaskService
	root string // of the OCI runtime

	mu       sync.Mutex
	logs     map[string]*containerLog // by container
	creating map[string]chan struct{} // by container; closed when it is made, or not
}

func newShimService(s taskapi.TTRPCTaskService, root string) *shimService {
	return &shimService{TTRPCTaskService: s, root: root, logs: map[string]*containerLog{}, creating: map[string]chan struct{}{}}
}

// Create also lets a container write to a spool, for which containerd is given FIFOs.
//
// This and other requests that have the OCI runtime run are carried out to their end also when the host program dies and
// its connection with it, which would kill the runtime half-way: one killed while it starts a container leaves it
// running and on record as not started, and the next start would wait for good. One that hangs is ended in the end, whether
// there is a host program or not.
func (s *shimService) Create(ctx context.Context, r *taskapi.CreateTaskRequest) (*taskapi.CreateTaskResponse, error) {
	ctx = context.WithoutCancel(ctx)
	defer s.bound(r.ID, "")()
	defer s.beginCreate(r.ID)()
	uri, err := url.Parse(r.Stdout)
	if err != nil || uri.Scheme != spoolScheme {
		return s.TTRPCTaskService.Create(ctx, r)
	}
	l, err := openContainerLog(r.Bundle, uri, r.Terminal)
	if err != nil {
		return nil, err
	}
	r.Stdout, r.Stderr = l.fifo(0), l.fifo(1)
	resp, err := s.TTRPCTaskService.Create(ctx, r)
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[r.ID] = l
	return resp, nil
}

// bound has the OCI runtime's processes end that work on a container, or on one process of it, when they have not in time.
// The returned function says that they have.
func (s *shimService) bound(id, exec string) (ended func()) {
	return every(shimPatience, func() {
		if _, err := endRuntime(s.root, id, exec); err != nil {
			log.L.WithError(err).Error("end the OCI runtime at work on container " + id)
		}
	})
}

// shimPatience is longer than that of a driver, which undoes what there is, too.
const shimPatience = callTimeout + 2*callPatience

// beginCreate notes that a container is being made. The returned function ends that.
func (s *shimService) beginCreate(id string) (end func()) {
	made := make(chan struct{})
	s.mu.Lock()
	s.creating[id] = made
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		if s.creating[id] == made {
			delete(s.creating, id)
		}
		s.mu.Unlock()
		close(made)
	}
}

// awaitCreate returns when nobody is making a container. containerd's service knows one only when it is made: a host
// program that takes over would take it for one that is not there, and remove its files under the OCI runtime's hands.
func (s *shimService) awaitCreate(ctx context.Context, id string) error {
	s.mu.Lock()
	made := s.creating[id]
	s.mu.Unlock()
	if made == nil {
		return nil
	}
	select {
	case <-made:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// State answers when it is known whether there is a container.
func (s *shimService) State(ctx context.Context, r *taskapi.StateRequest) (*taskapi.StateResponse, error) {
	if err := s.awaitCreate(ctx, r.ID); err != nil {
		return nil, err
	}
	return s.TTRPCTaskService.State(ctx, r)
}

// Start is carried out to its end.
func (s *shimService) Start(ctx context.Context, r *taskapi.StartRequest) (*taskapi.StartResponse, error) {
	defer s.bound(r.ID, r.ExecID)()
	return s.TTRPCTaskService.Start(context.WithoutCancel(ctx), r)
}

// Kill is carried out to its end, after a Create.
func (s *shimService) Kill(ctx context.Context, r *taskapi.KillRequest) (*emptypb.Empty, error) {
	if err := s.awaitCreate(ctx, r.ID); err != nil {
		return nil, err
	}
	defer s.bound(r.ID, r.ExecID)()
	return s.TTRPCTaskService.Kill(context.WithoutCancel(ctx), r)
}

// Delete returns when the output is in the spool. What is still in the pipes does not wait for room in it.
func (s *shimService) Delete(ctx context.Context, r *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
	defer s.bound(r.ID, r.ExecID)()
	if r.ExecID != "" {
		return s.TTRPCTaskService.Delete(context.WithoutCancel(ctx), r)
	}
	s.mu.Lock()
	l := s.logs[r.ID]
	s.mu.Unlock()
	if l != nil {
		l.writer.Finish()
	}
	resp, err := s.TTRPCTaskService.Delete(context.WithoutCancel(ctx), r)
	if err != nil || l == nil {
		return resp, err
	}
	s.mu.Lock()
	delete(s.logs, r.ID)
	s.mu.Unlock()
	if err := l.close(); err != nil {
		log.L.WithError(err).Error("close log of container " + r.ID)
	}
	return resp, nil
}

// tail is the end of a log, for messages.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 512 {
		if _, err := f.Seek(-512, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
