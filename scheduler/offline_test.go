package scheduler_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// offline is a definition without network for EC2.
func offline(containers ...string) *task.TaskDefinition {
	def := define(containers...)
	def.NetworkMode, def.RequiresCompatibilities = task.NetworkModeNone, nil
	return def
}

// TestTaskWithoutNetwork goes through a task that has no interface: it reserves no address, and it outlives the host
// program and a change of the network.
func TestTaskWithoutNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Capacity = task.Size{CPU: 256, Memory: 512}
		c := w.open()
		defer w.end()
		for _, launchType := range []task.LaunchType{task.LaunchTypeEC2, task.LaunchTypeExternal} {
			run := mustRun(t, c, offline("app serve"), scheduler.RunOptions{LaunchType: launchType})
			rec, err := run.WaitRunning(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(rec.Attachments) > 0 || len(rec.Containers[0].NetworkInterfaces) > 0 || rec.AvailabilityZone == "" {
				t.Errorf("attachments %v, interfaces %v, zone %q", rec.Attachments, rec.Containers[0].NetworkInterfaces, rec.AvailabilityZone)
			}
			var full *scheduler.PlacementError
			if _, err := c.Run(t.Context(), offline("app serve"), scheduler.RunOptions{LaunchType: launchType}); !errors.As(err, &full) {
				t.Errorf("a second task: %v, want no room for it", err)
			}
			_ = c.Close()
			c = w.open()
			run = lookup(t, c, run)
			net, err := c.Network(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.SetNetwork(t.Context(), net); err != nil {
				t.Error(err)
			}
			if err := c.SetNetwork(t.Context(), network.State{}); err != nil {
				t.Errorf("remove the network that nobody is in: %v", err)
			}
			if err := c.SetNetwork(t.Context(), net); err != nil {
				t.Error(err)
			}
			if err := run.Stop(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if stopped := mustWait(t, run); stopped.StopCode != task.StopCodeUserInitiated {
				t.Errorf("%s: %s", stopped.StopCode, stopped.StoppedReason)
			}
		}
	})
}

func TestNetworkConfigurationWithoutNetwork(t *testing.T) {
	w := newWorld(t)
	c := w.open()
	defer w.end()
	_, err := c.Run(t.Context(), offline("app serve"), scheduler.RunOptions{
		LaunchType: task.LaunchTypeEC2, NetworkConfiguration: &scheduler.AWSVPCConfiguration{Subnets: []string{"subnet-0"}},
	})
	const want = "Network Configuration is not valid for the given networkMode of this task definition."
	if !errors.Is(err, scheduler.ErrInvalid) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
