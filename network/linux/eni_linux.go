package linux

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func hardware(m network.MAC) net.HardwareAddr { return net.HardwareAddr(m[:]) }

// makeENI makes the namespace of a task at path and links it to its router. What the router lets through is not its
// business: until the ruleset knows the ENI, nothing.
func (r *router) makeENI(rec record, group uint32) error {
	path, e, a := rec.Attachment.NetNS, rec.ENI, rec.Attachment
	ns, err := makeOwnedNamespace(path, taskSysctls(e.IPv6.IsValid()), rec.FirstID)
	if err != nil {
		return err
	}
	defer ns.close()
	err = r.linkPort(ns, linkName(e.ID), group, e, a)
	if err == nil {
		err = r.setLimit(e)
	}
	if err != nil {
		return errors.Join(err, r.dropLink(linkName(e.ID)), clearMountPoint(path))
	}
	return nil
}

// linkPort links a namespace to its router, by a link of the group of its subnet.
func (r *router) linkPort(ns *namespace, name string, group uint32, e network.ENI, a network.Attachment) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.Flags, attrs.Group = name, hardware(routerMAC()), net.FlagUp, group
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr, veth.PeerNamespace = eniName, hardware(e.MAC), netlink.NsFd(ns.fd())
	if err := r.handle.LinkAdd(veth); err != nil {
		return fmt.Errorf("add link: %w", unsupportedLink(err))
	}
	index := veth.Attrs().Index
	for _, at := range portNeighbors(e) {
		if err := setNeighbor(r.handle, index, at.Addr, at.MAC); err != nil {
			return fmt.Errorf("add neighbor: %w", err)
		}
	}
	for _, to := range portRoutes(e) {
		err := r.handle.RouteReplace(&netlink.Route{LinkIndex: index, Dst: ipNet(to.To), Scope: netlink.SCOPE_LINK, Protocol: routeProtocol})
		if err != nil {
			return fmt.Errorf("add route: %w", err)
		}
	}
	if err := setUpENI(ns.handle, a); err != nil {
		return err
	}
	return awaitUp(r.handle, index)
}

// Waiting for a link to carry packets: how long, and how often to look.
const (
	upPatience = 2 * time.Second
	upPause    = time.Millisecond
)

// awaitUp waits until a link carries packets. Of a pair, the end that is set up first is activated by a kernel worker
// some time after the other one, and drops what is sent into it until then. Kernels from 6.10 on do it when asked for
// the link's state.
func awaitUp(h *netlink.Handle, index int) error {
	for range upPatience / upPause {
		l, err := h.LinkByIndex(index)
		if err != nil {
			return err
		}
		if l.Attrs().OperState == netlink.OperUp {
			return nil
		}
		<-time.After(upPause)
	}
	return fmt.Errorf("link %d is not up after %v", index, upPatience)
}

// setUpENI configures the task's end. Everything goes by the router, neighbours in the subnet too, so there is no route
// to the subnet's prefix; and the router's hardware address is given, so nobody is asked for it.
func setUpENI(h *netlink.Handle, a network.Attachment) error {
	l, err := h.LinkByName(eniName)
	if err != nil {
		return err
	}
	index := l.Attrs().Index
	if err := h.AddrAdd(l, &netlink.Addr{IPNet: ipNet(a.Address), Flags: unix.IFA_F_NOPREFIXROUTE}); err != nil {
		return fmt.Errorf("add address: %w", err)
	}
	// With MSG_DONTROUTE a task has every address on its link. What it looks for would be in the kernel's one table of neighbors
	// for seconds, and there is no room for more than 1024 of the host's and all tasks'.
	if err := h.LinkSetARPOff(l); err != nil {
		return fmt.Errorf("look for no neighbors: %w", err)
	}
	if err := h.LinkSetUp(l); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	if err := setUpGateway(h, index, a.Gateway); err != nil || !a.IPv6Address.IsValid() {
		return err
	}
	err = h.AddrAdd(l, &netlink.Addr{IPNet: ipNet(a.IPv6Address), Flags: unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD})
	if err != nil {
		return fmt.Errorf("add address: %w", err)
	}
	return setUpGateway(h, index, a.IPv6Gateway)
}

// setUpGateway leads everything to the router.
func setUpGateway(h *netlink.Handle, link int, gateway netip.Addr) error {
	if err := setNeighbor(h, link, gateway, routerMAC()); err != nil {
		return fmt.Errorf("add the router as neighbor: %w", err)
	}
	if gateway.Is4() {
		err := h.RouteAdd(&netlink.Route{LinkIndex: link, Dst: ipNet(netip.PrefixFrom(gateway, 32)), Scope: netlink.SCOPE_LINK})
		if err != nil {
			return fmt.Errorf("add route to the router: %w", err)
		}
	}
	err := h.RouteAdd(&netlink.Route{LinkIndex: link, Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK)})
	if err != nil {
		return fmt.Errorf("add default route by %s: %w", gateway, err)
	}
	return nil
}

// reaped is what is left of an ENI that nothing can use any more.
type reaped struct {
	router *router // nil if it is gone
	rec    record
	done   chan struct{}
}

// reap finishes the removal of ENIs of any routers: connections that the router remembers, so that the next holder of
// an address does not inherit them, which takes the kernel some 10 ms for all, then the links, then the last file.
func (f *Fabric) reap(items []reaped) {
	byRouter := map[*router]map[netip.Addr]bool{}
	for _, item := range items {
		if item.router == nil {
			continue
		}
		if byRouter[item.router] == nil {
			byRouter[item.router] = map[netip.Addr]bool{}
		}
		byRouter[item.router][item.rec.ENI.PrivateIPv4] = true
		if a := item.rec.ENI.IPv6; a.IsValid() {
			byRouter[item.router][a] = true
		}
	}
	gone := make([]network.ENI, len(items))
	for i, item := range items {
		gone[i] = item.rec.ENI
	}
	f.forgetPublished(gone)
	for r, addrs := range byRouter {
		if err := r.forgetConnections(addrs); err != nil {
			f.log.Warn("connections of released addresses stay tracked", "vpcId", r.vpc, "error", err)
		}
	}
	deadline := time.Now().Add(linkPatience)
	for _, item := range items {
		var err error
		if item.router != nil {
			err = item.router.awaitLink(linkName(item.rec.ENI.ID), deadline)
		}
		if err = errors.Join(err, f.records.forget(item.rec.ENI.ID)); err != nil {
			f.log.Warn("a detached network interface is not removed completely; the next Apply does it", "eni", item.rec.ENI.ID, "error", err)
		}
		f.reaped(item)
	}
}

// Waiting for the kernel to remove links: how long for all that go together, and how often to look.
const (
	linkPatience = 250 * time.Millisecond
	linkPause    = 5 * time.Millisecond
)

// awaitLink waits until a link is gone, as it is when its other end's namespace goes. The kernel removes namespaces
// together, which holds up others a third as long as deleting links one by one. A namespace stays while a process or a
// socket is in it; then the link is deleted.
func (r *router) awaitLink(name string, deadline time.Time) error {
	for time.Now().Before(deadline) {
		if _, err := r.handle.LinkByName(name); errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		<-time.After(linkPause)
	}
	return r.dropLink(name)
}

// connections matches tracked connections of any of some addresses.
type connections map[netip.Addr]bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (c connections) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	for _, ip := range []net.IP{flow.Forward.SrcIP, flow.Forward.DstIP, flow.Reverse.SrcIP, flow.Reverse.DstIP} {
		if a, ok := netip.AddrFromSlice(ip); ok && c[a.Unmap()] {
			return true
		}
	}
	return false
}

// forgetConnections removes the tracked connections of some addresses.
func (n *namespace) forgetConnections(addrs map[netip.Addr]bool) error {
	var errs []error
	for _, f := range families() {
		if !hasAny(addrs, f) {
			continue
		}
		_, err := n.handle.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(f.af()), connections(addrs))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func hasAny(addrs map[netip.Addr]bool, f family) bool {
	for a := range addrs {
		if familyOf(a) == f {
			return true
		}
	}
	return false
}
