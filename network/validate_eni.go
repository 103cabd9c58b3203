package network

import (
	"fmt"
	"net/netip"
	"strings"
)

func (v *validator) checkENIs() {
	macs := map[MAC]string{}
	for i, e := range v.state.ENIs {
		path := fmt.Sprintf("networkInterfaces[%d]", i)
		v.checkENI(path, e)
		if vpc := v.subnets[e.Subnet].VPC; vpc != "" {
			v.take(path+".privateIpAddress", vpc, e.PrivateIPv4, e.ID)
			v.take(path+".ipv6Address", vpc, e.IPv6, e.ID)
		}
		v.take(path+".publicIp", "", e.PublicIPv4, e.ID)
		if other, taken := macs[e.MAC]; taken && !e.MAC.IsZero() {
			v.add(path+".macAddress", "InvalidParameterValue", "MAC address %s is that of %s", e.MAC, other)
		}
		macs[e.MAC] = e.ID
	}
}

// checkENI checks everything about an ENI but its uniqueness among others.
func (v *validator) checkENI(path string, e ENI) {
	v.id(path+".networkInterfaceId", "eni", "NetworkInterfaceID", e.ID)
	if e.MAC.IsZero() || e.MAC[0]&1 != 0 {
		v.add(path+".macAddress", "InvalidParameterValue", "'%s' is not the MAC address of an interface", e.MAC)
	}
	if e.PrivateDNSName != "" && !isDNSName(e.PrivateDNSName) {
		v.add(path+".privateDnsName", "InvalidParameterValue", "'%s' is not a DNS name", e.PrivateDNSName)
	}
	n, ok := v.subnets[e.Subnet]
	if !ok {
		v.add(path+".subnetId", "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", e.Subnet)
	} else {
		v.checkAddress(path+".privateIpAddress", n, e.PrivateIPv4)
		v.checkIPv6(path+".ipv6Address", n, e.IPv6)
	}
	if e.PublicIPv4.IsValid() {
		v.pooled(path+".publicIp", e.PublicIPv4)
		if !e.AssignPublicIP {
			v.add(path+".publicIp", "InvalidParameterCombination", "The network interface has a public address and is not to be assigned one")
		}
	}
	v.checkBandwidth(path+".bandwidth", e.Bandwidth)
	v.checkPublished(path, e)
	v.checkGroupsOf(path, e, n.VPC)
}

func (v *validator) checkAddress(path string, n Subnet, addr netip.Addr) {
	switch {
	case !addr.IsValid():
		v.add(path, "MissingParameter", "The network interface needs a private IPv4 address")
	case !n.CIDR.IsValid(): // reported with the subnet
	case !n.CIDR.Contains(addr):
		v.add(path, "InvalidParameterValue", "Address %s does not fall within the subnet's address range %s", addr, n.CIDR)
	case n.Reserved(addr):
		v.add(path, "InvalidParameterValue", "Address %s is in subnet's reserved address range", addr)
	}
}

func (v *validator) checkIPv6(path string, n Subnet, addr netip.Addr) {
	switch {
	case !addr.IsValid():
	case n.IPv6CIDR == netip.Prefix{}:
		v.add(path, "InvalidParameterValue", "%s has no IPv6 CIDR block", n.ID)
	case addr.Zone() != "" || !n.IPv6CIDR.Contains(addr):
		v.add(path, "InvalidParameterValue", "Address %s does not fall within the subnet's address range %s", addr, n.IPv6CIDR)
	case n.ReservedIPv6(addr):
		v.add(path, "InvalidParameterValue", "Address %s is in subnet's reserved address range", addr)
	}
}

// isDNSName reports whether s is made of DNS labels and dots and fits into the 64 bytes that Linux has for a host name.
func isDNSName(s string) bool {
	if len(s) > 64 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isDNSLabel(label) {
			return false
		}
	}
	return true
}
