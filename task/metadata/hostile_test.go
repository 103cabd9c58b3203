package metadata

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/internal/hostiletest"
)

// TestHostileMetadata has a task ask for another's metadata by all that it can know of it, at every path that is served and at
// spellings of them, with headers that name the other. Nothing of the other's is in an answer, and no answer leads elsewhere.
func TestHostileMetadata(t *testing.T) {
	protector, injector := &fakeProtector{}, &fakeInjector{}
	cfg := wide(newSource())
	cfg.Protector, cfg.Faults = protector, injector
	h := NewHandler(cfg)
	endpoint := EndpointID(aliceID, "web")
	ids := []string{endpoint, aliceID, aliceID + "-2495160603", strings.ToUpper(endpoint), endpoint + "%2e", "." + endpoint, "%2e%2e/" + endpoint, "x/../" + endpoint, "/" + endpoint}
	for _, what := range []string{"/v4/ID", "/v4/ID/task", "/v4/ID/taskWithTags", "/v4/ID/stats", "/v4/ID/task/stats", "/v3/ID", "/v3/ID/task", "/v3/ID/associations/gpu",
		"/v2/metadata/ID", "/v2/stats/ID", "/v2/metadata?id=ID", "/api/ID/task-protection/v1/state", "/api/ID/fault/v1/network-latency/status", "//evil.example/ID", "/\\evil.example/ID"} {
		var got []string
		for n := range 3 * len(ids) {
			p, method := strings.ReplaceAll(what, "ID", ids[n/3]), []string{http.MethodGet, http.MethodPut, http.MethodPost}[n%3]
			r := httptest.NewRequest(method, "/", strings.NewReader(latencyBody))
			r.URL.Path, r.URL.RawQuery, _ = strings.Cut(p, "?")
			r.RemoteAddr = bobPeer
			for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
				r.Header.Set(name, "10.0.0.5")
			}
			r.Host = "10.0.0.5"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			body := strings.ReplaceAll(w.Body.String(), "arn:aws:ecs:eu-central-1:123456789012:cluster/default", "")
			// What was asked may be repeated in the answer.
			leaked := strings.Contains(body, "task/default/"+aliceID) || strings.Contains(body, `"Family":"shop"`)
			to := w.Header().Get("Location")
			away := to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`))
			if leaked || away {
				got = append(got, fmt.Sprint(method, " ", p, ": ", w.Code, " ", to))
			}
		}
		hostiletest.Report(t, "a task asks for another's "+what, len(got) > 0, fmt.Sprintf("by %d spellings and methods, got %q", 3*len(ids), got))
	}
}
