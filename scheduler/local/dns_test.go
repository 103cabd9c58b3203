//go:build linux

package local_test

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/network/dns"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
)

// resolve asks for the addresses of a name, or for the name of an address, as the task's resolv.conf says. "@SERVER"
// before it asks that server instead.
func resolve(name string) string {
	r := &net.Resolver{PreferGo: true}
	if server, rest, ok := strings.Cut(name, " "); ok {
		name = rest
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(server, "@")+":53")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	look := r.LookupHost
	if _, err := netip.ParseAddr(name); err == nil {
		look = r.LookupAddr
	}
	found, err := look(ctx, name)
	if err != nil {
		return err.Error()
	}
	return strings.Join(found, " ")
}

// upstream serves a zone at a loopback address of this machine, where no task could reach it, and returns that.
func upstream(t *testing.T, z dns.Zone) netip.AddrPort {
	t.Helper()
	r, err := dns.NewResolver(dns.Config{Domain: "upstream.invalid"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetZone(z); err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx, []net.PacketConn{pc}, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

func zone(name string, records ...string) dns.Zone {
	z := dns.Zone{Name: name}
	for _, r := range records { // "name TYPE value"
		f := strings.SplitN(r, " ", 3)
		z.Records = append(z.Records, dns.RecordSet{Name: f[0], Type: f[1], TTL: time.Second, Values: f[2:]})
	}
	return z
}

func TestNames(t *testing.T) {
	needRoot(t)
	c := open(t, func(cfg *local.Config) {
		cfg.Region = "eu-central-1"
		cfg.Upstreams = []netip.AddrPort{upstream(t, zone("example", "www.example A 192.0.2.80", "hidden.example A 192.0.2.81"))}
		cfg.DNSSearch = []string{"shop.internal"}
		cfg.Zones = []dns.Zone{zone("shop.internal", "db.shop.internal A 10.9.8.7", "www.shop.internal CNAME www.example.")}
	})
	first := start(t, c, define([]string{"app", "read /etc/resolv.conf", "hang"}), scheduler.RunOptions{})
	addr := running(t, first).Attachments[0].Detail("privateIPv4Address")
	const domain = ".eu-central-1.compute.internal"
	name := "ip-" + strings.ReplaceAll(addr, ".", "-")
	awaitOutput(t, first, "app", "search ")
	if got, want := output(t, first, "app"), "nameserver 169.254.169.253\nsearch eu-central-1.compute.internal shop.internal"; !strings.Contains(got, want) {
		t.Errorf("resolv.conf is %q, want %q", got, want)
	}
	state, err := c.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	base2 := state.VPCs[0].Resolver().String()
	ask := func(names ...string) []string {
		t.Helper()
		var answers []string
		for _, n := range names {
			run := start(t, c, define([]string{"app", "resolve " + n}), scheduler.RunOptions{})
			if stopped := wait(t, run); stopped.Container("app").ExitCode == nil || *stopped.Container("app").ExitCode != 0 {
				t.Fatalf("the task that asks for %s: %s", n, stopped.StoppedReason)
			}
			answers = append(answers, strings.TrimSpace(output(t, run, "app")))
		}
		return answers
	}
	got := ask(name+domain, name, addr, "www.example", "db", "www.shop.internal", "@169.254.169.253 "+name+domain, "@"+base2+" "+name+domain)
	want := []string{addr, addr, name + domain + ".", "192.0.2.80", "10.9.8.7", "192.0.2.80", addr, addr}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names from inside a task: -want +got\n%s", diff)
	}
	if err := c.Names().SetZone("", zone("example", "www.example A 10.1.1.1")); err != nil {
		t.Fatal(err)
	}
	got = ask("www.example", "hidden.example")
	if got[0] != "10.1.1.1" || !strings.Contains(got[1], "no such host") {
		t.Errorf("with a private zone of the same name: %q", got)
	}
	if _, err := c.Stop(t.Context(), first.ID(), "done"); err != nil {
		t.Fatal(err)
	}
	wait(t, first)
	if got := ask(name + domain)[0]; !strings.Contains(got, "no such host") {
		t.Errorf("the name of a task that is gone: %q", got)
	}
}

// TestNamesAfterRestart opens a cluster whose tasks went on meanwhile: they are found by name again.
func TestNamesAfterRestart(t *testing.T) {
	needRoot(t)
	cfg := local.Config{Dir: filepath.Join(t.TempDir(), "c"), Upstreams: []netip.AddrPort{}}
	before := leaktest.Take(t, cfg.Dir, local.Owner(cfg.Dir))
	c, err := local.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	addGuest(t, c)
	first := start(t, c, define([]string{"app", "hang"}), scheduler.RunOptions{})
	addr := running(t, first).Attachments[0].Detail("privateIPv4Address")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err = local.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Purge(context.Background()); err != nil {
			t.Errorf("purge: %v", err)
		}
		before.Check()
	}()
	name := "ip-" + strings.ReplaceAll(addr, ".", "-")
	run := start(t, c, define([]string{"app", "resolve " + name}), scheduler.RunOptions{})
	wait(t, run)
	if got := strings.TrimSpace(output(t, run, "app")); got != addr {
		t.Errorf("the name of a task that was there before: %q, want %q", got, addr)
	}
}

// TestNamesOfOthers leaves the name servers out.
func TestNamesOfOthers(t *testing.T) {
	c := open(t, func(cfg *local.Config) { cfg.DNS = []netip.Addr{netip.MustParseAddr("192.0.2.53")} })
	if c.Names() != nil {
		t.Error("the cluster has name servers")
	}
	run := start(t, c, define([]string{"app", "read /etc/resolv.conf"}), scheduler.RunOptions{})
	wait(t, run)
	if got := output(t, run, "app"); !strings.Contains(got, "nameserver 192.0.2.53\n") || strings.Contains(got, "169.254.169.253") {
		t.Errorf("resolv.conf is %q", got)
	}
}
