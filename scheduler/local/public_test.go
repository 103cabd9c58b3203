//go:build linux

package local_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
)

// hear returns what a server says, or why it says nothing.
func hear(addr string, within time.Duration) string {
	conn, err := net.DialTimeout("tcp", addr, within)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(said))
}

// serveOutside tells callers their addresses until its input ends.
func serveOutside(port string) error {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	fmt.Println("serving")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		l.Close()
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			return nil
		}
		fmt.Fprintln(conn, conn.RemoteAddr().(*net.TCPAddr).IP)
		conn.Close()
	}
}

// Addresses of the outside.
const (
	outsideIPv4 = "192.0.2.7"
	outsideIPv6 = "2001:db8:ffff::7"
)

// outside is a network namespace that plays the machines beyond this one, reached by the link fardelout0. This machine is
// 192.0.2.1 and 2001:db8:ffff::1 there, and they send through it what goes anywhere else.
type outside struct {
	t   *testing.T
	pid string
}

// newOutside makes it, with a server at port 9000 that tells callers their addresses.
func newOutside(t *testing.T) outside {
	t.Helper()
	lane.Root(t)
	lane.Command(t, "nsenter")
	lane.Command(t, "ip")
	cmd := exec.Command("/proc/self/exe", "outside 9000")
	cmd.Env = append(os.Environ(), guestVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe() // it ends with this program, however that ends
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := outside{t, strconv.Itoa(cmd.Process.Pid)}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "link", "del", "fardelout0").CombinedOutput(); err != nil {
			t.Errorf("ip link del: %v, %s", err, out)
		}
		in.Close()
		_ = cmd.Wait()
	})
	up := make([]byte, len("serving"))
	if _, err := io.ReadFull(out, up); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"ip link add fardelout0 type veth peer name eth0 netns " + o.pid,
		"ip addr add 192.0.2.1/24 dev fardelout0",
		"ip addr add 2001:db8:ffff::1/64 dev fardelout0 nodad",
		"ip link set fardelout0 up",
		"ip route add default via " + outsideIPv4 + " dev fardelout0", // by which a fabric knows that there is an outside
		"ip -6 route add default via " + outsideIPv6 + " dev fardelout0",
	} {
		o.do(args)
	}
	// What the operator has to do for IPv6; the namespace of these tests goes with them.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"ip addr add " + outsideIPv4 + "/24 dev eth0", "ip addr add " + outsideIPv6 + "/64 dev eth0 nodad", "ip link set eth0 up",
		"ip route add default via 192.0.2.1", "ip -6 route add default via 2001:db8:ffff::1",
	} {
		o.do("nsenter -n -t " + o.pid + " " + args)
	}
	return o
}

func (o outside) do(line string) {
	o.t.Helper()
	args := strings.Fields(line)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		o.t.Fatalf("%s: %v, %s", line, err, out)
	}
}

// ask asks a server from out there.
func (o outside) ask(addr string) string { o.t.Helper(); return o.run("ask " + addr) }

// try asks a server from out there that should not answer, and waits for it no longer than needed.
func (o outside) try(addr string) string { o.t.Helper(); return o.run("try " + addr) }

func (o outside) run(statement string) string {
	o.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "-n", "-t", o.pid, exe, statement)
	cmd.Env = append(os.Environ(), guestVar+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("%s from outside: %v, %s", statement, err, out)
	}
	return strings.TrimSpace(string(out))
}

// publicNetwork is a VPC of IPv4 and IPv6 with a pool of public addresses, whose tasks everybody may call at port 8080.
func publicNetwork(t *testing.T) network.State {
	t.Helper()
	s, err := network.DefaultVPC("public", netip.MustParsePrefix("10.77.0.0/16"), "us-east-1", []string{"us-east-1a"})
	if err != nil {
		t.Fatal(err)
	}
	s.VPCs[0].IPv6CIDRs = []netip.Prefix{netip.MustParsePrefix("2001:db8:77::/56")}
	n := &s.Subnets[0]
	n.IPv6CIDR, n.AssignIPv6AddressOnCreation = netip.MustParsePrefix("2001:db8:77::/64"), true
	s.PublicIPv4Pools = []network.PublicIPv4Pool{{ID: network.NewID("ipv4pool-ec2", "public"), CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.16/28")}}}
	everywhere, everywhere6 := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, []netip.Prefix{netip.MustParsePrefix("::/0")}
	g := &s.SecurityGroups[0]
	g.Ingress = append(g.Ingress, network.Rule{Protocol: network.TCP, FromPort: 8080, ToPort: 8080, CIDRs: everywhere, IPv6CIDRs: everywhere6})
	g.Egress = []network.Rule{{Protocol: network.AllProtocols, CIDRs: everywhere, IPv6CIDRs: everywhere6}}
	s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, network.Route{Destination: everywhere6[0], Target: s.InternetGateways[0].ID})
	return s
}

func TestPublicAddress(t *testing.T) {
	needRoot(t)
	o := newOutside(t)
	c := open(t, func(cfg *local.Config) { cfg.Network, cfg.RoutedPublicAddresses = publicNetwork(t), true })
	server := start(t, c, define([]string{"app", "serve 8080"}), scheduler.RunOptions{})
	running(t, server)
	awaitOutput(t, server, "app", "serving")
	eni, err := server.NetworkInterface(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if eni.PublicIPv4.String() != "203.0.113.16" || eni.IPv6.String() != "2001:db8:77::4" {
		t.Fatalf("the interface is %+v", eni)
	}
	at := func(a netip.Addr) string { return netip.AddrPortFrom(a, 8080).String() }
	if got := o.ask(at(eni.PublicIPv4)); got != outsideIPv4 {
		t.Errorf("from outside, at the public address: %q, want to be seen as %s", got, outsideIPv4)
	}
	if got := o.ask(at(eni.IPv6)); got != outsideIPv6 {
		t.Errorf("from outside, at the IPv6 address: %q, want to be seen as %s", got, outsideIPv6)
	}
	for _, there := range []string{outsideIPv4, outsideIPv6} {
		client := start(t, c, define([]string{"app", "ask " + net.JoinHostPort(there, "9000")}), scheduler.RunOptions{})
		mine, err := client.NetworkInterface(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wait(t, client)
		want := mine.PublicIPv4
		if there == outsideIPv6 {
			want = mine.IPv6
		}
		if got := strings.TrimSpace(output(t, client, "app")); got != want.String() || want == eni.PublicIPv4 {
			t.Errorf("%s sees a task as %q, want its own address there, %s", there, got, want)
		}
	}
	if err := server.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, server)
	for _, a := range []netip.Addr{eni.PublicIPv4, eni.IPv6} {
		if got := o.try(at(a)); got == outsideIPv4 || got == outsideIPv6 {
			t.Errorf("from outside, at %s of a task that is gone: %q", a, got)
		}
	}
}

// TestElasticAddress moves an elastic address from one running task to another, and ends that.
func TestElasticAddress(t *testing.T) {
	needRoot(t)
	o := newOutside(t)
	c := open(t, func(cfg *local.Config) { cfg.Network, cfg.RoutedPublicAddresses = publicNetwork(t), true })
	subnets := []string{publicNetwork(t).Subnets[0].ID}
	private := scheduler.RunOptions{NetworkConfiguration: &scheduler.AWSVPCConfiguration{Subnets: subnets}}
	elastic := netip.MustParseAddr("203.0.113.30")
	at := netip.AddrPortFrom(elastic, 8080).String()
	for _, want := range []string{"first", "second"} {
		run := start(t, c, define([]string{"app", "serve 8080"}), private)
		running(t, run)
		awaitOutput(t, run, "app", "serving")
		eni, err := run.NetworkInterface(t.Context())
		if err != nil || eni.AssignPublicIP {
			t.Fatalf("interface of a private task: %+v, %v", eni, err)
		}
		s, err := c.Network(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Addresses = []network.Address{{AllocationID: network.NewID("eipalloc", "one"), PublicIP: elastic, ENI: eni.ID}}
		if err := c.SetNetwork(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got := o.ask(at); got != outsideIPv4 {
			t.Errorf("the %s task, at its elastic address: %q", want, got)
		}
		if eni, err := run.NetworkInterface(t.Context()); err != nil || eni.PublicIPv4 != elastic {
			t.Errorf("the %s task's public address: %s, %v, want %s", want, eni.PublicIPv4, err, elastic)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wait(t, run)
		if got := o.try(at); got == outsideIPv4 {
			t.Errorf("the elastic address still answers after the %s task", want)
		}
	}
	var s network.State
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		var err error
		if s, err = c.Network(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.Addresses[0].ENI == "" {
			return
		}
	}
	t.Errorf("elastic addresses in the end: %+v", s.Addresses)
}
