package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// observe reads everything of ours on the machine, and opens the routers that are there.
func (f *Fabric) observe() (observed, error) {
	o := observed{Namespaces: map[string]bool{}, Routers: map[string]observedRouter{}, HostLinks: map[string]hostLink{}}
	entries, err := os.ReadDir(f.cfg.namespaceDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o, err
	}
	for _, entry := range entries {
		if o.Namespaces[entry.Name()], err = isMounted(filepath.Join(f.cfg.namespaceDir(), entry.Name())); err != nil {
			return o, err
		}
	}
	if o.Records, o.Partial, err = f.records.read(); err != nil {
		return o, err
	}
	if err := f.observeRouters(&o); err != nil {
		return o, err
	}
	return o, f.observeHost(&o)
}

func (f *Fabric) observeRouters(o *observed) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for vpc, r := range f.routers {
		if !o.Namespaces[vpc] {
			r.close()
			delete(f.routers, vpc)
		}
	}
	for id, mounted := range o.Namespaces {
		if !mounted || !strings.HasPrefix(id, "vpc-") {
			continue
		}
		r := f.routers[id]
		if r == nil {
			var err error
			if r, err = openRouter(f.cfg.namespacePath(id), id); err != nil {
				return err
			}
			f.routers[id] = r
		}
		var err error
		if o.Routers[id], err = r.observe(); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fabric) observeHost(o *observed) error {
	links, err := f.host.uplinks()
	if err != nil {
		return err
	}
	ours := map[int]bool{}
	for _, l := range links {
		if l.Owner != f.cfg.Owner {
			continue
		}
		ours[l.link.Attrs().Index] = true
		found := hostLink{VPC: l.VPC, Routes: map[netip.Prefix]bool{}}
		addrs, err := f.host.handle.AddrList(l.link, unix.AF_INET)
		if err != nil {
			return fmt.Errorf("list addresses of %s: %w", l.link.Attrs().Name, err)
		}
		if len(addrs) == 1 {
			found.Addr, _ = netip.AddrFromSlice(addrs[0].IP.To4())
		}
		routes, err := f.host.handle.RouteList(l.link, netlink.FAMILY_ALL)
		if err != nil {
			return fmt.Errorf("list routes of %s: %w", l.link.Attrs().Name, err)
		}
		for _, r := range routes {
			if p, ok := prefixOf(r.Dst); ok && r.Protocol == routeProtocol {
				found.Routes[p] = true
			}
		}
		o.HostLinks[l.link.Attrs().Name] = found
	}
	if o.HostRoutes, err = f.host.routes(ours); err != nil {
		return err
	}
	if o.Proxies, err = f.host.proxies(o.HostLinks); err != nil {
		return err
	}
	o.Outside = f.host.outside()
	o.HostTable, err = f.host.tables.exists(hostTable(f.cfg.Owner))
	return err
}

// HostRoutes returns where the routes of the host lead, without default routes and those of this fabric: what the CIDR
// of a VPC must not overlap. See [network.FreeCIDR].
func (f *Fabric) HostRoutes() ([]netip.Prefix, error) {
	f.op.Lock()
	defer f.op.Unlock()
	if err := f.open(); err != nil {
		return nil, err
	}
	var o observed
	o.HostLinks = map[string]hostLink{}
	if err := f.observeHost(&o); err != nil {
		return nil, err
	}
	return o.HostRoutes, nil
}
