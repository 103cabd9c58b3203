package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/task/metadata"
)

// endpointPort is where 169.254.170.2 answers.
const endpointPort = 80

// Limits of the server that tasks reach: it is theirs to abuse.
const (
	endpointReadTimeout  = 5 * time.Second
	endpointWriteTimeout = 10 * time.Second // faults may take five
	endpointIdleTimeout  = 30 * time.Second
	endpointMaxHeader    = 16 << 10
	endpointMaxConns     = 64 // at once from one task
)

// endpoints are the servers of 169.254.170.2, one in each VPC that has tasks. They are open while a task is in the VPC:
// a listening socket would keep the namespace of a VPC that is removed.
type endpoints struct {
	e *Engine

	mu     sync.Mutex // guards what follows
	byVPC  map[string]*endpoint
	ending map[string]*endpoint // those that leave VPCs and may have their addresses still
	closed bool
	served sync.WaitGroup // of servers
}

// endpoint serves the tasks of one VPC.
type endpoint struct {
	e     *Engine
	vpc   string
	after *endpoint // the one before it in this VPC, which may have the address still
	once  sync.Once // opens it
	err   error     // of that
	close func()    // ends the server and waits for its requests
	ended sync.Once

	mu    sync.Mutex // guards what follows
	tasks map[netip.Addr]*worker
	conns map[netip.Addr]int
}

// join makes the endpoint of a task's VPC answer to the task, from before its first container starts. A fabric that
// cannot listen in a VPC has none.
func (s *endpoints) join(ctx context.Context, w *worker) error {
	if !w.hasEndpoint() {
		return nil
	}
	listener, _ := s.e.cfg.Fabric.(network.Listener)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return context.Canceled
	}
	ep := s.byVPC[w.subnet.VPC]
	if ep == nil {
		ep = &endpoint{e: s.e, vpc: w.subnet.VPC, after: s.ending[w.subnet.VPC], tasks: map[netip.Addr]*worker{}, conns: map[netip.Addr]int{}}
		s.byVPC[ep.vpc] = ep
	}
	ep.add(w)
	s.mu.Unlock()
	ep.once.Do(func() { ep.err = s.open(ctx, listener, ep) })
	if ep.err != nil {
		s.leave(w) // the next task tries with a new one
		return fmt.Errorf("open the endpoint of %s: %w", ep.vpc, ep.err)
	}
	return nil
}

// hasEndpoint reports whether the task can reach an endpoint.
func (w *worker) hasEndpoint() bool {
	_, ok := w.e.cfg.Fabric.(network.Listener)
	return ok && w.subnet.VPC != ""
}

// leave has the endpoint forget a task, and closes it after the last. It does nothing for a task that is not there.
func (s *endpoints) leave(w *worker) {
	s.mu.Lock()
	ep := s.byVPC[w.subnet.VPC]
	if ep == nil || !ep.remove(w) {
		s.mu.Unlock()
		return
	}
	delete(s.byVPC, ep.vpc)
	s.ending[ep.vpc] = ep
	s.mu.Unlock()
	ep.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending[ep.vpc] == ep {
		delete(s.ending, ep.vpc)
	}
}

// end closes the endpoint, also one that is being opened, and returns when its address is free, whoever began to.
func (ep *endpoint) end() {
	ep.once.Do(func() {})
	ep.ended.Do(func() {
		if ep.close != nil {
			ep.close()
		}
	})
}

// closeAll closes every endpoint and waits for the requests under way.
func (s *endpoints) closeAll() {
	s.mu.Lock()
	s.closed = true
	all := s.byVPC
	s.byVPC = map[string]*endpoint{}
	s.mu.Unlock()
	for _, ep := range all {
		ep.end()
	}
	s.served.Wait()
}

func (ep *endpoint) add(w *worker) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.tasks[w.eni.PrivateIPv4] = w
}

// remove takes a task out, unless another has its address by now, and reports whether none is left.
func (ep *endpoint) remove(w *worker) (last bool) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.tasks[w.eni.PrivateIPv4] == w {
		delete(ep.tasks, w.eni.PrivateIPv4)
	}
	return len(ep.tasks) == 0
}

// worker returns the task at an address, or nil.
func (ep *endpoint) worker(addr netip.Addr) *worker {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	return ep.tasks[addr]
}

// open binds the endpoint and starts to serve it.
func (s *endpoints) open(ctx context.Context, fabric network.Listener, ep *endpoint) error {
	if ep.after != nil {
		ep.after.end()
		ep.after = nil
	}
	// Not the context of the first task, which may be stopped: the listener is for all that come.
	l, err := fabric.Listen(context.WithoutCancel(ctx), ep.vpc, netip.AddrPortFrom(network.CredentialsAddr(), endpointPort))
	if err != nil {
		return err
	}
	ep.close = s.serve(l, &http.Server{
		Handler:     ep.handler(),
		ReadTimeout: endpointReadTimeout, WriteTimeout: endpointWriteTimeout, IdleTimeout: endpointIdleTimeout,
		MaxHeaderBytes: endpointMaxHeader,
		ConnState:      ep.count,
		ErrorLog:       slog.NewLogLogger(ep.e.log.Handler(), slog.LevelDebug), // callers that go away, and the like
	})
	return nil
}

// handler sends the paths of credentials to who serves them, and all others to the metadata of this VPC's tasks.
func (ep *endpoint) handler() http.Handler {
	cfg := &ep.e.cfg
	meta := metadata.NewHandler(metadata.Config{
		Source: source{ep}, Protector: cfg.Protector, Faults: ep.faultInjector(), Logger: ep.e.log,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cfg.TaskCredentials == nil || !isCredentials(r.URL.Path) {
			meta.ServeHTTP(w, r)
			return
		}
		if caller, ok := ep.caller(r); ok {
			r = r.WithContext(withCaller(r.Context(), caller))
		}
		cfg.TaskCredentials.ServeHTTP(w, r)
	})
}

// isCredentials reports whether a path is of the credentials of roles.
func isCredentials(path string) bool {
	return path == credentialsPathV1 || path+"/" == credentialsPath || strings.HasPrefix(path, credentialsPath)
}

// caller returns the task that a request came from.
func (ep *endpoint) caller(r *http.Request) (Caller, bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return Caller{}, false
	}
	w := ep.worker(peer.Addr().Unmap())
	if w == nil {
		return Caller{}, false
	}
	return Caller{
		TaskARN: w.arn, TaskRoleARN: w.def.TaskRoleARN, VPC: ep.vpc, CredentialsID: CredentialsID(w.id),
	}, true
}

// count keeps one task from using up the host program's file descriptors.
func (ep *endpoint) count(c net.Conn, state http.ConnState) {
	if state != http.StateNew && state != http.StateClosed && state != http.StateHijacked {
		return
	}
	peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return
	}
	addr := peer.Addr().Unmap()
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if state != http.StateNew {
		if ep.conns[addr]--; ep.conns[addr] <= 0 {
			delete(ep.conns, addr)
		}
		return
	}
	if ep.conns[addr]++; ep.conns[addr] > endpointMaxConns {
		_ = c.Close()
	}
}
