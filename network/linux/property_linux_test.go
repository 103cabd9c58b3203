package linux

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/networktest/scenario"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	propertyStates = flag.Int("property.states", 10, "random states that TestProperty makes")
	propertySeed   = flag.Uint64("property.seed", 1, "seed of TestProperty; 0 takes a new one")
)

// propertyFlows is the number of packets in each state.
const propertyFlows = 200

// TestProperty makes random VPCs in the kernel, sends packets, and compares with Evaluate where they arrive, with which
// addresses, and whether what is answered to them comes back. The states follow one another in one fabric, so changes are
// tried, too. -property.states makes it longer, and -property.seed=0 makes others.
func TestProperty(t *testing.T) {
	m := newMachine(t, "property")
	outside6 := m.populate(t)
	f := m.Open(t)
	seed := *propertySeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	p := newProber(t, m)
	cfg := scenario.Config{Seed: seed, Outside: []netip.Addr{m.OutsideAddr(), outside6}, HostAddrs: []netip.Addr{m.HostAddr(), hostIPv6()}}
	g := scenario.New(cfg)
	checked := 0
	var s network.State
	for n := range *propertyStates {
		if n%3 == 0 {
			s = g.State()
		} else {
			s = g.Change(s)
		}
		mustApply(t, f, s)
		p.sync(t)
		flows := g.Flows(s, propertyFlows)
		for i, f := range flows {
			if f.FromHost && f.Protocol.Is(network.ICMP) && f.ICMPType != 8 {
				flows[i].ICMPType = 8 // the host cannot put its end of the link in the place of the source of an answer
			}
		}
		for i, f := range flows {
			if f.FromHost && f.Protocol.Is(network.ICMPv6) {
				flows[i].ICMPType = 128
			}
		}
		for _, batch := range distinct(flows) {
			checked += p.check(t, s, batch)
		}
		if t.Failed() {
			t.Fatalf("seed %d, state %d", seed, n)
		}
	}
	t.Logf("%d packets", checked)
	if want := *propertyStates * propertyFlows; checked != want {
		t.Errorf("%d packets checked, want %d", checked, want)
	}
	must(t, f.Apply(context.Background(), network.State{}))
	if left := m.Leftovers(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	must(t, f.Close())
}

// mustApply applies a state in which VPCs may have the same addresses.
func mustApply(t testing.TB, f network.Fabric, s network.State) {
	t.Helper()
	err := f.Apply(t.Context(), s)
	problems := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		problems = joined.Unwrap()
	}
	for _, err := range problems {
		if err != nil && !errors.Is(err, network.ErrConflict) {
			t.Fatalf("Apply: %v", err)
		}
	}
}

// distinct splits packets into batches in which no two can be taken for one connection, or its two directions, by anyone.
func distinct(flows []network.Flow) [][]network.Flow {
	type key struct {
		protocol network.Protocol
		a, b     uint16
	}
	var batches [][]network.Flow
	var used []map[key]bool
	for i, f := range flows {
		k := key{f.Protocol, f.SourcePort, f.DestinationPort}
		if n, _ := f.Protocol.Number(); n == 253 {
			k = key{protocol: f.Protocol}
		}
		if f.Protocol.Is(network.ICMP) || f.Protocol.Is(network.ICMPv6) {
			k.a = uint16(i) // each has an identifier
		}
		if n, _ := f.Protocol.Number(); n == 6 || n == 17 {
			// The ports decide about rules, so they stay. One of them makes the difference.
			k.b = f.DestinationPort
		}
		at := 0
		for ; at < len(used); at++ {
			if back := (key{k.protocol, k.b, k.a}); !used[at][k] && !used[at][back] {
				break
			}
		}
		if at == len(used) {
			used, batches = append(used, map[key]bool{}), append(batches, nil)
		}
		used[at][k] = true
		batches[at] = append(batches[at], f)
	}
	return batches
}

const (
	batchPatience = 40 * time.Millisecond
	trialPatience = 3 * time.Second
)

// check compares what becomes of packets with what Evaluate says. What should come and has not is sent once more, alone
// and with patience: the machine may be slow, and it must not be wrong.
func (p *prober) check(t testing.TB, s network.State, flows []network.Flow) int {
	t.Helper()
	wants := make([]network.Verdict, len(flows))
	for i, f := range flows {
		wants[i] = network.Evaluate(s, f)
	}
	trials := p.exchange(t, flows, batchPatience, func(trials []*trial) bool {
		for i, tr := range trials {
			if missing(tr, wants[i]) {
				return false
			}
		}
		return false // what must not come may come late
	})
	for i, tr := range trials {
		if missing(tr, wants[i]) {
			tr = p.exchange(t, flows[i:i+1], trialPatience, func(again []*trial) bool { return !missing(again[0], wants[i]) })[0]
		}
		if wrong := p.compare(tr, wants[i]); wrong != "" {
			t.Errorf("%+v:\n%s\nbut it is %s", flows[i], wrong, explain(wants[i]))
		}
	}
	return len(flows)
}

func missing(tr *trial, want network.Verdict) bool {
	return want.Allowed && tr.at == "" || answerable(tr, want) && want.Reply.Allowed && !tr.answered
}

// answerable reports whether somebody answers a packet so that it can be told: what comes back to a question for the time
// carries nothing of it.
func answerable(tr *trial, want network.Verdict) bool {
	if want.Reply == nil || want.Reply.Allowed && want.Reply.Arrival.ENI != tr.flow.ENI {
		return false // it goes to whom the source belongs
	}
	return !tr.flow.Protocol.Is(network.ICMP) && !tr.flow.Protocol.Is(network.ICMPv6) || tr.flow.ICMPType == 8 || tr.flow.ICMPType == 128
}

// compare returns what is wrong; "" if nothing is.
func (p *prober) compare(tr *trial, want network.Verdict) string {
	at, a := "", want.Arrival
	switch {
	case !want.Allowed:
	case a.Host:
		at = "host"
	case a.Outside:
		at = "outside"
	case a.ENI != "":
		at = a.ENI
	default:
		at = a.VPC
	}
	switch {
	case tr.at != at:
		return fmt.Sprintf("arrived at %q, want %q", tr.at, at)
	case at == "":
		return ""
	case a.Source.IsValid() && tr.source != a.Source && !p.hidden(tr, a.Source):
		return fmt.Sprintf("arrived from %s, want %s", tr.source, a.Source)
	case tr.dst.IsValid() && tr.dst != a.Destination:
		return fmt.Sprintf("arrived for %s, want %s", tr.dst, a.Destination)
	case answerable(tr, want) && tr.answered != want.Reply.Allowed:
		return fmt.Sprintf("answered %t, want %t", tr.answered, want.Reply.Allowed)
	}
	return ""
}

// hidden reports whether another address of the host stands for a source: its end of an uplink for itself, its own one for
// public ones that the outside does not know the way to.
func (p *prober) hidden(tr *trial, source netip.Addr) bool {
	return tr.flow.FromHost && (tr.source.IsLinkLocalUnicast() || ipv6.reserved().Contains(tr.source)) ||
		tr.at == "outside" && (tr.source == p.HostAddr() || tr.source == hostIPv6()) && !p.cfg.RoutedPublicAddresses
}

func explain(v network.Verdict) string {
	text := v.String()
	for _, h := range v.Path {
		text += fmt.Sprintf("\n\t%s %s %d %t: %s", h.Check, h.Resource, h.Rule, h.Allowed, h.Reason)
	}
	if v.Reply != nil {
		text += "\nand its answer " + explain(*v.Reply)
	}
	return text
}

// populate gives the outside the other addresses that packets go to, and returns the one of IPv6.
func (m *machine) populate(t testing.TB) netip.Addr {
	t.Helper()
	ns, err := openNamespace(m.outside)
	must(t, err)
	defer ns.close()
	must(t, ns.handle.AddrAdd(loopback(), &netlink.Addr{IPNet: ipNet(prefix("10.200.0.1/32"))}))
	outside := netip.MustParseAddr("2001:db8:ffff::7")
	must(t, ns.handle.AddrAdd(loopback(), &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(outside, 128)), Flags: unix.IFA_F_NODAD}))
	host, err := openNamespace(m.host)
	must(t, err)
	defer host.close()
	// Neighbours are told to each other: a link whose own link-local address is still in doubt asks for nobody, for
	// seconds.
	there, err := ns.handle.LinkByName("lan0")
	must(t, err)
	here, err := host.handle.LinkByName("lan0")
	must(t, err)
	join := func(n *namespace, own netlink.Link, addr, other netip.Addr, at net.HardwareAddr) {
		must(t, n.handle.AddrAdd(own, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(addr, 64)), Flags: unix.IFA_F_NODAD}))
		must(t, n.handle.RouteAdd(&netlink.Route{LinkIndex: own.Attrs().Index, Gw: other.AsSlice()}))
		must(t, n.handle.NeighSet(&netlink.Neigh{LinkIndex: own.Attrs().Index, Family: unix.AF_INET6, State: netlink.NUD_PERMANENT, IP: other.AsSlice(), HardwareAddr: at}))
	}
	join(ns, there, hostIPv6().Prev(), hostIPv6(), here.Attrs().HardwareAddr)
	join(host, here, hostIPv6(), hostIPv6().Prev(), there.Attrs().HardwareAddr)
	must(t, inNamespace(host.file, func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0) }))
	return outside
}

func hostIPv6() netip.Addr { return netip.MustParseAddr("2001:db8:fffe::10") }
