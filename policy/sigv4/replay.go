package sigv4

import (
	"container/heap"
	"sync"
	"time"
)

// replays remembers signatures for as long as they are good. When it is full of such, no request is taken: only who has
// a key can fill it, and forgetting one would let it be used again.
type replays struct {
	most int

	mu    sync.Mutex // guards what follows
	seen  map[string]struct{}
	order expiries
}

func newReplays(most int) *replays { return &replays{most: most, seen: map[string]struct{}{}} }

// first remembers a signature that is good until a time. It returns why it must not be taken, "" when it may.
func (p *replays) first(signature string, now, until time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.order) > 0 && p.order[0].until.Before(now) {
		delete(p.seen, heap.Pop(&p.order).(expiry).signature)
	}
	if _, again := p.seen[signature]; again {
		return "with the same signature"
	}
	if len(p.seen) >= p.most {
		return "or may have been: no more signatures can be remembered at present"
	}
	p.seen[signature] = struct{}{}
	heap.Push(&p.order, expiry{signature, until})
	return ""
}

type expiry struct {
	signature string
	until     time.Time
}

// expiries is a heap with what ends first on top.
type expiries []expiry

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].until.Before(e[j].until) }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *expiries) Push(x any) { *e = append(*e, x.(expiry)) }

// Pop implements heap.Interface.
func (e *expiries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
