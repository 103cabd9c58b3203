//go:build linux

package local_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

// object is a JSON document of the endpoint.
type object = map[string]any

// asked returns the document at a path of the endpoint, as a container of the task gets it.
func asked(t *testing.T, run *scheduler.Run, url string) object {
	t.Helper()
	got := inside(t, run, "GET", url, "")
	var doc object
	if err := json.Unmarshal([]byte(got.Body), &doc); err != nil || got.Code != 200 {
		t.Fatalf("GET %s: %d %s (%v)", url, got.Code, got.Body, err)
	}
	return doc
}

// at looks a member up by its path: at(doc, "Networks", 0, "MACAddress").
func at(t *testing.T, doc any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := doc.(object)
			doc = m[key]
		case int:
			list, _ := doc.([]any)
			if key >= len(list) {
				t.Errorf("%v has %d elements", path, len(list))
				return nil
			}
			doc = list[key]
		}
	}
	return doc
}

// holds fails the test for each member that is not as wanted. A wanted func(any) bool decides; nil wants no such member.
func holds(t *testing.T, what string, doc object, want object) {
	t.Helper()
	for key, want := range want {
		got := doc[key]
		if ok, is := want.(func(any) bool); is {
			if !ok(got) {
				t.Errorf("%s: %s is %v", what, key, got)
			}
			continue
		}
		if a, b := jsonText(got), jsonText(want); a != b {
			t.Errorf("%s: %s is %s, want %s", what, key, a, b)
		}
	}
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func isTime(v any) bool {
	s, _ := v.(string)
	at, err := time.Parse(time.RFC3339Nano, s)
	return err == nil && time.Since(at) < time.Hour
}

func positive(v any) bool { n, ok := v.(float64); return ok && n > 0 }

func isDigest(v any) bool { s, _ := v.(string); return strings.HasPrefix(s, "sha256:") && len(s) == 71 }

// describable is a task that has something in every field: app relays, side is checked for its health, over has ended.
func describable(t *testing.T) *task.TaskDefinition {
	no := false
	def := define(
		[]string{"app", "relay " + relayPort},
		[]string{"side", "alloc 8", "catch TERM 0", "hang"},
		[]string{"over", "exit 0"},
	)
	def.Family, def.TaskRoleARN = "described", "arn:aws:iam::000000000000:role/app"
	app, side, over := &def.ContainerDefinitions[0], &def.ContainerDefinitions[1], &def.ContainerDefinitions[2]
	app.CPU, app.Memory = 100, 200
	app.PortMappings = []task.PortMapping{{ContainerPort: 8080}, {ContainerPort: 53, Protocol: task.ProtocolUDP}}
	app.DockerLabels = map[string]string{"mine": "too"}
	app.DependsOn = []task.ContainerDependency{{ContainerName: "over", Condition: task.ConditionComplete}}
	app.LogConfiguration = &task.LogConfiguration{LogDriver: task.LogDriverJSONFile, Options: map[string]string{"max-size": "1m"}}
	def.RequiresCompatibilities, def.NetworkMode = []task.LaunchType{task.LaunchTypeEC2}, task.NetworkModeAWSVPC
	side.HealthCheck = &task.HealthCheck{Command: []string{"CMD", guestPath(t), "out fine", "exit 0"}, Interval: 5, Timeout: 30}
	over.Essential = &no
	return def
}

func TestMetadata(t *testing.T) {
	c := open(t, func(cfg *local.Config) { cfg.Region = "eu-central-1" })
	run := startRelay(t, c, describable(t), scheduler.RunOptions{
		Tags: []task.Tag{{Key: "team", Value: "shop"}}, LaunchType: task.LaunchTypeEC2,
	})
	rec := running(t, run)
	checkEnvironment(t, run)
	awaitHealthy(t, run)
	for _, version := range []string{"${ECS_CONTAINER_METADATA_URI_V4}", "${ECS_CONTAINER_METADATA_URI}"} {
		v4 := strings.HasSuffix(version, "V4}")
		checkTask(t, version+"/task", asked(t, run, version+"/task"), rec, v4)
		withTags := asked(t, run, version+"/taskWithTags")
		checkTask(t, version+"/taskWithTags", withTags, rec, v4)
		holds(t, version+"/taskWithTags", withTags, object{"TaskTags": object{"team": "shop"}})
		checkContainer(t, version, asked(t, run, version), rec, v4)
		stats := asked(t, run, version+"/stats")
		checkStats(t, version+"/stats", stats, rec.Containers[0].RuntimeID, v4)
		all := asked(t, run, version+"/task/stats")
		checkStats(t, version+"/task/stats", at(t, all, rec.Containers[0].RuntimeID).(object), rec.Containers[0].RuntimeID, v4)
		if used := at(t, all, rec.Containers[1].RuntimeID, "memory_stats", "usage"); !positive(used) || used.(float64) < 8<<20 {
			t.Errorf("side took 8 MiB and uses %v bytes", used)
		}
		if got := asked(t, run, version+"/associations/gpu"); jsonText(got) != `{"Associations":null}` {
			t.Errorf("associations: %v", got)
		}
	}
	const v2 = "http://169.254.170.2/v2"
	checkTask(t, "v2", asked(t, run, v2+"/metadata"), rec, false)
	holds(t, "v2", asked(t, run, v2+"/metadataWithTags"), object{"TaskTags": object{"team": "shop"}})
	checkContainer(t, "v2 container", asked(t, run, v2+"/metadata/"+rec.Containers[0].RuntimeID), rec, false)
	checkStats(t, "v2 stats", asked(t, run, v2+"/stats/"+rec.Containers[0].RuntimeID), rec.Containers[0].RuntimeID, false)
	checkStats(t, "v2 stats of all", at(t, asked(t, run, v2+"/stats"), rec.Containers[0].RuntimeID).(object), rec.Containers[0].RuntimeID, false)
	if got := inside(t, run, "GET", "${ECS_AGENT_URI}/task-protection/v1/state", ""); got.Code != 200 ||
		got.Body != `{"failure":{"Arn":"`+run.ARN()+`","Detail":"the task does not belong to a service","Reason":"TASK_NOT_VALID"}}` {
		t.Errorf("protection of a task of no service: %+v", got)
	}
}

// checkEnvironment checks the variables that every container has.
func checkEnvironment(t *testing.T, run *scheduler.Run) {
	t.Helper()
	env := strings.Split(inside(t, run, "ENV", "", "").Body, "\n")
	id := metadata.EndpointID(run.ID(), "app")
	for _, want := range []string{
		"ECS_CONTAINER_METADATA_URI=http://169.254.170.2/v3/" + id,
		"ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/" + id,
		"ECS_AGENT_URI=http://169.254.170.2/api/" + id,
		"AWS_EXECUTION_ENV=AWS_ECS_EC2", "AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %q", want, env)
		}
	}
}

// awaitHealthy waits until the task's container side is told to be healthy, with what its check wrote.
func awaitHealthy(t *testing.T, run *scheduler.Run) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		health := at(t, asked(t, run, "${ECS_CONTAINER_METADATA_URI_V4}/task"), "Containers", 1, "Health")
		if at(t, health, "status") == "HEALTHY" {
			holds(t, "health", health.(object), object{"statusSince": isTime, "output": "fine\n", "exitCode": nil})
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("side is not healthy: %v", health)
		}
		<-time.After(200 * time.Millisecond)
	}
}

func checkTask(t *testing.T, what string, doc object, rec *task.Task, v4 bool) {
	t.Helper()
	_, revision, _ := strings.Cut(rec.TaskDefinitionARN, "described:")
	holds(t, what, doc, object{
		"Cluster": "default", "TaskARN": rec.TaskARN, "Family": "described", "Revision": revision,
		"DesiredStatus": "RUNNING", "KnownStatus": "RUNNING", "Limits": object{"CPU": 0.25, "Memory": 512},
		"PullStartedAt": isTime, "PullStoppedAt": isTime, "ExecutionStoppedAt": nil,
		"AvailabilityZone": rec.AvailabilityZone,
	})
	if v4 {
		holds(t, what, doc, object{
			"LaunchType": "EC2", "VPCID": func(v any) bool { return strings.HasPrefix(v.(string), "vpc-") },
			"EphemeralStorageMetrics": nil, "Group": "family:described", "ServiceName": nil, "FaultInjectionEnabled": false, "ClockDrift": nil,
			"AvailabilityZoneID": "euc1-az" + string(rec.AvailabilityZone[len(rec.AvailabilityZone)-1]-'a'+'1'),
		})
	}
	if list, _ := doc["Containers"].([]any); len(list) != 3 {
		t.Errorf("%s: %d containers, want 3", what, len(list))
		return
	}
	checkContainer(t, what+" app", at(t, doc, "Containers", 0).(object), rec, v4)
	holds(t, what+" over", at(t, doc, "Containers", 2).(object), object{
		"Name": "over", "KnownStatus": "STOPPED", "ExitCode": 0, "CreatedAt": isTime, "StartedAt": isTime, "FinishedAt": isTime,
	})
}

func checkContainer(t *testing.T, what string, doc object, rec *task.Task, v4 bool) {
	t.Helper()
	c := rec.Container("app")
	addr := rec.Attachments[0].Detail("privateIPv4Address")
	holds(t, what, doc, object{
		"DockerId": c.RuntimeID, "Name": "app", "DockerName": "app", "Image": "guest", "ImageID": isDigest,
		"DesiredStatus": "RUNNING", "KnownStatus": "RUNNING", "ExitCode": nil, "Limits": object{"CPU": 100, "Memory": 200},
		"CreatedAt": isTime, "StartedAt": isTime, "FinishedAt": nil, "Type": "NORMAL", "Health": nil,
		"Ports": []object{
			{"ContainerPort": 8080, "Protocol": "tcp", "HostPort": 8080}, {"ContainerPort": 53, "Protocol": "udp", "HostPort": 53},
		},
	})
	holds(t, what+" labels", at(t, doc, "Labels").(object), object{
		"mine": "too", "com.amazonaws.ecs.cluster": "default", "com.amazonaws.ecs.container-name": "app",
		"com.amazonaws.ecs.task-arn": rec.TaskARN, "com.amazonaws.ecs.task-definition-family": "described",
	})
	holds(t, what+" network", at(t, doc, "Networks", 0).(object), object{"NetworkMode": "awsvpc", "IPv4Addresses": []string{addr}})
	if !v4 {
		return
	}
	holds(t, what, doc, object{
		"Snapshotter": "overlayfs", "ContainerARN": c.ContainerARN, "LogDriver": "json-file", "LogOptions": object{"max-size": "1m"}, "RestartCount": nil,
	})
	holds(t, what+" network", at(t, doc, "Networks", 0).(object), object{
		"AttachmentIndex": 0, "MACAddress": rec.Attachments[0].Detail("macAddress"),
		"IPv4SubnetCIDRBlock":      func(v any) bool { return strings.HasSuffix(v.(string), "/20") },
		"SubnetGatewayIpv4Address": func(v any) bool { return strings.HasSuffix(v.(string), ".1/20") },
		"DomainNameSearchList":     []string{"eu-central-1.compute.internal"},
		"PrivateDNSName":           rec.Attachments[0].Detail("privateDnsName"),
	})
}

func checkStats(t *testing.T, what string, doc object, id string, v4 bool) {
	t.Helper()
	holds(t, what, doc, object{"id": id, "name": "/app", "read": isTime, "preread": isTime})
	for _, path := range []string{
		"cpu_stats.cpu_usage.total_usage", "cpu_stats.system_cpu_usage", "cpu_stats.online_cpus",
		"precpu_stats.system_cpu_usage", "precpu_stats.online_cpus",
		"memory_stats.usage", "memory_stats.limit", "pids_stats.current",
		"networks.eth0.rx_bytes", "networks.eth0.tx_packets",
	} {
		keys := []any{}
		for key := range strings.SplitSeq(path, ".") {
			keys = append(keys, key)
		}
		if got := at(t, doc, keys...); !positive(got) {
			t.Errorf("%s: %s is %v", what, path, got)
		}
	}
	now, before := at(t, doc, "cpu_stats", "cpu_usage", "total_usage"), at(t, doc, "precpu_stats", "cpu_usage", "total_usage")
	if host, ok := at(t, doc, "precpu_stats", "system_cpu_usage").(float64); !ok || host >= at(t, doc, "cpu_stats", "system_cpu_usage").(float64) ||
		before.(float64) > now.(float64) {
		t.Errorf("%s: between the samples CPU time went from %v to %v and the host's from %v", what, before, now, host)
	}
	if limit := at(t, doc, "memory_stats", "limit"); limit != float64(200<<20) {
		t.Errorf("%s: memory limit %v", what, limit)
	}
	if stats, _ := at(t, doc, "memory_stats", "stats").(object); len(stats) < 5 {
		t.Errorf("%s: memory in detail %v", what, stats)
	}
	if rates := at(t, doc, "network_rate_stats", "rx_bytes_per_sec"); v4 != positive(rates) {
		t.Errorf("%s: network rate %v", what, rates)
	}
}

// TestMetadataOfOthers checks that a task learns no more of another than that it is not itself.
func TestMetadataOfOthers(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "relay " + relayPort})
	alice, bob := startRelay(t, c, def, scheduler.RunOptions{}), startRelay(t, c, def, scheduler.RunOptions{})
	id := metadata.EndpointID(bob.ID(), "app")
	rec, err := bob.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const nobody = "unable to get docker ID from v3 endpoint ID: "
	const noTask = "unable to get task arn from request: unable to get task Arn from v3 endpoint ID: "
	for _, tt := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/v4/" + id, 404, `"V4 container metadata handler: unable to get container ID from request: ` + nobody + id + `"`},
		{"GET", "/v4/" + id + "/task", 404, `"V4 task metadata handler: ` + noTask + id + `"`},
		{"GET", "/v4/" + id + "/taskWithTags", 404, `"V4 task metadata handler: ` + noTask + id + `"`},
		{"GET", "/v4/" + id + "/stats", 404, `"V4 container stats handler: ` + noTask + id + `"`},
		{"GET", "/v4/" + id + "/task/stats", 404, `"V4 task stats handler: ` + noTask + id + `"`},
		{"GET", "/v3/" + id, 500, `"V3 container metadata handler: unable to get container ID from request: ` + nobody + id + `"`},
		{"GET", "/v3/" + id + "/task", 500, `"V3 task metadata handler: ` + noTask + id + `"`},
		{"GET", "/v2/metadata/" + rec.Containers[0].RuntimeID, 400, `"Unable to generate metadata for container '` + rec.Containers[0].RuntimeID + `'"`},
		{"GET", "/v2/stats/" + rec.Containers[0].RuntimeID, 400, `"Unable to get container stats for: ` + rec.Containers[0].RuntimeID + `"`},
		{"GET", "/api/" + id + "/task-protection/v1/state", 404,
			`{"error":{"Code":"ResourceNotFoundException","Message":"Failed to find a task for the request"}}`},
		{"POST", "/api/" + id + "/fault/v1/network-latency/status", 404, fmt.Sprintf(`{"Error":%q}`, noTask+id)},
		{"GET", "/v5/" + id, 404, "404 page not found\n"},
	} {
		if got := inside(t, alice, tt.method, "http://169.254.170.2"+tt.path, "{}"); got.Code != tt.code || got.Body != tt.body {
			t.Errorf("%s %s: %d %s, want %d %s", tt.method, tt.path, got.Code, got.Body, tt.code, tt.body)
		}
	}
	if got := asked(t, alice, "http://169.254.170.2/v2/metadata"); got["TaskARN"] != alice.ARN() {
		t.Errorf("v2 knows the caller as %v", got["TaskARN"])
	}
}

// TestMetadataAfterRestart checks that a task that is taken over has its endpoint again, and its times.
func TestMetadataAfterRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	var (
		c   *local.Cluster
		err error
	)
	openAs(t, local.Config{Dir: dir}, &c)
	run := startRelay(t, c, define([]string{"app", "relay " + relayPort}), scheduler.RunOptions{})
	before := asked(t, run, "${ECS_CONTAINER_METADATA_URI_V4}/task")
	if at(t, before, "ClockDrift", "ReferenceTimestamp") == nil {
		t.Errorf("no clock drift on Fargate: %v", before)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err = local.Open(t.Context(), local.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	found := lookup(t, c, run)
	awaitEndpoint(t, found)
	after := asked(t, found, "${ECS_CONTAINER_METADATA_URI_V4}/task")
	delete(before, "ClockDrift")
	delete(after, "ClockDrift")
	if a, b := jsonText(before), jsonText(after); a != b {
		t.Errorf("before %s\nafter  %s", a, b)
	}
}

// TestMetadataOfStorage has a container read how much of its disk is used, before and after another has written to the root
// file system and to a volume, and after a restart of the host program.
func TestMetadataOfStorage(t *testing.T) {
	cfg := local.Config{Dir: filepath.Join(t.TempDir(), "c"), EnforceDefaultStorage: true}
	var (
		c   *local.Cluster
		err error
	)
	openAs(t, cfg, &c)
	def := define([]string{"app", "relay " + relayPort}, []string{"writer", "hang"})
	def.Volumes = []task.Volume{{Name: "scratch"}}
	def.ContainerDefinitions[1].MountPoints = []task.MountPoint{{SourceVolume: "scratch", ContainerPath: "/scratch"}}
	run := startRelay(t, c, def, scheduler.RunOptions{EnableExecuteCommand: true})
	utilized := func() float64 {
		t.Helper()
		doc := asked(t, run, "${ECS_CONTAINER_METADATA_URI_V4}/task")
		used, _ := at(t, doc, "EphemeralStorageMetrics", "Utilized").(float64)
		if reserved := at(t, doc, "EphemeralStorageMetrics", "Reserved"); reserved != 20480.0 || used < 1 || used > 20480 {
			t.Errorf("of 20 GiB: %s", jsonText(doc["EphemeralStorageMetrics"]))
		}
		for i := range 2 {
			if got := at(t, doc, "Containers", i, "Snapshotter"); got != "overlayfs" {
				t.Errorf("snapshotter of container %d: %v", i, got)
			}
		}
		return used
	}
	used := utilized()
	t.Logf("%v MiB before anything is written", used)
	for _, statement := range []string{"fill /tmp/x 30", "fill /scratch/y 30"} {
		var out strings.Builder
		if code, err := run.Exec(t.Context(), "writer", runtime.ExecSpec{Args: []string{guestPath(t), statement}, Stdout: &out}); err != nil || code != 0 || out.String() != "filled\n" {
			t.Fatalf("%s: %d, %v, %q", statement, code, err, out.String())
		}
		if now := utilized(); now < used+30 || now > used+34 {
			t.Errorf("%s: %v MiB are used, %v before", statement, now, used)
		} else {
			used = now
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err = local.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	run = lookup(t, c, run)
	awaitEndpoint(t, run)
	if now := utilized(); now != used {
		t.Errorf("after a restart %v MiB are used, %v before it", now, used)
	}
}
