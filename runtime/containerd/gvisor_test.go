//go:build linux

package containerd

import (
	"flag"
	"testing"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime/runtimetest"
)

var runsc = flag.String("runsc", "", "path of gVisor's runsc, to run the suite with it")

// TestGVisorSuite is run by make test-gvisor.
func TestGVisorSuite(t *testing.T) {
	if *runsc == "" {
		t.Skip("no -runsc: make test-gvisor builds it and runs this")
	}
	lane.Root(t)
	embedSuite(t, *runsc, runtimetest.SharedPID, runtimetest.EarlyCommand, runtimetest.NamespaceNames, runtimetest.Sysctls,
		runtimetest.ProcessLimit, runtimetest.MemoryVictim, runtimetest.ExecKill)
}
