package engine

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

// show makes the record as it is now what the task is told of itself. The worker's goroutine calls it after each change.
func (w *worker) show() {
	if !w.hasEndpoint() {
		return
	}
	s := &metadata.Snapshot{
		Task: *w.rec.Clone(), Definition: w.def, Containers: make(map[string]metadata.Container, len(w.containers)),
		Networks: []metadata.Network{w.network()}, VPCID: w.subnet.VPC, AvailabilityZoneID: zoneID(w.subnet.AvailabilityZone),
	}
	for i, c := range w.containers {
		if !c.created {
			s.Task.Container(c.def.Name).RuntimeID = "" // it stands in the record from the beginning
		}
		s.Containers[c.def.Name] = c.facts(w.def, w.record(i))
	}
	w.shown.Store(s)
}

// facts are what the endpoint tells of a container beyond the record of ECS.
func (c *container) facts(def *task.TaskDefinition, rec *task.Container) metadata.Container {
	var volumes []metadata.Volume
	for _, m := range planMounts(def, c.def) {
		v := metadata.Volume{Name: m.volume.Name, Destination: m.path}
		if m.volume.Host != nil { // a path that the definition names; where the others are is the host's affair
			v.Source = m.volume.Host.SourcePath
		}
		volumes = append(volumes, v)
	}
	return metadata.Container{
		CreatedAt: rec.CreatedAt, StartedAt: rec.StartedAt, FinishedAt: rec.FinishedAt,
		RestartCount: rec.RestartCount,
		Volumes:      volumes,
		Health:       metadata.Health{Since: c.health.since, ExitCode: c.health.exitCode, Output: c.health.output},
	}
}

// network is the task's interface.
func (w *worker) network() metadata.Network {
	n := metadata.Network{
		IPv4: []netip.Addr{w.eni.PrivateIPv4}, MAC: w.eni.MAC.String(), PrivateDNSName: w.attached.Hostname,
		DNSServers: w.attached.DNS, DNSSearchDomains: w.attached.Search,
	}
	if w.subnet.CIDR.IsValid() {
		n.IPv4Subnet = w.subnet.CIDR
		n.Gateway4 = netip.PrefixFrom(w.subnet.Gateway(), w.subnet.CIDR.Bits())
	}
	if w.eni.IPv6.IsValid() {
		n.IPv6, n.IPv6Subnet = []netip.Addr{w.eni.IPv6}, w.subnet.IPv6CIDR
		n.Gateway6 = netip.PrefixFrom(network.IPv6Gateway(), w.subnet.IPv6CIDR.Bits())
	}
	return n
}

// attached returns the interfaces that the fabric has, by ID.
func (e *Engine) attached(ctx context.Context) map[string]network.Attachment {
	list, err := e.cfg.Fabric.Attachments(ctx)
	if err != nil {
		e.log.Error("tasks taken over are not told of their name servers", "error", err)
	}
	byID := make(map[string]network.Attachment, len(list))
	for _, a := range list {
		byID[a.ENI] = a
	}
	return byID
}

// directions are the parts of a region's name that the IDs of its zones shorten.
var directions = map[string]string{
	"north": "n", "south": "s", "east": "e", "west": "w", "central": "c",
	"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
}

// zoneID is the ID of an availability zone, euc1-az2 for eu-central-1b. AWS maps names to IDs differently in each account;
// here the letters are counted. "" for a name that is not of that form.
func zoneID(zone string) string {
	if zone == "" {
		return ""
	}
	region, letter := zone[:len(zone)-1], zone[len(zone)-1]
	parts := strings.Split(region, "-")
	if len(parts) < 3 || letter < 'a' || letter > 'z' {
		return ""
	}
	number := parts[len(parts)-1]
	if _, err := strconv.Atoi(number); err != nil {
		return ""
	}
	var id strings.Builder
	for i, p := range parts[:len(parts)-1] {
		switch short := directions[p]; {
		case short != "":
			id.WriteString(short)
		case i == 0:
			id.WriteString(p)
		default:
			id.WriteString(p[:min(1, len(p))]) // us-gov-west-1 is usgw1
		}
	}
	return id.String() + number + "-az" + strconv.Itoa(int(letter-'a')+1)
}
