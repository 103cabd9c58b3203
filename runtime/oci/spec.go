package oci

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

// version is the newest configuration version that runc 1.1 and crun 1.8 take without complaint.
const version = "1.0.2"

// initPath is where the init of ContainerSpec.Init is mounted, the same place as with Docker.
const initPath = "/sbin/docker-init"

// Spec returns the OCI configuration of a container. Errors match [runtime.ErrInvalid], or
// [runtime.ErrUnsupported] for a ulimit beyond Options.Limits, or are those of Options.Devices.
func Spec(c runtime.ContainerSpec, s runtime.SandboxSpec, img runtime.Image, o Options) (*specs.Spec, error) {
	switch {
	case o.RootfsPath == "":
		return nil, invalid(c, "needs a root file system")
	case o.CgroupsPath == "":
		return nil, invalid(c, "needs a cgroup")
	case c.Init && o.InitPath == "":
		return nil, invalid(c, "initProcessEnabled needs an init binary on the host")
	}
	process, err := process(c, s, img, o)
	if err != nil {
		return nil, err
	}
	mounts, err := mounts(c, o)
	if err != nil {
		return nil, err
	}
	linux, err := linux(c, s, o)
	if err != nil {
		return nil, err
	}
	spec := &specs.Spec{
		Version:  version,
		Process:  process,
		Root:     &specs.Root{Path: o.RootfsPath, Readonly: c.ReadonlyRootfs},
		Hostname: c.UTSHostname(s),
		Mounts:   mounts,
		Linux:    linux,
	}
	if c.Privileged {
		return spec, nil
	}
	if linux.Seccomp, err = seccompProfile(spec); err != nil {
		return nil, fmt.Errorf("container %s: seccomp profile: %w", c.ID, err)
	}
	return spec, nil
}

func invalid(c runtime.ContainerSpec, format string, args ...any) error {
	return fmt.Errorf("container %s: %s: %w", c.ID, fmt.Sprintf(format, args...), runtime.ErrInvalid)
}
