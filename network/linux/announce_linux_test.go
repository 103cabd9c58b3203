package linux

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// lanState returns a VPC with a pool of public addresses of the network that the test's host is on, an ENI that has one,
// one with an elastic address, and one without; all with IPv6 addresses, and open to everybody at port 7.
func lanState(t testing.TB) network.State {
	s := testVPC(t, "lan", "10.1.0.0/16")
	s.PublicIPv4Pools = []network.PublicIPv4Pool{{ID: network.NewID("ipv4pool-ec2", "lan"), CIDRs: prefixes("192.0.2.64/28")}}
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1), testENI(s, 2)}
	s.ENIs[0].AssignPublicIP, s.ENIs[0].PublicIPv4 = true, netip.MustParseAddr("192.0.2.65")
	s.Addresses = []network.Address{{AllocationID: network.NewID("eipalloc", "lan"), PublicIP: netip.MustParseAddr("192.0.2.66"), ENI: s.ENIs[1].ID}}
	s = dualStack(s, 0)
	s.SecurityGroups[0].Ingress = append(slices.Clone(s.SecurityGroups[0].Ingress),
		network.Rule{Protocol: network.TCP, FromPort: 7, ToPort: 7, CIDRs: prefixes("0.0.0.0/0"), IPv6CIDRs: prefixes("::/0")})
	return s
}

// lan6 gives both ends of the machine's network IPv6, and has the outside look for the VPC's addresses on it.
func (m *machine) lan6(t *testing.T) {
	t.Helper()
	for path, addr := range map[string]string{m.host: "2001:db8:99::10/64", m.outside: "2001:db8:99::1/64"} {
		ns, err := openNamespace(path)
		must(t, err)
		defer ns.close()
		lan, err := ns.handle.LinkByName("lan0")
		must(t, err)
		p := prefix(addr)
		must(t, ns.handle.AddrAdd(lan, &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}))
		if path == m.outside {
			must(t, ns.handle.RouteAdd(&netlink.Route{LinkIndex: lan.Attrs().Index, Dst: ipNet(prefix("2001:db8:1::/56"))}))
			continue
		}
		must(t, inNamespace(ns.file, func() error { return writeSysctls([]sysctl{{path: "ipv6/conf/all/forwarding", value: "1"}}) }))
	}
}

// hearsFrom asks until there is an answer: a question for an address may have to be repeated.
func hearsFrom(t *testing.T, path, to string) string {
	t.Helper()
	var last error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		answer, err := askAny(t, path, to)
		if err == nil {
			return answer
		}
		last = err
	}
	t.Errorf("%s asks %s: %v", path, to, last)
	return ""
}

// serveAny echoes as serve does, by either version of IP.
func serveAny(t testing.TB, path, addr string) {
	t.Helper()
	var l net.Listener
	in(t, path, func() (err error) { l, err = net.Listen("tcp", addr); return err })
	echo(t, l)
}

// askAny asks as ask does, by either version of IP.
func askAny(t testing.TB, path, addr string) (answer string, err error) {
	t.Helper()
	in(t, path, func() error {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", addr, longWait); err != nil {
			return nil
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(c, "hello\n")
		var data []byte
		data, err = io.ReadAll(c)
		answer = strings.ReplaceAll(strings.TrimSpace(string(data)), "::ffff:", "")
		return nil
	})
	return answer, err
}

// proxied lists what the host answers for on its link.
func (m *machine) proxied(t *testing.T) []string {
	t.Helper()
	ns, err := openNamespace(m.host)
	must(t, err)
	defer ns.close()
	var list []string
	for _, f := range families() {
		all, err := ns.handle.NeighProxyList(0, int(f.af()))
		must(t, err)
		for _, n := range all {
			list = append(list, n.IP.String())
		}
	}
	slices.Sort(list)
	return list
}

// TestPublicAddressLink has a network that looks for tasks' addresses on its own link.
func TestPublicAddressLink(t *testing.T) {
	m := newMachine(t, "link")
	m.lan6(t)
	m.cfg.PublicAddressLink = "lan0"
	f := m.Open(t).(*Fabric)
	s := lanState(t)
	must(t, f.Apply(t.Context(), s))
	if list, err := f.Obstacles(t.Context()); err != nil || len(list) != 1 || !strings.Contains(list[0], "proxy_ndp") {
		t.Errorf("Obstacles = %q, %v, want what is to be done for IPv6", list, err)
	}
	must(t, inNamespace(f.host.file, func() error { return writeSysctls([]sysctl{{path: "ipv6/conf/lan0/proxy_ndp", value: "1"}}) }))
	if list, err := f.Obstacles(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("Obstacles = %q, %v", list, err)
	}
	all := func(enis ...network.ENI) []string {
		var list []string
		for _, e := range enis {
			list = append(list, e.IPv6.String())
			if public, _ := s.PublicIPv4(e); public.IsValid() {
				list = append(list, public.String())
			}
		}
		slices.Sort(list)
		return list
	}
	want := func(when string, enis ...network.ENI) {
		t.Helper()
		if got := m.proxied(t); !slices.Equal(got, all(enis...)) {
			t.Errorf("%s: the host answers for %q, want %q", when, got, all(enis...))
		}
	}
	want("applied", s.ENIs...)
	serveAny(t, m.outside, "192.0.2.1:7")
	for i, e := range s.ENIs[:2] {
		public, _ := s.PublicIPv4(e)
		serveAny(t, f.cfg.namespacePath(e.ID), ":7")
		if got := hearsFrom(t, m.outside, public.String()+":7"); got != "192.0.2.1 hello" {
			t.Errorf("its network asks ENI %d at %s: %q", i, public, got)
		}
		if got := hearsFrom(t, m.outside, fmt.Sprintf("[%s]:7", e.IPv6)); got != "2001:db8:99::1 hello" {
			t.Errorf("its network asks ENI %d at %s: %q", i, e.IPv6, got)
		}
		if got := hearsFrom(t, f.cfg.namespacePath(e.ID), "192.0.2.1:7"); got != public.String()+" hello" {
			t.Errorf("ENI %d asks its network: %q, want it to be known by %s", i, got, public)
		}
	}

	// Entries come and go with ENIs, and others' stay.
	lan, err := f.host.handle.LinkByName("lan0")
	must(t, err)
	others := proxyNeighbor(lan, netip.MustParseAddr("192.0.2.99"))
	must(t, f.host.handle.NeighSet(others))
	first := s.ENIs[0]
	must(t, f.Detach(t.Context(), first.ID))
	must(t, f.Close())
	f = m.Open(t).(*Fabric)
	s.ENIs = s.ENIs[1:]
	must(t, f.Apply(t.Context(), s))
	if got := m.proxied(t); !slices.Contains(got, "192.0.2.99") {
		t.Errorf("what others have the host answer for is gone: %q", got)
	}
	must(t, f.host.handle.NeighDel(others))
	want("one detached", s.ENIs...)
	first.AssignPublicIP, first.PublicIPv4 = false, netip.Addr{}
	if _, err := f.Attach(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	want("attached without a public address", append(s.ENIs, first)...)
	first.AssignPublicIP, first.PublicIPv4 = true, netip.MustParseAddr("192.0.2.70")
	if _, err := f.Attach(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	s.ENIs = append(s.ENIs, first)
	want("with another public address", s.ENIs...)
	serveAny(t, f.cfg.namespacePath(first.ID), ":7")
	if got := hearsFrom(t, m.outside, "192.0.2.70:7"); got != "192.0.2.1 hello" {
		t.Errorf("its network asks the ENI at its new address: %q", got)
	}

	// What somebody removed comes back, and without the setting all of it goes.
	must(t, f.host.dropProxy(proxy{"lan0", netip.MustParseAddr("192.0.2.70")}))
	must(t, f.Apply(t.Context(), s))
	want("applied again", s.ENIs...)
	must(t, f.Close())
	m.cfg.PublicAddressLink = ""
	f = m.Open(t).(*Fabric)
	must(t, f.Apply(t.Context(), s))
	want("without a link")
	must(t, f.Close())
	m.cfg.PublicAddressLink = "lan0"
	f = m.Open(t).(*Fabric)
	must(t, f.Apply(t.Context(), s))
	want("with a link again", s.ENIs...)
	must(t, f.Apply(t.Context(), network.State{}))
	want("with nothing")
	must(t, f.Close())
}
