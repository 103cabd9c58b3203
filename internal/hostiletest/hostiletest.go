// Package hostiletest counts what the hostile suite tries. Every test whose name begins with TestHostile reports each of
// its attempts here, in a form that `.ci/hostile` adds up over packages, drivers and machines.
package hostiletest

import "testing"

// The words that begin a line of the report.
const (
	held   = "attempt held: "
	broken = "attempt SUCCEEDED: "
)

// Report notes an attempt on the host, on another task or on the program, by a name that is unique in its test. An attempt
// that succeeded fails the test; detail says what came of it.
func Report(t testing.TB, name string, succeeded bool, detail string) {
	t.Helper()
	if succeeded {
		t.Errorf("%s%s: %s", broken, name, detail)
		return
	}
	t.Logf("%s%s: %s", held, name, detail)
}
