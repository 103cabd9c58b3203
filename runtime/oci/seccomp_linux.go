package oci

import (
	"slices"
	"syscall"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// seccompProfile is Docker's default profile for the capabilities of the spec, put so that it compiles faster: the OCI
// runtime makes the filter anew for each container, and with libseccomp 2.5 that is most of what creating one takes.
func seccompProfile(spec *specs.Spec) (*specs.LinuxSeccomp, error) {
	profile, err := seccomp.GetDefaultProfile(spec)
	if err != nil || profile == nil {
		return profile, err
	}
	profile.Syscalls = withoutSocketcall(mergeValues(profile.Syscalls))
	// Distributions' kernels are built without the x32 ABI or start with it off. A process that tries it is killed, as
	// for every architecture that is not listed.
	profile.Architectures = slices.DeleteFunc(profile.Architectures, func(a specs.Arch) bool { return a == specs.ArchX32 })
	return profile, nil
}

// withoutSocketcall turns down the call by which 32-bit programs made sockets before Linux 4.3. Its arguments are in memory,
// where a filter does not see them, so that with it every family of sockets is allowed that the kernel has, AF_ALG and
// AF_VSOCK among them. Leaving it out is not enough: libseccomp allows it as another form of each call that is allowed, and
// only a rule without conditions replaces that. The price is 32-bit programs that use it: those of Go, and those with a
// glibc before 2.23.
func withoutSocketcall(rules []specs.LinuxSyscall) []specs.LinuxSyscall {
	var kept []specs.LinuxSyscall
	for _, r := range rules {
		r.Names = slices.DeleteFunc(slices.Clone(r.Names), func(name string) bool { return name == "socketcall" })
		if len(r.Names) > 0 {
			kept = append(kept, r)
		}
	}
	// Another answer than the profile's default, which is why OCI runtimes do not leave the rule out.
	return append(kept, specs.LinuxSyscall{Names: []string{"socketcall"}, Action: specs.ActErrno, ErrnoRet: new(uint(syscall.ENOSYS))})
}

// mergeValues replaces rules that allow one value each of a system call's argument by rules for blocks of values. The
// profile has 30 of them for the families of socket(2), and each costs.
func mergeValues(rules []specs.LinuxSyscall) []specs.LinuxSyscall {
	var merged []specs.LinuxSyscall
	values := map[string][]uint64{}
	var names []string // in the order of their first rule
	for _, r := range rules {
		v, ok := smallValues(r)
		if !ok {
			merged = append(merged, r)
			continue
		}
		name := r.Names[0]
		if values[name] == nil {
			names = append(names, name)
		}
		values[name] = append(values[name], v...)
	}
	for _, name := range names {
		for _, b := range blocks(values[name]) {
			merged = append(merged, specs.LinuxSyscall{
				Names: []string{name}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{b.arg()},
			})
		}
	}
	return merged
}

// smallValues are the values that a rule allows for the first argument of its only system call, if that is all it says
// and they are few and small.
func smallValues(r specs.LinuxSyscall) ([]uint64, bool) {
	const small = 64
	if len(r.Names) != 1 || r.Action != specs.ActAllow || r.ErrnoRet != nil || len(r.Args) != 1 {
		return nil, false
	}
	a := r.Args[0]
	switch {
	case a.Index != 0 || a.Value >= small:
		return nil, false
	case a.Op == specs.OpEqualTo:
		return []uint64{a.Value}, true
	case a.Op == specs.OpLessThan:
		var v []uint64
		for i := range a.Value {
			v = append(v, i)
		}
		return v, true
	}
	return nil, false
}

// block is size values from first on; size is a power of two and first a multiple of it.
type block struct{ first, size uint64 }

func (b block) arg() specs.LinuxSeccompArg {
	if b.size == 1 {
		return specs.LinuxSeccompArg{Value: b.first, Op: specs.OpEqualTo}
	}
	return specs.LinuxSeccompArg{Value: ^(b.size - 1), ValueTwo: b.first, Op: specs.OpMaskedEqual}
}

// blocks covers a set of values with as few blocks as there can be.
func blocks(values []uint64) []block {
	slices.Sort(values)
	values = slices.Compact(values)
	var bs []block
	for i := 0; i < len(values); {
		b := block{values[i], 1}
		for b.first%(2*b.size) == 0 && slices.Contains(values, b.first+2*b.size-1) && consecutive(values[i:], 2*b.size) {
			b.size *= 2
		}
		bs = append(bs, b)
		i += int(b.size)
	}
	return bs
}

// consecutive reports whether values begins with n values without a gap.
func consecutive(values []uint64, n uint64) bool {
	return uint64(len(values)) >= n && values[n-1] == values[0]+n-1
}
