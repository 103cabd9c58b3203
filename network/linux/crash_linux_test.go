package linux

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
)

// crashVar holds the configuration of the fabric that a child works with until it is killed.
const crashVar = "FARDEL_TEST_CRASH"

// crashState returns what the child and its killer work with.
func crashState() network.State {
	var all network.State
	for i, cidr := range []string{"10.1.0.0/16", "10.2.0.0/16"} {
		s, err := network.DefaultVPC(fmt.Sprint("crash ", i), prefix(cidr), "eu-central-1", []string{"eu-central-1a"})
		if err != nil {
			panic(err)
		}
		all.VPCs = append(all.VPCs, s.VPCs...)
		all.Subnets = append(all.Subnets, s.Subnets...)
		all.SecurityGroups = append(all.SecurityGroups, s.SecurityGroups...)
		all.InternetGateways = append(all.InternetGateways, s.InternetGateways...)
		all.RouteTables = append(all.RouteTables, s.RouteTables...)
		for n := range 3 {
			e := testENI(s, n)
			e.AssignPublicIP = n > 0
			all.ENIs = append(all.ENIs, e)
		}
	}
	all.VPCs[1].IsDefault = false
	all.ENIs[0].Bandwidth = network.Bandwidth{Ingress: 1e9, Egress: 1e9}
	for i := range 2 {
		all.ENIs[i].PublishedPorts = []network.PublishedPort{{HostAddress: netip.IPv4Unspecified(), HostPort: uint16(8080 + i), Protocol: network.TCP, Port: 80}}
	}
	return dualStack(dualStack(withGateways(all), 0), 1)
}

// withGateways gives the first VPC a private subnet behind a NAT gateway, a network ACL, an elastic address and an ENI that
// is the target of a route, and peers it with the second.
func withGateways(s network.State) network.State {
	vpc, peer := s.VPCs[0], s.VPCs[1]
	id := func(kind string) string { return network.NewID(kind, "crash") }
	private := network.Subnet{ID: id("subnet"), VPC: vpc.ID, CIDR: prefix("10.1.240.0/24"), AvailabilityZone: "eu-central-1a"}
	s.Subnets = append(s.Subnets, private)
	s.PublicIPv4Pools = []network.PublicIPv4Pool{{ID: id("ipv4pool-ec2"), CIDRs: []netip.Prefix{prefix("203.0.113.0/28")}}}
	s.Addresses = []network.Address{
		{AllocationID: network.NewID("eipalloc", "nat"), PublicIP: prefix("203.0.113.1/32").Addr()},
		{AllocationID: network.NewID("eipalloc", "eni"), PublicIP: prefix("203.0.113.2/32").Addr(), ENI: s.ENIs[0].ID},
	}
	s.NATGateways = []network.NATGateway{{ID: id("nat"), Subnet: s.Subnets[0].ID, PrivateIPv4: prefix("10.1.0.200/32").Addr(), Allocation: s.Addresses[0].AllocationID}}
	s.VPCPeeringConnections = []network.VPCPeeringConnection{{ID: id("pcx"), Requester: vpc.ID, Accepter: peer.ID}}
	s.ENIs[2].NoSourceDestCheck = true
	s.RouteTables = append(slices.Clone(s.RouteTables), network.RouteTable{ID: id("rtb"), VPC: vpc.ID, Subnets: []string{private.ID}, Routes: []network.Route{
		{Destination: vpc.CIDRs[0], Target: network.TargetLocal},
		{Destination: prefix("0.0.0.0/0"), Target: s.NATGateways[0].ID},
		{Destination: peer.CIDRs[0], Target: s.VPCPeeringConnections[0].ID},
		{Destination: prefix("192.168.0.0/16"), Target: s.ENIs[2].ID},
	}})
	s.NetworkACLs = []network.NetworkACL{{ID: id("acl"), VPC: vpc.ID, Subnets: []string{private.ID}, Entries: append(network.DefaultNetworkACLEntries(),
		network.NetworkACLEntry{RuleNumber: 1, Egress: true, RuleAction: network.RuleDeny, Protocol: network.TCP, CIDR: prefix("0.0.0.0/0"), FromPort: 25, ToPort: 25})}}
	e := testENI(s, 9)
	e.Subnet, e.PrivateIPv4 = private.ID, prefix("10.1.240.9/32").Addr()
	s.ENIs = append(s.ENIs, e)
	return s
}

// crashMain changes the network as fast as it can. It says so when it begins and does not end by itself.
func crashMain() {
	var cfg Config
	if err := json.Unmarshal([]byte(os.Getenv(crashVar)), &cfg); err != nil {
		fmt.Println(err)
		return
	}
	f, err := New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	whole := crashState()
	bare := whole // without what names ENIs
	bare.ENIs, bare.RouteTables, bare.Addresses = nil, whole.RouteTables[:2], whole.Addresses[:1]
	changed := whole.ENIs[1]
	changed.Bandwidth, changed.PublishedPorts = network.Bandwidth{Egress: 1e6}, nil
	fmt.Println("ready")
	for {
		steps := []func() error{
			func() error { return f.Apply(ctx, network.State{}) },
			func() error { return f.Apply(ctx, bare) },
			func() error { _, err := f.Attach(ctx, whole.ENIs[0]); return err },
			func() error { _, err := f.Attach(ctx, whole.ENIs[4]); return err },
			func() error { return f.Detach(ctx, whole.ENIs[0].ID) },
			func() error { return f.Apply(ctx, whole) },
			func() error { _, err := f.Attach(ctx, changed); return err },
			func() error { return f.Detach(ctx, whole.ENIs[1].ID) },
			func() error { _, err := f.Attach(ctx, whole.ENIs[1]); return err },
		}
		for _, step := range steps {
			if err := step(); err != nil {
				fmt.Println(err)
				return
			}
		}
	}
}

// crash runs the child for a while and kills it.
func crash(t *testing.T, m *machine, after time.Duration) {
	t.Helper()
	cfg, err := json.Marshal(m.cfg)
	must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), crashVar+"="+string(cfg))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Errorf("the child says %q", lines.Text())
	}
	<-time.After(after)
	must(t, cmd.Process.Kill())
	if lines.Scan() {
		t.Errorf("the child ended by itself: %s", lines.Text())
	}
	_ = cmd.Wait() // it was killed
}

// TestCrash kills a process at any moment and lets the next one make of it what it wants: everything, or nothing.
func TestCrash(t *testing.T) {
	m := newMachine(t, "crash")
	m.cfg.PublicAddressLink = "lan0"
	whole := crashState()
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		after := time.Duration(rand.Int64N(int64(250 * time.Millisecond)))
		crash(t, m, after)
		f := m.Open(t)
		want := network.State{}
		if round%2 == 0 {
			want = whole
		}
		must(t, f.Apply(t.Context(), want))
		list, err := f.Attachments(t.Context())
		must(t, err)
		if len(list) != len(want.ENIs) {
			t.Errorf("killed after %v: %d attachments, want %d", after, len(list), len(want.ENIs))
		}
		checkTraffic(t, m, want)
		checkIPv6(t, m, want)
		checkWhole(t, m, want)
		if round%2 == 1 {
			if left := m.Leftovers(t); len(left) > 0 {
				t.Errorf("killed after %v: left %q", after, left)
			}
		}
		must(t, f.Close())
		if t.Failed() {
			return
		}
	}
}

// checkWhole looks at what no packet shows: limits, and who has the ports of the host.
func checkWhole(t *testing.T, m *machine, s network.State) {
	t.Helper()
	limits, ports := map[string]bool{}, 0
	for _, e := range s.ENIs {
		if name := limitTable(e); name != "" {
			limits[name] = true
		}
		ports += len(e.PublishedPorts)
	}
	got := map[string]bool{}
	for _, r := range m.fabric.routers {
		have, err := r.limits()
		must(t, err)
		maps.Copy(got, have)
	}
	if !maps.Equal(got, limits) {
		t.Errorf("limits %v, want %v", got, limits)
	}
	if len(m.fabric.published) != ports {
		t.Errorf("published are %v, want %d ports", m.fabric.published, ports)
	}
}

// checkTraffic compares a packet between any two ENIs with what Evaluate says.
func checkTraffic(t *testing.T, m *machine, s network.State) {
	t.Helper()
	var flows []network.Flow
	for _, a := range s.ENIs {
		for _, b := range s.ENIs {
			flows = append(flows, network.Flow{ENI: a.ID, Destination: b.PrivateIPv4, Protocol: network.UDP, SourcePort: 9, DestinationPort: 9})
		}
		flows = append(flows, network.Flow{ENI: a.ID, Destination: m.OutsideAddr(), Protocol: network.UDP, SourcePort: 9, DestinationPort: 9})
	}
	for i, arrived := range m.Send(t, flows, 100*time.Millisecond) {
		if want := network.Evaluate(s, flows[i]); arrived != want.Allowed {
			t.Errorf("packet %+v: arrived = %t, but it is %s", flows[i], arrived, want)
		}
	}
}
