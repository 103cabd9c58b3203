package linux

import (
	"net/netip"
	"strings"
)

// family is a version of IP as nftables knows it.
type family string

const (
	ipv4 family = "ip"
	ipv6 family = "ip6"
)

// arp is the family of nftables for ARP, which has a table of its own.
const arp family = "arp"

// families returns both versions of IP, in the order in which rulesets have them.
func families() []family { return []family{ipv4, ipv6} }

func familyOf(a netip.Addr) family {
	if a.Is6() {
		return ipv6
	}
	return ipv4
}

// holds reports whether p is a prefix of the family.
func (f family) holds(p netip.Prefix) bool { return p.IsValid() && familyOf(p.Addr()) == f }

// everywhere is the prefix of all addresses.
func (f family) everywhere() netip.Prefix {
	if f == ipv6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// reserved is the range of the addresses of uplinks, which no VPC may have: link-local ones, and for IPv6, where those do
// not do as the source of what crosses a link, unique local ones.
func (f family) reserved() netip.Prefix {
	if f == ipv6 {
		return netip.PrefixFrom(mapUplink(netip.AddrFrom4([4]byte{})), 96)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16)
}

// mapUplink returns the IPv6 address of the end of an uplink that has an IPv4 address: fdfa:7de1:: and that.
func mapUplink(a netip.Addr) netip.Addr {
	b := [16]byte{0xfd, 0xfa, 0x7d, 0xe1}
	if v4 := a.As4(); a.Is4() {
		copy(b[12:], v4[:])
	}
	return netip.AddrFrom16(b)
}

// only returns those of the prefixes that are of the family.
func (f family) only(prefixes []netip.Prefix) []netip.Prefix {
	var list []netip.Prefix
	for _, p := range prefixes {
		if f.holds(p) {
			list = append(list, p)
		}
	}
	return list
}

// addressKind is the type of a set of addresses.
func (f family) addressKind() string {
	if f == ipv6 {
		return "ipv6_addr"
	}
	return "ipv4_addr"
}

// in writes a text for the family that has "ip" where the family's name belongs.
func (f family) in(text string) string {
	if f == ipv6 {
		return strings.ReplaceAll(text, "IP", "ip6")
	}
	return strings.ReplaceAll(text, "IP", "ip")
}
