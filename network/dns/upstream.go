package dns

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// serverPort is where name servers listen.
const serverPort = 53

// recheck is how often a resolv.conf is looked at: DHCP and VPN clients change it.
const recheck = 5 * time.Second

// HostServers returns the name servers in a resolv.conf for [ForwarderConfig.Servers]. The file is read again when it has
// changed. Servers at loopback addresses are good: the forwarder runs where they are. A file that cannot be read has none.
func HostServers(path string) func() []netip.AddrPort {
	h := &hostServers{path: path}
	return func() []netip.AddrPort { return h.servers(time.Now()) }
}

type hostServers struct {
	path string

	mu       sync.Mutex
	checked  time.Time
	modified time.Time
	size     int64
	list     []netip.AddrPort
}

func (h *hostServers) servers(now time.Time) []netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.checked.IsZero() && now.Sub(h.checked) < recheck {
		return h.list
	}
	h.checked = now
	info, err := os.Stat(h.path)
	if err != nil {
		h.list, h.modified = nil, time.Time{}
		return nil
	}
	if info.ModTime().Equal(h.modified) && info.Size() == h.size {
		return h.list
	}
	data, err := os.ReadFile(h.path)
	if err != nil {
		return h.list
	}
	h.list, h.modified, h.size = ParseResolvConf(string(data)), info.ModTime(), info.Size()
	return h.list
}

// ParseResolvConf returns the name servers that a resolv.conf lists, each once. One without any means the machine itself:
// resolv.conf(5).
func ParseResolvConf(text string) []netip.AddrPort {
	var servers []netip.AddrPort
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		if s := netip.AddrPortFrom(addr, serverPort); err == nil && !addr.IsUnspecified() && !slices.Contains(servers, s) {
			servers = append(servers, s)
		}
	}
	if len(servers) == 0 {
		servers = append(servers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), serverPort))
	}
	return servers
}
