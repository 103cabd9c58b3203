package metadata

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRate: sixty at once, then forty a second, for each task.
func TestRate(t *testing.T) {
	now := at(0)
	h := NewHandler(Config{Source: newSource(), Now: func() time.Time { return now }})
	passed := func(peer string, n int) (ok int) {
		for range n {
			switch w := do(t, h, request{path: "/v2/metadata", peer: peer}); w.Code {
			case http.StatusOK:
				ok++
			case http.StatusTooManyRequests:
				if got := w.Body.String(); got != tooMany+"\n" {
					t.Fatalf("got %q", got)
				}
			default:
				t.Fatalf("got %d", w.Code)
			}
		}
		return ok
	}
	for _, step := range []struct {
		after time.Duration
		peer  string
		want  int // of 100
	}{
		{0, alicePeer, 60},
		{0, alicePeer, 0},
		{0, "10.0.0.5:9", 0}, // another port is the same task
		{0, bobPeer, 60},     // and another task is not hindered
		{time.Second, alicePeer, 40},
		{500 * time.Millisecond, alicePeer, 20},
		{time.Hour, alicePeer, 60},
		{-time.Hour, alicePeer, 0}, // the clock was set back
		{time.Second, alicePeer, 40},
	} {
		now = now.Add(step.after)
		if got := passed(step.peer, 100); got != step.want {
			t.Errorf("%s after %s: %d of 100 passed, want %d", step.peer, step.after, got, step.want)
		}
	}
}

// TestLimiterForgets: callers that are gone take no memory, and those that are not are not let off.
func TestLimiterForgets(t *testing.T) {
	l := newLimiter(40, 60)
	now := at(0)
	key := func(i int) limitKey {
		return limitKey{addr: netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i/256, i%256))}
	}
	busy := limitKey{addr: netip.MustParseAddr("10.9.9.9")}
	for i := range 10000 {
		now = now.Add(10 * time.Millisecond)
		l.allow(key(i), now)
		for range 3 { // 300 a second
			l.allow(busy, now)
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
	l := newLimiter(40, 60)
	now := at(0)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if l.allow(limitKey{}, now) {
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
