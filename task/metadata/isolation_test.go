package metadata

import (
	"net/http"
	"strings"
	"testing"
)

// TestIsolation asks with every path for one task from the address of the other. The answer is that to an ID which
// does not exist, word for word, and nothing of the other's task is in it.
func TestIsolation(t *testing.T) {
	source := newSource()
	protector, injector := &fakeProtector{}, &fakeInjector{}
	cfg := wide(source)
	cfg.Protector, cfg.Faults = protector, injector
	h := NewHandler(cfg)
	const unknown = "unknown-0000000000"
	alice := EndpointID(aliceID, "web")
	runtimeID := aliceID + "-2495160603"
	type try struct{ method, path, body string }
	var tries []try
	for _, version := range []string{"/v3/", "/v4/"} {
		for _, what := range []string{"", "/task", "/taskWithTags", "/stats", "/task/stats", "/associations/gpu", "/associations/gpu/g0"} {
			tries = append(tries, try{"GET", version + "ID" + what, ""})
		}
	}
	tries = append(tries, try{"GET", "/v2/metadata/ID", ""}, try{"GET", "/v2/stats/ID", ""},
		try{"GET", "/api/ID/task-protection/v1/state", ""}, try{"PUT", "/api/ID/task-protection/v1/state", `{"ProtectionEnabled":true}`})
	for _, kind := range []string{"network-blackhole-port", "network-latency", "network-packet-loss"} {
		body := map[string]string{"network-blackhole-port": holeBody, "network-latency": latencyBody, "network-packet-loss": lossBody}[kind]
		for _, action := range []string{"start", "stop", "status"} {
			tries = append(tries, try{"POST", "/api/ID/fault/v1/" + kind + "/" + action, body})
		}
	}
	for _, try := range tries {
		id := alice
		if strings.HasPrefix(try.path, "/v2/") {
			id = runtimeID
		}
		ask := func(id, peer string) (int, string) {
			w := do(t, h, request{try.method, strings.Replace(try.path, "ID", id, 1), peer, try.body})
			return w.Code, strings.ReplaceAll(w.Body.String(), id, "ID")
		}
		gotCode, got := ask(id, bobPeer)
		wantCode, want := ask(unknown, bobPeer)
		if gotCode != wantCode || got != want || gotCode < 400 {
			t.Errorf("%s %s: got %d %s, want %d %s", try.method, try.path, gotCode, got, wantCode, want)
		}
		if strings.Contains(got, aliceID) {
			t.Errorf("%s %s tells of the other task: %s", try.method, try.path, got)
		}
		if len(protector.tasks)+len(injector.started) > 0 {
			t.Fatalf("%s %s reached the other task", try.method, try.path)
		}
	}
	for _, try := range tries { // the same from the right address, else the above says nothing
		id := alice
		if strings.HasPrefix(try.path, "/v2/") {
			id = runtimeID
		}
		if try.path == "/api/ID/fault/v1/network-packet-loss/start" {
			injector.running = ""
		}
		if w := do(t, h, request{try.method, strings.Replace(try.path, "ID", id, 1), alicePeer, try.body}); w.Code != http.StatusOK {
			t.Errorf("own %s %s: got %d %s", try.method, try.path, w.Code, w.Body)
		}
	}
}

// TestForgedHeaders: only the connection says who asks.
func TestForgedHeaders(t *testing.T) {
	h := NewHandler(wide(newSource()))
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://10.0.0.5/v2/metadata", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = bobPeer
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP"} {
		r.Header.Set(name, "10.0.0.5")
	}
	w := newRecorder(h, r)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), bobID) || strings.Contains(w.Body.String(), aliceID) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
