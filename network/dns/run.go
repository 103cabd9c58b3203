package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Run answers queries on the given sockets, which are its own from then on. It blocks until ctx ends, closes the sockets,
// and returns when nothing of it runs any more: nil, or why a socket cannot be used.
func (r *Resolver) Run(ctx context.Context, packets []net.PacketConn, listeners []net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &server{Resolver: r, conns: map[net.Conn]bool{}}
	for _, pc := range packets {
		s.work.Go(func() { cancel(s.servePackets(ctx, pc)) })
	}
	for _, l := range listeners {
		s.work.Go(func() { cancel(s.serveListener(ctx, l)) })
	}
	<-ctx.Done()
	errs := []error{}
	for _, pc := range packets {
		errs = append(errs, pc.Close())
	}
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	s.closeConns()
	s.work.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
		errs = append(errs, cause)
	}
	return errors.Join(errs...)
}

// start runs a name server until it is stopped.
func (s *nameServer) start(ctx context.Context, packets []net.PacketConn, listeners []net.Listener, log *slog.Logger) {
	go func() {
		defer close(s.done)
		if err := s.Run(ctx, packets, listeners); err != nil {
			log.Error("name server ended; the next task in the VPC starts it again", "error", err)
		}
	}()
}

// server is one Run of a resolver.
type server struct {
	*Resolver
	work sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
}

// servePackets answers what comes over UDP.
func (s *server) servePackets(ctx context.Context, pc net.PacketConn) error {
	buf := make([]byte, 4096) // a longer query is cut short and then malformed
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			if again(ctx, err) {
				continue
			}
			return fmt.Errorf("receive queries on %s: %w", pc.LocalAddr(), err)
		}
		source := addrOf(from)
		if !s.limits.packet(source, time.Now()) {
			continue // as Amazon's: what is beyond the limit is dropped
		}
		reply, later := s.answer(buf[:n], true)
		if later != nil {
			s.wait(ctx, source, later, func(reply []byte) { _, _ = pc.WriteTo(reply, from) })
		} else if reply != nil {
			_, _ = pc.WriteTo(reply, from) // a lost answer is asked for again
		}
	}
}

// wait runs what takes a while and hands on what it says. It reports false, and does nothing, if the source or all
// together have too much of it under way: the client asks again.
func (s *server) wait(ctx context.Context, source netip.Addr, later func(context.Context) []byte, write func([]byte)) bool {
	if !s.limits.begin(source, time.Now()) {
		return false
	}
	s.work.Go(func() {
		defer s.limits.end(source)
		write(later(ctx))
	})
	return true
}

// serveListener takes connections.
func (s *server) serveListener(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			if again(ctx, err) {
				continue
			}
			return fmt.Errorf("accept queries on %s: %w", l.Addr(), err)
		}
		source := addrOf(conn.RemoteAddr())
		if !s.keep(conn, source) {
			_ = conn.Close()
			continue
		}
		s.work.Go(func() {
			defer s.forget(conn, source)
			s.serveConn(ctx, conn, source)
		})
	}
}

// again reports whether it is worth trying after an error, and waits a moment before, so that a lack of something does not
// become a busy loop.
func again(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return false
	}
	t := time.NewTimer(50 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// keep counts a connection, unless there are too many.
func (s *server) keep(conn net.Conn, source netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.cfg.MaxConnections || !s.limits.connect(source, s.cfg.MaxConnections, time.Now()) {
		return false
	}
	s.conns[conn] = true
	return true
}

func (s *server) forget(conn net.Conn, source netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	s.limits.disconnect(source)
	_ = conn.Close()
}

func (s *server) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// serveConn answers what comes over one connection, each query when its answer is there: RFC 7766, section 7.
func (s *server) serveConn(ctx context.Context, conn net.Conn, source netip.Addr) {
	var mu sync.Mutex // of writing
	var waiting sync.WaitGroup
	defer waiting.Wait()
	write := func(reply []byte) {
		mu.Lock()
		defer mu.Unlock()
		_ = conn.SetWriteDeadline(time.Now().Add(s.cfg.IdleTimeout))
		if _, err := conn.Write(framed(reply)); err != nil {
			_ = conn.Close()
		}
	}
	for {
		if conn.SetReadDeadline(time.Now().Add(s.cfg.IdleTimeout)) != nil {
			return
		}
		raw, err := readFrame(conn)
		if err != nil || !s.limits.packet(source, time.Now()) {
			return
		}
		reply, later := s.answer(raw, false)
		switch {
		case later != nil:
			waiting.Add(1)
			if !s.wait(ctx, source, later, func(reply []byte) { defer waiting.Done(); write(reply) }) {
				waiting.Done()
			}
		case reply != nil:
			write(reply)
		default:
			return // it does not speak DNS
		}
	}
}

// addrOf returns the address of a peer.
func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("")
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
