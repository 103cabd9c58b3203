package network_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/fardel-io/fardel/network"
)

// twoZones returns a state of three small subnets, two of them in one zone.
func twoZones(t testing.TB) network.State {
	t.Helper()
	s := defaultVPC(t)
	v := s.VPCs[0].ID
	s.Subnets = []network.Subnet{
		{ID: "subnet-0000000a", VPC: v, CIDR: netip.MustParsePrefix("172.31.0.0/28"), AvailabilityZone: "a"},
		{ID: "subnet-0000000b", VPC: v, CIDR: netip.MustParsePrefix("172.31.1.0/28"), AvailabilityZone: "b"},
		{ID: "subnet-0000000c", VPC: v, CIDR: netip.MustParsePrefix("172.31.2.0/27"), AvailabilityZone: "b"},
	}
	return s
}

func defaultVPC(t testing.TB) network.State {
	t.Helper()
	s, err := network.DefaultVPC("test", netip.MustParsePrefix("172.31.0.0/16"), "eu-central-1", []string{"eu-central-1a", "eu-central-1b"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAllocatorSpreads(t *testing.T) {
	s := twoZones(t)
	a := network.NewAllocator(s)
	var got []string
	for range 6 {
		subnet, addr, err := a.Allocate(s.SubnetIDs())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, subnet[len(subnet)-1:]+" "+addr.String())
	}
	want := []string{"c 172.31.2.4", "a 172.31.0.4", "c 172.31.2.5", "a 172.31.0.5", "c 172.31.2.6", "a 172.31.0.6"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("allocated %v, want %v", got, want)
	}
}

func TestAllocatorFills(t *testing.T) {
	s := twoZones(t)
	a := network.NewAllocator(s)
	subnet := s.Subnets[0].ID
	seen := map[netip.Addr]bool{}
	for range s.Subnets[0].Size() {
		_, addr, err := a.Allocate([]string{subnet})
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] || s.Subnets[0].Reserved(addr) || !s.Subnets[0].CIDR.Contains(addr) {
			t.Errorf("allocated %s", addr)
		}
		seen[addr] = true
	}
	if len(seen) != 11 || a.Free(subnet) != 0 { // a /28 has 16 addresses, 5 are EC2's
		t.Errorf("%d addresses, %d free, want 11 and 0", len(seen), a.Free(subnet))
	}
	if _, _, err := a.Allocate([]string{subnet}); !errors.Is(err, network.ErrNoAddress) {
		t.Errorf("full subnet: %v", err)
	}
	if _, _, err := a.Allocate([]string{"subnet-00000000"}); !errors.Is(err, network.ErrNotFound) {
		t.Errorf("unknown subnet: %v", err)
	}
	a.Release(subnet, netip.MustParseAddr("172.31.0.9"))
	a.Release(subnet, netip.MustParseAddr("172.31.0.9"))
	a.Release(subnet, netip.MustParseAddr("172.31.9.9"))
	if _, addr, err := a.Allocate([]string{subnet}); err != nil || addr != netip.MustParseAddr("172.31.0.9") {
		t.Errorf("after Release: %s, %v", addr, err)
	}
}

func TestAllocatorRests(t *testing.T) {
	s := twoZones(t)
	a := network.NewAllocator(s)
	subnet := []string{s.Subnets[0].ID}
	_, first, err := a.Allocate(subnet)
	if err != nil {
		t.Fatal(err)
	}
	a.Release(subnet[0], first)
	for range s.Subnets[0].Size() - 1 {
		if _, addr, _ := a.Allocate(subnet); addr == first {
			t.Fatalf("%s is given again while others are free", first)
		}
	}
	if _, addr, _ := a.Allocate(subnet); addr != first {
		t.Errorf("allocated %s, want the released %s", addr, first)
	}
}

func TestAllocatorReserve(t *testing.T) {
	s := twoZones(t)
	s.ENIs = []network.ENI{{Subnet: s.Subnets[0].ID, PrivateIPv4: netip.MustParseAddr("172.31.0.4")}}
	a := network.NewAllocator(s)
	tests := []struct {
		subnet, addr string
		want         error
	}{
		{"subnet-0000000a", "172.31.0.4", network.ErrAddressInUse},
		{"subnet-0000000a", "172.31.0.5", nil},
		{"subnet-0000000a", "172.31.0.5", network.ErrAddressInUse},
		{"subnet-0000000a", "172.31.0.0", network.ErrInvalid},
		{"subnet-0000000a", "172.31.0.3", network.ErrInvalid},
		{"subnet-0000000a", "172.31.0.15", network.ErrInvalid},
		{"subnet-0000000a", "172.31.1.5", network.ErrInvalid},
		{"subnet-0000000a", "::1", network.ErrInvalid},
		{"subnet-0000000d", "172.31.1.5", network.ErrNotFound},
	}
	for _, tt := range tests {
		if err := a.Reserve(tt.subnet, netip.MustParseAddr(tt.addr)); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("Reserve(%s, %s) = %v, want %v", tt.subnet, tt.addr, err, tt.want)
		}
	}
	if _, addr, err := a.Allocate([]string{"subnet-0000000a"}); err != nil || addr != netip.MustParseAddr("172.31.0.6") {
		t.Errorf("Allocate = %s, %v", addr, err)
	}
}

// TestAllocatorModel compares the allocator with a set, over many random calls in a /16.
func TestAllocatorModel(t *testing.T) {
	s := defaultVPC(t)
	s.Subnets = []network.Subnet{{ID: "subnet-0000000a", VPC: s.VPCs[0].ID, CIDR: netip.MustParsePrefix("172.31.0.0/22"), AvailabilityZone: "a"}}
	n := s.Subnets[0]
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	a := network.NewAllocator(s)
	var taken []netip.Addr
	used := map[netip.Addr]bool{}
	for range 20000 {
		if len(taken) > 0 && r.IntN(100) < 48 {
			i := r.IntN(len(taken))
			a.Release(n.ID, taken[i])
			delete(used, taken[i])
			taken[i] = taken[len(taken)-1]
			taken = taken[:len(taken)-1]
			continue
		}
		_, addr, err := a.Allocate([]string{n.ID})
		if full := len(taken) == n.Size(); full != errors.Is(err, network.ErrNoAddress) {
			t.Fatalf("%d of %d taken: %v", len(taken), n.Size(), err)
		} else if full {
			continue
		}
		if used[addr] || n.Reserved(addr) || !n.CIDR.Contains(addr) {
			t.Fatalf("allocated %s", addr)
		}
		used[addr] = true
		taken = append(taken, addr)
		if a.Free(n.ID) != n.Size()-len(taken) {
			t.Fatalf("Free = %d, want %d", a.Free(n.ID), n.Size()-len(taken))
		}
	}
}

func TestAllocatorIPv6(t *testing.T) {
	s := campus(t)
	a := network.NewAllocator(s)
	subnet := s.Subnets[0].ID
	var got []string
	for range 3 {
		addr, err := a.AllocateIPv6(subnet)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, addr.String())
	}
	// After the one that an ENI has.
	if want := []string{"2001:db8:a:1::11", "2001:db8:a:1::12", "2001:db8:a:1::13"}; !slices.Equal(got, want) {
		t.Errorf("allocated %v, want %v", got, want)
	}
	a.ReleaseIPv6(subnet, ip("2001:db8:a:1::12"))
	tests := []struct {
		subnet, addr string
		want         error
	}{
		{subnet, "2001:db8:a:1::10", network.ErrAddressInUse},
		{subnet, "2001:db8:a:1::11", network.ErrAddressInUse},
		{subnet, "2001:db8:a:1::12", nil},
		{subnet, "2001:db8:a:1::3", network.ErrInvalid},
		{subnet, "2001:db8:a:1:ffff:ffff:ffff:fffe", nil},
		{subnet, "2001:db8:a:1:ffff:ffff:ffff:ffff", network.ErrInvalid},
		{subnet, "2001:db8:a:2::10", network.ErrInvalid},
		{"subnet-000000a9", "2001:db8:a:2::10", network.ErrInvalid},
		{"subnet-00000000", "2001:db8:a:2::10", network.ErrNotFound},
	}
	for _, tt := range tests {
		if err := a.ReserveIPv6(tt.subnet, ip(tt.addr)); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("ReserveIPv6(%s, %s): %v, want %v", tt.subnet, tt.addr, err, tt.want)
		}
	}
	// After the last address the first free one comes again.
	if addr, err := a.AllocateIPv6(subnet); err != nil || addr != ip("2001:db8:a:1::4") {
		t.Errorf("after the last one: %s, %v", addr, err)
	}
	if _, err := a.AllocateIPv6("subnet-000000a9"); !errors.Is(err, network.ErrInvalid) {
		t.Errorf("in a subnet without IPv6: %v", err)
	}
}

func TestAllocatorPublic(t *testing.T) {
	s := campus(t)
	s.PublicIPv4Pools = []network.PublicIPv4Pool{
		{ID: "ipv4pool-ec2-00000001", CIDRs: []netip.Prefix{pfx("203.0.113.0/30"), pfx("203.0.113.9/32")}},
		{ID: "ipv4pool-ec2-00000002", CIDRs: []netip.Prefix{pfx("203.0.113.16/31")}},
	}
	a := network.NewAllocator(s) // 1, 2, 3 and 9 are taken
	take := func(pool, want string) {
		t.Helper()
		addr, err := a.AllocatePublic(pool)
		if want == "" && !errors.Is(err, network.ErrNoAddress) || want != "" && (err != nil || addr != ip(want)) {
			t.Errorf("AllocatePublic(%s) = %s, %v, want %s", pool, addr, err, want)
		}
	}
	take("ipv4pool-ec2-00000002", "203.0.113.16")
	take("", "203.0.113.0")
	take("ipv4pool-ec2-00000001", "")
	take("", "203.0.113.17")
	take("", "")
	a.ReleasePublic(ip("203.0.113.2"))
	a.ReleasePublic(ip("203.0.113.2"))
	a.ReleasePublic(ip("192.0.2.1"))
	if err := a.ReservePublic(ip("203.0.113.1")); !errors.Is(err, network.ErrAddressInUse) {
		t.Errorf("reserve one that is taken: %v", err)
	}
	if err := a.ReservePublic(ip("192.0.2.1")); !errors.Is(err, network.ErrNotFound) {
		t.Errorf("reserve one of no pool: %v", err)
	}
	take("", "203.0.113.2")
	take("", "")
}

// TestAllocatorKnowsAll checks that what is allocated beside everything in a state is valid there.
func TestAllocatorKnowsAll(t *testing.T) {
	s := campus(t)
	a := network.NewAllocator(s)
	for i := range 60 {
		e := network.ENI{ID: network.NewID("eni", fmt.Sprint(i)), MAC: network.NewMAC(fmt.Sprint(i)), SecurityGroups: []string{"sg-000000a1"}, AssignPublicIP: true}
		var err error
		if e.Subnet, e.PrivateIPv4, err = a.Allocate([]string{"subnet-000000a1"}); err != nil {
			t.Fatal(err)
		}
		if e.IPv6, err = a.AllocateIPv6(e.Subnet); err != nil {
			t.Fatal(err)
		}
		if e.PublicIPv4, err = a.AllocatePublic(""); err != nil {
			t.Fatal(err)
		}
		s.ENIs = append(s.ENIs, e)
	}
	if err := network.Validate(s); err != nil {
		t.Error(err)
	}
}

// BenchmarkAllocate shows that the cost does not depend on how full a /16 is.
func BenchmarkAllocate(b *testing.B) {
	for _, used := range []int{0, 1000, 65000} {
		b.Run(fmt.Sprint(used), func(b *testing.B) {
			s := defaultVPC(b)
			s.Subnets[0].CIDR = netip.MustParsePrefix("172.31.0.0/16")
			s.Subnets = s.Subnets[:1]
			a := network.NewAllocator(s)
			subnets := s.SubnetIDs()
			for range used {
				if _, _, err := a.Allocate(subnets); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				subnet, addr, err := a.Allocate(subnets)
				if err != nil {
					b.Fatal(err)
				}
				a.Release(subnet, addr)
			}
		})
	}
}

// BenchmarkAllocateIPv6 shows that the cost does not depend on how many addresses are taken.
func BenchmarkAllocateIPv6(b *testing.B) {
	for _, used := range []int{0, 1000, 65000} {
		b.Run(fmt.Sprint(used), func(b *testing.B) {
			s := campus(b)
			a := network.NewAllocator(s)
			subnet := s.Subnets[0].ID
			for range used {
				if _, err := a.AllocateIPv6(subnet); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				addr, err := a.AllocateIPv6(subnet)
				if err != nil {
					b.Fatal(err)
				}
				a.ReleaseIPv6(subnet, addr)
			}
		})
	}
}
