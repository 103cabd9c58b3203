package scheduler

import "sync"

// hub tells those who wait for a task that it has changed. Its zero value is ready.
type hub struct {
	mu      sync.Mutex // guards waiters
	waiters map[string]map[chan struct{}]struct{}
}

// subscribe returns a channel that gets an element after each change of a task, several changes making one, until
// cancel is called.
func (h *hub) subscribe(id string) (changes <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiters == nil {
		h.waiters = map[string]map[chan struct{}]struct{}{}
	}
	if h.waiters[id] == nil {
		h.waiters[id] = map[chan struct{}]struct{}{}
	}
	h.waiters[id][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiters[id], ch)
		if len(h.waiters[id]) == 0 {
			delete(h.waiters, id)
		}
	}
}

func (h *hub) notify(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wake(id)
}

// notifyAll wakes everybody: after a snapshot it is not known what has changed.
func (h *hub) notifyAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.waiters {
		h.wake(id)
	}
}

// wake is called with mu held.
func (h *hub) wake(id string) {
	for ch := range h.waiters[id] {
		select {
		case ch <- struct{}{}:
		default: // it has one to take already
		}
	}
}
