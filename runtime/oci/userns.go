package oci

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// InUserNamespace moves a configuration to the user namespace at a path, where its IDs mean others than on the machine.
// mapped tells how a bind mount of a source shows owners: "" is as the machine knows them, "idmap" and "ridmap" are as they
// are on disk, the latter below what is mounted there, too; its errors are returned. The network namespace of the
// configuration must belong to that user namespace, or be new: sysfs is not mounted for others.
func InUserNamespace(spec *specs.Spec, path string, mapped func(source string) (string, error)) error {
	spec.Linux.Namespaces = append([]specs.LinuxNamespace{{Type: specs.UserNamespace, Path: path}}, spec.Linux.Namespaces...)
	for i, m := range spec.Mounts {
		if m.Type != "bind" {
			continue
		}
		option, err := mapped(m.Source)
		if err != nil {
			return fmt.Errorf("mount at %s: %w", m.Destination, err)
		}
		if option != "" {
			spec.Mounts[i].Options = append(m.Options[:len(m.Options):len(m.Options)], option)
		}
	}
	return nil
}
