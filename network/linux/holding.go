package linux

import (
	"net/netip"

	"github.com/fardel-io/fardel/network"
)

// holding is what only one ENI can have: an address in a VPC, or a MAC.
type holding struct {
	vpc  string
	addr netip.Addr
	mac  network.MAC
}

func holdings(vpc string, e network.ENI) []holding {
	list := []holding{{vpc: vpc, addr: e.PrivateIPv4}, {mac: e.MAC}}
	if e.IPv6.IsValid() {
		list = append(list, holding{vpc: vpc, addr: e.IPv6})
	}
	return list
}
