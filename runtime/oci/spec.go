package oci

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

// Spec returns the OCI configuration of a container. The result shares no memory with the arguments. Errors match
// [runtime.ErrInvalid], or are those of Options.Devices.
func Spec(c runtime.ContainerSpec, s runtime.SandboxSpec, img runtime.Image, o Options) (*specs.Spec, error) {
	if o.RootfsPath == "" || o.CgroupsPath == "" {
		return nil, invalid(c, "needs a root file system and a cgroup")
	}
	return &specs.Spec{Version: version}, nil
}

// version is the newest configuration version that runc 1.1 and crun 1.8 take without complaint.
const version = "1.0.2"

func invalid(c runtime.ContainerSpec, format string, args ...any) error {
	return fmt.Errorf("container %s: %s: %w", c.ID, fmt.Sprintf(format, args...), runtime.ErrInvalid)
}
