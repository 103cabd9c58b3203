package linux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/vishvananda/netlink"
)

const (
	shortWait = 60 * time.Millisecond
	longWait  = 2 * time.Second
)

// in runs fn in the namespace at path.
func in(t testing.TB, path string, fn func() error) {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer func() { _ = file.Close() }()
	if err := inNamespace(file, fn); err != nil {
		t.Fatal(err)
	}
}

// serve echoes lines of TCP on addr in a namespace until the test ends, preceded by the caller's address.
func serve(t testing.TB, path, addr string) {
	t.Helper()
	var l net.Listener
	in(t, path, func() (err error) { l, err = net.Listen("tcp4", addr); return err })
	echo(t, l)
}

func echo(t testing.TB, l net.Listener) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(c).ReadString('\n')
			caller, _ := netip.ParseAddrPort(c.RemoteAddr().String())
			_, _ = fmt.Fprintf(c, "%s %s", caller.Addr(), line)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

// ask sends a line and returns the answer.
func ask(t testing.TB, path, addr string) (answer string, err error) {
	t.Helper()
	in(t, path, func() error {
		var c net.Conn
		if c, err = net.DialTimeout("tcp4", addr, longWait/4); err != nil {
			return nil
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(longWait))
		_, _ = io.WriteString(c, "hello\n")
		var data []byte
		data, err = io.ReadAll(c)
		answer = strings.TrimSpace(string(data))
		return nil
	})
	return answer, err
}

// TestTalk has conversations: both directions of an allowed connection pass, whatever the groups say of the other one.
func TestTalk(t *testing.T) {
	m := newMachine(t, "talk")
	f := m.Open(t)
	s := testVPC(t, "talk", "10.1.0.0/16")
	server := network.SecurityGroup{ID: network.NewID("sg", "server"), VPC: s.VPCs[0].ID, Name: "server", Description: "server",
		Ingress: []network.Rule{{Protocol: network.TCP, FromPort: 7, ToPort: 7, Groups: []string{s.SecurityGroups[0].ID}}}}
	s.SecurityGroups = append(s.SecurityGroups, server)
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1)}
	s.ENIs[0].AssignPublicIP = true
	s.ENIs[1].SecurityGroups = []string{server.ID} // nothing may leave it
	must(t, f.Apply(t.Context(), s))
	client, srv := m.cfg.namespacePath(s.ENIs[0].ID), m.cfg.namespacePath(s.ENIs[1].ID)
	a, b := s.ENIs[0].PrivateIPv4.String(), s.ENIs[1].PrivateIPv4.String()
	serve(t, srv, "0.0.0.0:7")
	serve(t, srv, "127.0.0.1:8")
	serve(t, m.outside, m.OutsideAddr().String()+":7")
	serve(t, m.host, m.HostAddr().String()+":7")
	hostEnd := f.(*Fabric).router(s.VPCs[0].ID).hostAddr.String()
	tests := []struct{ from, to, want string }{
		{client, b + ":7", a + " hello"},
		{srv, "127.0.0.1:7", "127.0.0.1 hello"},
		{srv, "127.0.0.1:8", "127.0.0.1 hello"},
		{srv, b + ":7", b + " hello"},
		{m.host, b + ":7", hostEnd + " hello"},
		{client, m.OutsideAddr().String() + ":7", m.HostAddr().String() + " hello"},
		{srv, m.OutsideAddr().String() + ":7", ""},
		{client, m.HostAddr().String() + ":7", ""},
		{client, b + ":8", ""},
		{m.outside, b + ":7", ""},
	}
	for _, tt := range tests {
		got, err := ask(t, tt.from, tt.to)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s asks %s: %q, %v, want %q", tt.from, tt.to, got, err, tt.want)
		}
	}
	must(t, f.Close())
}

// TestListen serves tasks at the address that a VPC answers itself, and knows who calls.
func TestListen(t *testing.T) {
	m := newMachine(t, "listen")
	f := m.Open(t).(*Fabric)
	one, two := testVPC(t, "one", "10.1.0.0/16"), testVPC(t, "two", "10.2.0.0/16")
	two.VPCs[0].IsDefault = false
	mute := network.SecurityGroup{ID: network.NewID("sg", "mute"), VPC: one.VPCs[0].ID, Name: "mute", Description: "mute"}
	s := network.State{VPCs: append(one.VPCs, two.VPCs...), Subnets: append(one.Subnets, two.Subnets...),
		SecurityGroups: append(append(one.SecurityGroups, two.SecurityGroups...), mute), InternetGateways: append(one.InternetGateways, two.InternetGateways...),
		RouteTables: append(one.RouteTables, two.RouteTables...), ENIs: []network.ENI{testENI(one, 0), testENI(one, 1), testENI(two, 0)}}
	s.ENIs[1].SecurityGroups = []string{mute.ID} // groups do not apply to endpoints
	must(t, f.Apply(t.Context(), s))
	endpoint := netip.AddrPortFrom(network.CredentialsAddr(), 80)
	for _, v := range s.VPCs {
		l, err := f.Listen(t.Context(), v.ID, endpoint)
		must(t, err)
		echo(t, l)
	}
	for _, e := range s.ENIs {
		got, err := ask(t, m.cfg.namespacePath(e.ID), endpoint.String())
		if want := e.PrivateIPv4.String() + " hello"; err != nil || got != want {
			t.Errorf("%s asks %s: %q, %v, want %q", e.ID, endpoint, got, err, want)
		}
	}
	if got, err := ask(t, m.host, endpoint.String()); err == nil {
		t.Errorf("the host asks %s: %q", endpoint, got)
	}

	c, err := f.ListenPacket(t.Context(), s.VPCs[0].ID, netip.AddrPortFrom(network.ResolverAddr(), 53))
	must(t, err)
	defer func() { _ = c.Close() }()
	in(t, m.cfg.namespacePath(s.ENIs[1].ID), func() error {
		q, err := net.Dial("udp4", network.ResolverAddr().String()+":53")
		if err != nil {
			return err
		}
		_, err = io.WriteString(q, "who?")
		return errors.Join(err, q.Close())
	})
	must(t, c.SetReadDeadline(time.Now().Add(longWait)))
	buffer := make([]byte, 16)
	n, caller, err := c.ReadFrom(buffer)
	if err != nil || string(buffer[:n]) != "who?" || netip.MustParseAddrPort(caller.String()).Addr() != s.ENIs[1].PrivateIPv4 {
		t.Errorf("received %q from %v: %v", buffer[:n], caller, err)
	}

	if _, err := f.Listen(t.Context(), "vpc-00000000", endpoint); !errors.Is(err, network.ErrNotFound) {
		t.Errorf("Listen in an unknown VPC: %v", err)
	}
	if _, err := f.Listen(t.Context(), s.VPCs[0].ID, netip.MustParseAddrPort("0.0.0.0:80")); !errors.Is(err, network.ErrInvalid) {
		t.Errorf("Listen at any address: %v", err)
	}
	must(t, f.Close())
}

// TestAddressHeir gives an address that was in a conversation to another ENI, which must not inherit it.
func TestAddressHeir(t *testing.T) {
	m := newMachine(t, "heir")
	f := m.Open(t)
	s := testVPC(t, "heir", "10.1.0.0/16")
	shut := network.SecurityGroup{ID: network.NewID("sg", "shut"), VPC: s.VPCs[0].ID, Name: "shut", Description: "shut"}
	s.SecurityGroups = append(s.SecurityGroups, shut)
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1)}
	must(t, f.Apply(t.Context(), s))
	old, peer := s.ENIs[0], s.ENIs[1]
	addr := &net.UDPAddr{IP: old.PrivateIPv4.AsSlice(), Port: 7}
	var here, there *net.UDPConn
	in(t, m.cfg.namespacePath(peer.ID), func() (err error) {
		here, err = net.DialUDP("udp4", &net.UDPAddr{Port: 9}, addr)
		return err
	})
	defer func() { _ = here.Close() }()
	listen := func(e network.ENI) {
		in(t, m.cfg.namespacePath(e.ID), func() (err error) { there, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 7}); return err })
	}
	hear := func() bool {
		buffer := make([]byte, 16)
		must(t, there.SetReadDeadline(time.Now().Add(shortWait*4)))
		_, from, err := there.ReadFromUDP(buffer)
		if err == nil {
			_, err = there.WriteToUDP(buffer[:1], from) // an answer, so that the connection is known
		}
		return err == nil
	}
	listen(old)
	for range 2 {
		_, err := here.Write([]byte("x"))
		must(t, err)
		if !hear() {
			t.Fatal("the first holder hears nothing")
		}
	}
	_ = there.Close()
	must(t, f.Detach(t.Context(), old.ID))
	heir := testENI(s, 2)
	heir.PrivateIPv4, heir.SecurityGroups = old.PrivateIPv4, []string{shut.ID}
	_, err := f.Attach(t.Context(), heir)
	must(t, err)
	listen(heir)
	_, _ = here.Write([]byte("x"))
	if hear() {
		t.Error("the heir of the address gets packets of the old holder's conversation, which its groups do not allow")
	}
	_ = there.Close()
	must(t, f.Close())
}

// TestForgedARP has a task that tells the router that a neighbour's address is at its own MAC: it changes nothing.
func TestForgedARP(t *testing.T) {
	m := newMachine(t, "arp")
	f := m.Open(t)
	s := testVPC(t, "arp", "10.1.0.0/16")
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1), testENI(s, 2)}
	must(t, f.Apply(t.Context(), s))
	sendARP(t, m.cfg.namespacePath(s.ENIs[0].ID), s.ENIs[0].MAC, s.ENIs[1].PrivateIPv4)
	sendARP(t, m.cfg.namespacePath(s.ENIs[0].ID), s.ENIs[0].MAC, s.Subnets[0].Gateway())
	checkTraffic(t, m, s)
	must(t, f.Close())
}

// TestARP has a task that finds its neighbours itself, as a guest kernel or a network stack in user space does: the
// router answers for all of them.
func TestARP(t *testing.T) {
	m := newMachine(t, "ask")
	f := m.Open(t)
	s := testVPC(t, "ask", "10.1.0.0/16")
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1)}
	must(t, f.Apply(t.Context(), s))
	ns, err := openNamespace(m.cfg.namespacePath(s.ENIs[0].ID))
	must(t, err)
	defer ns.close()
	eth0, err := ns.handle.LinkByName(eniName)
	must(t, err)
	index := eth0.Attrs().Index
	// The kernel stands in for such a stack, which does not mind what the kernel does, and forgets its neighbors with this.
	must(t, ns.handle.LinkSetARPOn(eth0))
	must(t, ns.handle.RouteAdd(&netlink.Route{LinkIndex: index, Dst: ipNet(s.Subnets[0].CIDR), Scope: netlink.SCOPE_LINK}))
	flows := []network.Flow{
		{ENI: s.ENIs[0].ID, Destination: s.ENIs[1].PrivateIPv4, Protocol: network.UDP, SourcePort: 5, DestinationPort: 5},
		{ENI: s.ENIs[0].ID, Destination: network.CredentialsAddr(), Protocol: network.UDP, SourcePort: 5, DestinationPort: 5},
	}
	for i, arrived := range m.Send(t, flows, longWait) {
		if !arrived {
			t.Errorf("packet to %s did not arrive", flows[i].Destination)
		}
	}
	must(t, f.Close())
}

// pingGroups returns the range of groups that may send pings: all that the tests' user namespace has.
func pingGroups(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/gid_map")
	must(t, err)
	if fields := strings.Fields(string(data)); len(fields) == 3 && len(fields[2]) < len("2147483647") {
		return "0\t0"
	}
	return "0\t2147483647"
}

// TestTaskNamespace checks what a container finds.
func TestTaskNamespace(t *testing.T) {
	m := newMachine(t, "task")
	f := m.Open(t)
	s := testVPC(t, "task", "10.1.0.0/16")
	must(t, f.Apply(t.Context(), s))
	a, err := f.Attach(t.Context(), testENI(s, 0))
	must(t, err)
	in(t, a.NetNS, func() error {
		for path, want := range map[string]string{
			"/proc/sys/net/ipv4/ip_unprivileged_port_start": "0",
			"/proc/sys/net/ipv4/ping_group_range":           pingGroups(t),
			"/proc/sys/net/ipv6/conf/eth0/disable_ipv6":     "1",
			"/proc/sys/net/ipv6/conf/lo/disable_ipv6":       "1",
		} {
			data, err := os.ReadFile(path)
			if got := strings.TrimSpace(string(data)); err != nil || got != want {
				t.Errorf("%s = %q, %v, want %q", path, got, err, want)
			}
		}
		ifaces, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range ifaces {
			addrs, err := i.Addrs()
			if err != nil {
				return err
			}
			want := map[string]string{"lo": "127.0.0.1/8", "eth0": a.Address.String()}[i.Name]
			if want == "" && i.Flags&net.FlagUp == 0 {
				continue // the kernel gives each namespace some tunnels
			}
			if len(addrs) != 1 || addrs[0].String() != want || i.Flags&net.FlagUp == 0 {
				t.Errorf("%s has %v (%v), want %s", i.Name, addrs, i.Flags, want)
			}
		}
		return nil
	})
	must(t, f.Apply(context.Background(), network.State{}))
	must(t, f.Close())
}
