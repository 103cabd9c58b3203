package network

import (
	"fmt"
	"net/netip"
	"slices"
)

// FreeCIDR returns a /16 for a default VPC that overlaps none of the given prefixes, such as the routes of the host:
// 172.31.0.0/16 as in EC2 if it can be had, else another part of 172.16.0.0/12 from the top down (Docker takes its own from
// the bottom up), then of 10.0.0.0/8. A default route among the prefixes does not count. [ErrConflict] if all
// are taken.
func FreeCIDR(taken []netip.Prefix) (netip.Prefix, error) {
	for _, c := range defaultCIDRs() {
		overlaps := func(p netip.Prefix) bool { return p.IsValid() && p.Bits() > 0 && p.Overlaps(c) }
		if !slices.ContainsFunc(taken, overlaps) {
			return c, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("%w: every private /16 overlaps a route of the host: give the VPC a CIDR", ErrConflict)
}

// defaultCIDRs lists what FreeCIDR chooses from, best first.
func defaultCIDRs() []netip.Prefix {
	var all []netip.Prefix
	for second := 31; second >= 16; second-- {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(second)}), 16))
	}
	for second := 255; second >= 0; second-- {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(second)}), 16))
	}
	return all
}
