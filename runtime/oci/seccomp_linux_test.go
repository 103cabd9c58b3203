package oci

import (
	"slices"
	"testing"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// permits says what a profile's rules make of a system call with one argument that matters.
func permits(rules []specs.LinuxSyscall, name string, arg uint64) bool {
	return slices.ContainsFunc(rules, func(r specs.LinuxSyscall) bool {
		if r.Action != specs.ActAllow || !slices.Contains(r.Names, name) {
			return false
		}
		for _, a := range r.Args {
			if a.Index != 0 {
				continue
			}
			ok := map[specs.LinuxSeccompOperator]bool{
				specs.OpEqualTo: arg == a.Value, specs.OpLessThan: arg < a.Value,
				specs.OpMaskedEqual: arg&a.Value == a.ValueTwo,
			}
			if !ok[a.Op] {
				return false
			}
		}
		return true
	})
}

func TestMergedProfileSaysTheSame(t *testing.T) {
	plain, err := seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		t.Fatal(err)
	}
	merged := mergeValues(plain.Syscalls)
	if len(merged) >= len(plain.Syscalls) {
		t.Errorf("%d rules became %d", len(plain.Syscalls), len(merged))
	}
	values := []uint64{1 << 17, 1<<17 | 8, 1<<32 - 1, 1 << 32, 1<<32 | 2, 1<<64 - 1}
	for v := range uint64(300) {
		values = append(values, v)
	}
	for _, name := range []string{"socket", "personality", "clone", "read", "mount"} {
		for _, v := range values {
			if was, is := permits(plain.Syscalls, name, v), permits(merged, name, v); was != is {
				t.Errorf("%s(%d): allowed %v became %v", name, v, was, is)
			}
		}
	}
}

// TestProfileHasNoSocketcall has the whole profile, of which 32-bit programs are a part.
func TestProfileHasNoSocketcall(t *testing.T) {
	profile, err := seccompProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(profile.Architectures, specs.ArchX86) && profile.Architectures[0] == specs.ArchX86_64 {
		t.Errorf("architectures %v", profile.Architectures)
	}
	const unixDomain, ciphers, hypervisor = 1, 38, 40
	for _, family := range []uint64{unixDomain, ciphers, hypervisor} {
		if permits(profile.Syscalls, "socketcall", 1) || permits(profile.Syscalls, "socket", family) != (family == unixDomain) {
			t.Errorf("sockets of family %d are allowed, or those of AF_UNIX are not", family)
		}
	}
	if !permits(profile.Syscalls, "connect", 0) {
		t.Error("more than socketcall is gone")
	}
}

// answers says what a profile's rules make of setsockopt with a level and an option.
func answers(rules []specs.LinuxSyscall, level, option uint64) specs.LinuxSeccompAction {
	for _, r := range rules {
		matches := slices.Contains(r.Names, "setsockopt")
		for _, a := range r.Args {
			value := map[uint]uint64{1: level, 2: option}[a.Index]
			matches = matches && a.Op == specs.OpMaskedEqual && value&a.Value == a.ValueTwo
		}
		if matches {
			return r.Action
		}
	}
	return specs.ActKill
}

func TestProfileHasNoRings(t *testing.T) {
	process := func(capabilities ...string) *specs.Spec {
		return &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: capabilities}}}
	}
	profile, err := seccompProfile(process("CAP_NET_RAW"))
	if err != nil {
		t.Fatal(err)
	}
	const high = 7 << 32 // which the kernel does not look at
	for level := range uint64(288) {
		for option := range uint64(32) {
			want := specs.ActAllow
			if level == 263 && (option == 5 || option == 13 || option == 18) {
				want = specs.ActErrno
			}
			for _, got := range []specs.LinuxSeccompAction{
				answers(profile.Syscalls, level, option), answers(profile.Syscalls, level|high, option|high),
			} {
				if got != want {
					t.Errorf("level %d, option %d: %v, want %v", level, option, got, want)
				}
			}
		}
	}
	if permits(profile.Syscalls, "socket", 44) || !permits(profile.Syscalls, "socket", 17) || !permits(profile.Syscalls, "socket", 43) {
		t.Error("AF_XDP is allowed, or AF_PACKET or AF_SMC is not")
	}
	if profile, err = seccompProfile(process("CAP_NET_ADMIN")); err != nil || answers(profile.Syscalls, 263, 5) != specs.ActAllow {
		t.Errorf("an operator's container has no rings: %v", err)
	}
}

func TestBlocks(t *testing.T) {
	for name, values := range map[string][]uint64{
		"none": nil, "one": {5}, "twice": {5, 5}, "pair": {4, 5}, "not aligned": {5, 6}, "all": {0, 1, 2, 3, 4, 5, 6, 7},
		"sparse": {0, 1, 2, 7, 8, 9, 10, 13, 14, 15, 16, 28, 29, 30, 31},
	} {
		var covered []uint64
		for _, b := range blocks(slices.Clone(values)) {
			if b.first%b.size != 0 {
				t.Errorf("%s: block %+v is not aligned", name, b)
			}
			for i := range b.size {
				covered = append(covered, b.first+i)
			}
		}
		want := slices.Compact(slices.Sorted(slices.Values(values)))
		if !slices.Equal(covered, want) {
			t.Errorf("%s: %v covered by blocks of %v", name, want, covered)
		}
	}
}
