package metadata

import (
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	sample := func(seconds float64, counters ...NetworkCounters) Sample {
		s := Sample{At: at(seconds), Networks: map[string]NetworkCounters{}}
		for i, c := range counters {
			s.Networks[string(rune('a'+i))] = c
		}
		return s
	}
	c := func(received, sent uint64) NetworkCounters {
		return NetworkCounters{ReceivedBytes: received, SentBytes: sent}
	}
	for _, tt := range []struct {
		name           string
		before, now    Sample
		received, sent float64
		ok             bool
	}{
		{"two interfaces", sample(0, c(100, 10), c(1, 1)), sample(2, c(300, 20), c(3, 1)), 101, 5, true},
		{"idle", sample(0, c(5, 5)), sample(1, c(5, 5)), 0, 0, true},
		{"first sample", Sample{}, sample(1, c(5, 5)), 0, 0, false},
		{"same moment", sample(1, c(1, 1)), sample(1, c(5, 5)), 0, 0, false},
		{"wrong order", sample(2, c(1, 1)), sample(1, c(5, 5)), 0, 0, false},
		{"began again", sample(0, c(100, 100)), sample(1, c(5, 500)), 0, 0, false},
		{"sent began again", sample(0, c(100, 100)), sample(1, c(500, 5)), 0, 0, false},
		{"new interface", sample(0, c(1, 1)), sample(1, c(5, 5), c(1, 1)), 0, 0, false},
		{"no network", sample(0), sample(1), 0, 0, false},
	} {
		s := Stats{Current: tt.now, Previous: tt.before}
		received, sent, ok := s.rates()
		if ok != tt.ok || ok && (received != tt.received || sent != tt.sent) {
			t.Errorf("%s: got %g, %g, %v, want %g, %g, %v", tt.name, received, sent, ok, tt.received, tt.sent, tt.ok)
		}
	}
	if at(0).Location() == time.UTC {
		t.Error("the fixture's times must not be in UTC: answers are")
	}
}
