//go:build linux

package containerd

import (
	"context"
	"errors"
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
	spawn func(func(context.Context)) // runs a function in the background; not at all after stop
	stop  func()                      // cancels them and waits until they have returned

	stopped <-chan struct{} // closed when stop is called
}

func newLife() life {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var group sync.WaitGroup
	stopped := false
	return life{
		stopped: ctx.Done(),
		spawn: func(f func(context.Context)) {
			mu.Lock()
			defer mu.Unlock()
			if stopped {
				return
			}
			group.Add(1)
			go func() {
				defer group.Done()
				f(ctx)
			}()
		},
		stop: func() {
			mu.Lock()
			stopped = true
			mu.Unlock()
			cancel()
			group.Wait()
		},
	}
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

// split runs functions at the same time and returns when all have returned.
func split(fs ...func()) {
	var group sync.WaitGroup
	for _, f := range fs {
		group.Go(f)
	}
	group.Wait()
}

// each runs a function for all elements, some at a time, and returns their errors.
func each[T any](list []T, f func(T) error) error {
	var group errgroup.Group
	group.SetLimit(8)
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
		case <-d.life.stopped:
			cancel()
			<-done
			return end, runtime.ErrClosed
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
