package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/task"
)

func TestHealth(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	timing := task.HealthTiming{Interval: 10 * time.Second, Retries: 3, StartPeriod: 35 * time.Second}
	none := task.HealthTiming{Interval: 10 * time.Second, Retries: 3}
	tests := map[string]struct {
		timing task.HealthTiming
		checks string // one letter a check, every 10 s: p passes, f fails
		want   string // the health after each: ? unknown, h, u
	}{
		"passes":                          {none, "pp", "hh"},
		"fails":                           {none, "ffff", "??uu"},
		"two failures are not three":      {none, "ffpffp", "??hhhh"},
		"recovers":                        {none, "fffpfff", "??uhhhu"},
		"start period":                    {timing, "fffffff", "?????uu"},
		"a success ends the start period": {timing, "fpfff", "?hhhu"},
		"failures in the start period are not counted afterwards": {timing, "fffffp", "?????h"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := health{status: task.HealthUnknown}
			var got strings.Builder
			for i, c := range tt.checks {
				h = h.after(tt.timing, start, start.Add(time.Duration(i+1)*10*time.Second), c == 'p')
				got.WriteByte(map[task.HealthStatus]byte{
					task.HealthUnknown: '?', task.HealthHealthy: 'h', task.HealthUnhealthy: 'u',
				}[h.status])
			}
			if got.String() != tt.want {
				t.Errorf("%s gives %s, want %s", tt.checks, got.String(), tt.want)
			}
		})
	}
}
