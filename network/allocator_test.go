package network_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
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
