package linux

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/fardel-io/fardel/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Whose an answer for an address is shows in the host's routes: it is made after the route of its address into an uplink
// of ours and removed before it. So nothing is written down, and nothing of others is taken for ours.

// addProxy has the host answer on one of its links for an address.
func (h *host) addProxy(p proxy) error {
	l, err := h.handle.LinkByName(p.Link)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return fmt.Errorf("%w: Config.PublicAddressLink: the host has no link %q", network.ErrInvalid, p.Link)
	}
	if err != nil {
		return err
	}
	return h.handle.NeighSet(proxyNeighbor(l, p.Addr))
}

// dropProxy removes what addProxy adds; it may be gone, and the link, too.
func (h *host) dropProxy(p proxy) error {
	l, err := h.handle.LinkByName(p.Link)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := h.handle.NeighDel(proxyNeighbor(l, p.Addr)); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

func proxyNeighbor(l netlink.Link, a netip.Addr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: l.Attrs().Index, Family: int(familyOf(a).af()), Flags: netlink.NTF_PROXY, IP: a.AsSlice()}
}

// proxies lists the addresses for which the host answers on its links, of those that it routes into uplinks of ours.
func (h *host) proxies(links map[string]hostLink) (map[proxy]bool, error) {
	list, err := h.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links of the host: %w", err)
	}
	names := map[int]string{}
	for _, l := range list {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	found := map[proxy]bool{}
	for _, f := range families() {
		all, err := h.handle.NeighProxyList(0, int(f.af()))
		if err != nil {
			return nil, fmt.Errorf("list what the host answers for: %w", err)
		}
		for _, n := range all {
			addr, ok := netip.AddrFromSlice(n.IP)
			if addr = addr.Unmap(); !ok || n.Flags&netlink.NTF_PROXY == 0 {
				continue
			}
			for _, l := range links {
				if l.Routes[netip.PrefixFrom(addr, addr.BitLen())] {
					found[proxy{names[n.LinkIndex], addr}] = true
				}
			}
		}
	}
	return found, nil
}

// announce leads an address of its own from the host to an ENI, and has the host answer for it.
func (f *Fabric) announce(r *router, a netip.Addr) error {
	err := f.host.addRoute(hostLinkName(f.cfg.Owner, r.vpc), netip.PrefixFrom(a, a.BitLen()), r.uplinkEnds())
	if err == nil && f.cfg.PublicAddressLink != "" {
		err = f.host.addProxy(proxy{f.cfg.PublicAddressLink, a})
	}
	return err
}

// renounce undoes announce.
func (f *Fabric) renounce(r *router, a netip.Addr) error {
	if f.cfg.PublicAddressLink != "" {
		if err := f.host.dropProxy(proxy{f.cfg.PublicAddressLink, a}); err != nil {
			return err
		}
	}
	return f.host.dropRoute(hostLinkName(f.cfg.Owner, r.vpc), netip.PrefixFrom(a, a.BitLen()))
}

// announceIPv6 announces the IPv6 address of an ENI that comes, or renounces that of one that goes, if the host answers
// for any. It stays while the ENI is attached.
func (f *Fabric) announceIPv6(r *router, old, p *port) error {
	switch {
	case f.cfg.PublicAddressLink == "":
		return nil
	case old == nil && p.IPv6.IsValid():
		return f.announce(r, p.IPv6)
	case p == nil && old.IPv6.IsValid():
		return f.renounce(r, old.IPv6)
	}
	return nil
}

// answersNDP reports whether the host makes use of what it is told to answer for IPv6 on a link.
func (h *host) answersNDP(link string) bool {
	answers := false
	_ = inNamespace(h.file, func() error {
		for _, scope := range []string{"all", link} {
			value, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + scope + "/proxy_ndp")
			answers = answers || err == nil && strings.TrimSpace(string(value)) != "0"
		}
		return nil
	})
	return answers
}
