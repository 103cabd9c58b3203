package linux

import (
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Where name servers are found. systemd-resolved lists itself at 127.0.0.53 in the first and the real ones in the
// second.
func resolvConfs() []string { return []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} }

// hostResolvers returns the name servers of the host that a task can reach: the first file that has any decides.
func hostResolvers() []netip.Addr {
	for _, path := range resolvConfs() {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if servers := parseResolvConf(string(data)); len(servers) > 0 {
			return servers
		}
	}
	return nil
}

// parseResolvConf returns the IPv4 name servers of a resolv.conf, without those at loopback and link-local addresses:
// in a task's namespace those are someone else or nobody.
func parseResolvConf(text string) []netip.Addr {
	var servers []netip.Addr
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		if err != nil || !addr.Is4() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() {
			continue
		}
		if !slices.Contains(servers, addr) {
			servers = append(servers, addr)
		}
	}
	return servers
}
