//go:build linux

package local_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// hostIPv4 is this machine's address on the network that outside plays.
const hostIPv4 = "192.0.2.1"

// privately is a place in the public subnet of publicNetwork without a public address.
func privately(t *testing.T, ports ...network.PublishedPort) scheduler.RunOptions {
	return scheduler.RunOptions{PublishedPorts: ports,
		NetworkConfiguration: &scheduler.AWSVPCConfiguration{Subnets: []string{publicNetwork(t).Subnets[0].ID}}}
}

// publish leads a TCP port of this machine, at an address of it, to port 8080 of a task.
func publish(at string, port uint16) network.PublishedPort {
	return network.PublishedPort{HostAddress: netip.MustParseAddr(at), HostPort: port, Protocol: network.TCP, Port: 8080}
}

// TestPublishedPort runs a task that is reached by ports of this machine, from outside and from the machine itself, until it
// stops; then they are the machine's again, and the next task's.
func TestPublishedPort(t *testing.T) {
	needRoot(t)
	o := newOutside(t)
	c := open(t, func(cfg *local.Config) { cfg.Network = publicNetwork(t) })
	ports := []network.PublishedPort{publish("0.0.0.0", 18080), publish("127.0.0.1", 18081)}
	server := start(t, c, define([]string{"app", "serve 8080"}), privately(t, ports...))
	running(t, server)
	awaitOutput(t, server, "app", "serving")
	if got := o.ask(hostIPv4 + ":18080"); got != outsideIPv4 {
		t.Errorf("from outside, at the published port: %q, want to be seen as %s", got, outsideIPv4)
	}
	for _, at := range []string{"127.0.0.1:18080", "127.0.0.1:18081", hostIPv4 + ":18080"} {
		if _, err := netip.ParseAddr(hear(at, time.Minute)); err != nil {
			t.Errorf("from this machine, at %s: %v, want the address that the task sees", at, err)
		}
	}
	for _, at := range []string{hostIPv4 + ":18081", hostIPv4 + ":8080"} { // for the machine alone, and not published
		if got := o.try(at); got == outsideIPv4 {
			t.Errorf("from outside, at %s: %q", at, got)
		}
	}
	var full *scheduler.PlacementError
	if _, err := c.Run(t.Context(), define([]string{"app", "serve 8080"}), privately(t, publish(hostIPv4, 18080))); !errors.As(err, &full) || full.Reason != "RESOURCE:PORTS:TCP" {
		t.Errorf("a port that another task has: %v", err)
	}
	if err := server.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, server)
	if got := o.try(hostIPv4 + ":18080"); got == outsideIPv4 {
		t.Errorf("from outside, at the port of a task that is gone: %q", got)
	}
	for _, p := range ports { // a process of this machine can have them
		l, err := net.Listen("tcp4", netip.AddrPortFrom(p.HostAddress, p.HostPort).String())
		if err != nil {
			t.Fatalf("the port of a task that is gone: %v", err)
		}
		defer l.Close()
		last := start(t, c, define([]string{"app", "serve 8080"}), privately(t, p))
		got := wait(t, last)
		if got.StopCode != task.StopCodeTaskFailedToStart || !strings.HasPrefix(got.StoppedReason, "ResourceInitializationError") || !strings.Contains(got.StoppedReason, p.String()) {
			t.Errorf("a task whose port a process has stops with %s, %q, want it to name %s", got.StopCode, got.StoppedReason, p)
		}
		l.Close()
	}
	next := start(t, c, define([]string{"app", "serve 8080"}), privately(t, ports...))
	running(t, next)
	awaitOutput(t, next, "app", "serving")
	if got := o.ask(hostIPv4 + ":18080"); got != outsideIPv4 {
		t.Errorf("from outside, at the port of the next task: %q, want to be seen as %s", got, outsideIPv4)
	}
}

// TestPublishedPortAfterRestart closes a cluster, whose task stays reachable by its port, also for the next one's.
func TestPublishedPortAfterRestart(t *testing.T) {
	needRoot(t)
	o := newOutside(t)
	cfg := local.Config{Dir: filepath.Join(t.TempDir(), "c"), Network: publicNetwork(t)}
	before := leaktest.Take(t, cfg.Dir, local.Owner(cfg.Dir))
	defer before.Check()
	c, err := local.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	purgeFailed(t, cfg, &c)
	addGuest(t, c)
	server := start(t, c, define([]string{"app", "serve 8080"}), privately(t, publish(hostIPv4, 18080)))
	running(t, server)
	awaitOutput(t, server, "app", "serving")
	check := func(when string) {
		t.Helper()
		if got := o.ask(hostIPv4 + ":18080"); got != outsideIPv4 {
			t.Errorf("%s: %q, want to be seen as %s", when, got, outsideIPv4)
		}
	}
	check("at first")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	check("while no program has the cluster open")
	if c, err = local.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	check("with the next one")
	again := lookup(t, c, server)
	if err := again.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, again)
	if got := o.try(hostIPv4 + ":18080"); got == outsideIPv4 {
		t.Errorf("the port of a task that the next program has stopped: %q", got)
	}
	if err := c.Purge(t.Context()); err != nil {
		t.Errorf("purge: %v", err)
	}
}

// TestPublicAddressLink has machines that take a task's addresses for those of a neighbour: this machine answers on their
// network for those that tasks have, and for no others.
func TestPublicAddressLink(t *testing.T) {
	needRoot(t)
	o := newOutside(t)
	for _, args := range []string{
		"ip route del default", "ip -6 route del default", "ip route add 203.0.113.0/24 dev eth0", "ip -6 route add 2001:db8:77::/64 dev eth0",
	} {
		o.do("nsenter -n -t " + o.pid + " " + args)
	}
	// What the operator has to do for IPv6, as the setting says.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/fardelout0/proxy_ndp", []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := open(t, func(cfg *local.Config) { cfg.Network, cfg.PublicAddressLink = publicNetwork(t), "fardelout0" })
	server := start(t, c, define([]string{"app", "serve 8080"}), scheduler.RunOptions{})
	running(t, server)
	awaitOutput(t, server, "app", "serving")
	eni, err := server.NetworkInterface(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := func(a netip.Addr) string { return netip.AddrPortFrom(a, 8080).String() }
	seen := map[netip.Addr]string{eni.PublicIPv4: outsideIPv4, eni.IPv6: outsideIPv6}
	for a, want := range seen {
		if got := o.ask(at(a)); got != want {
			t.Errorf("from outside, at %s: %q, want to be seen as %s", a, got, want)
		}
	}
	client := start(t, c, define([]string{"app", "ask " + outsideIPv4 + ":9000"}), scheduler.RunOptions{})
	mine, err := client.NetworkInterface(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wait(t, client)
	if got := strings.TrimSpace(output(t, client, "app")); got != mine.PublicIPv4.String() {
		t.Errorf("outside sees a task as %q, want its own address there, %s", got, mine.PublicIPv4)
	}
	if err := server.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, server)
	for a, was := range seen {
		if got := o.try(at(a)); got == was {
			t.Errorf("from outside, at %s of a task that is gone: %q", a, got)
		}
	}
	if got := o.try(at(netip.MustParseAddr("203.0.113.29"))); strings.Contains(got, "refused") || got == outsideIPv4 {
		t.Errorf("from outside, at an address that no task has: %q", got)
	}
}

// TestPublicAddressLinkMissing names a link that this machine does not have.
func TestPublicAddressLinkMissing(t *testing.T) {
	c := open(t, func(cfg *local.Config) { cfg.Network, cfg.PublicAddressLink = publicNetwork(t), "fardelnone0" })
	got := wait(t, start(t, c, define([]string{"app", "serve 8080"}), scheduler.RunOptions{}))
	if got.StopCode != task.StopCodeTaskFailedToStart || !strings.Contains(got.StoppedReason, `PublicAddressLink: the host has no link "fardelnone0"`) {
		t.Errorf("the task stops with %s, %q", got.StopCode, got.StoppedReason)
	}
}
