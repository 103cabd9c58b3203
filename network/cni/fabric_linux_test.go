package cni

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/networktest"
)

// needPlugins skips a test without root or without the plugins of Debian's package containernetworking-plugins.
func needPlugins(t testing.TB) {
	t.Helper()
	lane.Root(t)
	for _, c := range []string{"ip", "iptables", "iptables-save", "tc"} {
		lane.Command(t, c)
	}
	for _, p := range []string{"bridge", "ptp", "host-local", "portmap", "bandwidth", "firewall"} {
		if _, err := os.Stat("/usr/lib/cni/" + p); err != nil {
			lane.Missing(t, "the CNI plugin "+p)
		}
	}
}

// chain is a network of two subnets on a bridge that the operator has made; $DIR is a directory of the test's. The bridge
// plugin itself gives a bridge one address only.
const chain = `{"cniVersion": "1.0.0", "name": "tasks", "plugins": [
	{"type": "bridge", "bridge": "cni-test0", "hairpinMode": true, "ipam": {
		"type": "host-local", "dataDir": "$DIR/ipam", "routes": [{"dst": "0.0.0.0/0"}],
		"ranges": [[{"subnet": "10.1.0.0/20"}, {"subnet": "10.1.16.0/20"}]]}},
	{"type": "portmap", "capabilities": {"portMappings": true}},
	{"type": "bandwidth", "capabilities": {"bandwidth": true}},
	{"type": "firewall"}]}`

const pointToPoint = `{"cniVersion": "0.4.0", "name": "tasks", "plugins": [
	{"type": "ptp", "ipMasq": true, "ipam": {"type": "host-local", "dataDir": "$DIR/ipam", "subnet": "10.2.0.0/20"},
	 "dns": {"nameservers": ["192.0.2.53"], "search": ["ptp.internal"]}}]}`

// machine is a host of the test's making: the namespace that the tests run in.
type machine struct {
	dir    string
	cfg    Config
	before map[string]bool
}

func newMachine(t testing.TB, conflist string) *machine {
	t.Helper()
	needPlugins(t)
	m := &machine{dir: t.TempDir()}
	path := filepath.Join(m.dir, "net.conflist")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(conflist, "$DIR", m.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	m.cfg = Config{Dir: filepath.Join(m.dir, "fabric"), Owner: "test", Network: path, PluginDirs: []string{"/usr/lib/cni"}}
	for _, args := range []string{"link add cni-test0 type bridge", "addr add 10.1.0.1/20 dev cni-test0", "addr add 10.1.16.1/20 dev cni-test0", "link set cni-test0 up"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600); err != nil { // between the subnets
		t.Fatal(err)
	}
	m.before = m.look(t)
	t.Cleanup(func() {
		f := m.open(t) // what a test that failed left
		if err := errors.Join(f.Apply(context.Background(), network.State{}), f.Close()); err != nil {
			t.Errorf("remove everything: %v", err)
		}
		if out, err := exec.Command("ip", "link", "del", "cni-test0").CombinedOutput(); err != nil {
			t.Errorf("ip link del: %v: %s", err, out)
		}
	})
	return m
}

func (m *machine) open(t testing.TB) *Fabric {
	t.Helper()
	f, err := New(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// look lists what plugins made for ENIs: links, rules and addresses taken, and the files of the fabric.
func (m *machine) look(t testing.TB) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Name != "cni-test0" {
			seen["link "+l.Name] = true
		}
	}
	rules, err := exec.Command("iptables-save").CombinedOutput()
	if err != nil {
		t.Fatalf("iptables-save: %v: %s", err, rules)
	}
	for line := range strings.Lines(string(rules)) {
		if strings.Contains(line, "10.1.") || strings.Contains(line, "10.2.") || strings.Contains(line, "fardel-") {
			seen["rule "+strings.TrimSpace(line)] = true
		}
	}
	for _, pattern := range []string{"ipam/tasks/10.*", "fabric/*/*", "fabric/*/*/*"} {
		files, err := filepath.Glob(filepath.Join(m.dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if info, err := os.Lstat(f); err == nil && !info.IsDir() {
				seen["file "+f] = true
			}
		}
	}
	return seen
}

// left lists what is there and was not at the start.
func (m *machine) left(t testing.TB) []string {
	t.Helper()
	var left []string
	for what := range m.look(t) {
		if !m.before[what] {
			left = append(left, what)
		}
	}
	slices.Sort(left)
	return left
}

// state returns the VPC of the machine's network, and its n-th ENI.
func (m *machine) state(t testing.TB, f *Fabric) (network.State, func(n int) network.ENI) {
	t.Helper()
	s, err := f.State("eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	return s, func(n int) network.ENI {
		b := s.Subnets[0].CIDR.Addr().As4()
		b[3] = byte(10 + n)
		seed := fmt.Sprint(n)
		return network.ENI{ID: network.NewID("eni", seed), Subnet: s.Subnets[0].ID, PrivateIPv4: netip.AddrFrom4(b),
			MAC: network.NewMAC(seed), SecurityGroups: []string{s.SecurityGroups[0].ID}}
	}
}

// suite is the machine as networktest's fixture.
type suite struct{ *machine }

// opened takes out of the suite's states what a CNI network cannot do, so that all else of it can be checked.
type opened struct{ *Fabric }

func (o opened) Apply(ctx context.Context, s network.State) error {
	all := []network.Rule{{Protocol: network.AllProtocols, CIDRs: []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)}}}
	s.InternetGateways = nil
	s.SecurityGroups, s.RouteTables = slices.Clone(s.SecurityGroups), slices.Clone(s.RouteTables)
	for i := range s.SecurityGroups {
		s.SecurityGroups[i].Ingress, s.SecurityGroups[i].Egress = all, all
	}
	for i := range s.RouteTables {
		s.RouteTables[i].Routes = slices.DeleteFunc(slices.Clone(s.RouteTables[i].Routes), func(r network.Route) bool {
			return r.Target != network.TargetLocal
		})
	}
	return o.Fabric.Apply(ctx, s)
}

func (s suite) Open(t testing.TB) network.Fabric { return opened{s.open(t)} }

func (s suite) HostAddr() netip.Addr    { return netip.MustParseAddr("10.1.0.1") }
func (s suite) OutsideAddr() netip.Addr { return netip.MustParseAddr("198.51.100.7") }

func (s suite) Leftovers(t testing.TB) []string { return s.left(t) }

// Send connects over TCP: the suite asks for no more of a fabric without security groups.
func (s suite) Send(t testing.TB, flows []network.Flow, patience time.Duration) []bool {
	t.Helper()
	f := s.open(t)
	defer f.Close()
	list, err := f.Attachments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	arrived := make([]bool, len(flows))
	for i, flow := range flows {
		var from, to string
		for _, a := range list {
			if a.ENI == flow.ENI {
				from = a.NetNS
			}
			if a.Address.Addr() == flow.Destination {
				to = a.NetNS
			}
		}
		arrived[i] = from != "" && connects(t, from, to, netip.AddrPortFrom(flow.Destination, flow.DestinationPort), max(patience, 200*time.Millisecond))
	}
	return arrived
}

// connects reports whether a connection from a namespace to an address comes to be; "" is the host's.
func connects(t testing.TB, from, to string, addr netip.AddrPort, patience time.Duration) bool {
	t.Helper()
	if to != "" {
		defer serve(t, to, addr.Port())()
	}
	return inNamespace(from, func() error { return dial(addr, patience) }) == nil
}

// connectsTo reports whether a connection from the host to an address reaches a port in a namespace.
func connectsTo(t testing.TB, to string, port uint16, addr netip.AddrPort, patience time.Duration) bool {
	t.Helper()
	defer serve(t, to, port)()
	return dial(addr, patience) == nil
}

func dial(addr netip.AddrPort, patience time.Duration) error {
	conn, err := net.DialTimeout("tcp4", addr.String(), patience)
	if err != nil {
		return err
	}
	return conn.Close()
}

// serve listens in a namespace.
func serve(t testing.TB, path string, port uint16) (stop func()) {
	t.Helper()
	var l net.Listener
	err := inNamespace(path, func() (err error) { l, err = net.Listen("tcp4", fmt.Sprint(":", port)); return err })
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = l.Close() }
}

// inNamespace runs fn on a thread in the namespace at path.
func inNamespace(path string, fn func() error) error {
	if path == "" {
		return fn()
	}
	return inThread(func() error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return fn()
	})
}

func TestFabric(t *testing.T) {
	needPlugins(t)
	networktest.Run(t, func(t testing.TB) networktest.Fixture { return suite{newMachine(t, chain)} },
		networktest.SeveralVPCs, networktest.SecurityGroups, networktest.Isolation, networktest.Outside,
		networktest.Bandwidth, networktest.PublishedPorts)
}
