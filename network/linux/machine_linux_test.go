package linux

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/networktest"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// machine is a host of the test's making: a namespace with a link to another one, the outside, by which its default
// route goes.
type machine struct {
	wire
	cfg           Config
	fabric        *Fabric
	host, outside string // paths of namespaces
}

func newMachine(t testing.TB, owner string) *machine {
	t.Helper()
	lane.Root(t)
	dir := t.TempDir()
	m := &machine{wire: wire{socks: map[string]map[int]int{}, files: map[string]*os.File{}},
		host: filepath.Join(dir, "host"), outside: filepath.Join(dir, "outside")}
	m.cfg = Config{Dir: filepath.Join(dir, "fabric"), Owner: owner, HostNetNS: m.host, DNS: []netip.Addr{}}
	withUserNS(&m.cfg)
	host, outside := m.namespace(t, m.host), m.namespace(t, m.outside)
	defer host.close()
	defer outside.close()
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: "lan0", TxQLen: -1})
	veth.PeerName, veth.PeerNamespace = "lan0", netlink.NsFd(outside.fd())
	must(t, host.handle.LinkAdd(veth))
	must(t, setUpLink(host.handle, "lan0", netip.PrefixFrom(m.HostAddr(), 24)))
	must(t, setUpLink(outside.handle, "lan0", netip.MustParsePrefix("192.0.2.1/24")))
	lan, err := host.handle.LinkByName("lan0")
	must(t, err)
	must(t, awaitUp(host.handle, lan.Attrs().Index))
	must(t, outside.handle.AddrAdd(loopback(), &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(m.OutsideAddr(), 32))}))
	must(t, host.handle.RouteAdd(&netlink.Route{Gw: netip.MustParseAddr("192.0.2.1").AsSlice()}))
	must(t, outside.handle.RouteAdd(&netlink.Route{Gw: m.HostAddr().AsSlice()})) // whatever it does not know, our host gets
	m.listen(t, "host", m.host)
	m.listen(t, "outside", m.outside)
	t.Cleanup(func() {
		for name := range m.socks {
			m.wire.close(name)
		}
		f := m.Open(t) // what a test that failed left
		if err := errors.Join(f.Apply(context.Background(), network.State{}), f.Close()); err != nil {
			t.Errorf("remove everything: %v", err)
		}
	})
	return m
}

// namespace makes a namespace that goes when the test ends.
func (m *machine) namespace(t testing.TB, path string) *namespace {
	t.Helper()
	ns, err := makeNamespace(path, nil)
	must(t, err)
	t.Cleanup(func() { must(t, clearMountPoint(path)) })
	// A new namespace has the settings of IPv4 that the machine has at the moment.
	must(t, inNamespace(ns.file, func() error { return os.WriteFile(ipForward, []byte("0"), 0) }))
	return ns
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) HostAddr() netip.Addr    { return netip.MustParseAddr("192.0.2.10") }
func (m *machine) OutsideAddr() netip.Addr { return netip.MustParseAddr("198.51.100.7") }

// Open implements networktest.Fixture.
func (m *machine) Open(t testing.TB) network.Fabric {
	t.Helper()
	f, err := New(m.cfg)
	must(t, err)
	m.fabric = f
	return f
}

// Leftovers implements networktest.Fixture.
func (m *machine) Leftovers(t testing.TB) []string {
	t.Helper()
	var left []string
	ns, err := openNamespace(m.host)
	must(t, err)
	defer ns.close()
	links, err := ns.handle.LinkList()
	must(t, err)
	for _, l := range links {
		if n := l.Attrs().Name; n != "lan0" && strings.HasPrefix(n, "fardel") {
			left = append(left, "link "+n)
		}
	}
	routes, err := ns.handle.RouteList(nil, netlink.FAMILY_V4)
	must(t, err)
	if len(routes) != 2 {
		left = append(left, fmt.Sprint("routes ", routes))
	}
	tables := newTables(ns.file)
	defer tables.close()
	if found, err := tables.exists(hostTable(m.cfg.Owner)); found || err != nil {
		left = append(left, fmt.Sprint("table ", err))
	}
	must(t, tables.transaction(false, func(c *nftables.Conn) error {
		list, err := c.ListTablesOfFamily(nftables.TableFamilyIPv6)
		if slices.ContainsFunc(list, func(table *nftables.Table) bool { return table.Name == hostTable(m.cfg.Owner) }) {
			left = append(left, "table of IPv6")
		}
		return err
	}))
	for _, f := range families() {
		proxies, err := ns.handle.NeighProxyList(0, int(f.af()))
		must(t, err)
		for _, p := range proxies {
			left = append(left, "answers for "+p.IP.String())
		}
	}
	must(t, inNamespace(ns.file, func() error {
		value, err := os.ReadFile(ipForward)
		if strings.TrimSpace(string(value)) != "0" {
			left = append(left, "ip_forward")
		}
		return err
	}))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, m.cfg.Dir) {
			left = append(left, "mount "+line)
		}
	}
	entries, err := os.ReadDir(m.cfg.Dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, "file "+e.Name())
	}
	return left
}

// Send implements networktest.Fixture. Packets of protocols without ports go one by one, since any two of them between
// the same addresses are one connection, and have one address to share outside.
func (m *machine) Send(t testing.TB, flows []network.Flow, patience time.Duration) []bool {
	t.Helper()
	holders := m.sync(t)
	arrived := make([]bool, len(flows))
	var together []int
	alone := map[network.Flow]bool{}
	for i, f := range flows {
		if n, _ := f.Protocol.Number(); n == 1 || n == 6 || n == 17 {
			together = append(together, i)
			continue
		}
		f.SourcePort, f.DestinationPort = 0, 0
		if _, known := alone[f]; !known {
			alone[f] = m.exchange(t, flows[i:i+1], patience/4, holders)[0]
		}
		arrived[i] = alone[f]
	}
	var batch []network.Flow
	for _, i := range together {
		batch = append(batch, flows[i])
	}
	for i, ok := range m.exchange(t, batch, patience, holders) {
		arrived[together[i]] = ok
	}
	return arrived
}

// exchange sends packets that belong to no connection.
func (m *machine) exchange(t testing.TB, flows []network.Flow, patience time.Duration, holders map[netip.Addr]string) []bool {
	t.Helper()
	must(t, m.fabric.host.handle.ConntrackTableFlush(netlink.ConntrackTable))
	for _, r := range m.fabric.routers {
		must(t, r.handle.ConntrackTableFlush(netlink.ConntrackTable))
	}
	sent, from := make([]uint64, len(flows)), make([]string, len(flows))
	for i, f := range flows {
		from[i] = f.ENI
		switch {
		case f.FromHost:
			from[i] = "host"
		case f.ENI == "":
			from[i] = "outside"
		}
		if m.socks[from[i]] == nil {
			t.Fatalf("%s is not attached", from[i])
		}
		sent[i] = m.wire.send(t, from[i], f)
	}
	got := m.received(t, patience, func(got map[uint64]string) bool { return len(got) == len(flows) })
	arrived := make([]bool, len(flows))
	for i, f := range flows {
		at, ok := got[sent[i]]
		if at == from[i] && holders[f.Destination] != at {
			continue // a kernel gives itself a copy of each broadcast
		}
		if arrived[i] = ok; ok && at != m.place(f, holders) {
			t.Errorf("packet %+v arrived at %s", f, at)
		}
	}
	return arrived
}

// sync opens sockets wherever packets can arrive now, and returns who has which address.
func (m *machine) sync(t testing.TB) map[netip.Addr]string {
	t.Helper()
	list, err := m.fabric.Attachments(t.Context())
	must(t, err)
	present := map[string]bool{"host": true, "outside": true}
	holders := map[netip.Addr]string{}
	for _, a := range list {
		present[a.ENI], holders[a.Address.Addr()] = true, a.ENI
	}
	for vpc := range m.fabric.routers {
		present[vpc] = true
	}
	for name := range m.socks {
		if !present[name] || m.stale(name) {
			m.wire.close(name)
		}
	}
	for name := range present {
		if name != "host" && name != "outside" {
			m.listen(t, name, m.cfg.namespacePath(name))
		}
	}
	return holders
}

// stale reports whether another namespace has taken the place of the one that the sockets are in.
func (m *machine) stale(name string) bool {
	if name == "host" || name == "outside" {
		return false
	}
	was, err := m.files[name].Stat()
	is, err2 := os.Stat(m.cfg.namespacePath(name))
	return err != nil || err2 != nil || !os.SameFile(was, is)
}

// place returns where a packet should arrive if it does.
func (m *machine) place(f network.Flow, holders map[netip.Addr]string) string {
	for _, rec := range m.fabric.attached {
		for _, p := range rec.ENI.PublishedPorts {
			if f.ToHost && f.ENI == "" && p.Takes(f.Protocol, netip.AddrPortFrom(f.Destination, f.DestinationPort)) {
				return rec.ENI.ID
			}
		}
	}
	switch {
	case f.ToHost:
		return "host"
	case holders[f.Destination] != "":
		return holders[f.Destination]
	case f.Destination == m.OutsideAddr():
		return "outside"
	}
	rec, _ := m.fabric.get(f.ENI)
	return rec.VPC
}

func TestFabric(t *testing.T) {
	networktest.Run(t, func(t testing.TB) networktest.Fixture { return newMachine(t, "suite") })
}
