package runtime

import "testing"

func TestMayTrace(t *testing.T) {
	for _, c := range []struct {
		name string
		spec ContainerSpec
		want bool
	}{
		{"by default", ContainerSpec{}, false},
		{"added", ContainerSpec{CapAdd: []string{"SYS_PTRACE"}}, true},
		{"added, in other words", ContainerSpec{CapAdd: []string{"cap_sys_ptrace"}}, true},
		{"dropped first", ContainerSpec{CapAdd: []string{"SYS_PTRACE"}, CapDrop: []string{"ALL", "SYS_PTRACE"}}, true},
		{"only another", ContainerSpec{CapAdd: []string{"NET_ADMIN"}}, false},
		{"for another user", ContainerSpec{CapAdd: []string{"SYS_PTRACE"}, User: "1000"}, true},
		{"with the host", ContainerSpec{CapAdd: []string{"SYS_PTRACE", "SYS_ADMIN"}}, false},
		{"privileged", ContainerSpec{CapAdd: []string{"SYS_PTRACE"}, Privileged: true}, false},
		{"all", ContainerSpec{CapAdd: []string{"ALL"}}, false},
		{"all but the host", ContainerSpec{CapAdd: []string{"ALL"}, CapDrop: []string{"SYS_ADMIN"}}, true},
		{"all but both", ContainerSpec{CapAdd: []string{"ALL"}, CapDrop: []string{"SYS_ADMIN", "SYS_PTRACE"}}, false},
	} {
		if got := c.spec.MayTrace(); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
