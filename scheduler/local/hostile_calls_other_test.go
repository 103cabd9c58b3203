//go:build linux && !amd64

package local_test

// foreignCalls are of amd64 only.
func foreignCalls() []trial { return nil }
