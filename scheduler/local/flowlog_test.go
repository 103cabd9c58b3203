//go:build linux

package local_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/flowlog"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
)

// sendDatagram sends one and does not wait for anything.
func sendDatagram(to string) error {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("hello"))
	return err
}

// TestFlowLogs has tasks send TCP and UDP, of IPv4 and IPv6, some of which security groups refuse, and reads what logs have
// of it: of everything, and of what was refused. The tasks that send end before anything is counted.
func TestFlowLogs(t *testing.T) {
	needRoot(t)
	s := publicNetwork(t)
	group := network.SecurityGroup{ID: network.NewID("sg", "server"), VPC: s.VPCs[0].ID, Name: "server", Description: "8080, and UDP to 53",
		Ingress: []network.Rule{
			{Protocol: network.TCP, FromPort: 8080, ToPort: 8080, CIDRs: s.SecurityGroups[0].Ingress[1].CIDRs, IPv6CIDRs: s.SecurityGroups[0].Ingress[1].IPv6CIDRs},
			{Protocol: network.UDP, FromPort: 53, ToPort: 53, CIDRs: s.SecurityGroups[0].Ingress[1].CIDRs, IPv6CIDRs: s.SecurityGroups[0].Ingress[1].IPv6CIDRs},
		}}
	s.SecurityGroups = append(s.SecurityGroups, group)
	format, err := flowlog.ParseFormat("${version} ${interface-id} ${flow-direction} ${action} ${protocol} ${type} ${srcaddr} ${dstaddr} ${dstport} ${packets} ${log-status} ${vpc-id}")
	if err != nil {
		t.Fatal(err)
	}
	all, refused := network.NewID("fl", "all"), network.NewID("fl", "refused")
	cfg := local.Config{Dir: filepath.Join(t.TempDir(), "c"), Network: s, FlowLogs: &local.FlowLogs{Poll: time.Hour, Logs: []flowlog.Log{
		{ID: all, Format: format, Interval: flowlog.ShortInterval}, {ID: refused, ResourceID: s.VPCs[0].ID, TrafficType: flowlog.TrafficReject}}}}
	before := leaktest.Take(t, cfg.Dir, local.Owner(cfg.Dir))
	c, err := local.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Check()
	addGuest(t, c)
	server := start(t, c, define([]string{"app", "serve 8080"}), scheduler.RunOptions{NetworkConfiguration: &scheduler.AWSVPCConfiguration{
		Subnets: s.SubnetIDs(), SecurityGroups: []string{group.ID}}})
	running(t, server)
	awaitOutput(t, server, "app", "serving")
	to, err := server.NetworkInterface(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want, wantRefused []string
	for _, a := range []netip.Addr{to.PrivateIPv4, to.IPv6} {
		for _, send := range []struct {
			statement string
			port      uint16
			protocol  int
			action    flowlog.Action
		}{
			{"ask", 8080, 6, flowlog.Accept}, {"dial", 9999, 6, flowlog.Reject},
			{"datagram", 53, 17, flowlog.Accept}, {"datagram", 54, 17, flowlog.Reject},
		} {
			run := start(t, c, define([]string{"app", send.statement + " " + netip.AddrPortFrom(a, send.port).String()}), scheduler.RunOptions{})
			from, err := run.NetworkInterface(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wait(t, run)
			source, kind := from.PrivateIPv4, "IPv4"
			if a.Is6() {
				source, kind = from.IPv6, "IPv6"
			}
			// What the receiver's group refuses has left the sender.
			want = append(want, fmt.Sprintf("5 %s egress ACCEPT %d %s %s %s %d", from.ID, send.protocol, kind, source, a, send.port),
				fmt.Sprintf("5 %s ingress %s %d %s %s %s %d", to.ID, send.action, send.protocol, kind, source, a, send.port))
			if send.action == flowlog.Reject {
				wantRefused = append(wantRefused, fmt.Sprintf("%s %s %s", to.ID, source, a))
			}
		}
	}
	if err := c.Purge(t.Context()); err != nil {
		t.Errorf("purge: %v", err)
	}
	read := func(id string) []string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(cfg.Dir, "flowlogs", id+".log"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	lines := read(all)
	for _, w := range want {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, w+" ") && strings.HasSuffix(l, " OK "+s.VPCs[0].ID) }) {
			t.Errorf("the log of everything lacks %q", w)
		}
	}
	lines = read(refused)
	for _, w := range wantRefused {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, w+" ") && strings.HasSuffix(l, " REJECT OK") }) {
			t.Errorf("the log of what was refused lacks %q", w)
		}
	}
	if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "ACCEPT") }) {
		t.Errorf("the log of what was refused has %q", lines)
	}
	if t.Failed() {
		t.Logf("%s\n%s", strings.Join(read(all), "\n"), strings.Join(lines, "\n"))
	}
}

func TestFlowLogsInvalid(t *testing.T) {
	needRoot(t)
	for name, l := range map[string]flowlog.Log{
		"resource": {ResourceID: "rtb-1"}, "traffic": {TrafficType: "SOME"}, "a path": {ID: "../fl"}, "size of files": {},
	} {
		dir := filepath.Join(t.TempDir(), "c")
		before := leaktest.Take(t, dir, local.Owner(dir))
		logs := &local.FlowLogs{Logs: []flowlog.Log{l}}
		if name == "size of files" {
			logs.MaxFileBytes = 1
		}
		c, err := local.Open(t.Context(), local.Config{Dir: dir, FlowLogs: logs})
		if err == nil {
			err = errors.Join(errors.New("it is open"), c.Close())
		}
		if !strings.Contains(err.Error(), "Config.FlowLogs") {
			t.Errorf("%s: %v", name, err)
		}
		before.Check()
	}
}
