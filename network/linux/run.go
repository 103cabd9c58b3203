//go:build linux

package linux

import (
	goruntime "runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// inThread runs fn on an operating system thread of its own and waits for it. The thread ends with fn, so fn may change
// what belongs to a thread, such as its network namespace, and nobody else meets the change.
func inThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread does not end, and /proc/self shows its namespaces. Holding it makes fn get another one.
			err := inThread(fn)
			goruntime.UnlockOSThread()
			done <- err
			return
		}
		done <- fn() // without unlocking: the runtime ends the thread with the goroutine
	}()
	return <-done
}

// reaper does slow work behind its callers' back, in order, in one goroutine that ends when there is none left.
type reaper struct {
	mu      sync.Mutex
	queue   []reaped
	running bool
	idle    sync.WaitGroup
}

// push hands over an item. work gets all items that have gathered, and is never called twice at the same time.
func (r *reaper) push(item reaped, work func([]reaped)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, item)
	if r.running {
		return
	}
	r.running = true
	r.idle.Go(func() {
		for {
			r.mu.Lock()
			items := r.queue
			r.queue = nil
			r.running = len(items) > 0
			r.mu.Unlock()
			if len(items) == 0 {
				return
			}
			work(items)
		}
	})
}

// wait blocks until everything pushed before is done.
func (r *reaper) wait() { r.idle.Wait() }
