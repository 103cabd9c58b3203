//go:build linux

package local_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/network/dns"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
)

// lookupSRV prints the ports and addresses of a service, as the task's resolv.conf says.
func lookupSRV(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r := &net.Resolver{PreferGo: true}
	_, records, err := r.LookupSRV(ctx, "", "", name)
	if err != nil {
		fmt.Println(err)
		return nil
	}
	for _, s := range records {
		addrs, err := r.LookupHost(ctx, s.Target)
		if err != nil {
			return err
		}
		slices.Sort(addrs)
		fmt.Println(s.Port, strings.Join(addrs, " "))
	}
	return nil
}

// TestServiceDiscovery finds tasks by the name of their service from inside of another one: A, AAAA and SRV, while they run
// and not after, and again when the cluster is opened anew.
func TestServiceDiscovery(t *testing.T) {
	needRoot(t)
	records := []scheduler.DNSRecord{{Type: "A"}, {Type: "AAAA"}, {Type: "SRV"}}
	cfg := local.Config{Dir: filepath.Join(t.TempDir(), "c"), Network: publicNetwork(t),
		Zones:      []dns.Zone{zone("shop.local", "web.shop.local A 10.1.1.1")}, // hidden by the namespace
		Namespaces: []scheduler.Namespace{{Name: "shop.local", Services: []scheduler.DiscoveryService{{Name: "web", Records: records}}}}}
	before := leaktest.Take(t, cfg.Dir, local.Owner(cfg.Dir))
	c, err := local.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Purge(context.Background()); err != nil {
			t.Errorf("purge: %v", err)
		}
		before.Check()
	}()
	addGuest(t, c)
	ask := func(statement string) string {
		t.Helper()
		run := start(t, c, define([]string{"app", statement}), scheduler.RunOptions{})
		wait(t, run)
		return strings.TrimSpace(output(t, run, "app"))
	}
	registries := []scheduler.ServiceRegistry{{RegistryARN: c.RegistryARN("shop.local", "web"), Port: 8080}}
	var runs []*scheduler.Run
	var hosts, services []string
	for range 2 {
		run := start(t, c, define([]string{"app", "catch TERM 0", "hang"}), scheduler.RunOptions{ServiceRegistries: registries})
		running(t, run)
		eni, err := run.NetworkInterface(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
		hosts = append(hosts, eni.PrivateIPv4.String(), eni.IPv6.String())
		services = append(services, fmt.Sprintf("8080 %s %s", eni.PrivateIPv4, eni.IPv6))
	}
	sorted := func(list []string) []string { return slices.Sorted(slices.Values(list)) }
	check := func(when string, wantHosts, wantServices []string) {
		t.Helper()
		if diff := cmp.Diff(sorted(wantHosts), sorted(strings.Fields(ask("resolve web.shop.local")))); diff != "" {
			t.Errorf("%s: addresses: -want +got\n%s", when, diff)
		}
		if diff := cmp.Diff(sorted(wantServices), sorted(strings.Split(ask("srv web.shop.local"), "\n"))); diff != "" {
			t.Errorf("%s: SRV: -want +got\n%s", when, diff)
		}
	}
	check("both run", hosts, services)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err = local.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	check("after a restart", hosts, services)
	if _, err := c.Stop(t.Context(), runs[0].ID(), ""); err != nil {
		t.Fatal(err)
	}
	stopped, err := c.Lookup(t.Context(), runs[0].ID())
	if err != nil {
		t.Fatal(err)
	}
	wait(t, stopped)
	check("one has stopped", hosts[2:], services[1:])
	if _, err := c.Stop(t.Context(), runs[1].ID(), ""); err != nil {
		t.Fatal(err)
	}
	if stopped, err = c.Lookup(t.Context(), runs[1].ID()); err != nil {
		t.Fatal(err)
	}
	wait(t, stopped)
	if got := ask("resolve web.shop.local"); !strings.Contains(got, "no such host") {
		t.Errorf("with no task left: %q", got)
	}
}
