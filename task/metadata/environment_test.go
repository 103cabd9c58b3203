package metadata

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/task"
)

func TestEnvironment(t *testing.T) {
	id := EndpointID(aliceID, "web")
	uris := []string{
		"ECS_CONTAINER_METADATA_URI=http://169.254.170.2/v3/" + id,
		"ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/" + id,
		"ECS_AGENT_URI=http://169.254.170.2/api/" + id,
	}
	region := []string{"AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1"}
	for _, tt := range []struct {
		name string
		c    ContainerEnvironment
		want []string
	}{
		{"least", ContainerEnvironment{}, nil},
		{"Fargate", ContainerEnvironment{LaunchType: task.LaunchTypeFargate, Region: "eu-central-1", Set: []string{"A=1", "MY_AWS_REGION=x"}},
			append([]string{"AWS_EXECUTION_ENV=AWS_ECS_FARGATE"}, region...)},
		{"EC2 with a role", ContainerEnvironment{LaunchType: task.LaunchTypeEC2, CredentialsURI: "/v2/credentials/c"},
			[]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/c", "AWS_EXECUTION_ENV=AWS_ECS_EC2"}},
		{"region set", ContainerEnvironment{Region: "eu-central-1", Set: []string{"AWS_REGION=us-east-1"}}, nil},
		{"default region set", ContainerEnvironment{Region: "eu-central-1", Set: []string{"B=2", "AWS_DEFAULT_REGION="}}, nil},
		{"external", ContainerEnvironment{LaunchType: task.LaunchTypeExternal, Region: "eu-central-1"}, region},
	} {
		tt.c.TaskID, tt.c.ContainerName = aliceID, "web"
		if diff := cmp.Diff(append(uris[:3:3], tt.want...), Environment(tt.c)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestEndpointID: IDs are in the environment of containers that outlive the host program, so they never change.
func TestEndpointID(t *testing.T) {
	if got, want := EndpointID(aliceID, "web"), aliceID+"-9729937270"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[string]bool{}
	form := regexp.MustCompile(`^.*-[0-9]{10}$`)
	for _, id := range []string{aliceID, bobID, "", "a"} {
		for _, name := range []string{"web", "init", "", "a"} {
			got := EndpointID(id, name)
			if !form.MatchString(got) || seen[got] {
				t.Errorf("%s %s: %s", id, name, got)
			}
			seen[got] = true
		}
	}
}
