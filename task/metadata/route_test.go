package metadata

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// render writes a route as a path. It knows nothing of how paths are taken apart.
func (rt route) render() string {
	if rt.version == 2 {
		id := ""
		if rt.id != "" {
			id = "/" + rt.id
		}
		switch rt.op {
		case opTask, opContainer:
			return "/v2/metadata" + id
		case opTaskWithTags:
			return "/v2/metadataWithTags" + id
		default:
			return "/v2/stats" + id
		}
	}
	base := fmt.Sprintf("/v%d/%s", rt.version, rt.id)
	switch rt.op {
	case opContainer:
		return base
	case opTask:
		return base + "/task"
	case opTaskWithTags:
		return base + "/taskWithTags"
	case opContainerStats:
		return base + "/stats"
	case opTaskStats:
		return base + "/task/stats"
	case opAssociations:
		return base + "/associations/" + rt.kind
	case opAssociation:
		return base + "/associations/" + rt.kind + "/" + rt.name
	case opProtection:
		return "/api/" + rt.id + "/task-protection/v1/state"
	default:
		return "/api/" + rt.id + "/fault/v1/" + rt.kind + "/" + rt.name
	}
}

func FuzzRoute(f *testing.F) {
	for _, p := range []string{"", "/", "*", "/v2/metadata", "/v2/metadata/x", "/v2/metadata/x/y", "/v2/metadataWithTags/", "/v2/stats", "/v3/", "/v3/x/task",
		"/v4/x/taskWithTags", "/v4/x/task/stats", "/v4//stats", "/v4/x/associations/", "/v4/x/associations/gpu/a/b/", "/v3///x/task/", "/v4/../v2/stats",
		"/api/x/task-protection/v1/state", "/api/x/fault/v1/network-latency/start", "/api//fault/v1/network-packet-loss/status", "/v4/%2e%2e/x", "/v4/a\x00b"} {
		f.Add(p)
	}
	h := NewHandler(wide(newSource()))
	f.Fuzz(func(t *testing.T, p string) {
		clean := cleanPath(p)
		if again := cleanPath(clean); again != clean || !strings.HasPrefix(clean, "/") || strings.Contains(clean, "//") {
			t.Errorf("%q is cleaned to %q, and that to %q", p, clean, again)
		}
		if rt, ok := parseRoute(p); ok {
			// Version 2 knows two forms of a path without an ID.
			if got := rt.render(); got != p && (rt.version != 2 || got+"/" != p) {
				t.Errorf("%q is %+v, which is %q", p, rt, got)
			}
			if rt.version != 2 && strings.Contains(rt.id, "/") {
				t.Errorf("%q has the endpoint ID %q", p, rt.id)
			}
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.URL = &url.URL{Path: p}
		r.RemoteAddr = bobPeer
		w := newRecorder(h, r)
		if strings.Contains(w.Body.String(), "shop") && !strings.Contains(p, "shop") {
			t.Errorf("%q tells bob of alice's task: %s", p, w.Body)
		}
		if w.Code >= 500 && !strings.HasPrefix(p, "/v3/") { // its word for unknown
			t.Errorf("%q: %d %s", p, w.Code, w.Body)
		}
	})
}

func FuzzFaultRequest(f *testing.F) {
	for _, body := range []string{holeBody, latencyBody, lossBody, "", "null", "[]", "{", `{"Port":80,"Protocol":"tcp","TrafficType":"egress"}`,
		`{"LossPercent":100,"Sources":["::/0",null]}`, `{"DelayMilliseconds":18446744073709551615,"JitterMilliseconds":0,"Sources":["1.1.1.1"]}`} {
		for kind := range byte(3) {
			f.Add(kind, body)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, body string) {
		kinds := []FaultType{FaultBlackholePort, FaultLatency, FaultPacketLoss}
		want := kinds[int(kind)%len(kinds)]
		got, err := parseFault(want, "start", strings.NewReader(body))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		if got.Type() != want {
			t.Fatalf("asked for %s, got %T", want, got)
		}
		var bad bool
		switch f := got.(type) {
		case BlackholePort:
			bad = f.Protocol != "tcp" && f.Protocol != "udp" || f.TrafficType != Ingress && f.TrafficType != Egress
			spared := spareEndpoint(f)
			bad = bad || len(spared.SourcesToFilter) < len(f.SourcesToFilter)
			for _, p := range spared.SourcesToFilter {
				bad = bad || p != p.Masked() || p.Addr().Is4In6()
			}
		case Latency:
			bad = f.Delay < 0 || f.Jitter < 0 || f.Delay+f.Jitter == 0 || len(f.Sources) == 0 || f.FlowsPercent < 1 || f.FlowsPercent > 100
		case PacketLoss:
			bad = f.LossPercent < 1 || f.LossPercent > 100 || len(f.Sources) == 0 || f.FlowsPercent < 1 || f.FlowsPercent > 100
		}
		if bad {
			t.Errorf("%q is %+v", body, got)
		}
	})
}
