package metadata_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

// oneTask is a source that knows a task at the loopback address.
type oneTask struct{ snapshot *metadata.Snapshot }

func (o oneTask) Task(_ context.Context, addr netip.Addr) (*metadata.Snapshot, error) {
	if !addr.IsLoopback() {
		return nil, metadata.ErrNotFound
	}
	return o.snapshot, nil
}

func (o oneTask) Stats(context.Context, string, string) (metadata.Stats, error) {
	return metadata.Stats{}, metadata.ErrNotFound
}

func Example() {
	const id = "cd189a933e5849daa93386466019ab50"
	source := oneTask{&metadata.Snapshot{
		Task: task.Task{
			TaskARN:    "arn:aws:ecs:eu-central-1:123456789012:task/default/" + id,
			LastStatus: task.Running, DesiredStatus: task.Running,
			Containers: []task.Container{{Name: "app", RuntimeID: id + "-2495160603", LastStatus: task.ContainerRunning}},
		},
		Definition: &task.TaskDefinition{Family: "shop", Revision: 7, NetworkMode: task.NetworkModeAWSVPC,
			ContainerDefinitions: []task.ContainerDefinition{{Name: "app", Image: "shop:1.2"}}},
	}}
	server := httptest.NewServer(metadata.NewHandler(metadata.Config{Source: source}))
	defer server.Close()

	// In the container this is the value of a variable, and the server is at that address.
	env := metadata.Environment(metadata.ContainerEnvironment{TaskID: id, ContainerName: "app"})
	_, uri, _ := strings.Cut(env[1], "=")
	fmt.Println(uri)

	answer, err := http.Get(strings.Replace(uri, "http://"+metadata.Address, server.URL, 1) + "/task")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	var self struct {
		Family, Revision, KnownStatus string
		Containers                    []struct{ Name, Image string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&self); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(self.Family, self.Revision, self.KnownStatus, self.Containers)
	// Output:
	// http://169.254.170.2/v4/cd189a933e5849daa93386466019ab50-4939483904
	// shop 7 RUNNING [{app shop:1.2}]
}
