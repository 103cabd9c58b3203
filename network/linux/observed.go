package linux

import (
	"net/netip"

	"github.com/fardel-io/fardel/network"
)

// observed is what a fabric finds of its own on a machine, and what of the machine concerns it.
type observed struct {
	Namespaces map[string]bool           // by ID of a VPC or ENI: whether a namespace is mounted at its path
	Records    map[string]record         // ENIs that were attached completely
	Partial    map[string]bool           // ENIs that a dead process was adding or removing
	Routers    map[string]observedRouter // by VPC, those whose namespace is mounted
	HostLinks  map[string]hostLink       // by name, ours alone
	HostRoutes []netip.Prefix            // where the host's other routes lead, without default routes
	HostTable  bool                      // our nftables table is there
	Outside    bool                      // the host has a way to the outside
}

// observedRouter is what is in a router's namespace.
type observedRouter struct {
	Links     map[string]bool     // names of the router's ends of ENIs
	Uplink    netip.Addr          // the router's address on its uplink; invalid if it has none
	Addrs     map[netip.Addr]bool // addresses that the router has itself, beside the uplink's
	Routes    map[route]bool
	Neighbors map[neighbor]bool
}

// hostLink is the host's end of an uplink.
type hostLink struct {
	VPC    string
	Addr   netip.Addr            // the host's own; invalid if it has none
	Routes map[netip.Prefix]bool // what the host sends into it
}

// route is one of a router's routes: to an ENI's link, through the uplink, or, with neither, into nothing.
type route struct {
	To   netip.Prefix
	Link string
}

// neighbor says which hardware address has an IP address on a link, so that nobody need ask and nobody can lie.
type neighbor struct {
	Link string
	Addr netip.Addr
	MAC  network.MAC
}

// wanted is a State seen from one machine.
type wanted struct {
	Owner    string
	State    network.State
	Isolated bool
	DNS      []netip.Addr
}
