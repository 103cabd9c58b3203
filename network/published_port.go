package network

import (
	"fmt"
	"net/netip"
	"strconv"
)

// A PublishedPort leads a port of the machine to one of an ENI: a public address of one port, for machines without a pool
// of addresses. EC2 has nothing like it; Docker has, by the same name.
//
// What comes from elsewhere keeps its source address, and enters the VPC through its internet gateway, as if it had been
// sent to a public address of the ENI: so the ENI's subnet must be public, and network ACLs and the groups of the ENI
// decide by the source and by Port. The ENI needs no public address, and sends nothing outside by a port that it
// publishes. What processes of the machine send is the machine's, which reaches every ENI whatever groups say. For other
// ENIs there is the ENI's own address: they do not reach a port of the machine.
type PublishedPort struct {
	HostAddress netip.Addr `json:"hostAddress"` // an IPv4 address of the machine: a loopback one serves the machine alone; 0.0.0.0 is all that it has
	HostPort    uint16     `json:"hostPort"`
	Protocol    Protocol   `json:"protocol"` // [TCP] or [UDP]
	Port        uint16     `json:"port"`     // of the ENI
}

// Conflicts reports whether two ports of the machine have an address and the port in common.
func (p PublishedPort) Conflicts(other PublishedPort) bool {
	return p.HostPort == other.HostPort && p.Protocol.Is(other.Protocol) &&
		(p.HostAddress == other.HostAddress || p.HostAddress.IsUnspecified() || other.HostAddress.IsUnspecified())
}

// Takes reports whether a packet of a protocol to an address and port of the machine is for p.
func (p PublishedPort) Takes(protocol Protocol, to netip.AddrPort) bool {
	return p.HostPort == to.Port() && p.Protocol.Is(protocol) && to.Addr().Is4() && (p.HostAddress == to.Addr() || p.HostAddress.IsUnspecified())
}

// String returns address, port and protocol of the machine, and the port that they lead to.
func (p PublishedPort) String() string {
	return netip.AddrPortFrom(p.HostAddress, p.HostPort).String() + "/" + string(p.Protocol) + " to port " + strconv.Itoa(int(p.Port))
}

// checkPublished checks the ports that an ENI publishes, one by one and among themselves.
func (v *validator) checkPublished(path string, e ENI) {
	for i, p := range e.PublishedPorts {
		at := fmt.Sprintf("%s.publishedPorts[%d]", path, i)
		if !p.HostAddress.Is4() || !p.HostAddress.IsUnspecified() && !p.HostAddress.IsLoopback() && !unicast(p.HostAddress) {
			v.add(at+".hostAddress", "InvalidParameterValue", "'%s' is not an IPv4 address of a machine; 0.0.0.0 stands for all of them", p.HostAddress)
		}
		if p.HostPort == 0 || p.Port == 0 {
			v.add(at, "InvalidParameterValue", "Port %d to port %d: both must be 1 to 65535", p.HostPort, p.Port)
		}
		if !p.Protocol.Is(TCP) && !p.Protocol.Is(UDP) {
			v.add(at+".protocol", "InvalidParameterValue", "'%s' has no ports to publish: want tcp or udp", p.Protocol)
		}
		for _, other := range e.PublishedPorts[:i] {
			if p.Conflicts(other) {
				v.add(at, "InvalidParameterValue", "%s is published already: %s", p, other)
			}
		}
	}
}

// machinePort is a port of the machine at all of its addresses.
type machinePort struct {
	protocol string
	port     uint16
}

// publisher is who publishes a port of the machine.
type publisher struct {
	port PublishedPort
	eni  string
}

// checkPublishers checks that no two ENIs publish the same port.
func (v *validator) checkPublishers() {
	taken := map[machinePort][]publisher{}
	for i, e := range v.state.ENIs {
		for j, p := range e.PublishedPorts {
			number, _ := p.Protocol.Number()
			key := machinePort{strconv.Itoa(number), p.HostPort}
			for _, other := range taken[key] {
				if other.eni != e.ID && other.port.Conflicts(p) {
					v.add(fmt.Sprintf("networkInterfaces[%d].publishedPorts[%d]", i, j), "InvalidParameterValue", "%s is published by %s already: %s", p, other.eni, other.port)
				}
			}
			taken[key] = append(taken[key], publisher{p, e.ID})
		}
	}
}
