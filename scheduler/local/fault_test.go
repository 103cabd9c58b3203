//go:build linux

package local_test

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
)

// inject asks for a fault from inside a task. One operation of one fault is allowed in five seconds.
func inject(t *testing.T, run *scheduler.Run, what, body string, code int, want string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(time.Second) {
		got := inside(t, run, "POST", "${ECS_AGENT_URI}/fault/v1/"+what, body)
		if got.Code == http.StatusTooManyRequests && time.Now().Before(end) {
			continue
		}
		if got.Code != code || !strings.HasPrefix(got.Body, want) {
			t.Errorf("%s %s: %d %s, want %d %s", what, body, got.Code, got.Body, code, want)
		}
		return
	}
}

// TestFaultInjection has a task make its own network bad, with the host program started again meanwhile.
func TestFaultInjection(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	var (
		c   *local.Cluster
		err error
	)
	openAs(t, local.Config{Dir: dir}, &c)
	def := define([]string{"app", "relay " + relayPort})
	plain := startRelay(t, c, def, scheduler.RunOptions{})
	def.EnableFaultInjection = true
	run, other := startRelay(t, c, def, scheduler.RunOptions{}), startRelay(t, c, def, scheduler.RunOptions{})
	const hole = `{"Port": 8080, "Protocol": "tcp", "TrafficType": "egress"}`
	const loss = `{"LossPercent": 100, "Sources": ["10.255.0.0/16"]}`

	inject(t, plain, "network-blackhole-port/start", hole, 400, `{"Error":"enableFaultInjection is not enabled for task: `+plain.ARN())
	if got := asked(t, run, "${ECS_CONTAINER_METADATA_URI_V4}/task"); got["FaultInjectionEnabled"] != true {
		t.Errorf("FaultInjectionEnabled is %v", got["FaultInjectionEnabled"])
	}
	inject(t, run, "network-blackhole-port/status", hole, 200, `{"Status":"not-running"}`)
	if !reaches(t, run, other) {
		t.Error("no answer of another task without a fault")
	}
	inject(t, run, "network-blackhole-port/start", hole, 200, `{"Status":"running"}`)
	inject(t, run, "network-packet-loss/start", loss, 200, `{"Status":"running"}`)
	inject(t, run, "network-latency/start", `{"DelayMilliseconds": 5, "JitterMilliseconds": 0, "Sources": ["10.0.0.0/8"]}`,
		409, `{"Error":"There is already one network packet loss fault running"}`)
	if reaches(t, run, other) {
		t.Error("an answer out of a black hole")
	}

	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err = local.Open(t.Context(), local.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	run, other = lookup(t, c, run), lookup(t, c, other)
	awaitEndpoint(t, run)
	inject(t, run, "network-blackhole-port/status", hole, 200, `{"Status":"running"}`)
	inject(t, run, "network-packet-loss/status", "", 200, `{"Status":"running"}`)
	if reaches(t, run, other) {
		t.Error("the fault ended with the host program")
	}
	inject(t, run, "network-blackhole-port/stop", hole, 200, `{"Status":"stopped"}`)
	if !reaches(t, run, other) {
		t.Error("no answer when the fault is over")
	}
}

// reaches reports whether one task gets an answer from another.
func reaches(t *testing.T, run, other *scheduler.Run) bool {
	t.Helper()
	rec, err := other.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort(rec.Attachments[0].Detail("privateIPv4Address"), relayPort)
	return inside(t, run, "DIAL", addr, "").Code == 200
}

func lookup(t *testing.T, c *local.Cluster, run *scheduler.Run) *scheduler.Run {
	t.Helper()
	found, err := c.Lookup(t.Context(), run.ID())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// awaitEndpoint waits until a task that was taken over has its endpoint: Open returns before.
func awaitEndpoint(t *testing.T, run *scheduler.Run) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		got := inside(t, run, "TRY", "${ECS_CONTAINER_METADATA_URI_V4}/task", "")
		if got.Code == 200 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no endpoint: %+v", got)
		}
		<-time.After(100 * time.Millisecond)
	}
}
