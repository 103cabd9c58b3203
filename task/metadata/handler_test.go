package metadata

import (
	"bytes"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/*.json anew")

func TestAnswers(t *testing.T) {
	alice, bob, bridge := EndpointID(aliceID, "web"), EndpointID(bobID, "web"), EndpointID("b", "web")
	cfg := wide(newSource())
	cfg.Faults = &fakeInjector{}
	h := NewHandler(cfg)
	for _, tt := range []struct{ golden, path, peer string }{
		{"v4_container", "/v4/" + alice, alicePeer},
		{"v4_container", "/v4/" + alice, alicePeer6},
		{"v4_container", "/v4/" + alice, "[::ffff:10.0.0.5]:41000"},
		{"v4_container_stopped", "/v4/" + EndpointID(aliceID, "init"), alicePeer},
		{"v4_container_least", "/v4/" + bob, bobPeer},
		{"v4_container_bridge", "/v4/" + bridge, bridgePeer},
		{"v4_task", "/v4/" + alice + "/task", alicePeer},
		{"v4_task", "/v4/" + EndpointID(aliceID, "late") + "/task", alicePeer},
		{"v4_task_least", "/v4/" + bob + "/task", bobPeer},
		{"v4_task_tags", "/v4/" + alice + "/taskWithTags", alicePeer},
		{"v4_stats", "/v4/" + alice + "/stats", alicePeer},
		{"v4_stats_first", "/v4/" + bob + "/stats", bobPeer},
		{"v4_task_stats", "/v4/" + alice + "/task/stats", alicePeer},
		{"associations", "/v4/" + alice + "/associations/gpu", alicePeer},
		{"associations_none", "/v4/" + alice + "/associations/", alicePeer},
		{"association", "/v4/" + alice + "/associations/gpu/g0", alicePeer},
		{"association_slash", "/v4/" + alice + "/associations/elastic-inference/a/b", alicePeer},

		{"v3_container", "/v3/" + alice, alicePeer},
		{"v3_task", "/v3/" + alice + "/task", alicePeer},
		{"v3_task_tags", "/v3/" + alice + "/taskWithTags", alicePeer},
		{"v3_task_bridge", "/v3/" + bridge + "/task", bridgePeer},
		{"v3_stats", "/v3/" + alice + "/stats", alicePeer},
		{"v3_task_stats", "/v3/" + alice + "/task/stats", alicePeer},
		{"associations", "/v3/" + alice + "/associations/gpu", alicePeer},
		{"association", "/v3/" + alice + "/associations/gpu/g0", alicePeer},

		{"v3_container", "/v2/metadata/" + aliceID + "-2495160603", alicePeer},
		{"v3_task", "/v2/metadata", alicePeer},
		{"v3_task", "/v2/metadata/", alicePeer},
		{"v3_task_tags", "/v2/metadataWithTags", alicePeer},
		{"v3_task_tags", "/v2/metadataWithTags/", alicePeer},
		{"v3_stats", "/v2/stats/" + aliceID + "-2495160603", alicePeer},
		{"v3_task_stats", "/v2/stats", alicePeer},
		{"v3_task_stats", "/v2/stats/", alicePeer},
	} {
		t.Run(tt.path, func(t *testing.T) {
			w := do(t, h, request{path: tt.path, peer: tt.peer})
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("got %d %s %s", w.Code, w.Header(), w.Body)
			}
			golden(t, tt.golden, w.Body.Bytes())
		})
	}
}

// golden compares JSON with a file, members in their order.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	var got bytes.Buffer
	if err := json.Indent(&got, data, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	got.WriteByte('\n')
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestUnknown: the words are those clients of ECS know.
func TestUnknown(t *testing.T) {
	const (
		noTask      = "unable to get task arn from request: unable to get task Arn from v3 endpoint ID: "
		noContainer = "unable to get container ID from request: unable to get docker ID from v3 endpoint ID: "
		nobody      = "192.0.2.1:5"
	)
	alice, late := EndpointID(aliceID, "web"), EndpointID(aliceID, "late")
	h := NewHandler(wide(newSource()))
	for _, tt := range []struct {
		path, peer string
		code       int
		want       string
	}{
		{"/v4/bad", alicePeer, 404, "V4 container metadata handler: " + noContainer + "bad"},
		{"/v4/", alicePeer, 404, "V4 container metadata handler: " + noContainer},
		{"/v4/" + late, alicePeer, 404, "V4 container metadata handler: " + noContainer + late},
		{"/v4/" + alice, nobody, 404, "V4 container metadata handler: " + noContainer + alice},
		{"/v4/" + alice, "nonsense", 404, "V4 container metadata handler: " + noContainer + alice},
		{"/v4/bad/task", alicePeer, 404, "V4 task metadata handler: " + noTask + "bad"},
		{"/v4/bad/taskWithTags", alicePeer, 404, "V4 task metadata handler: " + noTask + "bad"},
		{"/v4/" + alice + "/task", nobody, 404, "V4 task metadata handler: " + noTask + alice},
		{"/v4/bad/stats", alicePeer, 404, "V4 container stats handler: " + noTask + "bad"},
		{"/v4/" + late + "/stats", alicePeer, 404, "V4 container stats handler: " + noContainer + late},
		{"/v4/bad/task/stats", alicePeer, 404, "V4 task stats handler: " + noTask + "bad"},
		{"/v4/" + EndpointID(aliceID, "init") + "/stats", alicePeer, 500, "Unable to get container stats for: " + aliceID + "-1111111111"},
		{"/v4/bad/associations/gpu", alicePeer, 400,
			"V4 container associations handler: unable to get container id from request: unable to get docker ID from v3 endpoint ID: bad"},
		{"/v4/bad/associations/gpu/g0", alicePeer, 400, "V4 container associations handler: " + noTask + "bad"},
		{"/v4/" + alice + "/associations/gpu/", alicePeer, 400, "V4 container associations handler: unable to get association name from request"},
		{"/v4/" + alice + "/associations/gpu/g9", alicePeer, 400,
			"Unable to write container association response: unable to get association from association type gpu and association name g9"},

		{"/v3/bad", alicePeer, 500, "V3 container metadata handler: " + noContainer + "bad"},
		{"/v3/", alicePeer, 500, "V3 container metadata handler: " + noContainer},
		{"/v3/stats", alicePeer, 500, "V3 container metadata handler: " + noContainer + "stats"},
		{"/v3/task", alicePeer, 500, "V3 container metadata handler: " + noContainer + "task"},
		{"/v3/bad/task", alicePeer, 500, "V3 task metadata handler: " + noTask + "bad"},
		{"/v3/bad/stats", alicePeer, 400, "V3 container stats handler: " + noTask + "bad"},
		{"/v3/" + late + "/stats", alicePeer, 400, "V3 container stats handler: " + noContainer + late},
		{"/v3/bad/task/stats", alicePeer, 400, "V3 task stats handler: " + noTask + "bad"},
		{"/v3/task/stats", alicePeer, 400, "V3 container stats handler: " + noTask + "task"},
		{"/v3/" + EndpointID(aliceID, "init") + "/stats", alicePeer, 400, "Unable to get container stats for: " + aliceID + "-1111111111"},

		{"/v2/metadata", nobody, 400, "Unable to get task arn from request: unable to associate '192.0.2.1' with task"},
		{"/v2/metadata/x", nobody, 400, "Unable to get task arn from request: unable to associate '192.0.2.1' with task"},
		{"/v2/stats", "nonsense", 400, "Unable to get task arn from request: unable to parse request's ip address: nonsense"},
		{"/v2/metadata/x", alicePeer, 400, "Unable to generate metadata for container 'x'"},
		{"/v2/metadata/x/y", alicePeer, 400, "Unable to generate metadata for container 'x/y'"},
		{"/v2/stats/x", alicePeer, 400, "Unable to get container stats for: x"},
		{"/v2/stats/" + aliceID + "-1111111111", alicePeer, 400, "Unable to get container stats for: " + aliceID + "-1111111111"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			w := do(t, h, request{path: tt.path, peer: tt.peer})
			var got string
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%d %s is no JSON string: %v", w.Code, w.Body, err)
			}
			if w.Code != tt.code || got != tt.want {
				t.Errorf("got  %d %q\nwant %d %q", w.Code, got, tt.code, tt.want)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	h := NewHandler(wide(newSource()))
	for _, p := range []string{
		"/", "/v1/credentials", "/v2/credentials/x", "/v2", "/v2/meta", "/v2/statss", "/v2/metadataWithTags/x", "/v3", "/v5/x",
		"/v3/x/", "/v3/x/wrong", "/v3/x/task/", "/v3/x/task/stats/", "/v3/x/task/stats/y", "/v3/x/associtions/gpu", "/v3/x/associations",
		"/v4", "/v4/x/", "/v4/x/wrong", "/v4/x/task/", "/v4/x/tasks", "/v4/x/tasks/stats", "/v4/x/taskwithtags",
		"/api", "/api/x", "/api/x/task-protection/v1/state/", "/api/x/task-protection/v2/state",
		"/api/x/fault/v1/network-latency", "/api/x/fault/v1/network-latency/", "/api/x/fault/v1/network-latency/restart",
		"/api/x/fault/v1/disk-full/start", "/api/x/fault/v1/network-latency/start/",
	} {
		if w := do(t, h, request{path: p, peer: alicePeer}); w.Code != http.StatusNotFound || !strings.HasPrefix(w.Body.String(), "404 page not found") {
			t.Errorf("%s: got %d %s, want 404", p, w.Code, w.Body)
		}
	}
	for from, to := range map[string]string{
		"/v3///x/task/": "/v3/x/task/", "//v4/x": "/v4/x", "/v4/x/../y?a=b": "/v4/y?a=b", "/v4/./x": "/v4/x", "//evil.example/": "/evil.example/",
	} {
		if w := do(t, h, request{path: from, peer: alicePeer}); w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != to {
			t.Errorf("%s: got %d to %q, want 301 to %q", from, w.Code, w.Header().Get("Location"), to)
		}
	}
	for p, allow := range map[string]string{"/api/x/task-protection/v1/state": "GET, PUT", "/api/x/fault/v1/network-latency/start": "POST"} {
		if w := do(t, h, request{method: "DELETE", path: p, peer: alicePeer}); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != allow {
			t.Errorf("DELETE %s: got %d, allowed %q, want 405 and %q", p, w.Code, w.Header().Get("Allow"), allow)
		}
	}
}

// TestSourceFails: what broke is logged, and the task is not told.
func TestSourceFails(t *testing.T) {
	web := EndpointID(aliceID, "web")
	halfTask := newSource()
	halfTask.tasks[netip.MustParseAddr("10.0.0.5")].Definition = nil
	noARN := newSource()
	noARN.tasks[netip.MustParseAddr("10.0.0.5")].Task.TaskARN = ""
	noCPU := newSource()
	noCPU.tasks[netip.MustParseAddr("10.0.0.5")].Definition.CPU = "lots"
	for _, tt := range []struct {
		source *fakeSource
		path   string
		code   int
		want   string
		log    string
	}{
		{&fakeSource{err: errBroken}, "/v4/" + web, 500, `"failed to get container metadata"`, "disk on fire"},
		{&fakeSource{err: errBroken}, "/v4/" + web + "/task", 500, `"failed to get task metadata"`, "disk on fire"},
		{&fakeSource{err: errBroken}, "/v4/" + web + "/stats", 500, `"failed to get stats"`, "disk on fire"},
		{&fakeSource{err: errBroken}, "/v3/" + web + "/task", 500, `"failed to get task metadata"`, "disk on fire"},
		{&fakeSource{err: errBroken}, "/v2/stats", 500, `"failed to get stats"`, "disk on fire"},
		{&fakeSource{tasks: newSource().tasks, fail: errBroken}, "/v4/" + web + "/stats", 500,
			`"Unable to get container stats for: ` + aliceID + `-2495160603"`, "disk on fire"},
		{&fakeSource{tasks: newSource().tasks, fail: errBroken}, "/v4/" + web + "/task/stats", 200,
			`{"` + aliceID + `-1111111111":{},"` + aliceID + `-2495160603":{}}`, "disk on fire"},
		{&fakeSource{tasks: map[netip.Addr]*Snapshot{netip.MustParseAddr("10.0.0.5"): nil}}, "/v2/metadata", 400,
			`"Unable to get task arn from request: unable to associate '10.0.0.5' with task"`, ""},
		{halfTask, "/v4/" + web, 500, `"failed to get container metadata"`, "without a definition"},
		{noARN, "/v4/" + web, 500, `"failed to get container metadata"`, "without a task ARN"},
		{noCPU, "/v4/" + web, 500, `"failed to get container metadata"`, "lots"},
	} {
		var logged bytes.Buffer
		cfg := wide(tt.source)
		cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		w := do(t, NewHandler(cfg), request{path: tt.path, peer: alicePeer})
		if w.Code != tt.code || w.Body.String() != tt.want {
			t.Errorf("%s: got %d %s, want %d %s", tt.path, w.Code, w.Body, tt.code, tt.want)
		}
		if !strings.Contains(logged.String(), tt.log) || (tt.log == "") != (logged.Len() == 0) {
			t.Errorf("%s: logged %q, want %q in it", tt.path, &logged, tt.log)
		}
	}
	if w := do(t, NewHandler(Config{}), request{path: "/v4/" + web, peer: alicePeer}); w.Code != http.StatusNotFound {
		t.Errorf("without a source: got %d, want 404", w.Code)
	}
}

// TestBrokenAssociation: what is no JSON does not go out.
func TestBrokenAssociation(t *testing.T) {
	source := newSource()
	source.tasks[netip.MustParseAddr("10.0.0.5")].Associations[0].Content = json.RawMessage(`{`)
	w := do(t, NewHandler(wide(source)), request{path: "/v4/" + EndpointID(aliceID, "web") + "/associations/gpu/g0", peer: alicePeer})
	if w.Code != http.StatusInternalServerError || w.Body.String() != "{}" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
