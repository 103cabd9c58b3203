package scheduler_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fardel-io/fardel/network"
	netfake "github.com/fardel-io/fardel/network/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

// publicNet is a default VPC with IPv6 and a pool of two public addresses.
func publicNet(t *testing.T) network.State {
	t.Helper()
	s, err := network.DefaultVPC("test", netip.MustParsePrefix("10.9.0.0/16"), "us-east-1", []string{"us-east-1a"})
	if err != nil {
		t.Fatal(err)
	}
	s.VPCs[0].IPv6CIDRs = []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/56")}
	s.Subnets[0].IPv6CIDR = netip.MustParsePrefix("2001:db8:1::/64")
	s.Subnets[0].AssignIPv6AddressOnCreation = true
	s.PublicIPv4Pools = []network.PublicIPv4Pool{{ID: network.NewID("ipv4pool-ec2", "test"),
		CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.8/31")}}}
	return s
}

func TestPublicAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Network = publicNet(t)
		c := w.open()
		defer w.end()
		subnets := []string{w.cfg.Network.Subnets[0].ID}
		def := define("app serve")
		enabled := scheduler.RunOptions{NetworkConfiguration: &scheduler.AWSVPCConfiguration{Subnets: subnets, AssignPublicIP: true}}
		disabled := scheduler.RunOptions{NetworkConfiguration: &scheduler.AWSVPCConfiguration{Subnets: subnets}}
		eni := func(run *scheduler.Run) network.ENI {
			t.Helper()
			got, err := run.NetworkInterface(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		first := mustRun(t, c, def, enabled)
		if got := eni(first); got.PublicIPv4.String() != "203.0.113.8" || got.IPv6.String() != "2001:db8:1::4" {
			t.Errorf("ENABLED: public address %s, IPv6 %s", got.PublicIPv4, got.IPv6)
		}
		private := mustRun(t, c, def, disabled)
		if got := eni(private); got.AssignPublicIP || got.PublicIPv4.IsValid() || got.IPv6.String() != "2001:db8:1::5" {
			t.Errorf("DISABLED, in a subnet that would: %+v", got)
		}
		second := mustRun(t, c, def, scheduler.RunOptions{}) // the subnet decides
		if got := eni(second); got.PublicIPv4.String() != "203.0.113.9" {
			t.Errorf("as the subnet says: public address %s", got.PublicIPv4)
		}
		var full *scheduler.PlacementError
		_, err := c.Run(t.Context(), def, enabled)
		if !errors.As(err, &full) || full.Reason != "RESOURCE:ENI" || !strings.Contains(full.Detail, "public address") {
			t.Errorf("with the pool used up: %v", err)
		}
		third := mustRun(t, c, def, disabled)
		rec, err := first.WaitRunning(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := rec.Containers[0].NetworkInterfaces[0]; got.IPv6Address != "2001:db8:1::4" || got.PrivateIPv4Address != eni(first).PrivateIPv4.String() {
			t.Errorf("interface in the record of a container: %+v", got)
		}
		stopEach(t, first)
		if _, err := first.NetworkInterface(t.Context()); !errors.Is(err, scheduler.ErrNotFound) {
			t.Errorf("interface of a task that is STOPPED: %v, want ErrNotFound", err)
		}
		synctest.Wait()
		again := mustRun(t, c, def, enabled)
		if got := eni(again).PublicIPv4.String(); got != "203.0.113.8" {
			t.Errorf("the address released: %s", got)
		}
		// A restart finds what is taken and what is not.
		_ = c.Close()
		c = w.open()
		if _, err := c.Run(t.Context(), def, enabled); !errors.As(err, &full) {
			t.Errorf("after a restart, with the pool used up: %v", err)
		}
		lookup := func(run *scheduler.Run) *scheduler.Run {
			t.Helper()
			r, err := c.Lookup(t.Context(), run.ID())
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		stopEach(t, lookup(second), lookup(private), lookup(third), lookup(again))
	})
}

func stopEach(t *testing.T, runs ...*scheduler.Run) {
	t.Helper()
	for _, r := range runs {
		if err := r.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range runs {
		if _, err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPublicAddressOnEC2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Network = publicNet(t)
		c := w.open()
		defer w.end()
		def := define("app serve")
		def.RequiresCompatibilities = []task.LaunchType{task.LaunchTypeEC2}
		_, err := c.Run(t.Context(), def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2, NetworkConfiguration: &scheduler.AWSVPCConfiguration{
			Subnets: []string{w.cfg.Network.Subnets[0].ID}, AssignPublicIP: true}})
		if !errors.Is(err, scheduler.ErrInvalid) || !strings.Contains(err.Error(), "Assign public IP is not supported for this launch type") {
			t.Errorf("assignPublicIp on EC2: %v", err)
		}
	})
}

// TestElasticAddressAndRoutesOfATask ends tasks that an elastic address and routes name: one while the cluster runs, one
// whose end nobody sees.
func TestElasticAddressAndRoutesOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Network = publicNet(t)
		c := w.open()
		defer w.end()
		w.cfg.Network = network.State{} // what is stored
		runs := []*scheduler.Run{mustRun(t, c, define("app serve"), scheduler.RunOptions{}), mustRun(t, c, define("app serve"), scheduler.RunOptions{})}
		s, err := c.Network(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.PublicIPv4Pools[0].CIDRs = append(s.PublicIPv4Pools[0].CIDRs, netip.MustParsePrefix("203.0.113.16/28"))
		var enis []string
		for i, r := range runs {
			eni, err := r.NetworkInterface(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			enis = append(enis, eni.ID)
			addr := netip.AddrFrom4([4]byte{203, 0, 113, byte(20 + i)})
			s.Addresses = append(s.Addresses, network.Address{AllocationID: network.NewID("eipalloc", eni.ID), PublicIP: addr, ENI: eni.ID})
			s.RouteTables[0].Routes = append(s.RouteTables[0].Routes, network.Route{
				Destination: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(16 * i)}), 28), Target: eni.ID})
		}
		if err := c.SetNetwork(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if eni, err := runs[0].NetworkInterface(t.Context()); err != nil || eni.PublicIPv4.String() != "203.0.113.20" {
			t.Errorf("with an elastic address: %s, %v", eni.PublicIPv4, err)
		}
		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			s, err := c.Network(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			routes := s.RouteTables[0].Routes[len(s.RouteTables[0].Routes)-2:]
			for i, eni := range want {
				target := eni
				if eni == "" {
					target = network.TargetBlackhole
				}
				if s.Addresses[i].ENI != eni || routes[i].Target != target {
					t.Errorf("address %d is of %q, the route leads to %s, want %q", i, s.Addresses[i].ENI, routes[i].Target, eni)
				}
			}
		}
		stopEach(t, runs[0])
		check("", enis[1])
		_ = c.Close()
		w.forceStopped(runs[1].ID())
		c = w.open()
		check("", "")
		if state := netfake.New(netfake.Config{Host: w.net.Host}).State(); len(state.ENIs) != 0 {
			t.Errorf("interfaces after all: %+v", state.ENIs)
		}
	})
}

// forceStopped leaves a task in the store as a cluster does that is killed the moment it has written STOPPED.
func (w *world) forceStopped(id string) {
	w.t.Helper()
	err := w.store.View(w.t.Context(), func(r store.Reader) error {
		e, err := r.Get(w.t.Context(), "tasks/"+id)
		if err != nil {
			return err
		}
		value := strings.Replace(string(e.Value), `"lastStatus":"RUNNING","desiredStatus":"RUNNING"`, `"lastStatus":"STOPPED","desiredStatus":"STOPPED"`, 1)
		if value == string(e.Value) {
			w.t.Fatalf("the record is %s", value)
		}
		_, err = w.store.Update(w.t.Context(), store.Replace(e.Key, []byte(value), e.Revision))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
