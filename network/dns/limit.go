package dns

import (
	"net/netip"
	"sync"
	"time"
)

// maxSources bounds the memory of limits. A VPC has at most five blocks of 65536 addresses, and those of tasks that are
// gone are forgotten first.
const maxSources = 1 << 16

// limits keeps one source from taking what is there for all.
type limits struct {
	rate       int // packets a second
	maxPending int // of all sources together

	mu      *sync.Mutex
	sources map[netip.Addr]*usage
	pending int
}

// usage is what a source has taken.
type usage struct {
	tokens  float64 // packets that it may send at once, at most a second's
	at      time.Time
	pending int
	conns   int
}

func newLimits(rate, maxPending int) limits {
	return limits{rate: rate, maxPending: maxPending, mu: &sync.Mutex{}, sources: map[netip.Addr]*usage{}}
}

// share is what one of many may have of n.
func share(n int) int { return max(1, n/8) }

// packet reports whether a source may send one more packet, and counts it if so.
func (l *limits) packet(from netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.source(from, now)
	if u == nil {
		return false
	}
	u.refill(l.rate, now)
	if u.tokens < 1 {
		return false
	}
	u.tokens--
	return true
}

func (u *usage) refill(rate int, now time.Time) {
	if gone := now.Sub(u.at); gone > 0 {
		u.tokens = min(float64(rate), u.tokens+gone.Seconds()*float64(rate))
		u.at = now
	}
}

// source returns what a source has taken, or nil if there are too many sources. The caller holds mu.
func (l *limits) source(from netip.Addr, now time.Time) *usage {
	if u := l.sources[from]; u != nil {
		return u
	}
	if len(l.sources) >= maxSources {
		for a, u := range l.sources {
			if now.Sub(u.at) >= time.Second && u.pending == 0 && u.conns == 0 { // as good as new
				delete(l.sources, a)
			}
		}
		if len(l.sources) >= maxSources {
			return nil
		}
	}
	u := &usage{tokens: float64(l.rate), at: now}
	l.sources[from] = u
	return u
}

// begin reports whether one more query of a source may wait. If so, end must follow.
func (l *limits) begin(from netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.source(from, now)
	if u == nil || l.pending >= l.maxPending || u.pending >= share(l.maxPending) {
		return false
	}
	l.pending++
	u.pending++
	return true
}

func (l *limits) end(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending--
	l.sources[from].pending--
}

// connect reports whether a source may have one more connection. If so, disconnect must follow.
func (l *limits) connect(from netip.Addr, most int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.source(from, now)
	if u == nil || u.conns >= share(most) {
		return false
	}
	u.conns++
	return true
}

func (l *limits) disconnect(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources[from].conns--
}
