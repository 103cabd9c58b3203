package linux

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/nftables/expr"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
)

// flowText says what matters of counts: who, how many packets came and whether all or none of them passed.
func flowText(counts []network.FlowCount) []string {
	var all []string
	for _, c := range counts {
		what := "refused"
		switch {
		case c.PassedPackets == c.OfferedPackets && c.PassedBytes == c.OfferedBytes:
			what = "passed"
		case c.PassedPackets > 0:
			what = fmt.Sprintf("%d of %d passed", c.PassedPackets, c.OfferedPackets)
		}
		port := fmt.Sprint(c.DestinationPort)
		if c.DestinationPort > 1000 {
			port = "client"
		}
		all = append(all, fmt.Sprintf("%s > %s:%s protocol %d flags %#x %s", c.Source, c.Destination, port, c.Protocol, c.TCPFlags, what))
	}
	return all
}

func TestCountFlows(t *testing.T) {
	m := newMachine(t, "flows")
	f := m.Open(t)
	s := testVPC(t, "flows", "10.1.0.0/16")
	vpc := s.VPCs[0].ID
	server := network.SecurityGroup{ID: network.NewID("sg", "server"), VPC: vpc, Name: "server", Description: "server",
		Ingress: []network.Rule{{Protocol: network.TCP, FromPort: 7, ToPort: 7, Groups: []string{s.SecurityGroups[0].ID}}}}
	s.SecurityGroups = append(s.SecurityGroups, server)
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1)}
	s.ENIs[1].SecurityGroups = []string{server.ID}
	counter := f.(network.FlowCounter)
	if _, _, err := counter.CountFlows(t.Context(), vpc); !errors.Is(err, network.ErrNotFound) {
		t.Errorf("before Apply: %v, want %v", err, network.ErrNotFound)
	}
	must(t, f.Apply(t.Context(), s))
	client, srv := m.cfg.namespacePath(s.ENIs[0].ID), m.cfg.namespacePath(s.ENIs[1].ID)
	a, b := s.ENIs[0].PrivateIPv4.String(), s.ENIs[1].PrivateIPv4.String()
	serve(t, srv, "0.0.0.0:7")
	count := func(what string, want ...string) {
		t.Helper()
		counts, lost, err := counter.CountFlows(t.Context(), vpc)
		if err != nil || lost {
			t.Fatalf("%s: lost %v, %v", what, lost, err)
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(flowText(counts), "\n")); diff != "" {
			t.Errorf("%s: -want +got\n%s", what, diff)
		}
	}
	talk := func() {
		t.Helper()
		if got, err := ask(t, client, b+":7"); err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	talk()
	count("the first time")
	talk()
	count("a conversation", a+" > "+b+":7 protocol 6 flags 0x13 passed", b+" > "+a+":client protocol 6 flags 0x13 passed")
	count("nothing")
	if _, err := ask(t, client, b+":8"); err == nil {
		t.Error("port 8 answers")
	}
	count("a refused port", a+" > "+b+":8 protocol 6 flags 0x2 refused")
	if _, err := ask(t, srv, a+":9"); err == nil {
		t.Error("what may not leave answers")
	}
	count("what may not leave", b+" > "+a+":9 protocol 6 flags 0x2 refused")
	must(t, f.Apply(t.Context(), s))
	talk()
	count("after another Apply", a+" > "+b+":7 protocol 6 flags 0x13 passed", b+" > "+a+":client protocol 6 flags 0x13 passed")
	must(t, f.Close())
	f = m.Open(t)
	counter = f.(network.FlowCounter)
	must(t, f.Apply(t.Context(), s))
	count("the first time after a restart")
	must(t, f.Apply(t.Context(), network.State{}))
	must(t, f.Close())
}

// TestFlowDifference has packets pass while counters are read, and flows that were forgotten meanwhile.
func TestFlowDifference(t *testing.T) {
	key := flowKey{0, "\x0a\x00\x00\x01\x0a\x00\x00\x02\x11\x00\x00\x00\x00\x05\x00\x00\x00\x35\x00\x00\x00\x00\x00\x00"}
	last := map[flowKey]flowPair{}
	for i, c := range []struct {
		offered, passed uint64 // as read
		want            string // offered and passed since
	}{
		{3, 3, "3 3"}, {5, 6, "2 2"}, {6, 6, "1 1"}, {9, 7, "3 1"}, {9, 7, ""}, {2, 2, "2 2"}, {2, 5, ""}, {5, 5, "3 3"}, {6, 5, "1 0"},
	} {
		now := map[flowKey]flowPair{key: {expr.Counter{Packets: c.offered, Bytes: c.offered * 100}, expr.Counter{Packets: c.passed, Bytes: c.passed * 100}}}
		got := ""
		for _, f := range flowDifference(last, now) {
			got = fmt.Sprint(f.OfferedPackets, " ", f.PassedPackets)
			want := network.FlowCount{Source: prefix("10.0.0.1/32").Addr(), Destination: prefix("10.0.0.2/32").Addr(), Protocol: 17, SourcePort: 5, DestinationPort: 53,
				OfferedPackets: f.OfferedPackets, OfferedBytes: 100 * f.OfferedPackets, PassedPackets: f.PassedPackets, PassedBytes: 100 * f.PassedPackets}
			if f != want {
				t.Errorf("reading %d: got %+v, want %+v", i, f, want)
			}
		}
		if got != c.want {
			t.Errorf("reading %d: got %q, want %q", i, got, c.want)
		}
		last = now
	}
	if _, ok := (flowKey{0, "short"}).flow(); ok {
		t.Error("a short key is a flow")
	}
}
