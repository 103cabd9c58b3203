//go:build linux

package containerd

import (
	"path/filepath"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

// gVisor is recognized by the name of its program.
const gVisor = "runsc"

// gVisorFlags has a container of gVisor do what others do:
//
//   - it uses the kernel's network in its namespace, which containers of a task share, where gVisor's own takes the
//     addresses away from the interface and gives them to one container;
//   - the definition's capabilities say who may use raw sockets;
//   - what it writes is in its root file system, where it is counted, limited and found by a restart, instead of memory;
//   - containers reach each other by the Unix sockets in volumes that they share, as the log router of FireLens needs;
//   - each of its file servers has an empty network namespace of its own, where a shared one stays mounted.
func gVisorFlags() []string {
	return []string{"--network=host", "--net-raw", "--overlay2=none", "--gofer-network-namespace=new", "--host-uds=all"}
}

func (d *Driver) isGVisor() bool { return filepath.Base(d.cfg.Runtime) == gVisor }

// checkRuntime refuses what the OCI runtime would do otherwise without a word.
func (d *Driver) checkRuntime(spec runtime.SandboxSpec) error {
	if !d.isGVisor() || !spec.SharePID {
		return nil
	}
	return &runtime.UnsupportedError{Feature: "pidMode task", Needs: "an OCI runtime other than " + gVisor + ", where each container has a kernel of its own"}
}

// runtimeFlags are those that go before the others.
func (d *Driver) runtimeFlags() string {
	if !d.isGVisor() {
		return ""
	}
	return " " + strings.Join(gVisorFlags(), " ")
}
