package task

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Limits of port mappings.
const (
	maxPort       = 65535
	maxPortRanges = 100 // per container
)

// Range returns the container ports of the mapping: one port twice, or the ends
// of ContainerPortRange. It fails if the range is not "first-last" with first
// below last, both 1..65535.
func (p *PortMapping) Range() (first, last int, err error) {
	if p.ContainerPortRange == "" {
		return p.ContainerPort, p.ContainerPort, nil
	}
	from, to, ok := strings.Cut(p.ContainerPortRange, "-")
	first, err = strconv.Atoi(from)
	if err == nil {
		last, err = strconv.Atoi(to)
	}
	if !ok || err != nil || first < 1 || last > maxPort || first >= last {
		return 0, 0, fmt.Errorf("task: port range %q: want first-last with first below last, both from 1 to %d", p.ContainerPortRange, maxPort)
	}
	return first, last, nil
}

var appProtocols = []ApplicationProtocol{AppProtocolHTTP, AppProtocolHTTP2, AppProtocolGRPC}

func (s *containerScope) ports() {
	if s.mode == NetworkModeNone && len(s.c.PortMappings) > 0 {
		s.bad("portMappings", "is not supported when networkMode=none")
		return
	}
	for i := range s.c.PortMappings {
		p := &s.c.PortMappings[i]
		member := fmt.Sprintf("portMappings[%d]", i)
		if p.ContainerPortRange != "" {
			s.portRange(member, p)
		} else {
			s.port(member, p)
		}
		if p.Name != "" && !isPortName(p.Name) {
			s.bad(member+".name", "must be 1 to 64 lower-case letters, digits, underscores and hyphens, not starting with a hyphen, not %q", p.Name)
		}
		if p.AppProtocol != "" && !slices.Contains(appProtocols, p.AppProtocol) {
			s.bad(member+".appProtocol", "%s", oneOf(p.AppProtocol, appProtocols))
		}
	}
}

// isPortName reports whether s matches ^[a-z0-9_][a-z0-9_-]{0,63}$.
func isPortName(s string) bool {
	return isName(s) && len(s) <= 64 && s[0] != '-' && s == strings.ToLower(s)
}

func (s *containerScope) port(member string, p *PortMapping) {
	if p.ContainerPort < 1 || p.ContainerPort > maxPort {
		s.bad(member+".containerPort", "must be 1 to %d, not %d", maxPort, p.ContainerPort)
	}
	if p.HostPort < 0 || p.HostPort > maxPort {
		s.bad(member+".hostPort", "must be 0 to %d, not %d", maxPort, p.HostPort)
	}
	if (s.mode == NetworkModeAWSVPC || s.mode == NetworkModeHost) && p.HostPort != 0 && p.HostPort != p.ContainerPort {
		s.bad(member+".hostPort", "When networkMode=%s, the host ports and container ports in port mappings must match. (%d and %d)", s.mode, p.HostPort, p.ContainerPort)
	}
}

func (s *containerScope) portRange(member string, p *PortMapping) {
	if _, _, err := p.Range(); err != nil {
		s.bad(member+".containerPortRange", "%s", sentence(err))
	}
	if p.ContainerPort != 0 {
		s.bad(member+".containerPort", "cannot be set together with containerPortRange")
	}
	if p.HostPort != 0 {
		s.bad(member+".hostPort", "cannot be set together with containerPortRange")
	}
	if s.mode != NetworkModeAWSVPC && s.mode != NetworkModeBridge && s.mode != NetworkModeDefault {
		s.bad(member+".containerPortRange", "is supported with networkMode=bridge or awsvpc only, not %s", s.mode)
	}
}

// portRanges checks a container's mappings against each other: a container port
// is in one mapping only, whatever its protocol.
func (s *containerScope) portRanges() {
	type span struct{ index, first, last int }
	var spans []span
	ranges := 0
	for i := range s.c.PortMappings {
		p := &s.c.PortMappings[i]
		if p.ContainerPortRange != "" {
			ranges++
		}
		if first, last, err := p.Range(); err == nil && first > 0 {
			spans = append(spans, span{i, first, last})
		}
	}
	if ranges > maxPortRanges {
		s.bad("portMappings", "has %d port ranges, ECS allows %d", ranges, maxPortRanges)
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.first - b.first })
	for i := 1; i < len(spans); i++ {
		a, b := spans[i-1], spans[i]
		if b.first <= a.last {
			s.bad(fmt.Sprintf("portMappings[%d]", b.index), "container port %d is in portMappings[%d] already", b.first, a.index)
		}
		if b.last < a.last {
			spans[i] = a // it reaches further, the next may lie in it too
		}
	}
}

// portNames checks that names, by which services refer to ports, are unique in
// the task.
func (v *validator) portNames() {
	first := make(map[string]string)
	for i := range v.def.ContainerDefinitions {
		for j := range v.def.ContainerDefinitions[i].PortMappings {
			name := v.def.ContainerDefinitions[i].PortMappings[j].Name
			path := fmt.Sprintf("containerDefinitions[%d].portMappings[%d].name", i, j)
			if other, ok := first[name]; ok && name != "" {
				v.bad(path, "%q is the name of %s already", name, other)
				continue
			}
			first[name] = strings.TrimSuffix(path, ".name")
		}
	}
}

// maxHostname is the kernel's limit of a host name, in bytes.
const maxHostname = 64

// hosts checks what goes to the files of /etc: hostname, extraHosts, dnsServers and dnsSearchDomains.
func (s *containerScope) hosts() {
	if len(s.c.Hostname) > maxHostname || !isHost(s.c.Hostname) {
		s.bad("hostname", "must be at most %d letters, digits, - _ and ., not %q", maxHostname, s.c.Hostname)
	}
	for i, h := range s.c.ExtraHosts {
		member := fmt.Sprintf("extraHosts[%d]", i)
		switch {
		case h.Hostname == "":
			s.bad(member+".hostname", "must be set")
		case !isHost(h.Hostname):
			s.bad(member+".hostname", "must be letters, digits, - _ and ., not %q", h.Hostname)
		}
		// host-gateway is Docker's word for the address of the host.
		if _, err := netip.ParseAddr(h.IPAddress); err != nil && h.IPAddress != "host-gateway" {
			s.bad(member+".ipAddress", "must be an IP address, not %q", h.IPAddress)
		}
	}
	if s.fargate || s.windows {
		return // unsupported has said that there are no servers
	}
	for i, a := range s.c.DNSServers {
		if _, err := netip.ParseAddr(a); err != nil {
			s.bad(fmt.Sprintf("dnsServers[%d]", i), "must be an IP address, not %q", a)
		}
	}
	for i, d := range s.c.DNSSearchDomains {
		if d == "" || !isHost(d) {
			s.bad(fmt.Sprintf("dnsSearchDomains[%d]", i), "must be letters, digits, - _ and ., not %q", d)
		}
	}
}

// isHost reports whether s has only characters of host names.
func isHost(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
}
