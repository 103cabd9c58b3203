package metadata

import (
	"net/netip"
	"sync"
	"time"
)

// limiter gives every key a bucket of tokens, one for a request, that fills at a steady rate.
type limiter struct {
	rate  float64 // tokens a second
	burst float64 // size of a bucket

	mu      sync.Mutex
	buckets map[limitKey]bucket
	sweepAt int // how many buckets it takes to look for full ones
}

// limitKey is a caller and, where operations have a rate of their own, the operation.
type limitKey struct {
	addr netip.Addr
	op   string
}

type bucket struct {
	tokens float64
	at     time.Time
}

// fewBuckets is not worth a sweep.
const fewBuckets = 64

func newLimiter(rate float64, burst int) *limiter {
	return &limiter{rate: rate, burst: float64(burst), buckets: map[limitKey]bucket{}, sweepAt: fewBuckets}
}

// allow takes a token, and reports whether there was one.
func (l *limiter) allow(key limitKey, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		if len(l.buckets) >= l.sweepAt {
			l.sweep(now)
		}
		b = bucket{tokens: l.burst, at: now}
	}
	b = l.filled(b, now)
	allowed := b.tokens >= 1
	if allowed {
		b.tokens--
	}
	l.buckets[key] = b
	return allowed
}

// filled returns the bucket as it is now. A clock that went back adds nothing.
func (l *limiter) filled(b bucket, now time.Time) bucket {
	if since := now.Sub(b.at).Seconds(); since > 0 {
		b.tokens = min(l.burst, b.tokens+since*l.rate)
	}
	b.at = now
	return b
}

// sweep forgets full buckets: a new one is full, too. The next sweep waits for twice as many as are left, so that the
// cost of a request does not grow with their number.
func (l *limiter) sweep(now time.Time) {
	for key, b := range l.buckets {
		if l.filled(b, now).tokens >= l.burst {
			delete(l.buckets, key)
		}
	}
	l.sweepAt = max(fewBuckets, 2*len(l.buckets))
}
