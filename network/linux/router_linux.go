package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
	six      bool             // the uplink has IPv6, too
	classes  map[string]class // of the ruleset that is in place
	view     view             // as above
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
	if err := r.tables.replace(routerRulesets(newView(network.State{}, vpc), nil, nil, nil, uplinkEnds{})...); err != nil {
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
	o := observedRouter{Links: map[string]uint32{}, Finished: map[string]bool{}, Addrs: map[netip.Addr]bool{}, Routes: map[route]bool{},
		Tables: map[tableRule]bool{}, Neighbors: map[neighbor]bool{}}
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
			o.UplinkIPv6 = r.uplinkEnds().IPv6.IsValid()
		case l.Type() == "veth":
			o.Links[name], o.Finished[name] = l.Attrs().Group, l.Attrs().Alias == finishedAlias
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
	if o.Limits, err = r.limits(); err != nil {
		return o, fmt.Errorf("list limits of %s: %w", r.vpc, err)
	}
	tables, err := r.connections()
	if err != nil {
		return o, fmt.Errorf("list limits of connections of %s: %w", r.vpc, err)
	}
	if len(tables) == 1 {
		o.Connections = tables[0]
	} else if len(tables) > 1 {
		o.Connections = "several"
	}
	return o, errors.Join(r.observeRoutes(&o, names), r.observeTables(&o), r.observeNeighbors(&o, names))
}

// observeUplink returns the router's address on its uplink, and keeps what rulesets and routes need to know of it.
func (r *router) observeUplink(l netlink.Link) netip.Addr {
	addrs, err := r.handle.AddrList(l, unix.AF_INET)
	if err != nil || len(addrs) != 1 || l.Attrs().Flags&net.FlagUp == 0 {
		return netip.Addr{}
	}
	p, _ := prefixOf(addrs[0].IPNet)
	if addr, ok := netip.AddrFromSlice(addrs[0].IP.To4()); ok && p.Bits() == 31 {
		r.setUplink(l.Attrs().Index, addr.Prev(), r.hasAddr(l, mapUplink(addr)))
		return addr
	}
	return netip.Addr{}
}

// hasAddr reports whether a link has an address.
func (r *router) hasAddr(l netlink.Link, addr netip.Addr) bool {
	addrs, err := r.handle.AddrList(l, int(familyOf(addr).af()))
	return err == nil && slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IP.Equal(addr.AsSlice()) })
}

func (r *router) setUplink(index int, hostAddr netip.Addr, six bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uplink, r.hostAddr, r.six = index, hostAddr, six
}

func (r *router) uplinkState() (index int, hostAddr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.uplink, r.hostAddr
}

// uplinkEnds returns the addresses of the host's end of the uplink.
func (r *router) uplinkEnds() uplinkEnds {
	_, addr := r.uplinkState()
	if !addr.IsValid() {
		return uplinkEnds{}
	}
	ends := uplinkEnds{IPv4: addr}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.six {
		ends.IPv6 = mapUplink(addr)
	}
	return ends
}

func (r *router) observeRoutes(o *observedRouter, names map[int]string) error {
	for _, af := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := r.handle.RouteListFiltered(af, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return fmt.Errorf("list routes of %s: %w", r.vpc, err)
		}
		for _, k := range list {
			if to, ok := observedRoute(k, af, names); ok {
				o.Routes[to] = true
			}
		}
	}
	return nil
}

func observedRoute(k netlink.Route, af int, names map[int]string) (to route, ok bool) {
	to.To, ok = prefixOf(k.Dst)
	if k.Dst == nil && af == unix.AF_INET6 {
		to.To = ipv6.everywhere()
	}
	if !ok || k.Protocol != routeProtocol {
		return to, false
	}
	if k.Table != unix.RT_TABLE_MAIN {
		to.Table = uint32(k.Table)
	}
	to.Main, to.Fallback = k.Type == unix.RTN_THROW, k.Priority == fallbackMetric
	if k.Type == unix.RTN_UNICAST {
		to.Link = names[k.LinkIndex]
		if via, ok := netip.AddrFromSlice(k.Gw); ok && to.Link != uplinkName {
			to.Via = via.Unmap()
		}
	}
	return to, true
}

func (r *router) observeTables(o *observedRouter) error {
	for _, f := range families() {
		rules, err := r.handle.RuleList(int(f.af()))
		if err != nil {
			return fmt.Errorf("list routing rules of %s: %w", r.vpc, err)
		}
		for _, rule := range rules {
			if rule.Priority == tablePriority {
				o.Tables[tableRule{f, uint32(rule.Table)}] = true
			}
		}
	}
	return nil
}

func (r *router) observeNeighbors(o *observedRouter, names map[int]string) error {
	for _, f := range families() {
		list, err := r.handle.NeighList(0, int(f.af()))
		if err != nil {
			return fmt.Errorf("list neighbors of %s: %w", r.vpc, err)
		}
		for _, n := range list {
			addr, ok := netip.AddrFromSlice(n.IP)
			if ok && n.State&netlink.NUD_PERMANENT != 0 && len(n.HardwareAddr) == 6 {
				o.Neighbors[neighbor{names[n.LinkIndex], addr.Unmap(), network.MAC(n.HardwareAddr)}] = true
			}
		}
	}
	return nil
}

const (
	// tablePriority is where the rules stand that lead to the tables of subnets: before the main table.
	tablePriority = 1000
	// fallbackMetric makes a route the last one to its destination.
	fallbackMetric = 1 << 30
)

// af returns the family as sockets count them.
func (f family) af() uint16 {
	if f == ipv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func (t tableRule) rule() *netlink.Rule {
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Mark, rule.Table = int(t.Family.af()), tablePriority, t.Table, int(t.Table)
	return rule
}

// addTable leads the packets of a subnet to its table.
func (r *router) addTable(t tableRule) error {
	if err := r.handle.RuleAdd(t.rule()); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// dropTable removes what addTable adds; it may be gone.
func (r *router) dropTable(t tableRule) error {
	if err := r.handle.RuleDel(t.rule()); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// kernelRoute describes a route to the kernel.
func (r *router) kernelRoute(to route) (*netlink.Route, error) {
	k := &netlink.Route{Dst: ipNet(to.To), Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN}
	if to.Table != 0 {
		k.Table = int(to.Table)
	}
	if to.Fallback {
		k.Priority = fallbackMetric
	}
	switch {
	case to.Main:
		k.Type = unix.RTN_THROW
	case to.Link == "":
		k.Type = unix.RTN_BLACKHOLE
	case to.Link == uplinkName:
		index, hostAddr := r.uplinkState()
		if index == 0 {
			return nil, errors.New("the uplink is missing")
		}
		k.LinkIndex, k.Gw = index, hostAddr.AsSlice()
		if familyOf(to.To.Addr()) == ipv6 {
			k.Gw = mapUplink(hostAddr).AsSlice()
		}
	default:
		l, err := r.handle.LinkByName(to.Link)
		if err != nil {
			return nil, err
		}
		k.LinkIndex, k.Scope = l.Attrs().Index, netlink.SCOPE_LINK
		if to.Via.IsValid() {
			k.Gw, k.Scope, k.Flags = to.Via.AsSlice(), netlink.SCOPE_UNIVERSE, int(netlink.FLAG_ONLINK)
		}
	}
	return k, nil
}

// addRoute adds a route or replaces the one to the same destination.
func (r *router) addRoute(to route) error {
	k, err := r.kernelRoute(to)
	if err != nil {
		return err
	}
	return r.handle.RouteReplace(k)
}

// dropRoute removes a route that may be gone.
func (r *router) dropRoute(to route) error {
	k := &netlink.Route{Dst: ipNet(to.To), Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN}
	if to.Table != 0 {
		k.Table = int(to.Table)
	}
	switch {
	case to.Main:
		k.Type = unix.RTN_THROW
	case to.Link == "":
		k.Type = unix.RTN_BLACKHOLE
	}
	if to.Fallback {
		k.Priority = fallbackMetric
	}
	if err := r.handle.RouteDel(k); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

func (r *router) setLinkGroup(name string, group uint32) error {
	l, err := r.handle.LinkByName(name)
	if err != nil {
		return err
	}
	return r.handle.LinkSetGroup(l, int(group))
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
	return setNeighbor(r.handle, l.Attrs().Index, n.Addr, n.MAC)
}

// setNeighbor says for good who has an address on a link.
func setNeighbor(h *netlink.Handle, link int, addr netip.Addr, mac network.MAC) error {
	return h.NeighSet(&netlink.Neigh{LinkIndex: link, Family: int(familyOf(addr).af()), State: netlink.NUD_PERMANENT,
		IP: addr.AsSlice(), HardwareAddr: mac[:]})
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
func (r *router) makeUplink(ctx context.Context, h *host, owner string, six bool) error {
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
	if err := h.setUpUplink(name, hostAddr, six); err != nil {
		return errors.Join(err, r.dropLink(uplinkName))
	}
	err = setUpLink(r.handle, uplinkName, netip.PrefixFrom(routerAddr, 31))
	if err == nil {
		err = h.awaitUplink(name) // it was set up first
	}
	if err == nil {
		err = h.addRoute(name, sharedRoute(hostAddr), uplinkEnds{IPv4: hostAddr})
	}
	if err == nil && six {
		err = errors.Join(addIPv6(h.handle, name, mapUplink(hostAddr), mapUplink(routerAddr), uplinkMAC()),
			addIPv6(r.handle, uplinkName, mapUplink(routerAddr), mapUplink(hostAddr), hostMAC()))
	}
	if err != nil {
		return errors.Join(err, r.dropLink(uplinkName))
	}
	r.setUplink(veth.Attrs().Index, hostAddr, six)
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

// setUpUplink makes the host's end usable.
func (h *host) setUpUplink(name string, addr netip.Addr, six bool) error {
	sysctls := []sysctl{{path: "ipv6/conf/" + name + "/disable_ipv6", value: "1"}}
	if six {
		sysctls = staticIPv6Of(name)
	}
	err := inNamespace(h.file, func() error { return writeSysctls(sysctls) })
	if err != nil {
		return err
	}
	return setUpLink(h.handle, name, netip.PrefixFrom(addr, 31))
}

// addIPv6 gives a link that is up an address, and says who is at its other end.
func addIPv6(h *netlink.Handle, link string, own, other netip.Addr, mac network.MAC) error {
	l, err := h.LinkByName(link)
	if err != nil {
		return err
	}
	if err := h.AddrReplace(l, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(own, 127)), Flags: unix.IFA_F_NODAD}); err != nil {
		return fmt.Errorf("add address %s: %w", own, err)
	}
	return setNeighbor(h, l.Attrs().Index, other, mac)
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
