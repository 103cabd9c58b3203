package network

import (
	"fmt"
	"net/netip"
	"strings"
)

func (v *validator) checkENIs() {
	type holder struct {
		vpc  string
		addr netip.Addr
	}
	addrs := map[holder]string{}
	macs := map[MAC]string{}
	for i, e := range v.state.ENIs {
		path := fmt.Sprintf("networkInterfaces[%d]", i)
		v.checkENI(path, e)
		at := holder{v.subnets[e.Subnet].VPC, e.PrivateIPv4}
		if other, taken := addrs[at]; taken && at.vpc != "" && e.PrivateIPv4.IsValid() {
			v.add(path+".privateIpAddress", "InvalidIPAddress.InUse", "Address %s is in use by %s.", e.PrivateIPv4, other)
		}
		addrs[at] = e.ID
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
	}
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
