package runtimetest

import (
	"iter"
	"slices"
	"testing"
)

// namedCheck is one check of the suite.
type namedCheck struct {
	name string
	do   func(c *check)
}

// Run runs every check as a test of its own, with a fixture that open makes for it. open arranges its own cleanup.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	t.Helper()
	for name, do := range Checks() {
		t.Run(name, func(t *testing.T) { do(t, open(t)) })
	}
}

// Checks returns the checks by name, for callers that run them in a setting of their own, such as testing/synctest.
func Checks() iter.Seq2[string, func(t *testing.T, f Fixture)] {
	all := slices.Concat(lifeCycleChecks, restartChecks, idempotencyChecks, processChecks, killChecks, logChecks, waitChecks,
		sandboxChecks, volumeChecks, imageChecks, cacheChecks, execChecks, kernelChecks, limitChecks)
	return func(yield func(string, func(*testing.T, Fixture)) bool) {
		for _, nc := range all {
			do := func(t *testing.T, f Fixture) {
				t.Helper()
				c := newCheck(t, f)
				nc.do(c)
				c.clean()
			}
			if !yield(nc.name, do) {
				return
			}
		}
	}
}
