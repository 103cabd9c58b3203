package scheduler_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// TestPublishedPorts runs tasks that want the same port of the machine, across a restart.
func TestPublishedPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		auth := &asked{}
		w.cfg.Authorizer = auth
		c := w.open()
		defer w.end()
		port := func(at string, protocol network.Protocol) network.PublishedPort {
			return network.PublishedPort{HostAddress: netip.MustParseAddr(at), HostPort: 8080, Protocol: protocol, Port: 80}
		}
		with := func(ports ...network.PublishedPort) scheduler.RunOptions {
			return scheduler.RunOptions{PublishedPorts: ports, Bandwidth: network.Bandwidth{Egress: 1_000_000}}
		}
		def := define("app serve")
		first := mustRun(t, c, def, with(port("127.0.0.1", network.TCP)))
		eni, err := first.NetworkInterface(t.Context())
		if err != nil || !slices.Equal(eni.PublishedPorts, []network.PublishedPort{port("127.0.0.1", network.TCP)}) || eni.Bandwidth.Egress != 1_000_000 {
			t.Errorf("network interface %+v, %v", eni, err)
		}
		taken := func(when string) {
			t.Helper()
			var full *scheduler.PlacementError
			if _, err := c.Run(t.Context(), def, with(port("0.0.0.0", "6"))); !errors.As(err, &full) || full.Reason != "RESOURCE:PORTS:TCP" {
				t.Errorf("%s: a port that another task has: %v", when, err)
			}
		}
		taken("at first")
		second := mustRun(t, c, def, with(port("0.0.0.0", network.UDP)))
		_ = c.Close()
		c = w.open()
		taken("after a restart")
		for _, run := range []*scheduler.Run{first, second} {
			again, err := c.Lookup(t.Context(), run.ID())
			if err != nil {
				t.Fatal(err)
			}
			stopEach(t, again)
		}
		synctest.Wait()
		stopEach(t, mustRun(t, c, def, with(port("0.0.0.0", network.TCP))))

		none := define("app serve")
		none.NetworkMode, none.RequiresCompatibilities = task.NetworkModeNone, []task.LaunchType{task.LaunchTypeEC2}
		for name, o := range map[string]scheduler.RunOptions{
			"a port that is none":      with(network.PublishedPort{}),
			"one port twice":           with(port("0.0.0.0", network.TCP), port("127.0.0.1", network.TCP)),
			"a bandwidth out of range": {Bandwidth: network.Bandwidth{Ingress: 1}},
		} {
			if _, err := c.Run(t.Context(), def, o); !errors.Is(err, scheduler.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		o := with(port("0.0.0.0", network.TCP))
		o.LaunchType = task.LaunchTypeEC2
		if _, err := c.Run(t.Context(), none, o); !errors.Is(err, scheduler.ErrInvalid) {
			t.Errorf("a port of a task without network: %v", err)
		}
		auth.deny = "fardel:PublishPort"
		if _, err := c.As(ann).Run(t.Context(), def, with(port("0.0.0.0", network.TCP))); !errors.Is(err, scheduler.ErrAccessDenied) {
			t.Errorf("a port that the principal may not publish: %v", err)
		}
		stopEach(t, mustRun(t, c.As(ann), def, scheduler.RunOptions{}))
	})
}
