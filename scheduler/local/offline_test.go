//go:build linux

package local_test

import (
	"strings"
	"testing"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// describe are statements that tell what network a container has.
var describe = []string{
	"hostname", "read /etc/hostname", "read /etc/hosts", "read /etc/resolv.conf", "env ECS_CONTAINER_METADATA_URI_V4", "read /proc/net/dev",
	"link /proc/self/ns/net", "out up", "catch TERM 0", "hang",
}

// TestNetworkModeNone has two containers with nothing but a loopback each, and with names of their own.
func TestNetworkModeNone(t *testing.T) {
	c := open(t)
	def := define(append([]string{"app"}, describe...), append([]string{"other"}, describe...))
	def.NetworkMode, def.RequiresCompatibilities = task.NetworkModeNone, nil
	app := &def.ContainerDefinitions[0]
	app.Hostname, app.DisableNetworking = "box", true
	app.ExtraHosts = []task.HostEntry{{Hostname: "db", IPAddress: "10.1.2.3"}}
	app.DNSServers, app.DNSSearchDomains = []string{"10.1.2.4"}, []string{"corp.example"}
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeExternal})
	awaitOutput(t, run, "app", "up")
	awaitOutput(t, run, "other", "up")
	out, other := output(t, run, "app"), output(t, run, "other")
	want := "box\nbox\n127.0.0.1 localhost\n10.1.2.3 db\nnameserver 10.1.2.4\nsearch corp.example\nECS_CONTAINER_METADATA_URI_V4=unset\n"
	if !strings.HasPrefix(out, want) {
		t.Errorf("app says\n%s\nwant it to begin with\n%s", out, want)
	}
	if id := run.ID()[:12]; !strings.HasPrefix(other, id+"\n"+id+"\n127.0.0.1 localhost\n") {
		t.Errorf("other says\n%s\nwant the host name %s", other, id)
	}
	for _, text := range []string{out, other} {
		if !strings.Contains(text, "lo:") || strings.Contains(text, "eth0:") {
			t.Errorf("interfaces in\n%s", text)
		}
	}
	if a, b := namespaceIn(out), namespaceIn(other); a == "" || a == b {
		t.Errorf("network namespaces %q and %q", a, b)
	}
	if rec := running(t, run); len(rec.Attachments) > 0 {
		t.Errorf("attachments %v", rec.Attachments)
	}
	stats, err := run.Stats(t.Context())
	if err != nil || len(stats.Task.Networks) > 0 {
		t.Errorf("counters of interfaces: %v, %v", stats.Task.Networks, err)
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}

// TestDisableNetworking has a container without network, and one with name servers of its own, in a task that has an
// interface.
func TestDisableNetworking(t *testing.T) {
	c := open(t)
	def := define(append([]string{"app"}, describe...), append([]string{"own"}, describe...))
	def.RequiresCompatibilities = nil
	def.ContainerDefinitions[0].DisableNetworking = true
	def.ContainerDefinitions[1].DNSServers = []string{"10.1.2.4"}
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2, EnableExecuteCommand: true})
	awaitOutput(t, run, "app", "up")
	awaitOutput(t, run, "own", "up")
	out, own := output(t, run, "app"), output(t, run, "own")
	if strings.Contains(out, "eth0:") || !strings.Contains(out, "URI_V4=unset\n") || !strings.Contains(out, "\n127.0.0.1 localhost\nECS_") {
		t.Errorf("the container without network says\n%s", out)
	}
	if !strings.Contains(own, "eth0:") || !strings.Contains(own, "\nnameserver 10.1.2.4\n") || !strings.Contains(own, "http://169.254.170.2/v4/") {
		t.Errorf("the other says\n%s", own)
	}
	stats, err := run.Stats(t.Context())
	if err != nil || len(stats.Task.Networks) != 1 || len(stats.Containers["app"].Networks) > 0 {
		t.Errorf("counters of interfaces: %v, %v", stats, err)
	}
	var text strings.Builder
	code, err := run.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{guestPath(t), "link /proc/self/ns/net"}, Stdout: &text})
	if err != nil || code != 0 || namespaceIn(text.String()) != namespaceIn(out) {
		t.Errorf("Exec: %q, %d, %v", text.String(), code, err)
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}

// namespaceIn finds "net:[…]" in what a container wrote.
func namespaceIn(text string) string {
	_, rest, found := strings.Cut(text, "net:[")
	id, _, _ := strings.Cut(rest, "]")
	if !found {
		return ""
	}
	return id
}
