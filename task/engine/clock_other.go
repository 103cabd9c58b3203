//go:build !linux

package engine

import "github.com/fardel-io/fardel/task/metadata"

// clockDrift is not known on other systems.
func clockDrift() *metadata.ClockDrift { return nil }
