package engine

import (
	"net/http"
	"sync"
)

// gate lets requests through until it is shut, and knows those under way: a server that is closed does not wait for them.
type gate struct {
	next http.Handler

	mu       sync.Mutex // guards what follows
	closed   bool
	underWay sync.WaitGroup
}

// ServeHTTP implements [http.Handler]. The connection of a request that comes too late is closed already.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.enter() {
		return
	}
	defer g.underWay.Done()
	g.next.ServeHTTP(w, r)
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.underWay.Add(1)
	return true
}

// shut waits for the requests under way and lets no other in.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.underWay.Wait()
}
