package task

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var here = Scope{Region: "eu-central-1", Account: "111122223333"}

func TestResources(t *testing.T) {
	const prefix = "arn:aws:ecs:eu-central-1:111122223333:"
	scope := Scope{"aws", "eu-central-1", "111122223333"}
	for _, tt := range []struct {
		arn  ARN
		text string
		want Resource
	}{
		{here.Cluster("default"), "cluster/default", Resource{scope, KindCluster, "", "", "", "default", 0}},
		{here.Task("default", "0123abcd"), "task/default/0123abcd", Resource{scope, KindTask, "default", "", "", "0123abcd", 0}},
		{here.Task("", "0123abcd"), "task/0123abcd", Resource{scope, KindTask, "", "", "", "0123abcd", 0}},
		{here.Service("c", "web"), "service/c/web", Resource{scope, KindService, "c", "", "", "web", 0}},
		{here.Service("", "web"), "service/web", Resource{scope, KindService, "", "", "", "web", 0}},
		{here.TaskDefinition("web", 12), "task-definition/web:12", Resource{scope, KindTaskDefinition, "", "", "", "web", 12}},
		{here.TaskDefinition("web", 0), "task-definition/web", Resource{scope, KindTaskDefinition, "", "", "", "web", 0}},
		{here.ContainerInstance("c", "i"), "container-instance/c/i", Resource{scope, KindContainerInstance, "c", "", "", "i", 0}},
		{here.ContainerInstance("", "i"), "container-instance/i", Resource{scope, KindContainerInstance, "", "", "", "i", 0}},
		{here.Container("c", "t", "u"), "container/c/t/u", Resource{scope, KindContainer, "c", "", "t", "u", 0}},
		{here.Container("", "", "u"), "container/u", Resource{scope, KindContainer, "", "", "", "u", 0}},
		{here.TaskSet("c", "s", "ecs-svc/1"[8:]), "task-set/c/s/1", Resource{scope, KindTaskSet, "c", "s", "", "1", 0}},
		{here.CapacityProvider("FARGATE"), "capacity-provider/FARGATE", Resource{scope, KindCapacityProvider, "", "", "", "FARGATE", 0}},
	} {
		if got, want := tt.arn.String(), prefix+tt.text; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		got, err := ParseResource(prefix + tt.text)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("ParseResource(%s): %v (-want +got):\n%s", tt.text, err, diff)
		}
		if got, want := got.String(), prefix+tt.text; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestPartitions(t *testing.T) {
	for region, want := range map[string]string{
		"eu-central-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov",
		"us-iso-east-1": "aws-iso", "us-isob-east-1": "aws-iso-b", "": "aws",
	} {
		if got := PartitionOf(region); got != want {
			t.Errorf("PartitionOf(%q) = %q, want %q", region, got, want)
		}
		if got := (Scope{Region: region}).Cluster("c").Partition; got != want {
			t.Errorf("cluster in %q: got partition %q, want %q", region, got, want)
		}
	}
	if got := (Scope{Partition: "local", Region: "cn-north-1"}).Cluster("c").Partition; got != "local" {
		t.Errorf("got partition %q, want the given one", got)
	}
}

func TestParseResourceErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                              `must start with "arn:"`,
		"cluster/default":               `must start with "arn:"`,
		"arn:aws:ecs":                   "it has 3 of the 6 parts",
		"arn::ecs:r:a:cluster/c":        "its partition is empty",
		"arn:aws::r:a:cluster/c":        "its service is empty",
		"arn:aws:ecs:r:a:":              "its resource is empty",
		"arn:aws:ecs:r:a:cluster/a b":   "it has a space or control character at 25",
		"arn:aws:iam::1:role/r":         "a resource of iam, not of ecs",
		"arn:aws:ecs:r:a:daemon/d":      `"daemon" is not a kind of ECS resource`,
		"arn:aws:ecs:r:a:cluster":       `"" is not the name of a cluster`,
		"arn:aws:ecs:r:a:cluster/":      `"" is not the name of a cluster`,
		"arn:aws:ecs:r:a:cluster/a/b":   "must have the form cluster/NAME",
		"arn:aws:ecs:r:a:task/a/b/c":    "must have the form task/CLUSTER/ID or task/ID",
		"arn:aws:ecs:r:a:task//c":       `"/c" is not the name of a task`,
		"arn:aws:ecs:r:a:task/a:1":      `"a:1" is not the name of a task`,
		"arn:aws:ecs:r:a:task-set/c/1":  "must have the form task-set/CLUSTER/SERVICE/ID",
		"arn:aws:ecs:r:a:container/a/b": "must have the form container/CLUSTER/TASK/ID or container/ID",
		"arn:aws:ecs:r:a:task-definition/arn:aws:ecs:r:a:cluster": `revision "aws:ecs:r:a:cluster" is not a positive number`,
	} {
		_, err := ParseResource(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseResource(%q): got %v, want %q", in, err, want)
		}
	}
}

func TestParseFamilyRevision(t *testing.T) {
	for _, tt := range []struct {
		in       string
		family   string // empty for an error
		revision int
	}{
		{"web", "web", 0}, {"web:3", "web", 3}, {"a_b-C9:1000000", "a_b-C9", 1000000},
		{"arn:aws:ecs:r:a:task-definition/web:3", "web", 3},
		{"arn:aws-cn:ecs:cn-north-1:a:task-definition/web", "web", 0},
		{"", "", 0}, {":3", "", 0}, {"web:", "", 0}, {"web:0", "", 0}, {"web:-1", "", 0}, {"web:+1", "", 0}, {"web:01", "", 0},
		{"web:latest", "", 0}, {"web:1:2", "", 0}, {"my.web", "", 0}, {"web:99999999999999999999", "", 0},
		{"arn:aws:ecs:r:a:task/web", "", 0}, {"arn:aws:ecs", "", 0},
	} {
		family, revision, err := ParseFamilyRevision(tt.in)
		if family != tt.family || revision != tt.revision || (err == nil) != (tt.family != "") {
			t.Errorf("ParseFamilyRevision(%q) = %q, %d, %v, want %q, %d", tt.in, family, revision, err, tt.family, tt.revision)
		}
	}
}

func TestRole(t *testing.T) {
	china := Scope{Region: "cn-north-1", Account: "111122223333"}
	for _, tt := range []struct {
		scope      Scope
		role, want string
	}{
		{here, "", ""},
		{here, "app", "arn:aws:iam::111122223333:role/app"},
		{china, "app", "arn:aws-cn:iam::111122223333:role/app"},
		{here, "arn:aws:iam::1:role/x/app", "arn:aws:iam::1:role/x/app"},
	} {
		if got := tt.scope.Role(tt.role); got != tt.want {
			t.Errorf("%q is %s, want %s", tt.role, got, tt.want)
		}
	}
}
