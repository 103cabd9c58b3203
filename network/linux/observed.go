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
	Proxies    map[proxy]bool            // what the host answers for on its links, ours alone
	Outside    bool                      // the host has a way to the outside
}

// observedRouter is what is in a router's namespace.
type observedRouter struct {
	Links       map[string]uint32   // the router's ends of ENIs, NAT gateways and peering connections, and the groups they are in
	Finished    map[string]bool     // of the links of NAT gateways and peering connections, those that were made to the end
	Uplink      netip.Addr          // the router's address on its uplink; invalid if it has none
	UplinkIPv6  bool                // the uplink has IPv6, too
	Addrs       map[netip.Addr]bool // addresses that the router has itself, beside the uplink's
	Routes      map[route]bool
	Tables      map[tableRule]bool // which packets have a route table of their own
	Neighbors   map[neighbor]bool
	Limits      map[string]bool // tables that limit bandwidth
	Connections string          // table that limits connections; "" if there is none, or more than one
}

// has reports whether there is a link.
func (r observedRouter) has(link string) bool { _, ok := r.Links[link]; return ok }

// hostLink is the host's end of an uplink.
type hostLink struct {
	VPC    string
	Addr   netip.Addr            // the host's own; invalid if it has none
	Routes map[netip.Prefix]bool // what the host sends into it
}

// proxy is an address for which the host answers on one of its links.
type proxy struct {
	Link string
	Addr netip.Addr
}

// route is one of a router's routes: to a link, through one, or, without any, into nothing.
type route struct {
	Table    uint32 // the group of the links of a subnet; 0 is the main table, which knows who has which address
	To       netip.Prefix
	Link     string
	Via      netip.Addr // the next hop; the zero value if To is on the link
	Main     bool       // goes on in the main table
	Fallback bool       // used while there is no other one to the same destination
}

// key says which route another one replaces.
func (r route) key() route { return route{Table: r.Table, To: r.To, Fallback: r.Fallback} }

// tableRule has the packets that are marked with a table's number routed by it.
type tableRule struct {
	Family family
	Table  uint32
}

// neighbor says which hardware address has an IP address on a link, so that nobody need ask and nobody can lie.
type neighbor struct {
	Link string
	Addr netip.Addr
	MAC  network.MAC
}

// wanted is a State seen from one machine.
type wanted struct {
	Owner       string
	State       network.State
	Isolated    bool
	Routed      bool   // the outside knows the way to public addresses
	Link        string // of the host, on which it answers for them
	DNS         []netip.Addr
	Connections string // table that limits connections; "" for none
}
