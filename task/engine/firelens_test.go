package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/task"
)

func TestWithRouter(t *testing.T) {
	sender := &task.LogConfiguration{LogDriver: task.LogDriverAWSFirelens}
	router := &task.FirelensConfiguration{Type: task.FirelensFluentBit}
	on := func(names ...string) (deps []task.ContainerDependency) {
		for _, n := range names {
			deps = append(deps, task.ContainerDependency{ContainerName: n, Condition: task.ConditionStart})
		}
		return deps
	}
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{
		{Name: "app", LogConfiguration: sender, DependsOn: on("db")},
		{Name: "db"},
		{Name: "router", FirelensConfiguration: router, LogConfiguration: sender},
		{Name: "own", LogConfiguration: sender, DependsOn: on("router")},
	}}
	var got [][]task.ContainerDependency
	for _, c := range withRouter(def).ContainerDefinitions {
		got = append(got, c.DependsOn)
	}
	want := [][]task.ContainerDependency{on("db", "router"), nil, nil, on("router")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(on("db"), def.ContainerDefinitions[0].DependsOn); diff != "" {
		t.Errorf("the definition itself was changed:\n%s", diff)
	}
	def.ContainerDefinitions[2].DependsOn = on("db")
	if withRouter(def) != def {
		t.Error("a router that waits for others cannot come first")
	}
}

func TestRouterSecretOptions(t *testing.T) {
	c := &task.ContainerDefinition{LogConfiguration: &task.LogConfiguration{
		Options: map[string]string{"Name": "http"}, SecretOptions: []task.Secret{{Name: "apikey", ValueFrom: "x"}},
	}}
	for kind, want := range map[task.FirelensType]string{task.FirelensFluentBit: "${apikey_2}", task.FirelensFluentd: `"#{ENV['apikey_2']}"`} {
		if got := routerOptions(c, 2, kind)["apikey"]; got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
}
