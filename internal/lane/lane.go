// Package lane says which tests a run promised to execute, so that a test that cannot run is skipped by name on a
// laptop and fails in the lane that exists to run it.
//
// The environment variable FARDEL_LANE holds the promise: empty for plain `go test ./...`, "root" for the full run,
// which has every feature below.
package lane

import (
	"os"
	"os/exec"
	"testing"
)

// Root skips a test that needs root, or fails it when the lane promised root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "root")
	}
}

// Command skips a test that needs a program in PATH, or fails it when the lane promised everything. It returns the
// program's path.
func Command(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name+" in PATH")
	}
	return path
}

// Missing ends a test that lacks a feature: a failure in the full lane, else a skip that names the feature.
func Missing(t testing.TB, feature string) {
	t.Helper()
	if os.Getenv("FARDEL_LANE") == "root" {
		t.Fatalf("the root lane promised %s, and it is missing: run `make setup`", feature)
	}
	t.Skipf("needs %s", feature)
}
