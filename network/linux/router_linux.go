package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/fardel-io/fardel/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// router is the namespace of one VPC.
type router struct {
	vpc string
	*namespace
	tables *tables

	mu       sync.Mutex
	uplink   int              // index of the uplink, 0 if there is none
	hostAddr netip.Addr       // the host's end of the uplink
	classes  map[string]class // of the ruleset that is in place
}

// routeProtocol marks the routes that are ours: those of administrators, as RTPROT_STATIC is called.
const routeProtocol = unix.RTPROT_STATIC

// newRouter makes the namespace of a VPC, which lets nothing through until it has a ruleset.
func newRouter(path, vpc string) (*router, error) {
	ns, err := makeNamespace(path, routerSysctls())
	if err != nil {
		return nil, err
	}
	r := wrapRouter(vpc, ns)
	if err := r.tables.replace(routerRuleset(network.State{}, vpc, nil, nil, netip.Addr{})); err != nil {
		r.close()
		return nil, fmt.Errorf("set ruleset of %s: %w", vpc, errors.Join(err, clearMountPoint(path)))
	}
	return r, nil
}

func openRouter(path, vpc string) (*router, error) {
	ns, err := openNamespace(path)
	if err != nil {
		return nil, err
	}
	return wrapRouter(vpc, ns), nil
}

func wrapRouter(vpc string, ns *namespace) *router {
	return &router{vpc: vpc, namespace: ns, tables: newTables(ns.file), classes: map[string]class{}}
}

func (r *router) close() {
	r.tables.close()
	r.namespace.close()
}

// observe reads what is in the namespace.
func (r *router) observe() (observedRouter, error) {
	o := observedRouter{Links: map[string]bool{}, Addrs: map[netip.Addr]bool{}, Routes: map[route]bool{}, Neighbors: map[neighbor]bool{}}
	links, err := r.handle.LinkList()
	if err != nil {
		return o, fmt.Errorf("list links of %s: %w", r.vpc, err)
	}
	names := map[int]string{}
	for _, l := range links {
		name := l.Attrs().Name
		names[l.Attrs().Index] = name
		switch {
		case name == uplinkName:
			o.Uplink = r.observeUplink(l)
		case l.Type() == "veth":
			o.Links[name] = true
		}
	}
	addrs, err := r.handle.AddrList(nil, unix.AF_INET)
	if err != nil {
		return o, fmt.Errorf("list addresses of %s: %w", r.vpc, err)
	}
	for _, a := range addrs {
		if p, ok := prefixOf(a.IPNet); ok && a.LinkIndex == loopback().Attrs().Index && !p.Addr().IsLoopback() {
			o.Addrs[p.Addr()] = true
		}
	}
	return o, errors.Join(r.observeRoutes(&o, names), r.observeNeighbors(&o, names))
}

// observeUplink returns the router's address on its uplink, and keeps what rulesets and routes need to know of it.
func (r *router) observeUplink(l netlink.Link) netip.Addr {
	addrs, err := r.handle.AddrList(l, unix.AF_INET)
	if err != nil || len(addrs) != 1 || l.Attrs().Flags&net.FlagUp == 0 {
		return netip.Addr{}
	}
	p, _ := prefixOf(addrs[0].IPNet)
	if addr, ok := netip.AddrFromSlice(addrs[0].IP.To4()); ok && p.Bits() == 31 {
		r.setUplink(l.Attrs().Index, addr.Prev())
		return addr
	}
	return netip.Addr{}
}

func (r *router) setUplink(index int, hostAddr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uplink, r.hostAddr = index, hostAddr
}

func (r *router) uplinkState() (index int, hostAddr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.uplink, r.hostAddr
}

func (r *router) observeRoutes(o *observedRouter, names map[int]string) error {
	list, err := r.handle.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("list routes of %s: %w", r.vpc, err)
	}
	for _, to := range list {
		p, ok := prefixOf(to.Dst)
		if !ok || to.Protocol != routeProtocol {
			continue
		}
		link := names[to.LinkIndex]
		if to.Type == unix.RTN_BLACKHOLE {
			link = ""
		}
		o.Routes[route{p, link}] = true
	}
	return nil
}

func (r *router) observeNeighbors(o *observedRouter, names map[int]string) error {
	list, err := r.handle.NeighList(0, unix.AF_INET)
	if err != nil {
		return fmt.Errorf("list neighbors of %s: %w", r.vpc, err)
	}
	for _, n := range list {
		addr, ok := netip.AddrFromSlice(n.IP.To4())
		if ok && n.State&netlink.NUD_PERMANENT != 0 && len(n.HardwareAddr) == 6 {
			o.Neighbors[neighbor{names[n.LinkIndex], addr, network.MAC(n.HardwareAddr)}] = true
		}
	}
	return nil
}

// addRoute adds a route or replaces the one to the same destination.
func (r *router) addRoute(to route) error {
	k := &netlink.Route{Dst: ipNet(to.To), Protocol: routeProtocol}
	switch to.Link {
	case "":
		k.Type = unix.RTN_BLACKHOLE
	case uplinkName:
		index, hostAddr := r.uplinkState()
		if index == 0 {
			return errors.New("the uplink is missing")
		}
		k.LinkIndex, k.Gw = index, hostAddr.AsSlice()
	default:
		l, err := r.handle.LinkByName(to.Link)
		if err != nil {
			return err
		}
		k.LinkIndex, k.Scope = l.Attrs().Index, netlink.SCOPE_LINK
	}
	return r.handle.RouteReplace(k)
}

// dropRoute removes a route that may be gone.
func (r *router) dropRoute(to route) error {
	k := &netlink.Route{Dst: ipNet(to.To), Protocol: routeProtocol}
	if to.Link == "" {
		k.Type = unix.RTN_BLACKHOLE
	}
	if err := r.handle.RouteDel(k); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

func (r *router) addAddr(a netip.Addr) error {
	return r.handle.AddrReplace(loopback(), &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))})
}

func (r *router) dropAddr(a netip.Addr) error {
	err := r.handle.AddrDel(loopback(), &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))})
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

func (r *router) addNeighbor(n neighbor) error {
	l, err := r.handle.LinkByName(n.Link)
	if err != nil {
		return err
	}
	return r.handle.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, Family: unix.AF_INET, State: netlink.NUD_PERMANENT,
		IP: n.Addr.AsSlice(), HardwareAddr: n.MAC[:]})
}

// dropLink deletes a link that may be gone.
func (r *router) dropLink(name string) error {
	l, err := r.handle.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	return deleteLink(r.handle, l)
}

// makeUplink links the router to the host. Both ends are made, named and marked in the router's namespace, and the
// host's moves when it is marked: whatever of ours stands in the host's namespace is known as ours.
func (r *router) makeUplink(ctx context.Context, h *host, owner string) error {
	unlock, err := h.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	links, err := h.uplinks()
	if err != nil {
		return err
	}
	taken, err := h.routes(nil)
	if err != nil {
		return err
	}
	name := hostLinkName(owner, r.vpc)
	seed := binary.BigEndian.Uint32([]byte(short(4, owner, r.vpc)))
	hostAddr, routerAddr, err := freePair(taken, seed)
	if err != nil {
		return err
	}
	if err := errors.Join(r.dropLink(uplinkName), r.dropLink(name)); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = uplinkName, hardware(uplinkMAC())
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr = name, hardware(hostMAC())
	if err := r.handle.LinkAdd(veth); err != nil {
		return unsupportedLink(err)
	}
	m := mark{Owner: owner, VPC: r.vpc, Forward: anyMarked(links)}
	if err := r.moveUplink(h, name, m); err != nil {
		return errors.Join(err, r.dropLink(uplinkName))
	}
	if err := h.setUpUplink(name, hostAddr); err != nil {
		return errors.Join(err, r.dropLink(uplinkName))
	}
	err = setUpLink(r.handle, uplinkName, netip.PrefixFrom(routerAddr, 31))
	if err == nil {
		err = h.awaitUplink(name) // it was set up first
	}
	if err != nil {
		return errors.Join(err, r.dropLink(uplinkName))
	}
	r.setUplink(veth.Attrs().Index, hostAddr)
	return nil
}

// moveUplink marks the host's end and moves it there.
func (r *router) moveUplink(h *host, name string, m mark) error {
	end, err := r.handle.LinkByName(name)
	if err != nil {
		return err
	}
	if err := r.handle.LinkSetAlias(end, m.String()); err != nil {
		return err
	}
	return r.handle.LinkSetNsFd(end, h.fd())
}

// setUpUplink makes the host's end usable, with no IPv6 on it.
func (h *host) setUpUplink(name string, addr netip.Addr) error {
	err := inNamespace(h.file, func() error {
		return writeSysctls([]sysctl{{path: "ipv6/conf/" + name + "/disable_ipv6", value: "1"}})
	})
	if err != nil {
		return err
	}
	return setUpLink(h.handle, name, netip.PrefixFrom(addr, 31))
}

func (h *host) awaitUplink(name string) error {
	l, err := h.handle.LinkByName(name)
	if err != nil {
		return err
	}
	return awaitUp(h.handle, l.Attrs().Index)
}

// setUpLink gives a link an address and sets it up.
func setUpLink(h *netlink.Handle, name string, addr netip.Prefix) error {
	l, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	if err := h.AddrReplace(l, &netlink.Addr{IPNet: ipNet(addr)}); err != nil {
		return err
	}
	return h.LinkSetUp(l)
}
