package metadata

import (
	"cmp"
	"net/netip"

	"github.com/fardel-io/fardel/task"
)

// networkV2 is a network interface in versions 2 and 3, and what version 4 begins with.
type networkV2 struct {
	NetworkMode   string   `json:"NetworkMode,omitempty"`
	IPv4Addresses []string `json:"IPv4Addresses,omitempty"`
	IPv6Addresses []string `json:"IPv6Addresses,omitempty"`
}

// networkV4 is a network interface in version 4. Not all names spell IPv4 alike.
type networkV4 struct {
	networkV2
	AttachmentIndex          *int     `json:"AttachmentIndex,omitempty"`
	MACAddress               string   `json:"MACAddress,omitempty"`
	IPv4SubnetCIDRBlock      string   `json:"IPv4SubnetCIDRBlock,omitempty"`
	IPv6SubnetCIDRBlock      string   `json:"IPv6SubnetCIDRBlock,omitempty"`
	DomainNameServers        []string `json:"DomainNameServers,omitempty"`
	DomainNameSearchList     []string `json:"DomainNameSearchList,omitempty"`
	PrivateDNSName           string   `json:"PrivateDNSName,omitempty"`
	SubnetGatewayIPv4Address string   `json:"SubnetGatewayIpv4Address,omitempty"`
	SubnetGatewayIPv6Address string   `json:"SubnetGatewayIpv6Address,omitempty"`
}

// networksV2 returns the interfaces that a container sees: those of its task, unless it has no network.
func networksV2(s *Snapshot, def *task.ContainerDefinition) (answers []networkV2) {
	if def.DisableNetworking {
		return nil
	}
	for _, n := range s.Networks {
		answers = append(answers, networkV2{string(n.mode()), texts(n.IPv4), texts(n.IPv6)})
	}
	return answers
}

func networksV4(s *Snapshot, def *task.ContainerDefinition) (answers []networkV4) {
	for i, v2 := range networksV2(s, def) {
		n := &s.Networks[i]
		a := networkV4{networkV2: v2}
		if n.mode() == task.NetworkModeAWSVPC {
			a.AttachmentIndex = &i
			a.MACAddress = n.MAC
			a.IPv4SubnetCIDRBlock = prefixText(n.IPv4Subnet)
			a.IPv6SubnetCIDRBlock = prefixText(n.IPv6Subnet)
			a.DomainNameServers = texts(n.DNSServers)
			a.DomainNameSearchList = n.DNSSearchDomains
			a.PrivateDNSName = n.PrivateDNSName
			a.SubnetGatewayIPv4Address = prefixText(n.Gateway4)
			if len(n.IPv4) == 0 {
				a.SubnetGatewayIPv6Address = prefixText(n.Gateway6)
			}
		}
		answers = append(answers, a)
	}
	return answers
}

func (n *Network) mode() task.NetworkMode { return cmp.Or(n.Mode, task.NetworkModeAWSVPC) }

func texts(addrs []netip.Addr) (texts []string) {
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return texts
}

// prefixText is empty for what is not known.
func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}
