package linux

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/vishvananda/netlink"
)

// forwarding reads ip_forward of a machine.
func forwarding(t testing.TB, m *machine) string {
	t.Helper()
	var value string
	file, err := os.Open(m.host)
	must(t, err)
	defer func() { _ = file.Close() }()
	must(t, inNamespace(file, func() error {
		data, err := os.ReadFile(ipForward)
		value = strings.TrimSpace(string(data))
		return err
	}))
	return value
}

// publicState returns a VPC with one ENI that has a public address.
func publicState(t testing.TB, seed, cidr string) network.State {
	s := testVPC(t, seed, cidr)
	s.ENIs = []network.ENI{testENI(s, 0)}
	s.ENIs[0].AssignPublicIP = true
	return s
}

// TestTwoFabrics has two fabrics on one host: each does its own, and the last one restores what the first one changed.
func TestTwoFabrics(t *testing.T) {
	m := newMachine(t, "one")
	one := m.Open(t)
	cfg := m.cfg
	cfg.Dir, cfg.Owner = t.TempDir(), "two"
	two := openFabric(t, cfg)

	a, b := publicState(t, "one", "10.1.0.0/16"), publicState(t, "two", "10.2.0.0/16")
	bare := a
	bare.ENIs = nil
	must(t, one.Apply(t.Context(), bare))
	if got := forwarding(t, m); got != "0" {
		t.Errorf("ip_forward = %s before anybody needs it", got)
	}
	must(t, one.Apply(t.Context(), a))
	must(t, two.Apply(t.Context(), b))
	if got := forwarding(t, m); got != "1" {
		t.Errorf("ip_forward = %s with public ENIs", got)
	}
	clash := testVPC(t, "clash", "10.2.0.0/16")
	clash.VPCs[0].IsDefault = false
	both := network.State{VPCs: append(a.VPCs, clash.VPCs...), Subnets: append(a.Subnets, clash.Subnets...),
		SecurityGroups: append(a.SecurityGroups, clash.SecurityGroups...), InternetGateways: append(a.InternetGateways, clash.InternetGateways...),
		RouteTables: append(a.RouteTables, clash.RouteTables...), ENIs: a.ENIs}
	if err := one.Apply(t.Context(), both); !errors.Is(err, network.ErrConflict) || !strings.Contains(err.Error(), "10.2.0.0/16") {
		t.Errorf("Apply of a CIDR that the other fabric has: %v", err)
	}
	must(t, one.Apply(t.Context(), a))
	out := network.Flow{ENI: a.ENIs[0].ID, Destination: m.OutsideAddr(), Protocol: network.UDP, SourcePort: 5, DestinationPort: 5}
	across := out
	across.Destination = b.ENIs[0].PrivateIPv4
	send := func(what string, want ...bool) {
		t.Helper()
		for i, got := range m.Send(t, []network.Flow{out, across}, shortWait) {
			if got != want[i] {
				t.Errorf("%s: packet %d arrived = %t", what, i, got)
			}
		}
	}
	send("with two fabrics", true, false)

	must(t, two.Apply(t.Context(), network.State{}))
	if got := forwarding(t, m); got != "1" {
		t.Errorf("ip_forward = %s while one fabric needs it", got)
	}
	send("with one fabric", true, false)
	must(t, two.Apply(t.Context(), b))
	must(t, one.Apply(t.Context(), network.State{}))
	if got := forwarding(t, m); got != "1" {
		t.Errorf("ip_forward = %s while the other fabric needs it", got)
	}
	must(t, two.Apply(t.Context(), network.State{}))
	if got := forwarding(t, m); got != "0" {
		t.Errorf("ip_forward = %s after both are gone", got)
	}
	must(t, one.Close())
}

// TestForwardingOfOthers leaves ip_forward alone that was on before.
func TestForwardingOfOthers(t *testing.T) {
	m := newMachine(t, "others")
	f := m.Open(t).(*Fabric)
	must(t, f.Apply(t.Context(), network.State{}))
	must(t, f.host.setForwards(true))
	must(t, f.Apply(t.Context(), publicState(t, "one", "10.1.0.0/16")))
	must(t, f.Apply(t.Context(), network.State{}))
	if got := forwarding(t, m); got != "1" {
		t.Errorf("ip_forward = %s, want 1 as before", got)
	}
	must(t, f.Close())
}

// TestNoOutside has a host without a default route: nothing is switched on, until there is one.
func TestNoOutside(t *testing.T) {
	m := newMachine(t, "inside")
	f := m.Open(t).(*Fabric)
	s := publicState(t, "one", "10.1.0.0/16")
	e := s.ENIs[0]
	s.ENIs = nil
	must(t, f.Apply(t.Context(), s))
	route := &netlink.Route{Gw: netip.MustParseAddr("192.0.2.1").AsSlice()}
	must(t, f.host.handle.RouteDel(&netlink.Route{Dst: ipNet(prefix("0.0.0.0/0")), Gw: route.Gw}))
	_, err := f.Attach(t.Context(), e)
	must(t, err)
	if got := forwarding(t, m); got != "0" {
		t.Errorf("ip_forward = %s without a default route", got)
	}
	must(t, f.host.handle.RouteAdd(route))
	_, err = f.Attach(t.Context(), e)
	must(t, err)
	if got := forwarding(t, m); got != "1" {
		t.Errorf("ip_forward = %s with a default route", got)
	}
	out := network.Flow{ENI: e.ID, Destination: m.OutsideAddr(), Protocol: network.UDP, SourcePort: 5, DestinationPort: 5}
	if !m.Send(t, []network.Flow{out}, longWait)[0] {
		t.Error("nothing reaches the outside")
	}
	must(t, f.Close())
}

// TestHostConflict has a host with a route into the VPC's CIDR.
func TestHostConflict(t *testing.T) {
	m := newMachine(t, "conflict")
	f := m.Open(t).(*Fabric)
	routes, err := f.HostRoutes()
	must(t, err)
	if len(routes) != 1 || routes[0] != prefix("192.0.2.0/24") {
		t.Errorf("HostRoutes = %v", routes)
	}
	must(t, f.host.handle.RouteAdd(&netlink.Route{Dst: ipNet(prefix("10.1.7.0/24")), Gw: netip.MustParseAddr("192.0.2.1").AsSlice()}))
	s := publicState(t, "one", "10.1.0.0/16")
	peer := testENI(s, 1)
	s.ENIs = append(s.ENIs, peer)
	if err := f.Apply(t.Context(), s); !errors.Is(err, network.ErrConflict) || !strings.Contains(err.Error(), "10.1.7.0/24") {
		t.Errorf("Apply: %v, want a conflict that names the route", err)
	}
	within := network.Flow{ENI: peer.ID, Destination: s.ENIs[0].PrivateIPv4, Protocol: network.UDP, SourcePort: 5, DestinationPort: 5}
	fromHost := network.Flow{FromHost: true, Destination: s.ENIs[0].PrivateIPv4, Protocol: network.UDP, SourcePort: 5, DestinationPort: 5}
	if got := m.Send(t, []network.Flow{within, fromHost}, shortWait); !got[0] || got[1] {
		t.Errorf("within the VPC %t, from the host %t", got[0], got[1])
	}
	must(t, f.host.handle.RouteDel(&netlink.Route{Dst: ipNet(prefix("10.1.7.0/24"))}))
	must(t, f.Apply(t.Context(), s))
	if got := m.Send(t, []network.Flow{within, fromHost}, longWait); !got[0] || !got[1] {
		t.Errorf("without the conflict: within the VPC %t, from the host %t", got[0], got[1])
	}
	must(t, f.Apply(t.Context(), network.State{}))
	must(t, f.Close())
}

// TestIsolated has no uplinks.
func TestIsolated(t *testing.T) {
	m := newMachine(t, "isolated")
	m.cfg.Isolated = true
	f := m.Open(t)
	s := publicState(t, "one", "10.1.0.0/16")
	must(t, f.Apply(t.Context(), s))
	out := network.Flow{ENI: s.ENIs[0].ID, Destination: m.OutsideAddr(), Protocol: network.UDP, SourcePort: 5, DestinationPort: 5}
	in := network.Flow{FromHost: true, Destination: s.ENIs[0].PrivateIPv4, Protocol: network.UDP, SourcePort: 5, DestinationPort: 5}
	if got := m.Send(t, []network.Flow{out, in}, shortWait); got[0] || got[1] {
		t.Errorf("to the outside %t, from the host %t", got[0], got[1])
	}
	must(t, f.Apply(t.Context(), network.State{}))
	if left := m.Leftovers(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	must(t, f.Close())
}

// TestRepair removes things behind the fabric's back; Apply puts them back.
func TestRepair(t *testing.T) {
	m := newMachine(t, "repair")
	f := m.Open(t).(*Fabric)
	s := publicState(t, "one", "10.1.0.0/16")
	s.ENIs = append(s.ENIs, testENI(s, 1))
	must(t, f.Apply(t.Context(), s))
	before, err := f.Attachments(t.Context())
	must(t, err)
	r := f.router(s.VPCs[0].ID)
	damage := map[string]func() error{
		"router's table":   func() error { return r.tables.remove(routerTable) },
		"host's table":     func() error { return f.host.tables.remove(hostTable("repair")) },
		"ENI's route":      func() error { return r.dropRoute(portRoutes(s.ENIs[0])[0]) },
		"router's address": func() error { return r.dropAddr(s.Subnets[0].Gateway()) },
		"uplink":           func() error { return r.dropLink(uplinkName) },
		"ip_forward":       func() error { return f.host.setForwards(false) },
	}
	for what, do := range damage {
		must(t, do())
		must(t, f.Apply(t.Context(), s))
		checkTraffic(t, m, s)
		after, err := f.Attachments(t.Context())
		must(t, err)
		if len(after) != len(before) || after[0].NetNS != before[0].NetNS {
			t.Errorf("%s: attachments %v", what, after)
		}
	}
	// A Detach in a router without its table is still a Detach.
	must(t, r.tables.remove(routerTable))
	must(t, f.Detach(t.Context(), s.ENIs[0].ID))
	must(t, f.Close())
}

func TestUnprivileged(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("is about those who are not root")
	}
	f, err := New(Config{Dir: t.TempDir(), Owner: "nobody"})
	must(t, err)
	err = f.Apply(context.Background(), network.State{})
	var unsupported *network.UnsupportedError
	if !errors.As(err, &unsupported) || !strings.Contains(unsupported.Needs, "root") {
		t.Errorf("Apply: %v, want an UnsupportedError that names the fix", err)
	}
	must(t, f.Close())
}
