package linux

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// host is the machine's own network namespace, where uplinks end.
type host struct {
	*namespace
	tables *tables
}

func openHost(path string) (*host, error) {
	if path == "" {
		path = "/proc/self/ns/net"
	}
	ns, err := openNamespace(path)
	if err != nil {
		return nil, err
	}
	h := &host{namespace: ns, tables: newTables(ns.file)}
	if _, err := h.tables.exists(routerTable); err != nil { // the probe: it takes privilege and nftables
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *host) close() {
	h.tables.close()
	h.namespace.close()
}

// uplink is the host's end of an uplink of any fabric.
type uplink struct {
	mark
	link netlink.Link
}

// uplinks lists the uplinks of every fabric on this host.
func (h *host) uplinks() ([]uplink, error) {
	links, err := h.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links of the host: %w", err)
	}
	var ours []uplink
	for _, l := range links {
		if m, ok := parseMark(l.Attrs().Alias); ok && strings.HasPrefix(l.Attrs().Name, hostLinkHead) {
			ours = append(ours, uplink{m, l})
		}
	}
	return ours, nil
}

// routes returns the destinations of the host's routes but default ones and those into given links.
func (h *host) routes(without map[int]bool) ([]netip.Prefix, error) {
	list, err := h.handle.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes of the host: %w", err)
	}
	var prefixes []netip.Prefix
	for _, r := range list {
		if p, ok := prefixOf(r.Dst); ok && p.Bits() > 0 && !without[r.LinkIndex] {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes, nil
}

// outside reports whether the host has a way to addresses that are nobody's in particular: a default route. Asking for
// an address of a range for documentation costs the same however many routes there are, and sends nothing.
func (h *host) outside() bool {
	routes, err := h.handle.RouteGet(net.IPv4(198, 51, 100, 1))
	return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_UNICAST
}

const ipForward = "/proc/sys/net/ipv4/ip_forward"

// forwards reports whether the host forwards packets.
func (h *host) forwards() (bool, error) {
	var value []byte
	err := inNamespace(h.file, func() (err error) { value, err = os.ReadFile(ipForward); return err })
	return strings.TrimSpace(string(value)) != "0", err
}

// setForwards switches the host's forwarding.
func (h *host) setForwards(on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	return inNamespace(h.file, func() error { return unsupported(os.WriteFile(ipForward, []byte(value), 0)) })
}

// startForwarding sees to it that the host forwards. If it did not, the uplinks of the owner are marked first: the mark
// lives and dies with the kernel's state, and whoever removes the last marked uplink restores what was.
func (h *host) startForwarding(owner string) error {
	on, err := h.forwards()
	if err != nil {
		return fmt.Errorf("read ip_forward: %w", err)
	}
	links, err := h.uplinks()
	if err != nil {
		return err
	}
	if on && !anyMarked(links) {
		return nil // somebody else wants it on
	}
	for _, l := range links {
		if l.Owner != owner || l.Forward {
			continue
		}
		l.Forward = true
		if err := h.handle.LinkSetAlias(l.link, l.mark.String()); err != nil {
			return fmt.Errorf("mark %s: %w", l.link.Attrs().Name, err)
		}
	}
	if on {
		return nil
	}
	return h.setForwards(true)
}

func anyMarked(links []uplink) bool {
	for _, l := range links {
		if l.Forward {
			return true
		}
	}
	return false
}

// removeUplink removes the host's end of an uplink, and the other end with it. No error if there is none.
func (h *host) removeUplink(name string) error {
	links, err := h.uplinks()
	if err != nil {
		return err
	}
	var gone *uplink
	var others []uplink
	for i, l := range links {
		if l.link.Attrs().Name == name {
			gone = &links[i]
		} else {
			others = append(others, l)
		}
	}
	if gone == nil {
		return nil
	}
	if gone.Forward && !anyMarked(others) {
		if err := h.setForwards(false); err != nil {
			return fmt.Errorf("restore ip_forward: %w", err)
		}
	}
	return deleteLink(h.handle, gone.link)
}

// deleteLink deletes a link that may be gone.
func deleteLink(h *netlink.Handle, l netlink.Link) error {
	if err := h.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete link %s: %w", l.Attrs().Name, err)
	}
	return nil
}

// addRoute leads a prefix from the host into an uplink, with the host's end as source.
func (h *host) addRoute(link string, to netip.Prefix, ends uplinkEnds) error {
	l, err := h.handle.LinkByName(link)
	if err != nil {
		return err
	}
	from := ends.of(familyOf(to.Addr()))
	return h.handle.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(to), Gw: from.Next().AsSlice(),
		Src: from.AsSlice(), Protocol: routeProtocol})
}

// dropRoute removes what addRoute adds; it may be gone, or lead into another uplink.
func (h *host) dropRoute(link string, to netip.Prefix) error {
	l, err := h.handle.LinkByName(link)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	err = h.handle.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(to), Protocol: routeProtocol})
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// freePair returns a link-local pair of addresses for an uplink that nothing on the host uses: the host's end and the
// router's. The two after them are the uplink's, too. The search starts at a place that depends on seed, so that fabrics rarely meet.
func freePair(taken []netip.Prefix, seed uint32) (hostAddr, routerAddr netip.Addr, err error) {
	// 169.254.1.0 to 169.254.159.255: clear of what RFC 3927 reserves, of 169.254.169.254 and of what ECS uses.
	const blocks = 159 * 64
	for i := range uint32(blocks) {
		n := (seed + i) % blocks
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, byte(1 + n/64), byte(n % 64 * 4)}), 30)
		free := true
		for _, t := range taken {
			// A route as wide as 169.254.0.0/16 is the usual one of a host with link-local addresses; ours is longer and wins.
			free = free && (t.Bits() <= 16 || !t.Overlaps(p))
		}
		if free {
			return p.Addr(), p.Addr().Next(), nil
		}
	}
	return netip.Addr{}, netip.Addr{}, errors.New("no free pair of link-local addresses for an uplink in 169.254.0.0/16")
}

// prefixOf converts a destination; a missing one is the default route.
func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}

// ipNet converts a prefix.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
