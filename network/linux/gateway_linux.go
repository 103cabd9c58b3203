package linux

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/fardel-io/fardel/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NAT gateways are namespaces beside the router's: what is routed to one comes back to the router with the gateway's
// private address, as a packet of the gateway's subnet. So network ACLs and routes apply to it as to any other, with the
// addresses that it has at each of them.

// natPorts are those that a NAT gateway of EC2 uses.
var natPorts = masqPorts{1024, 65535}

// natRuleset renders the table of a NAT gateway: what is routed to it is translated, and nothing reaches it itself but
// answers.
func natRuleset() ruleset {
	nat := chain{Name: "postrouting", Hook: &hook{"nat", "postrouting", 100, false}}
	forward := chain{Name: "forward", Hook: &hook{"filter", "forward", 0, true}, Rules: []rule{{tracked{}, accept}, {untracked{}, drop}}}
	for _, number := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP} {
		nat.Rules = append(nat.Rules, rule{protocol{number}, natPorts})
		forward.Rules = append(forward.Rules, rule{protocol{number}, accept})
	}
	return ruleset{Family: ipv4, Table: routerTable, Chains: []chain{
		{Name: "input", Hook: &hook{"filter", "input", 0, true}, Rules: []rule{{tracked{}, accept}}}, forward, nat,
	}}
}

// finishedAlias marks the link of a gateway or a peering connection of which nothing is left to do. An ENI has a record on
// disk for that.
const finishedAlias = "finished"

// finish marks a link.
func (r *router) finish(link string) error {
	l, err := r.handle.LinkByName(link)
	if err != nil {
		return err
	}
	return r.handle.LinkSetAlias(l, finishedAlias)
}

// makeNAT makes the namespace of a NAT gateway at path, in the place of what is left of another one.
func (r *router) makeNAT(path string, g network.NATGateway, n network.Subnet, group uint32) error {
	if err := r.dropLink(natLink(g)); err != nil {
		return err
	}
	ns, err := makeNamespace(path, natSysctls())
	if err != nil {
		return err
	}
	defer ns.close()
	t := newTables(ns.file)
	defer t.close()
	e := network.ENI{ID: g.ID, Subnet: g.Subnet, PrivateIPv4: g.PrivateIPv4, MAC: natMAC(g)}
	a := network.Attachment{Address: netip.PrefixFrom(g.PrivateIPv4, n.CIDR.Bits()), Gateway: n.Gateway()}
	err = t.replace(natRuleset())
	if err == nil {
		err = r.linkPort(ns, natLink(g), group, e, a)
	}
	if err == nil {
		err = r.finish(natLink(g))
	}
	if err != nil {
		return errors.Join(err, r.dropLink(natLink(g)), clearMountPoint(path))
	}
	return nil
}

// makePeering links the routers of two VPCs. What is left of an earlier link goes first.
func (r *router) makePeering(other *router, id string) error {
	link := peeringLink(id)
	if err := errors.Join(r.dropLink(link), other.dropLink(link)); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.Flags = link, hardware(peeringMAC(id, true)), net.FlagUp
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr, veth.PeerNamespace = link, hardware(peeringMAC(id, false)), netlink.NsFd(other.fd())
	if err := r.handle.LinkAdd(veth); err != nil {
		return fmt.Errorf("add link: %w", unsupportedLink(err))
	}
	end, err := other.handle.LinkByName(link)
	if err == nil {
		err = other.handle.LinkSetUp(end)
	}
	if err == nil {
		err = awaitUp(r.handle, veth.Attrs().Index)
	}
	if err == nil {
		err = r.finish(link)
	}
	if err != nil {
		return errors.Join(err, r.dropLink(link))
	}
	return nil
}
