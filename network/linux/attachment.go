package linux

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// attachment returns what a runtime is told of an ENI whose namespace is at path.
func attachment(v network.VPC, n network.Subnet, e network.ENI, path string, dns []netip.Addr) network.Attachment {
	hostname := e.PrivateDNSName
	if hostname == "" {
		hostname = network.PrivateDNSName(v.Region, e.PrivateIPv4)
	}
	a := network.Attachment{
		ENI: e.ID, NetNS: path, Interface: eniName, MAC: e.MAC,
		Address: netip.PrefixFrom(e.PrivateIPv4, n.CIDR.Bits()), Gateway: n.Gateway(),
		DNS: slices.Clone(dns), Search: []string{network.PrivateDomain(v.Region)}, Hostname: hostname,
	}
	if e.IPv6.IsValid() {
		a.IPv6Address, a.IPv6Gateway = netip.PrefixFrom(e.IPv6, n.IPv6CIDR.Bits()), network.IPv6Gateway()
	}
	return a
}

// sameENI reports whether two records stand for the same interface; the rest of them can change while it is up.
func sameENI(a, b record) bool {
	x, y := a.Attachment, b.Attachment
	return a.VPC == b.VPC && a.ENI.Subnet == b.ENI.Subnet && x.MAC == y.MAC && x.Address == y.Address && x.IPv6Address == y.IPv6Address && x.Gateway == y.Gateway
}

// sameRecord reports whether two records are equal. Name servers are those of the time of attaching and stay, as does the
// user namespace.
func sameRecord(a, b record) bool {
	a.Version, b.Version = 0, 0
	a.FirstID, b.FirstID = 0, 0
	a.Attachment.DNS, b.Attachment.DNS = nil, nil
	return reflect.DeepEqual(normal(a), normal(b))
}

// normal makes empty lists and maps equal to missing ones.
func normal(r record) record {
	if len(r.ENI.Tags) == 0 {
		r.ENI.Tags = nil
	}
	if len(r.ENI.PublishedPorts) == 0 {
		r.ENI.PublishedPorts = nil
	}
	if len(r.ENI.SecurityGroups) == 0 {
		r.ENI.SecurityGroups = nil
	}
	return r
}
