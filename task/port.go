package task

// TransportProtocol is tcp or udp.
type TransportProtocol string

// The transport protocols of port mappings; empty means tcp.
const (
	ProtocolTCP TransportProtocol = "tcp"
	ProtocolUDP TransportProtocol = "udp"
)

// ApplicationProtocol is what a service speaks on a port.
type ApplicationProtocol string

// The application protocols of port mappings; empty means plain TCP.
const (
	AppProtocolHTTP  ApplicationProtocol = "http"
	AppProtocolHTTP2 ApplicationProtocol = "http2"
	AppProtocolGRPC  ApplicationProtocol = "grpc"
)

// PortMapping is a port, or a range of ports, that a container listens on.
type PortMapping struct {
	// ContainerPort is 1..65535; required unless ContainerPortRange is set.
	ContainerPort int `json:"containerPort,omitempty"`
	// HostPort is the port on the host. In awsvpc and host mode it is 0 or equal
	// to ContainerPort; in bridge mode 0 means any free one.
	HostPort int `json:"hostPort,omitempty"`
	// Protocol is tcp unless it says udp; ECS reads all else as tcp.
	Protocol TransportProtocol `json:"protocol,omitempty"`
	// Name is what Service Connect refers to.
	Name string `json:"name,omitempty"`
	// AppProtocol is http, http2 or grpc.
	AppProtocol ApplicationProtocol `json:"appProtocol,omitempty"`
	// ContainerPortRange is "first-last"; bridge and awsvpc only.
	ContainerPortRange string `json:"containerPortRange,omitempty"`
	Extra              Extra  `json:"-"`
}

// Transport returns the protocol that counts: udp if Protocol says so, else tcp.
func (p *PortMapping) Transport() TransportProtocol {
	if p.Protocol == ProtocolUDP {
		return ProtocolUDP
	}
	return ProtocolTCP
}

// HostEntry is a line of /etc/hosts.
type HostEntry struct {
	Hostname  string `json:"hostname,omitempty"`
	IPAddress string `json:"ipAddress,omitempty"`
	Extra     Extra  `json:"-"`
}
