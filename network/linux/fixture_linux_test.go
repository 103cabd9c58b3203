package linux

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/network"
)

// newFabric returns a fabric over a fresh directory, which is emptied and closed when the test ends.
func newFabric(t testing.TB, owner string, edit ...func(*Config)) *Fabric {
	t.Helper()
	lane.Root(t)
	cfg := Config{Dir: t.TempDir(), Owner: owner}
	withUserNS(&cfg)
	for _, e := range edit {
		e(&cfg)
	}
	return openFabric(t, cfg)
}

// openFabric opens a fabric over a directory that another one may have used.
func openFabric(t testing.TB, cfg Config) *Fabric {
	t.Helper()
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := f.Apply(context.Background(), network.State{})
		if err != nil && !f.closed {
			t.Errorf("remove everything: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

// testVPC returns a default VPC with one zone and no ENIs.
func testVPC(t testing.TB, seed, cidr string) network.State {
	t.Helper()
	s, err := network.DefaultVPC(seed, netip.MustParsePrefix(cidr), "eu-central-1", []string{"eu-central-1a", "eu-central-1b"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testENI returns the n-th ENI of a state in its first subnet, with the default group.
func testENI(s network.State, n int) network.ENI {
	base := s.Subnets[0].CIDR.Addr().As4()
	base[2] += byte((n + 4) / 256)
	base[3] = byte((n + 4) % 256)
	seed := fmt.Sprint(s.VPCs[0].ID, " ", n)
	return network.ENI{ID: network.NewID("eni", seed), Subnet: s.Subnets[0].ID, PrivateIPv4: netip.AddrFrom4(base),
		MAC: network.NewMAC(seed), SecurityGroups: []string{s.SecurityGroups[0].ID}}
}

func prefixes(s string) []netip.Prefix { return []netip.Prefix{prefix(s)} }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
