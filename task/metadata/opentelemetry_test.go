package metadata

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	otel "github.com/brunoscheufler/aws-ecs-metadata-go"
	"github.com/google/go-cmp/cmp"
)

// asAlice sends requests to a handler as if they came from a task's address.
type asAlice struct{ http.Handler }

func (a asAlice) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.RemoteAddr = alicePeer
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestOpenTelemetry reads answers with the types that OpenTelemetry's detector of ECS (go.opentelemetry.io/contrib) decodes
// them into. The collector's own are in an internal package.
func TestOpenTelemetry(t *testing.T) {
	t.Setenv("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/"+EndpointID(aliceID, "web"))
	client := &http.Client{Transport: asAlice{NewHandler(wide(newSource()))}}
	one, err := otel.GetContainerV4(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal([]byte(otelWeb), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, plain(t, one)); diff != "" {
		t.Errorf("container (-want +got):\n%s", diff)
	}
	whole, err := otel.GetTaskV4(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Containers) != 3 { // nothing is known of the fourth yet
		t.Fatalf("%d containers", len(whole.Containers))
	}
	if diff := cmp.Diff(want, plain(t, whole.Containers[0])); diff != "" {
		t.Errorf("container in the task (-want +got):\n%s", diff)
	}
	whole.Containers = nil
	want = nil
	if err := json.Unmarshal([]byte(otelTask), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, plain(t, whole)); diff != "" {
		t.Errorf("task (-want +got):\n%s", diff)
	}
}

// plain is a value as the JSON of all its members.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const otelTask = `{
	"Cluster": "arn:aws:ecs:eu-central-1:123456789012:cluster/default",
	"TaskARN": "arn:aws:ecs:eu-central-1:123456789012:task/default/` + aliceID + `",
	"Family": "shop", "Revision": "7", "DesiredStatus": "RUNNING", "KnownStatus": "RUNNING", "LaunchType": "FARGATE",
	"Limits": {"CPU": 0.25, "Memory": 512}, "AvailabilityZone": "eu-central-1a", "Containers": null,
	"PullStartedAt": "2026-03-01T12:00:01Z", "PullStoppedAt": "2026-03-01T12:00:02.5Z"
}`

const otelWeb = `{
	"DockerId": "` + aliceID + `-2495160603", "Name": "web", "DockerName": "fardel-web", "Type": "NORMAL",
	"Image": "shop:1.2", "ImageID": "sha256:c1", "DesiredStatus": "RUNNING", "KnownStatus": "RUNNING",
	"ContainerARN": "arn:aws:ecs:eu-central-1:123456789012:container/default/` + aliceID + `/w",
	"CreatedAt": "2026-03-01T12:00:03Z", "StartedAt": "2026-03-01T12:00:03.25Z",
	"Limits": {"CPU": 128, "Memory": 256}, "LogDriver": "awslogs",
	"LogOptions": {
		"awslogs-create-group": "", "awslogs-group": "/shop", "awslogs-region": "", "awslogs-stream": "web/web/` + aliceID + `"
	},
	"Labels": {
		"EcsCluster": "arn:aws:ecs:eu-central-1:123456789012:cluster/default", "EcsContainerName": "web",
		"EcsTaskArn": "arn:aws:ecs:eu-central-1:123456789012:task/default/` + aliceID + `",
		"EcsTaskDefinitionFamily": "shop", "EcsTaskDefinitionVersion": "7"
	},
	"Networks": [{
		"NetworkMode": "awsvpc", "AttachmentIndex": 0, "MACAddress": "0a:1b:2c:3d:4e:5f",
		"IPv4Addresses": ["10.0.0.5"], "IPv4SubnetCIDRBlock": "10.0.0.0/24", "SubnetGatewayIpv4Address": "10.0.0.1/24",
		"DomainNameServers": ["10.0.0.2"], "DomainNameSearchList": ["eu-central-1.compute.internal"],
		"PrivateDNSName": "ip-10-0-0-5.eu-central-1.compute.internal"
	}]
}`
