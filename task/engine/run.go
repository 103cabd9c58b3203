package engine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Run works on the tasks submitted until ctx ends, and returns when every goroutine of the engine has ended. The tasks
// themselves go on: submit them again to an engine of the next process. It returns nil when ctx ended it, and can be
// called once.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running {
		e.mu.Unlock()
		return errors.New("engine: Run was called before")
	}
	e.running = true
	e.mu.Unlock()

	defer e.endpoints.closeAll()
	var tails sync.WaitGroup
	defer tails.Wait()
	e.tails.spawn = func(f func(context.Context)) { tails.Go(func() { f(ctx) }) }
	var workers sync.WaitGroup
	defer workers.Wait()
	workers.Go(func() { e.keepCache(ctx) })
	e.attachments = e.attached(ctx)
	for {
		for _, w := range e.take() {
			workers.Add(1)
			go func() {
				defer workers.Done()
				defer e.forget(w)
				w.run(ctx)
			}()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.queued:
		}
	}
}

// each runs functions side by side and returns their errors joined, when all have ended.
func each(fns ...func() error) error {
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = fn()
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// together runs functions side by side. The first that fails ends the others, and its error is returned when all have
// ended.
func together(ctx context.Context, fns ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all []func() error
	for _, fn := range fns {
		all = append(all, func() error {
			err := fn(ctx)
			if err != nil {
				cancel(err) // the first cause stays
			}
			return err
		})
	}
	if err := each(all...); err == nil {
		return nil
	}
	return context.Cause(ctx)
}

// watch reports the end of a container to its worker, once. It outlives the step that started the container.
func (w *worker) watch(ctx context.Context, c *container) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := c.ended // of this run
	if c.def.HealthCheck != nil {
		w.probe(ctx, c)
	}
	w.watchers.Add(2)
	go func() {
		defer w.watchers.Done()
		defer cancel()
		select {
		case <-w.unwatch:
		case <-ended:
		}
	}()
	go func() {
		defer w.watchers.Done()
		exit, err := w.e.cfg.Driver.Wait(ctx, c.id)
		if err != nil && (ctx.Err() != nil || closed(err)) {
			return // let go of, not ended
		}
		w.exits <- exited{c: c, exit: exit, err: err}
		close(ended)
	}()
}

// probe checks a container's health until it has ended or the worker lets go of it.
func (w *worker) probe(ctx context.Context, c *container) {
	run := c.ended
	w.watchers.Add(1)
	go func() {
		defer w.watchers.Done()
		var under <-chan ran // the check that has not returned
		for {
			sleep(ctx, c.def.HealthCheck.Timing().Interval) // ctx ends with the container
			if ctx.Err() != nil {
				return
			}
			outcome := w.check(ctx, c, &under)
			outcome.run = run
			select {
			case w.checks <- outcome:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// begin runs the command of a health check and sends what became of it. Nobody waits for a driver that never returns.
func (w *worker) begin(ctx context.Context, c *container) <-chan ran {
	done := make(chan ran, 1)
	go func() { done <- w.runCheck(ctx, c) }()
	return done
}

// serve answers requests on l until the function that it returns is called, which waits for those under way.
func (s *endpoints) serve(l net.Listener, srv *http.Server) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	requests := &gate{next: srv.Handler}
	srv.Handler = requests
	s.served.Add(1)
	go func() {
		defer s.served.Done()
		_ = srv.Serve(l) // it ends when it is closed
	}()
	return func() {
		cancel()
		_ = srv.Close()
		_ = l.Close() // the server does not know it before it serves
		requests.shut()
	}
}
