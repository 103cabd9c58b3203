package linux

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// hostPort is a port of the host at all of its addresses.
type hostPort struct {
	protocol int
	port     uint16
}

func hostPortOf(p network.PublishedPort) hostPort {
	number, _ := p.Protocol.Number()
	return hostPort{number, p.HostPort}
}

// publisher is an ENI that publishes a port.
type publisher struct {
	network.PublishedPort
	eni string
}

// claimPorts takes the ports of the host that an ENI publishes, beside those that it has, unless another ENI or a process
// of the host has one.
func (f *Fabric) claimPorts(ctx context.Context, e network.ENI) error {
	for {
		busy, err := f.tryPorts(e)
		if err != nil {
			return err
		}
		if busy == nil {
			return nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryPorts is one attempt. busy is closed when somebody has gone whose port it is.
func (f *Fabric) tryPorts(e network.ENI) (busy chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var fresh []network.PublishedPort
	for _, p := range e.PublishedPorts {
		own := false
		for _, other := range f.published[hostPortOf(p)] {
			if other.eni == e.ID {
				own = own || other.PublishedPort == p
				continue
			}
			if !other.Conflicts(p) {
				continue
			}
			if busy := f.removals[other.eni]; busy != nil {
				return busy, nil
			}
			return nil, fmt.Errorf("%w: %s is published by %s: %s", network.ErrAddressInUse, p, other.eni, other.PublishedPort)
		}
		if !own {
			fresh = append(fresh, p)
		}
	}
	for _, p := range fresh {
		if err := f.host.probePort(p); err != nil {
			return nil, err
		}
	}
	for _, p := range fresh {
		f.published[hostPortOf(p)] = append(f.published[hostPortOf(p)], publisher{p, e.ID})
	}
	return nil, nil
}

// releasePorts gives back the ports of an ENI but those to keep, and ends the conversations that came by them.
func (f *Fabric) releasePorts(e network.ENI, keep []network.PublishedPort) {
	f.mu.Lock()
	f.releasePortsLocked(e, keep)
	f.mu.Unlock()
	if slices.ContainsFunc(e.PublishedPorts, func(p network.PublishedPort) bool { return !slices.Contains(keep, p) }) {
		f.forgetPublished([]network.ENI{e})
	}
}

// forgetPublished removes what the host remembers of conversations with ENIs by ports that they published: else they
// would go on to whoever gets the address.
func (f *Fabric) forgetPublished(enis []network.ENI) {
	addrs := map[netip.Addr]bool{}
	for _, e := range enis {
		if len(e.PublishedPorts) > 0 {
			addrs[e.PrivateIPv4] = true
		}
	}
	if len(addrs) == 0 {
		return
	}
	if err := f.host.forgetConnections(addrs); err != nil {
		f.log.Warn("connections by ports that are not published any more stay tracked", "error", err)
	}
}

// releasePortsLocked gives back the ports of an ENI but those to keep. The caller holds mu.
func (f *Fabric) releasePortsLocked(e network.ENI, keep []network.PublishedPort) {
	for _, p := range e.PublishedPorts {
		key := hostPortOf(p)
		left := slices.DeleteFunc(f.published[key], func(o publisher) bool {
			return o.eni == e.ID && o.PublishedPort == p && !slices.Contains(keep, p)
		})
		if f.published[key] = left; len(left) == 0 {
			delete(f.published, key)
		}
	}
}

// probePort tries to bind a port, to find out whether a process has it. One that binds it later gets nothing at the
// published address; the kernel has no way to keep a port for nobody.
func (h *host) probePort(p network.PublishedPort) error {
	kind := unix.SOCK_STREAM
	if p.Protocol.Is(network.UDP) {
		kind = unix.SOCK_DGRAM
	}
	err := inNamespace(h.file, func() error {
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		if kind == unix.SOCK_STREAM { // connections that have ended do not count
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
				return err
			}
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Port: int(p.HostPort), Addr: p.HostAddress.As4()})
	})
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: publish %s: a process of the host has the port", network.ErrAddressInUse, p)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w: publish %s: it is not an address of the host", network.ErrInvalid, p)
	case err != nil:
		return fmt.Errorf("publish %s: %w", p, err)
	}
	return nil
}

// reaches reports whether the host's packets to an address take an uplink.
func (h *host) reaches(a netip.Addr, link string) bool {
	l, err := h.handle.LinkByName(link)
	if err != nil {
		return false
	}
	routes, err := h.handle.RouteGet(a.AsSlice())
	return err == nil && len(routes) > 0 && routes[0].LinkIndex == l.Attrs().Index
}

// allowLoopback lets packets with a loopback address as source be sent into an uplink, where the host's end of it takes
// their place, and their answers come back. What else comes from an uplink to such an address the host's table drops, as
// all that is for the host.
func (h *host) allowLoopback(link string) error {
	return inNamespace(h.file, func() error {
		return writeSysctls([]sysctl{{path: "ipv4/conf/" + link + "/route_localnet", value: "1"}})
	})
}

// publishedChange returns the elements of the host's table that go and come when an ENI's published ports change.
func publishedChange(old, p *port) (removed, added []setElement) {
	if old != nil {
		removed = publishedElements(*old)
	}
	if p != nil {
		added = publishedElements(*p)
	}
	return without(removed, added), without(added, removed)
}

// preparePublishing sees to what published ports need of the host beside its table.
func (f *Fabric) preparePublishing(r *router, p port) error {
	link := hostLinkName(f.cfg.Owner, r.vpc)
	if f.cfg.Isolated || !f.host.reaches(p.PrivateIPv4, link) {
		return cannotPublish(p.ENI, r.vpc, f.cfg.Isolated)
	}
	return f.host.allowLoopback(link)
}

// publish leads an ENI's own public address, and the ports that it publishes, from the host to it.
func (f *Fabric) publish(r *router, old, p *port) error {
	var was, is netip.Addr
	if old != nil {
		was = old.Public
	}
	if p != nil {
		is = p.Public
	}
	removed, added := publishedChange(old, p)
	if len(added) > 0 {
		if err := f.preparePublishing(r, *p); err != nil {
			return err
		}
	}
	if !r.uplinkEnds().IPv4.IsValid() {
		return nil
	}
	errs := []error{f.announceIPv6(r, old, p)}
	if was == is && len(removed)+len(added) == 0 {
		return errors.Join(errs...)
	}
	if is != was && is.IsValid() {
		errs = append(errs, f.announce(r, is))
		added = append(added, setElement{ipv4, publicSet, addrs, element{Addr: is}})
	}
	if is != was && was.IsValid() {
		errs = append(errs, f.renounce(r, was))
		removed = append(removed, setElement{ipv4, publicSet, addrs, element{Addr: was}})
	}
	err := f.host.tables.edit(hostTable(f.cfg.Owner), removed, nil, added)
	if errors.Is(err, unix.ENOENT) && p == nil {
		err = nil // somebody flushed the table
	}
	return errors.Join(append(errs, err)...)
}

// publishedNow returns those of the ENIs that are attached, with those of their ports that are theirs by now.
func (f *Fabric) publishedNow(all []port) []port {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []port
	for _, p := range all {
		if _, ok := f.attached[p.ID]; !ok {
			continue
		}
		p.PublishedPorts = slices.DeleteFunc(slices.Clone(p.PublishedPorts), func(x network.PublishedPort) bool {
			return !slices.Contains(f.published[hostPortOf(x)], publisher{x, p.ID})
		})
		list = append(list, p)
	}
	return list
}

// keepPorts gives back the ports of attached ENIs that a state does not want any more, for others to take.
func (f *Fabric) keepPorts(s network.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range s.ENIs {
		if rec, ok := f.attached[e.ID]; ok {
			f.releasePortsLocked(rec.ENI, e.PublishedPorts)
		}
	}
}

// setHostTables makes the host's tables what a plan has for them.
func (f *Fabric) setHostTables(w hostWants) error {
	w.Publishers = f.publishedNow(w.Publishers)
	if err := f.host.tables.replace(hostRuleset(w), hostRuleset6(w)); err != nil || len(w.Publishers) == 0 {
		return err
	}
	var errs []error
	for _, link := range w.Uplinks {
		errs = append(errs, f.host.allowLoopback(link))
	}
	return errors.Join(errs...)
}
