package linux

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/google/nftables"
)

// conntrackMax returns the kernel's nf_conntrack_max, which is one for all namespaces; 0 if it does not say.
func conntrackMax() int {
	data, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return n
}

// connectionLimits returns the limits with their defaults for this kernel.
func (f *Fabric) connectionLimits() ConnectionLimits {
	return f.cfg.ConnectionLimits.withDefaults(conntrackMax())
}

// limitConnections makes the tables with limits those that are wanted. What is open counts again from nothing.
func (r *router) limitConnections(l ConnectionLimits) error {
	all := connectionRulesets(l)
	want := connectionTable(l)
	have, err := r.connections()
	if err != nil {
		return err
	}
	// The tables come last: that they are there says that all is done.
	if err := inNamespace(r.file, func() error { return writeSysctls(connectionSysctls(l)) }); err != nil {
		return err
	}
	if err := r.tables.replace(all...); err != nil {
		return err
	}
	var errs []error
	for _, name := range have {
		if name != want {
			errs = append(errs, r.tables.remove(name))
		}
	}
	return errors.Join(errs...)
}

// connections lists the tables with limits.
func (r *router) connections() (found []string, err error) {
	err = r.tables.transaction(false, func(c *nftables.Conn) error {
		list, err := c.ListTablesOfFamily(nftables.TableFamilyIPv4)
		for _, t := range list {
			if isConnections(t.Name) {
				found = append(found, t.Name)
			}
		}
		return err
	})
	return found, err
}

// connectionSysctls are what the limits take for granted of a router's namespace. They are written when connection tracking
// is there, which brings some of them.
func connectionSysctls(l ConnectionLimits) []sysctl {
	var list []sysctl
	if l.PerSecond > 0 || l.Open > 0 {
		// The kernel does not count a connection that both sides have closed, but remembers it for two minutes. All that is
		// left to come is a packet sent twice.
		list = append(list, sysctl{path: "netfilter/nf_conntrack_tcp_timeout_time_wait", value: "10"})
	}
	if l.Fragments > 0 {
		// A fragment takes up to 2.3 KB, and all that an ENI sends in 3 seconds and at once are 19 MB by default: a third of
		// what there is. Every router is one hop away from who sends.
		const timeout, memory = "3", "67108864"
		list = append(list, sysctl{path: "ipv4/ipfrag_high_thresh", value: memory}, sysctl{path: "ipv4/ipfrag_time", value: timeout},
			sysctl{path: "netfilter/nf_conntrack_frag6_high_thresh", value: memory}, sysctl{path: "netfilter/nf_conntrack_frag6_timeout", value: timeout})
	}
	return list
}
