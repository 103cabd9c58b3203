// Package ratelimit bounds how often each of many callers is served, in memory that does not grow with those who are gone.
package ratelimit

import (
	"sync"
	"time"
)

// Limiter gives every key a bucket of tokens, one for a request, that fills at a steady rate. It is safe for concurrent
// use.
type Limiter[K comparable] struct {
	rate  float64 // tokens a second
	burst float64 // size of a bucket

	mu      sync.Mutex // guards what follows
	buckets map[K]bucket
	sweepAt int // how many buckets it takes to look for full ones
}

type bucket struct {
	tokens float64
	at     time.Time
}

// fewBuckets are not worth a sweep.
const fewBuckets = 64

// New returns a limiter that allows each key burst requests at once, and rate a second for long.
func New[K comparable](rate float64, burst int) *Limiter[K] {
	return &Limiter[K]{rate: rate, burst: float64(burst), buckets: map[K]bucket{}, sweepAt: fewBuckets}
}

// Allow takes a token of the key's, and reports whether there was one.
func (l *Limiter[K]) Allow(key K, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
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
	l.buckets[key] = b
	return allowed
}

// filled returns the bucket as it is now. A clock that went back adds nothing.
func (l *Limiter[K]) filled(b bucket, now time.Time) bucket {
	if since := now.Sub(b.at).Seconds(); since > 0 {
		b.tokens = min(l.burst, b.tokens+since*l.rate)
	}
	b.at = now
	return b
}

// sweep forgets full buckets: a new one is full, too. The next sweep waits for twice as many as are left, so
// that the cost of a request does not grow with their number.
func (l *Limiter[K]) sweep(now time.Time) {
	for key, b := range l.buckets {
		if l.filled(b, now).tokens >= l.burst {
			delete(l.buckets, key)
		}
	}
	l.sweepAt = max(fewBuckets, 2*len(l.buckets))
}
