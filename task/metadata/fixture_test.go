package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/task"
)

const (
	aliceID = "cd189a933e5849daa93386466019ab50"
	bobID   = "0f8fad5bd9cb469fa16570867728950e"

	alicePeer  = "10.0.0.5:41000"
	alicePeer6 = "[fd00::5]:41000"
	bobPeer    = "10.0.0.6:41000"
	bridgePeer = "172.17.0.2:41000"
)

// fakeSource knows tasks by address, and the stats of containers by their name.
type fakeSource struct {
	tasks map[netip.Addr]*Snapshot
	stats map[string]Stats
	err   error // of Task
	fail  error // of Stats
}

func (f *fakeSource) Task(_ context.Context, addr netip.Addr) (*Snapshot, error) {
	if f.err != nil {
		return nil, f.err
	}
	s, ok := f.tasks[addr]
	if !ok {
		return nil, ErrNotFound
	}
	return s, nil
}

func (f *fakeSource) Stats(_ context.Context, taskARN, containerName string) (Stats, error) {
	if f.fail != nil {
		return Stats{}, f.fail
	}
	s, ok := f.stats[taskARN[strings.LastIndexByte(taskARN, '/')+1:]+"/"+containerName]
	if !ok {
		return Stats{}, ErrNotFound
	}
	return s, nil
}

func newSource() *fakeSource {
	alice := newAlice()
	return &fakeSource{
		tasks: map[netip.Addr]*Snapshot{
			netip.MustParseAddr("10.0.0.5"):   alice,
			netip.MustParseAddr("fd00::5"):    alice,
			netip.MustParseAddr("10.0.0.6"):   newBob(),
			netip.MustParseAddr("172.17.0.2"): newBridge(),
		},
		stats: map[string]Stats{aliceID + "/web": newStats(), bobID + "/web": {Current: Sample{At: at(0), CPU: time.Second}}},
	}
}

// at is a moment of the fixture, which is not in UTC to begin with.
func at(seconds float64) time.Time {
	start := time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

func ptr[T any](v T) *T { return &v }

// newAlice is a task of a service on Fargate that has something in every field: web runs, init is over, sidecar's image
// is there, late has nothing.
func newAlice() *Snapshot {
	cluster := "arn:aws:ecs:eu-central-1:123456789012:cluster/default"
	container := "arn:aws:ecs:eu-central-1:123456789012:container/default/" + aliceID + "/"
	return &Snapshot{
		Task: task.Task{
			TaskARN:           "arn:aws:ecs:eu-central-1:123456789012:task/default/" + aliceID,
			ClusterARN:        cluster,
			TaskDefinitionARN: "arn:aws:ecs:eu-central-1:123456789012:task-definition/shop:7",
			LaunchType:        task.LaunchTypeFargate,
			AvailabilityZone:  "eu-central-1a",
			LastStatus:        task.Running, DesiredStatus: task.Running,
			Group: "service:shop-web",
			Containers: []task.Container{
				{Name: "web", ContainerARN: container + "w", RuntimeID: aliceID + "-2495160603", LastStatus: task.ContainerRunning,
					Image: "shop:1.2", ImageDigest: "sha256:d1", HealthStatus: task.HealthUnhealthy},
				{Name: "init", ContainerARN: container + "i", RuntimeID: aliceID + "-1111111111", LastStatus: task.ContainerStopped,
					ImageDigest: "sha256:d2", ExitCode: ptr(0)},
				{Name: "sidecar", ContainerARN: container + "s", LastStatus: task.ContainerPending, ImageDigest: "sha256:d3"},
				{Name: "late", ContainerARN: container + "l", LastStatus: task.ContainerPending},
			},
			Tags:          []task.Tag{{Key: "team", Value: "shop"}, {Key: "empty"}},
			PullStartedAt: at(1), PullStoppedAt: at(2.5), ExecutionStoppedAt: at(90),
		},
		Definition: &task.TaskDefinition{
			Family: "shop", Revision: 7, NetworkMode: task.NetworkModeAWSVPC, CPU: "256", Memory: "0.5 GB",
			TaskRoleARN: "arn:aws:iam::123456789012:role/shop", EnableFaultInjection: true,
			ContainerDefinitions: []task.ContainerDefinition{
				{Name: "web", Image: "shop", CPU: 128, Memory: 256,
					PortMappings: []task.PortMapping{{ContainerPort: 80}, {ContainerPort: 53, Protocol: task.ProtocolUDP}, {ContainerPortRange: "9000-9009"}},
					DockerLabels: map[string]string{"a": "b", "com.amazonaws.ecs.cluster": "forged"},
					HealthCheck:  &task.HealthCheck{Command: []string{"CMD-SHELL", "exit 1"}},
					LogConfiguration: &task.LogConfiguration{LogDriver: task.LogDriverAWSLogs,
						Options: map[string]string{"awslogs-group": "/shop"}, SecretOptions: []task.Secret{{Name: "token", ValueFrom: "arn:s"}}},
					RestartPolicy: &task.RestartPolicy{Enabled: true}},
				{Name: "init", Image: "busybox", Essential: ptr(false), DisableNetworking: true,
					LogConfiguration: &task.LogConfiguration{LogDriver: task.LogDriverJSONFile, Options: map[string]string{"max-size": "1m"}}},
				{Name: "sidecar", Image: "envoy", CPU: 1, PortMappings: []task.PortMapping{{ContainerPort: 9901}}},
				{Name: "late", Image: "late"},
			},
		},
		Containers: map[string]Container{
			"web": {DockerName: "fardel-web", ImageID: "sha256:c1", Snapshotter: "overlayfs", RestartCount: 2,
				CreatedAt: at(3), StartedAt: at(3.25), FinishedAt: at(60),
				Health:     Health{Since: at(30), ExitCode: 1, Output: "<no>"},
				LogOptions: map[string]string{"awslogs-group": "/shop", "awslogs-stream": "web/web/" + aliceID},
				Volumes:    []Volume{{Name: "data", Source: "/var/lib/data", Destination: "/data"}}},
			"init": {CreatedAt: at(2), StartedAt: at(2), FinishedAt: at(2.75)},
		},
		Networks: []Network{{
			IPv4: []netip.Addr{netip.MustParseAddr("10.0.0.5")}, IPv6: []netip.Addr{netip.MustParseAddr("fd00::5")},
			MAC:        "0a:1b:2c:3d:4e:5f",
			IPv4Subnet: netip.MustParsePrefix("10.0.0.0/24"), IPv6Subnet: netip.MustParsePrefix("fd00::/64"),
			Gateway4: netip.MustParsePrefix("10.0.0.1/24"), Gateway6: netip.MustParsePrefix("fd00::1/64"),
			DNSServers: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, DNSSearchDomains: []string{"eu-central-1.compute.internal"},
			PrivateDNSName: "ip-10-0-0-5.eu-central-1.compute.internal",
		}},
		Associations: []Association{
			{Type: "gpu", Name: "g0", Containers: []string{"web"}, Content: json.RawMessage(`{"id":0}`)},
			{Type: "gpu", Name: "g1", Containers: []string{"init"}},
			{Type: "elastic-inference", Name: "a/b", Containers: []string{"web"}, Content: json.RawMessage(`"x"`)},
		},
		VPCID: "vpc-0a1b2c3d", AvailabilityZoneID: "euc1-az2",
		ContainerInstanceTags: map[string]string{"rack": "4"},
		TagErrors: []TagError{{Field: "ContainerInstanceTags", Code: "AccessDeniedException", Message: "no", StatusCode: 400, RequestID: "r1",
			ResourceARN: "arn:aws:ecs:eu-central-1:123456789012:container-instance/default/i"}},
		ClockDrift:       &ClockDrift{ErrorBound: 545823 * time.Nanosecond, ReferenceAt: at(50), Synchronized: true},
		EphemeralStorage: &EphemeralStorage{Utilized: 261, Reserved: 20496},
	}
}

// newBob is the least a task has, with IPv6 only: its definition is not registered, it has no role and takes no faults.
func newBob() *Snapshot {
	return &Snapshot{
		Task: task.Task{
			TaskARN:    "arn:aws:ecs:eu-central-1:123456789012:task/default/" + bobID,
			ClusterARN: "arn:aws:ecs:eu-central-1:123456789012:cluster/default", LaunchType: task.LaunchTypeFargate,
			TaskDefinitionARN: "arn:aws:ecs:eu-central-1:123456789012:task-definition/bob:3",
			LastStatus:        task.Stopping, DesiredStatus: task.Stopped, Group: "family:bob",
			Containers: []task.Container{{Name: "web", RuntimeID: bobID + "-web"}},
		},
		Definition: &task.TaskDefinition{Family: "bob", NetworkMode: task.NetworkModeAWSVPC,
			ContainerDefinitions: []task.ContainerDefinition{{Name: "web", Image: "bob", HealthCheck: &task.HealthCheck{}}}},
		Networks: []Network{{IPv6: []netip.Addr{netip.MustParseAddr("fd00::6")}, Gateway6: netip.MustParsePrefix("fd00::1/64")}},
	}
}

// newBridge is a task on a machine of its owner's, in bridge mode.
func newBridge() *Snapshot {
	return &Snapshot{
		Task: task.Task{
			TaskARN:    "arn:aws:ecs:eu-central-1:123456789012:task/default/b",
			ClusterARN: "arn:aws:ecs:eu-central-1:123456789012:cluster/default", LaunchType: task.LaunchTypeEC2,
			LastStatus: task.Running, DesiredStatus: task.Running,
			Containers: []task.Container{{Name: "web", RuntimeID: "b-web", LastStatus: task.ContainerRunning,
				NetworkBindings: []task.NetworkBinding{{BindIP: "0.0.0.0", ContainerPort: 80, HostPort: 32768}, {ContainerPortRange: "1-2"}}}},
		},
		Definition: &task.TaskDefinition{Family: "bridge", Revision: 1, TaskRoleARN: "r", EnableFaultInjection: true, CPU: "1 vCPU",
			ContainerDefinitions: []task.ContainerDefinition{{Name: "web", Image: "w"}}},
		Networks: []Network{{Mode: task.NetworkModeBridge, IPv4: []netip.Addr{netip.MustParseAddr("172.17.0.2")}, MAC: "not told"}},
	}
}

func newStats() Stats {
	now := Sample{
		At: at(11), CPU: 1500 * time.Millisecond, CPUUser: time.Second, CPUSystem: 500 * time.Millisecond,
		PerCPU: []time.Duration{time.Second, 500 * time.Millisecond}, HostCPU: 4000 * time.Second, OnlineCPUs: 2,
		CPUPeriods: 100, CPUThrottled: 7, CPUThrottledTime: 30 * time.Millisecond,
		Memory: 50 << 20, MemoryPeak: 60 << 20, MemoryLimit: 256 << 20, MemoryFailures: 1,
		MemoryDetails: map[string]uint64{"cache": 1 << 20, "inactive_file": 4096},
		PIDs:          5, PIDsLimit: 100,
		BlockIO: []BlockIO{{Major: 202, Minor: 1, ReadBytes: 4096, WriteBytes: 8192, Reads: 1, Writes: 2}},
		Networks: map[string]NetworkCounters{"eth0": {ReceivedBytes: 3000, ReceivedPackets: 30, ReceivedErrors: 1, ReceivedDropped: 2,
			SentBytes: 1500, SentPackets: 15, SentErrors: 3, SentDropped: 4}},
	}
	before := now
	before.At, before.CPU = at(10), time.Second
	before.Networks = map[string]NetworkCounters{"eth0": {ReceivedBytes: 1000, SentBytes: 500}}
	return Stats{Current: now, Previous: before}
}

// request is one of a test; the zero method is GET.
type request struct {
	method, path, peer, body string
}

// do sends a request to a handler, without a network.
func do(t *testing.T, h http.Handler, r request) *httptest.ResponseRecorder {
	t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	req := httptest.NewRequestWithContext(t.Context(), r.method, "http://169.254.170.2"+r.path, strings.NewReader(r.body))
	req.RemoteAddr = r.peer
	return newRecorder(h, req)
}

// newRecorder returns what a handler answers.
func newRecorder(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wide is a configuration that no test runs into the limits of.
func wide(s Source) Config {
	return Config{Source: s, Rate: 1e6, Burst: 1e6, FaultRate: 1e9, Now: advancing()}
}

// advancing is a clock that shows a second more each time it is looked at.
func advancing() func() time.Time {
	now := at(0)
	return func() time.Time { now = now.Add(time.Second); return now }
}

var errBroken = errors.New("disk on fire")
