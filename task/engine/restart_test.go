package engine

import (
	"testing"
	"time"

	"github.com/fardel-io/fardel/task"
)

func TestShouldRestart(t *testing.T) {
	zero, one, killed := 0, 1, 137
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	after := func(d time.Duration, code *int) endedRun {
		return endedRun{exitCode: code, startedAt: start, now: start.Add(d)}
	}
	on := &task.RestartPolicy{Enabled: true}
	minute := &task.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60}
	ignoring := &task.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60, IgnoredExitCodes: []int{0, 137}}
	for name, tt := range map[string]struct {
		policy *task.RestartPolicy
		run    endedRun
		why    string // "" restarts
	}{
		"no policy":                    {nil, after(time.Hour, &one), "restart policy is not enabled"},
		"not enabled":                  {&task.RestartPolicy{RestartAttemptPeriod: 60}, after(time.Hour, &one), "restart policy is not enabled"},
		"failed":                       {on, after(time.Hour, &one), ""},
		"exited with 0":                {on, after(time.Hour, &zero), ""},
		"killed":                       {on, after(time.Hour, &killed), ""},
		"default period, just over":    {on, after(300*time.Second, &one), ""},
		"default period, just under":   {on, after(300*time.Second-1, &one), "attempt reset period has not elapsed"},
		"period of a minute, over":     {minute, after(time.Minute, &one), ""},
		"period of a minute, under":    {minute, after(59*time.Second, &one), "attempt reset period has not elapsed"},
		"ignored code":                 {ignoring, after(time.Hour, &killed), "exit code 137 should be ignored"},
		"ignored code 0":               {ignoring, after(time.Hour, &zero), "exit code 0 should be ignored"},
		"ignored code comes first":     {ignoring, after(0, &zero), "exit code 0 should be ignored"},
		"another code":                 {ignoring, after(time.Hour, &one), ""},
		"no code":                      {on, after(time.Hour, nil), "exit code is nil"},
		"stopping":                     {on, endedRun{stopping: true, exitCode: &one, startedAt: start, now: start.Add(time.Hour)}, "container's desired status is stopped"},
		"stopping, without exit code":  {on, endedRun{stopping: true, startedAt: start, now: start.Add(time.Hour)}, "container's desired status is stopped"},
		"a clock that was turned back": {on, after(-time.Hour, &one), "attempt reset period has not elapsed"},
	} {
		restart, why := shouldRestart(tt.policy, tt.run)
		if restart != (tt.why == "") || why != tt.why {
			t.Errorf("%s: %t, %q; want %q", name, restart, why, tt.why)
		}
	}
}
