package ratelimit

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLimiterForgets: callers that are gone take no memory, and those that are not are not let off.
func TestLimiterForgets(t *testing.T) {
	l := New[string](40, 60)
	now := time.Unix(0, 0)
	const busy = "busy"
	for i := range 10000 {
		now = now.Add(10 * time.Millisecond)
		l.Allow(strconv.Itoa(i), now)
		for range 3 { // 300 a second
			l.Allow(busy, now)
		}
	}
	if n := len(l.buckets); n > 4*fewBuckets {
		t.Errorf("%d buckets are kept", n)
	}
	if b := l.buckets[busy]; b.tokens >= 1 {
		t.Errorf("the busy caller has %g tokens", b.tokens)
	}
}

// TestLimiterShared: requests come at once, and no more tokens are given than there are.
func TestLimiterShared(t *testing.T) {
	l := New[string](40, 60)
	now := time.Unix(0, 0)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if l.Allow("one", now) {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := passed.Load(); got != 60 {
		t.Errorf("%d of 400 passed, want 60", got)
	}
}
