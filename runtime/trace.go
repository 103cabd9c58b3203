package runtime

import (
	"slices"
	"strings"
)

// MayTrace reports whether processes of the container can have the capability SYS_PTRACE, whoever runs them: everything
// that another process in their PID namespace has is theirs then, its files and its powers. It is false of containers that
// are privileged or can have SYS_ADMIN, for they were given the host.
func (s ContainerSpec) MayTrace() bool {
	return !s.Privileged && s.mayHave("SYS_PTRACE") && !s.mayHave("SYS_ADMIN")
}

// mayHave is about capabilities that no container has by default.
func (s ContainerSpec) mayHave(capability string) bool {
	named := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(c string) bool { return strings.TrimPrefix(strings.ToUpper(c), "CAP_") == name })
	}
	if named(s.CapAdd, "ALL") { // all but those that are dropped
		return !named(s.CapDrop, capability)
	}
	return named(s.CapAdd, capability) // drops come first
}
