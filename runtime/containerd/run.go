//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/sys/reaper"
	"github.com/containerd/log"
	"github.com/containerd/ttrpc"
	"golang.org/x/sync/errgroup"

	"github.com/fardel-io/fardel/internal/spool"
	"github.com/fardel-io/fardel/runtime"
)

// life is the time between the making of a driver and its Close. What runs in the background lives in it.
type life struct {
	spawn func(func(context.Context)) bool // runs a function in the background; not at all after stop
	stop  func() bool                      // cancels them, waits until they have returned, and reports whether they have in time

	stopped <-chan struct{} // closed when stop is called
	gone    <-chan struct{} // closed when those that undo what they began have had their time

	limit func(context.Context) (context.Context, context.CancelFunc) // a context that ends with gone
}

// closePatience is how long Close waits for calls that undo what they began, and closeLimit how long for those that have
// been told to leave it to the next driver. What they ask of the kernel takes milliseconds.
const (
	closePatience = 5 * time.Second
	closeLimit    = 2 * time.Second
)

func newLife() life {
	ctx, cancel := context.WithCancelCause(context.Background())
	late, end := context.WithCancelCause(context.Background())
	var mu sync.Mutex
	var group sync.WaitGroup
	stopped := false
	return life{
		stopped: ctx.Done(),
		gone:    late.Done(),
		limit: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			unhook := context.AfterFunc(late, func() { cancel(runtime.ErrClosed) })
			return ctx, func() { unhook(); cancel(nil) }
		},
		spawn: func(f func(context.Context)) bool {
			mu.Lock()
			defer mu.Unlock()
			if stopped {
				return false
			}
			group.Add(1)
			go func() {
				defer group.Done()
				f(ctx)
			}()
			return true
		},
		stop: func() bool {
			mu.Lock()
			again := stopped
			stopped = true
			mu.Unlock()
			cancel(runtime.ErrClosed)
			if again {
				<-late.Done()
				return true
			}
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				group.Wait()
			}()
			select {
			case <-returned:
			case <-time.After(closePatience):
			}
			end(runtime.ErrClosed)
			select {
			case <-returned:
				return true
			case <-time.After(closeLimit):
				return false
			}
		},
	}
}

// carry runs f in the background, and returns what it does, or when ctx ends or the driver is closed, whichever is first. f
// has a context that ends with these, and undoes what it began then; and one that only Close ends. after is called when f
// has returned, or if it cannot be run.
func carry[T any](ctx context.Context, d *Driver, f func(work, life context.Context) (T, error), after func()) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	var none T
	began := d.life.spawn(func(life context.Context) {
		defer after()
		work, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(life, func() { cancel(runtime.ErrClosed) })()
		if work.Err() != nil { // what it does may have been done otherwise by now
			done <- outcome{err: context.Cause(work)}
			return
		}
		value, err := f(work, life)
		done <- outcome{value, err}
	})
	if !began {
		after()
		return none, d.open()
	}
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	case <-d.life.stopped:
	}
	select {
	case o := <-done: // it was faster after all
		return o.value, o.err
	default:
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	return none, fmt.Errorf("containerd %s: %w", d.cfg.Dir, runtime.ErrClosed)
}

// reply is what a call of the OCI runtime returned, and done when.
type reply struct {
	done chan struct{}
	err  error
}

// ask calls f in the background.
func ask(f func() error) *reply {
	a := &reply{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.err = f()
	}()
	return a
}

// collect removes content and snapshots that nothing refers to any more, a while after it is told that there may be some.
func collect(ctx context.Context, dirty <-chan struct{}, collect func(context.Context) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-dirty:
		}
		select { // several removals at once are one collection
		case <-ctx.Done():
			return
		case <-time.After(collectDelay):
		}
		if err := collect(ctx); err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).Error("collect garbage")
		}
	}
}

// collectDelay keeps the collection, which no write can pass, away from the launch of the next task.
const collectDelay = 200 * time.Millisecond

// serve is a shim's loop. It ends when the service is shut down or cannot go on.
func serve(ctx context.Context, server *ttrpc.Server, listener net.Listener, signals <-chan os.Signal) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ctx, listener) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-signals:
			if err := reaper.Reap(); err != nil {
				log.G(ctx).WithError(err).Error("reap processes")
			}
		}
	}
}

// copyStream keeps a stream of a container in its log and closes done at the end. It is a shim's and lives until the
// container is deleted.
func copyStream(done chan<- struct{}, w *spool.Writer, stderr bool, src *os.File) {
	go func() {
		defer close(done)
		defer src.Close()
		keep(w, stderr, src)
	}()
}

// finishOn ends the waiting for room in a log when a signal comes. It is a logger's and lives as long as its process.
func finishOn(signals <-chan os.Signal, w *spool.Writer) {
	go func() {
		<-signals
		w.Finish()
	}()
}

// every calls f when a time has passed, and again each time that it has, until the returned function is called.
func every(d time.Duration, f func()) (end func()) {
	var timer *time.Timer
	var mu sync.Mutex
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(d, func() {
		f()
		mu.Lock()
		defer mu.Unlock()
		if timer != nil {
			timer.Reset(d)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
		timer = nil
	}
}

// split runs functions at the same time and returns when all have returned.
func split(fs ...func()) {
	var group sync.WaitGroup
	for _, f := range fs {
		group.Go(f)
	}
	group.Wait()
}

// each runs a function for all elements, so many at a time, and returns their errors.
func each[T any](most int, list []T, f func(T) error) error {
	var group errgroup.Group
	group.SetLimit(most)
	errs := make([]error, len(list))
	for i, e := range list {
		group.Go(func() error { errs[i] = f(e); return nil })
	}
	return errors.Join(group.Wait(), errors.Join(errs...))
}

// waitExec waits for a process and passes window sizes on meanwhile.
func (d *Driver) waitExec(ctx context.Context, t target, sizes <-chan runtime.WindowSize) (ended, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var end ended
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		end, err = d.tasks.wait(ctx, t)
	}()
	for {
		select {
		case <-done:
			return end, err
		case <-ctx.Done(): // of the driver's, when that is closed
			if <-done; err == nil {
				return end, nil
			}
			return end, context.Cause(ctx)
		case size, ok := <-sizes:
			if !ok {
				sizes = nil
				continue
			}
			if err := d.tasks.resize(ctx, t, size.Width, size.Height); err != nil && ctx.Err() == nil {
				log.G(ctx).WithError(err).Debug("resize a terminal")
			}
		}
	}
}

// drain waits until a process's output is copied, or is not worth waiting for any more.
func drain(ctx context.Context, streams cio.IO) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		streams.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-time.After(drainTimeout):
	case <-ctx.Done():
	}
	streams.Cancel() // ends the copying
	<-done
	return ctx.Err()
}

// listen returns a context that ends when heard was called, and then neither heard nor end for a while.
func listen(ctx context.Context, after time.Duration) (context.Context, *listener, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &listener{after: after}
	l.timer = time.AfterFunc(after, func() { cancel(errSilence) })
	l.end()
	return ctx, l, func() { l.timer.Stop(); cancel(nil) }
}
