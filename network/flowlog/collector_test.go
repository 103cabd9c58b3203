package flowlog

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
)

// testState is a VPC of two ENIs in the default group, and one in a group that lets nothing in.
func testState(t *testing.T) network.State {
	t.Helper()
	s, err := network.DefaultVPC("x", netip.MustParsePrefix("10.0.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil {
		t.Fatal(err)
	}
	shut := network.SecurityGroup{ID: network.NewID("sg", "shut"), VPC: s.VPCs[0].ID, Name: "shut", Description: "shut"}
	s.SecurityGroups = append(s.SecurityGroups, shut)
	for i, group := range []string{s.SecurityGroups[0].ID, s.SecurityGroups[0].ID, shut.ID} {
		id := string(rune('a' + i))
		s.ENIs = append(s.ENIs, network.ENI{ID: network.NewID("eni", id), Subnet: s.Subnets[0].ID, SecurityGroups: []string{group},
			PrivateIPv4: netip.AddrFrom4([4]byte{10, 0, 0, byte(5 + i)}), MAC: network.NewMAC(id), AssignPublicIP: i == 0})
	}
	if err := network.Validate(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func counted(from, to string, port uint16, offered, passed uint64) network.FlowCount {
	return network.FlowCount{Source: addr(from), Destination: addr(to), Protocol: 6, SourcePort: 40000, DestinationPort: port, TCPFlags: 0x12,
		OfferedPackets: offered, OfferedBytes: offered * 60, PassedPackets: passed, PassedBytes: passed * 60}
}

// short names the interfaces of testState.
func short(s network.State) *strings.Replacer {
	var pairs []string
	for i, e := range s.ENIs {
		pairs = append(pairs, e.ID, string(rune('a'+i)))
	}
	return strings.NewReplacer(pairs...)
}

func TestObserve(t *testing.T) {
	s := testState(t)
	format, err := ParseFormat("${interface-id} ${srcaddr} ${dstaddr} ${dstport} ${packets} ${bytes} ${tcp-flags} ${action} ${flow-direction} ${traffic-path}")
	if err != nil {
		t.Fatal(err)
	}
	answer := counted("10.0.0.7", "10.0.0.5", 40000, 2, 2)
	answer.SourcePort = 80
	for _, c := range []struct {
		name   string
		counts []network.FlowCount
		want   string
	}{
		{"inside", []network.FlowCount{counted("10.0.0.5", "10.0.0.6", 80, 3, 3)},
			"a 10.0.0.5 10.0.0.6 80 3 180 18 ACCEPT egress 1\nb 10.0.0.5 10.0.0.6 80 3 180 18 ACCEPT ingress -"},
		{"refused by the receiver", []network.FlowCount{counted("10.0.0.5", "10.0.0.7", 80, 3, 0)},
			"a 10.0.0.5 10.0.0.7 80 3 180 18 ACCEPT egress 1\nc 10.0.0.5 10.0.0.7 80 3 180 18 REJECT ingress -"},
		{"refused by the sender", []network.FlowCount{counted("10.0.0.7", "10.0.0.5", 80, 3, 0)},
			"c 10.0.0.7 10.0.0.5 80 3 180 18 REJECT egress 1"},
		{"the answer of one that may not send", []network.FlowCount{counted("10.0.0.5", "10.0.0.7", 80, 3, 3), answer},
			"a 10.0.0.5 10.0.0.7 80 3 180 18 ACCEPT egress 1\nc 10.0.0.5 10.0.0.7 80 3 180 18 ACCEPT ingress -\n" +
				"c 10.0.0.7 10.0.0.5 40000 2 120 18 ACCEPT egress 1\na 10.0.0.7 10.0.0.5 40000 2 120 18 ACCEPT ingress -"},
		{"both, as rules changed", []network.FlowCount{counted("10.0.0.5", "10.0.0.7", 80, 5, 2)},
			"a 10.0.0.5 10.0.0.7 80 2 120 18 ACCEPT egress 1\na 10.0.0.5 10.0.0.7 80 3 180 18 ACCEPT egress 1\n" +
				"c 10.0.0.5 10.0.0.7 80 2 120 18 ACCEPT ingress -\nc 10.0.0.5 10.0.0.7 80 3 180 18 REJECT ingress -"},
		{"to the outside", []network.FlowCount{counted("10.0.0.5", "192.0.2.1", 443, 1, 1)}, "a 10.0.0.5 192.0.2.1 443 1 60 18 ACCEPT egress 8"},
		{"from the outside", []network.FlowCount{counted("192.0.2.1", "10.0.0.5", 22, 1, 0)}, "a 192.0.2.1 10.0.0.5 22 1 60 18 REJECT ingress -"},
		{"to nobody's address", []network.FlowCount{counted("10.0.0.5", "10.0.0.99", 22, 1, 0)}, "a 10.0.0.5 10.0.0.99 22 1 60 18 REJECT egress -"},
		{"to the name server", []network.FlowCount{counted("10.0.0.5", "10.0.0.2", 53, 1, 1)}, ""},
		{"between others", []network.FlowCount{counted("192.0.2.1", "192.0.2.2", 53, 1, 1)}, ""},
	} {
		var got []string
		for _, o := range Observe(s, s.VPCs[0].ID, c.counts, time.Unix(0, 0), time.Unix(1, 0)) {
			got = append(got, short(s).Replace(format.Line(Record{Interface: Interface{ID: o.Interface}, Flow: o.Flow, TCPFlags: o.TCPFlags,
				Packets: o.Packets, Bytes: o.Bytes, Status: OK})))
		}
		if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.name, diff)
		}
	}
}

// counting is a fabric that counts what it is told.
type counting struct {
	mu     sync.Mutex
	counts []network.FlowCount
	lost   bool
	err    error
}

func (c *counting) CountFlows(context.Context, string) ([]network.FlowCount, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts, lost, err := c.counts, c.lost, c.err
	c.counts, c.lost, c.err = nil, false, nil
	return counts, lost, err
}

func (c *counting) set(lost bool, err error, counts ...network.FlowCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts, c.lost, c.err = counts, lost, err
}

// lines is a sink that keeps lines by log.
type lines struct {
	replace *strings.Replacer
	mu      sync.Mutex
	got     map[string][]string
}

func (l *lines) Write(log Log, records []Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.got[log.ID] = append(l.got[log.ID], l.replace.Replace(log.Format.Line(r)))
	}
	return nil
}

func (l *lines) take(id string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.got[id]) // interfaces are in order of their IDs, which are digests
	got := strings.Join(l.got[id], "\n")
	delete(l.got, id)
	return got
}

func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testState(t)
		var mu sync.Mutex
		counter, sink := &counting{}, &lines{replace: short(s), got: map[string][]string{}}
		format, err := ParseFormat("${interface-id} ${srcaddr} ${dstaddr} ${packets} ${action} ${log-status}")
		if err != nil {
			t.Fatal(err)
		}
		c, err := NewCollector(CollectorConfig{Counter: counter, Sink: sink, State: func(context.Context) (network.State, error) {
			mu.Lock()
			defer mu.Unlock()
			return s, nil
		}, Logs: []Log{{ID: "all", ResourceID: s.VPCs[0].ID, Interval: ShortInterval, Format: format},
			{ID: "rejected", ResourceID: s.ENIs[2].ID, Interval: ShortInterval, TrafficType: TrafficReject, Format: format}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		check := func(what, all, rejected string) {
			t.Helper()
			synctest.Wait()
			for id, want := range map[string]string{"all": all, "rejected": rejected} {
				if diff := cmp.Diff(want, sink.take(id)); diff != "" {
					t.Errorf("%s, log %s: -want +got\n%s", what, id, diff)
				}
			}
		}
		synctest.Wait()
		counter.set(false, nil, counted("10.0.0.5", "10.0.0.6", 80, 3, 3), counted("10.0.0.5", "10.0.0.7", 80, 2, 0))
		<-time.After(59 * time.Second)
		check("before the interval is over", "", "")
		<-time.After(2 * time.Second)
		check("the first interval", "a 10.0.0.5 10.0.0.6 3 ACCEPT OK\na 10.0.0.5 10.0.0.7 2 ACCEPT OK\nb 10.0.0.5 10.0.0.6 3 ACCEPT OK\nc 10.0.0.5 10.0.0.7 2 REJECT OK",
			"c 10.0.0.5 10.0.0.7 2 REJECT OK")
		counter.set(true, nil)
		<-time.After(time.Minute)
		check("some were lost", "a - - - - SKIPDATA\nb - - - - SKIPDATA\nc - - - - SKIPDATA", "c - - - - SKIPDATA")
		counter.set(false, errors.New("no counters"))
		<-time.After(time.Minute)
		check("an error", "a - - - - SKIPDATA\nb - - - - SKIPDATA\nc - - - - SKIPDATA", "c - - - - SKIPDATA")
		mu.Lock()
		s.ENIs = s.ENIs[:1] // what the others sent last comes with the next count
		mu.Unlock()
		counter.set(false, nil, counted("10.0.0.6", "10.0.0.5", 80, 1, 1))
		<-time.After(10 * time.Second)
		check("interfaces that are gone", "b 10.0.0.6 10.0.0.5 1 ACCEPT OK\nc - - - - NODATA", "c - - - - NODATA")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		check("the end", "a 10.0.0.6 10.0.0.5 1 ACCEPT OK", "")
	})
}

func TestCollectorInvalid(t *testing.T) {
	good := CollectorConfig{Counter: &counting{}, Sink: &lines{}, State: func(context.Context) (network.State, error) { return network.State{}, nil },
		Logs: []Log{{ResourceID: "vpc-1"}}}
	if _, err := NewCollector(good); err != nil {
		t.Error(err)
	}
	for _, edit := range []func(*CollectorConfig){func(c *CollectorConfig) { c.Counter = nil }, func(c *CollectorConfig) { c.Sink = nil },
		func(c *CollectorConfig) { c.State = nil }, func(c *CollectorConfig) { c.Logs = nil }, func(c *CollectorConfig) { c.Poll = -1 },
		func(c *CollectorConfig) { c.Logs = []Log{{ResourceID: "rtb-1"}} }} {
		bad := good
		edit(&bad)
		if _, err := NewCollector(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: error %v, want %v", bad, err, ErrInvalid)
		}
	}
}
