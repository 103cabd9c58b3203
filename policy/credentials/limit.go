package credentials

import (
	"sync"
	"time"
)

// limiter gives every caller a bucket of tokens, one for a request, that fills at a steady rate.
type limiter struct {
	rate  float64 // tokens a second
	burst float64 // size of a bucket

	mu      sync.Mutex // guards what follows
	buckets map[string]bucket
	sweepAt int // how many buckets it takes to look for full ones
}

type bucket struct {
	tokens float64
	at     time.Time
}

// fewBuckets are not worth a sweep.
const fewBuckets = 64

func newLimiter(rate float64, burst int) *limiter {
	return &limiter{rate: rate, burst: float64(burst), buckets: map[string]bucket{}, sweepAt: fewBuckets}
}

// allow takes a token, and reports whether there was one.
func (l *limiter) allow(who string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[who]
	if !ok {
		b = bucket{tokens: l.burst, at: now}
		if len(l.buckets) >= l.sweepAt {
			l.sweep(now)
		}
	}
	b = l.filled(b, now)
	allowed := b.tokens >= 1
	if allowed {
		b.tokens--
	}
	l.buckets[who] = b
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

// sweep forgets full buckets: a new one is full, too. The next sweep waits for twice as many as are left.
func (l *limiter) sweep(now time.Time) {
	for who, b := range l.buckets {
		if l.filled(b, now).tokens >= l.burst {
			delete(l.buckets, who)
		}
	}
	l.sweepAt = max(fewBuckets, 2*len(l.buckets))
}
