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
	if !mayAdministerNetwork(spec) {
		profile.Syscalls = withoutRings(profile.Syscalls)
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

// mayAdministerNetwork reports whether a container has what only an operator gives, on EC2.
func mayAdministerNetwork(spec *specs.Spec) bool {
	return spec.Process != nil && spec.Process.Capabilities != nil && slices.Contains(spec.Process.Capabilities.Bounding, "CAP_NET_ADMIN")
}

// Options of AF_PACKET that have the kernel take memory which it charges to nobody: without a limit for a ring, half a mebibyte
// for the sockets that share packets. With NET_RAW alone one container could have all of the machine's.
var ringOptions = []uint64{packetReceiveRing, packetSendRing, packetFanout}

const (
	packetReceiveRing = 5
	packetSendRing    = 13
	packetFanout      = 18
	familyXDP         = 44
	solPacket         = 263
	usedOptions       = 32  // of AF_PACKET, those that the kernel has and some more
	commonLevels      = 256 // protocols of IP, and the sockets' own
	moreLevels        = 288 // those of other families end before
)

// withoutRings allows setsockopt(2) but for ringOptions, and takes away AF_XDP, which is nothing but rings. Programs that
// capture packets have them copied instead, as before there were rings. The kernel looks at 32 bits of the arguments, so the
// rules do, too.
func withoutRings(rules []specs.LinuxSyscall) []specs.LinuxSyscall {
	var kept []specs.LinuxSyscall
	allowed := false
	for _, r := range rules {
		if r.Action == specs.ActAllow && len(r.Args) == 0 && slices.Contains(r.Names, "setsockopt") {
			r.Names, allowed = slices.DeleteFunc(slices.Clone(r.Names), func(name string) bool { return name == "setsockopt" }), true
		}
		isXDP := slices.Equal(r.Names, []string{"socket"}) && len(r.Args) == 1 && r.Args[0].Op == specs.OpEqualTo && r.Args[0].Value == familyXDP
		if len(r.Names) > 0 && !isXDP {
			kept = append(kept, r)
		}
	}
	if !allowed {
		return kept
	}
	option := func(action specs.LinuxSeccompAction, errno *uint, args ...specs.LinuxSeccompArg) {
		kept = append(kept, specs.LinuxSyscall{Names: []string{"setsockopt"}, Action: action, ErrnoRet: errno, Args: args})
	}
	levels := []block{{0, commonLevels}}
	var others []uint64
	for level := uint64(commonLevels); level < moreLevels; level++ {
		if level != solPacket {
			others = append(others, level)
		}
	}
	for _, b := range append(levels, blocks(others)...) {
		option(specs.ActAllow, nil, b.low(1))
	}
	packet := block{solPacket, 1}.low(1)
	var options []uint64
	for o := range uint64(usedOptions) {
		if !slices.Contains(ringOptions, o) {
			options = append(options, o)
		}
	}
	for _, b := range blocks(options) {
		option(specs.ActAllow, nil, packet, b.low(2))
	}
	for _, o := range ringOptions { // what a kernel without them says
		option(specs.ActErrno, new(uint(syscall.ENOPROTOOPT)), packet, block{o, 1}.low(2))
	}
	return kept
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

// low is the block among the low 32 bits of an argument.
func (b block) low(index uint) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: index, Value: (1<<32 - 1) &^ (b.size - 1), ValueTwo: b.first, Op: specs.OpMaskedEqual}
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
