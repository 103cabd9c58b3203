package metadata

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fakeInjector keeps faults as the interface asks for it.
type fakeInjector struct {
	holes   map[string]bool
	running FaultType // latency or packet loss
	started []Fault
	err     error
	hang    bool
	seen    error // of the context at the call
}

func (f *fakeInjector) begin(ctx context.Context) error {
	f.seen = ctx.Err()
	if f.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.err
}

func holeKey(b BlackholePort) string { return fmt.Sprint(b.TrafficType, b.Protocol, b.Port) }

func (f *fakeInjector) StartFault(ctx context.Context, _ *Snapshot, fault Fault) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	f.started = append(f.started, fault)
	if hole, ok := fault.(BlackholePort); ok {
		if f.holes == nil {
			f.holes = map[string]bool{}
		}
		f.holes[holeKey(hole)] = true
		return nil
	}
	if f.running != "" {
		return fmt.Errorf("eth0: %w", &FaultRunningError{f.running})
	}
	f.running = fault.Type()
	return nil
}

func (f *fakeInjector) StopFault(ctx context.Context, _ *Snapshot, fault Fault) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	if hole, ok := fault.(BlackholePort); ok {
		delete(f.holes, holeKey(hole))
	} else if f.running == fault.Type() {
		f.running = ""
	}
	return nil
}

func (f *fakeInjector) FaultRunning(ctx context.Context, _ *Snapshot, fault Fault) (bool, error) {
	if err := f.begin(ctx); err != nil {
		return false, err
	}
	if hole, ok := fault.(BlackholePort); ok {
		return f.holes[holeKey(hole)], nil
	}
	return f.running == fault.Type(), nil
}

const (
	holeBody    = `{"Port":8080,"Protocol":"tcp","TrafficType":"ingress"}`
	latencyBody = `{"DelayMilliseconds":100,"JitterMilliseconds":20,"Sources":["10.0.0.0/8"]}`
	lossBody    = `{"LossPercent":6,"Sources":["10.1.2.3"],"FlowsPercent":50}`
)

// TestFaultLife starts, asks for and stops faults in one task.
func TestFaultLife(t *testing.T) {
	injector := &fakeInjector{}
	cfg := wide(newSource())
	cfg.Faults = injector
	h := NewHandler(cfg)
	for i, step := range []struct {
		what, body string
		code       int
		want       string
	}{
		{"network-blackhole-port/status", holeBody, 200, `{"Status":"not-running"}`},
		{"network-blackhole-port/start", holeBody, 200, `{"Status":"running"}`},
		{"network-blackhole-port/start", holeBody, 200, `{"Status":"running"}`},
		{"network-blackhole-port/status", holeBody, 200, `{"Status":"running"}`},
		{"network-blackhole-port/status", strings.ReplaceAll(holeBody, "tcp", "udp"), 200, `{"Status":"not-running"}`},
		{"network-blackhole-port/stop", holeBody, 200, `{"Status":"stopped"}`},
		{"network-blackhole-port/stop", holeBody, 200, `{"Status":"stopped"}`},
		{"network-blackhole-port/status", holeBody, 200, `{"Status":"not-running"}`},
		{"network-latency/status", "", 200, `{"Status":"not-running"}`},
		{"network-latency/stop", "not read", 200, `{"Status":"stopped"}`},
		{"network-latency/start", latencyBody, 200, `{"Status":"running"}`},
		{"network-latency/start", latencyBody, 409, `{"Error":"There is already one network latency fault running"}`},
		{"network-packet-loss/start", lossBody, 409, `{"Error":"There is already one network latency fault running"}`},
		{"network-packet-loss/status", "", 200, `{"Status":"not-running"}`},
		{"network-packet-loss/stop", "", 200, `{"Status":"stopped"}`},
		{"network-latency/status", "", 200, `{"Status":"running"}`},
		{"network-latency/stop", "", 200, `{"Status":"stopped"}`},
		{"network-packet-loss/start", lossBody, 200, `{"Status":"running"}`},
		{"network-latency/start", latencyBody, 409, `{"Error":"There is already one network packet loss fault running"}`},
		{"network-packet-loss/status", "", 200, `{"Status":"running"}`},
	} {
		w := do(t, h, request{"POST", "/api/" + EndpointID(aliceID, "web") + "/fault/v1/" + step.what, alicePeer, step.body})
		if w.Code != step.code || w.Body.String() != step.want {
			t.Errorf("step %d, %s: got %d %s, want %d %s", i, step.what, w.Code, w.Body, step.code, step.want)
		}
	}
}

func TestFaultErrors(t *testing.T) {
	alice := "/api/" + EndpointID(aliceID, "web") + "/fault/v1/"
	start := request{"POST", alice + "network-latency/start", alicePeer, latencyBody}
	with := func(r request, change func(*request)) request { change(&r); return r }
	bob := with(start, func(r *request) {
		r.path, r.peer = "/api/"+EndpointID(bobID, "web")+"/fault/v1/network-latency/status", bobPeer
	})
	bridge := with(start, func(r *request) {
		r.path, r.peer = "/api/"+EndpointID("b", "web")+"/fault/v1/network-latency/start", bridgePeer
	})
	for _, tt := range []struct {
		name   string
		faults FaultInjector
		source Source
		request
		code int
		want string
	}{
		{"another's endpoint", &fakeInjector{}, newSource(), with(start, func(r *request) { r.peer = bobPeer }), 404,
			`{"Error":"unable to get task arn from request: unable to get task Arn from v3 endpoint ID: ` + EndpointID(aliceID, "web") + `"}`},
		{"source fails", &fakeInjector{}, &fakeSource{err: errBroken}, start, 500,
			`{"Error":"failed to get task metadata due to internal server error for container: ` + EndpointID(aliceID, "web") + `"}`},
		{"not enabled", &fakeInjector{}, newSource(), bob, 400,
			`{"Error":"enableFaultInjection is not enabled for task: arn:aws:ecs:eu-central-1:123456789012:task/default/` + bobID + `"}`},
		{"not enabled, no injector", nil, newSource(), bob, 400,
			`{"Error":"enableFaultInjection is not enabled for task: arn:aws:ecs:eu-central-1:123456789012:task/default/` + bobID + `"}`},
		{"no injector", nil, newSource(), start, 400,
			`{"Error":"fault injection is not available on this host for task: arn:aws:ecs:eu-central-1:123456789012:task/default/` + aliceID + `"}`},
		{"bridge", &fakeInjector{}, newSource(), bridge, 400, `{"Error":"bridge mode is not supported. Please use either host or awsvpc mode."}`},
		{"injector fails", &fakeInjector{err: errBroken}, newSource(), start, 500, `{"Error":"internal error"}`},
		{"body before task", &fakeInjector{}, newSource(), with(start, func(r *request) { r.body, r.peer = "", bobPeer }), 400,
			`{"Error":"required request body is missing"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := wide(tt.source)
			cfg.Faults = tt.faults
			if w := do(t, NewHandler(cfg), tt.request); w.Code != tt.code || w.Body.String() != tt.want {
				t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, tt.code, tt.want)
			}
		})
	}
}

// TestFaultTimeout: an injector that hangs has five seconds, and a caller that goes away does not cut them short.
func TestFaultTimeout(t *testing.T) {
	for action, want := range map[string]string{"start": "start", "stop": "stop", "status": "check status"} {
		synctest.Test(t, func(t *testing.T) {
			injector := &fakeInjector{hang: true}
			cfg := wide(newSource())
			cfg.Faults = injector
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			r := httptest.NewRequestWithContext(ctx, "POST", "/api/"+EndpointID(aliceID, "web")+"/fault/v1/network-latency/"+action, strings.NewReader(latencyBody))
			r.RemoteAddr = alicePeer
			w := httptest.NewRecorder()
			began := time.Now()
			NewHandler(cfg).ServeHTTP(w, r)
			if want := `{"Error":"` + want + ` network-latency: request timed out"}`; w.Code != 500 || w.Body.String() != want {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, want)
			}
			if took := time.Since(began); took != 5*time.Second || injector.seen != nil {
				t.Errorf("took %s, context at the call: %v", took, injector.seen)
			}
		})
	}
}

// TestFaultRate: one of each operation in five seconds, for each task.
func TestFaultRate(t *testing.T) {
	now := at(0)
	h := NewHandler(Config{Source: newSource(), Faults: &fakeInjector{}, Now: func() time.Time { return now }})
	status := func(kind, action, peer string) int {
		return do(t, h, request{"POST", "/api/" + EndpointID(aliceID, "web") + "/fault/v1/" + kind + "/" + action, peer, ""}).Code
	}
	check := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %d, want %d", what, got, want)
		}
	}
	check("first", status("network-latency", "status", alicePeer), 200)
	check("second", status("network-latency", "status", alicePeer), 429)
	check("another operation", status("network-latency", "stop", alicePeer), 200)
	check("another fault", status("network-packet-loss", "status", alicePeer), 200)
	check("another task", status("network-latency", "status", bobPeer), 404)
	now = now.Add(4900 * time.Millisecond)
	check("too early", status("network-latency", "status", alicePeer), 429)
	now = now.Add(200 * time.Millisecond)
	check("in time", status("network-latency", "status", alicePeer), 200)
}

func TestParseFault(t *testing.T) {
	p := func(texts ...string) (list []netip.Prefix) {
		for _, s := range texts {
			list = append(list, netip.MustParsePrefix(s))
		}
		return list
	}
	hole := func(replace ...string) string { return strings.NewReplacer(replace...).Replace(holeBody) }
	latency := func(replace ...string) string { return strings.NewReplacer(replace...).Replace(latencyBody) }
	loss := func(replace ...string) string { return strings.NewReplacer(replace...).Replace(lossBody) }
	for _, tt := range []struct {
		kind FaultType
		body string
		want Fault
		err  string
	}{
		{FaultBlackholePort, holeBody, BlackholePort{Port: 8080, Protocol: "tcp", TrafficType: Ingress}, ""},
		{FaultBlackholePort, holeBody + " trailing", BlackholePort{Port: 8080, Protocol: "tcp", TrafficType: Ingress}, ""},
		{FaultBlackholePort, hole("}", `,"More":1,"SourcesToFilter":["1.2.3.4","fd00::1","10.9.9.9/8","2001:db8::/32","::ffff:1.2.3.4","::ffff:1.2.3.4/120"]}`),
			BlackholePort{Port: 8080, Protocol: "tcp", TrafficType: Ingress,
				SourcesToFilter: p("1.2.3.4/32", "fd00::1/128", "10.0.0.0/8", "2001:db8::/32", "1.2.3.4/32", "1.2.3.0/24")}, ""},
		{FaultBlackholePort, ``, nil, "required request body is missing"},
		{FaultBlackholePort, ` `, nil, "required request body is missing"},
		{FaultBlackholePort, `null`, nil, "required parameter Port is missing"},
		{FaultBlackholePort, `{}`, nil, "required parameter Port is missing"},
		{FaultBlackholePort, `[]`, nil, "cannot unmarshal array"},
		{FaultBlackholePort, `{`, nil, "unexpected EOF"},
		{FaultBlackholePort, hole("8080", "-1"), nil, "cannot unmarshal number -1"},
		{FaultBlackholePort, hole("8080", "65536"), nil, "cannot unmarshal number 65536"},
		{FaultBlackholePort, hole("8080", `"80"`), nil, "cannot unmarshal string"},
		{FaultBlackholePort, hole("8080", "65535", "tcp", "udp", "ingress", "egress"), BlackholePort{Port: 65535, Protocol: "udp", TrafficType: Egress}, ""},
		{FaultBlackholePort, hole("Protocol", "x"), nil, "required parameter Protocol is missing"},
		{FaultBlackholePort, hole("tcp", ""), nil, "required parameter Protocol is missing"},
		{FaultBlackholePort, hole("TrafficType", "x"), nil, "required parameter TrafficType is missing"},
		{FaultBlackholePort, hole("ingress", ""), nil, "required parameter TrafficType is missing"},
		{FaultBlackholePort, hole("tcp", "TCP"), nil, "invalid value TCP for parameter Protocol"},
		{FaultBlackholePort, hole("ingress", "both"), nil, "invalid value both for parameter TrafficType"},
		{FaultBlackholePort, hole("}", `,"SourcesToFilter":["example.com"]}`), nil, "invalid value example.com for parameter SourcesToFilter"},
		{FaultBlackholePort, hole("}", `,"SourcesToFilter":[null]}`), nil, "invalid value  for parameter SourcesToFilter"},
		{FaultBlackholePort, hole("}", `,"SourcesToFilter":["192.168.1.0/"]}`), nil, "invalid value 192.168.1.0/ for parameter SourcesToFilter"},
		{FaultBlackholePort, hole("}", `,"SourcesToFilter":["2001:db8::/129"]}`), nil, "invalid value 2001:db8::/129 for parameter SourcesToFilter"},
		{FaultBlackholePort, hole("}", `,"SourcesToFilter":["fe80::1%eth0"]}`), nil, "invalid value fe80::1%eth0 for parameter SourcesToFilter"},
		{FaultBlackholePort, hole("}", `,"SourcesToFilter":["::ffff:1.2.3.4/95"]}`), nil, "invalid value ::ffff:1.2.3.4/95 for parameter SourcesToFilter"},

		{FaultLatency, latencyBody, Latency{Delay: 100 * time.Millisecond, Jitter: 20 * time.Millisecond, Sources: p("10.0.0.0/8"), FlowsPercent: 100}, ""},
		{FaultLatency, latency("100", "0", "}", `,"FlowsPercent":1,"SourcesToFilter":["10.0.0.1"]}`),
			Latency{Jitter: 20 * time.Millisecond, Sources: p("10.0.0.0/8"), SourcesToFilter: p("10.0.0.1/32"), FlowsPercent: 1}, ""},
		{FaultLatency, latency("Delay", "x"), nil, "required parameter DelayMilliseconds is missing"},
		{FaultLatency, latency("Jitter", "x"), nil, "required parameter JitterMilliseconds is missing"},
		{FaultLatency, latency("100", "0", "20", "0"), nil, "required either DelayMilliseconds or JitterMilliseconds to be non-zero"},
		{FaultLatency, latency("100", "-1"), nil, "cannot unmarshal number -1"},
		{FaultLatency, latency("100", "9223372036855"), nil, "invalid value 9223372036855 for parameter DelayMilliseconds"},
		{FaultLatency, latency("20", "9223372036855"), nil, "invalid value 9223372036855 for parameter JitterMilliseconds"},
		{FaultLatency, latency(`"10.0.0.0/8"`, ""), nil, "required parameter Sources is missing"},
		{FaultLatency, latency("10.0.0.0/8", "x"), nil, "invalid value x for parameter Sources"},
		{FaultLatency, latency("}", `,"SourcesToFilter":["y"]}`), nil, "invalid value y for parameter SourcesToFilter"},
		{FaultLatency, latency("}", `,"FlowsPercent":0}`), nil, "invalid value 0 for parameter flowsPercent"},
		{FaultLatency, latency("}", `,"FlowsPercent":101}`), nil, "invalid value 101 for parameter flowsPercent"},

		{FaultPacketLoss, lossBody, PacketLoss{LossPercent: 6, Sources: p("10.1.2.3/32"), FlowsPercent: 50}, ""},
		{FaultPacketLoss, loss("Loss", "x"), nil, "required parameter LossPercent is missing"},
		{FaultPacketLoss, loss("6", "0"), nil, "invalid value 0 for parameter LossPercent"},
		{FaultPacketLoss, loss("6", "101"), nil, "invalid value 101 for parameter LossPercent"},
		{FaultPacketLoss, loss("6", "18446744073709551615"), nil, "invalid value 18446744073709551615 for parameter LossPercent"},
		{FaultPacketLoss, loss("Sources", "x"), nil, "required parameter Sources is missing"},
		{FaultPacketLoss, loss("50", "-3"), nil, "invalid value -3 for parameter flowsPercent"},
	} {
		got, err := parseFault(tt.kind, "start", strings.NewReader(tt.body))
		switch {
		case tt.err == "" && err != nil, tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s %s: got %v, want error %q", tt.kind, tt.body, err, tt.err)
		case err == nil:
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", tt.kind, tt.body, diff)
			}
		}
	}
}

// TestFaultSparesEndpoint: a black hole for port 80 leaves the way to stop it.
func TestFaultSparesEndpoint(t *testing.T) {
	self := netip.MustParsePrefix("169.254.170.2/32")
	for body, want := range map[string][]netip.Prefix{
		`{"Port":80,"Protocol":"tcp","TrafficType":"egress"}`:                                     {self},
		`{"Port":80,"Protocol":"tcp","TrafficType":"egress","SourcesToFilter":["169.254.170.2"]}`: {self},
		`{"Port":80,"Protocol":"tcp","TrafficType":"egress","SourcesToFilter":["10.0.0.0/8"]}`:    {netip.MustParsePrefix("10.0.0.0/8"), self},
		`{"Port":80,"Protocol":"tcp","TrafficType":"ingress"}`:                                    nil,
		`{"Port":81,"Protocol":"tcp","TrafficType":"egress"}`:                                     nil,
	} {
		injector := &fakeInjector{}
		cfg := wide(newSource())
		cfg.Faults = injector
		w := do(t, NewHandler(cfg), request{"POST", "/api/" + EndpointID(aliceID, "web") + "/fault/v1/network-blackhole-port/start", alicePeer, body})
		if w.Code != http.StatusOK || len(injector.started) != 1 {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
		if diff := cmp.Diff(want, injector.started[0].(BlackholePort).SourcesToFilter, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}
