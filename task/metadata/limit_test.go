package metadata

import (
	"net/http"
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
