package runtimetest

import (
	"context"
	"slices"
	"testing"

	"github.com/fardel-io/fardel/runtime"
)

// A Fixture is a driver under test and what the suite must know of its machine.
type Fixture struct {
	Driver runtime.Driver // required

	// AddImage makes the guest available to Pull under ref, with the configuration in config: Entrypoint, Command, Env,
	// WorkingDir, User, StopSignal and Labels. The image has the users root and app (1000, group 1000, also in group
	// audio, 29), and the directories /tmp and /work. // required
	AddImage func(ctx context.Context, ref string, config runtime.Image) error

	// Publish makes Pull find an image that is not on this machine, with size bytes that no other image has, as if
	// somebody had pushed it to a registry. It can run what the images of AddImage can, with the entry point /guest. It
	// returns the reference to pull. nil skips the checks of it.
	Publish func(ctx context.Context, name string, size int) (ref string, err error)

	// Reopen ends the driver without a goodbye, as SIGKILL does to its process, and returns a new one over what is left.
	// nil skips the checks of it.
	Reopen func(t *testing.T) runtime.Driver

	// Leftovers names what the driver has on the machine that belongs to containers or sandboxes: processes, cgroups,
	// mounts, snapshots. It may wait for what is being removed in the background. nil skips the checks of it.
	Leftovers func(ctx context.Context) ([]string, error)

	LogDir       string // where Log paths are made; "" is a temporary directory
	NetNS        string // path of a network namespace other than the driver's; "" skips the checks of it
	NetNSLink    string // its identity, "net:[4026532000]"
	MissingImage string // a reference for which Pull must find no image; "" skips the check

	Lacks []Feature // what this driver or machine does not have
}

// A Feature is something that a driver can do without.
type Feature string

// The features that some checks need.
const (
	Kernel   Feature = "a kernel of its own" // users, files, capabilities, limits and namespaces that are real
	CPUQuota Feature = "CPU quotas"
	Memory   Feature = "memory limits"
	Init     Feature = "an init"
	Storage  Feature = "disks of sandboxes"

	// What gVisor lacks, whose containers each have a kernel of their own.
	SharedPID      Feature = "PID namespace that containers share"
	EarlyCommand   Feature = "look at the command before the start" // Start finds out that there is no such program
	NamespaceNames Feature = "names of namespaces in /proc"
	Sysctls        Feature = "system controls"
	ProcessLimit   Feature = "limit of processes that a program survives"
	MemoryVictim   Feature = "certainty about who of a sandbox runs out of memory" // it may be another container
	ExecKill       Feature = "kill of processes of Exec that catch signals"
)

func (c *check) lacks(f Feature) bool { return slices.Contains(c.Lacks, f) }

// need skips a check whose feature the fixture lacks.
func (c *check) need(features ...Feature) {
	c.t.Helper()
	for _, feature := range features {
		if c.lacks(feature) {
			c.t.Skipf("this driver has no %s", feature)
		}
	}
}
