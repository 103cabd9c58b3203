package runtime

import (
	"slices"
	"strings"
)

// MayTrace reports whether processes of the container can have the capability SYS_PTRACE, whoever runs them: everything
// that another process in their PID namespace has is theirs then, its files and its powers. It is false of containers that
// are privileged or can have SYS_ADMIN, for they were given the host.
func (c ContainerSpec) MayTrace() bool {
	return !c.Privileged && c.mayHave("SYS_PTRACE") && !c.mayHave("SYS_ADMIN")
}

// mayHave is about capabilities that no container has by default.
func (c ContainerSpec) mayHave(capability string) bool {
	named := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.TrimPrefix(strings.ToUpper(s), "CAP_") == name })
	}
	if named(c.CapAdd, "ALL") { // all but those that are dropped
		return !named(c.CapDrop, capability)
	}
	return named(c.CapAdd, capability) // drops come first
}
