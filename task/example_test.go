package task_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fardel-io/fardel/task"
)

func ExampleDecodeDefinition() {
	def, err := task.DecodeDefinition(strings.NewReader(`{
		"family": "web",
		"networkMode": "awsvpc",
		"cpu": ".25 vCPU",
		"memory": "0.5 GB",
		"containerDefinitions": [
			{"name": "nginx", "image": "nginx:1.27", "portMapping": [{"containerPort": 80}]}
		]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	size, _ := def.Size()
	fmt.Println(def.Family, "has", size)
	for _, u := range def.Unknown() {
		fmt.Println(u)
	}
	// Output:
	// web has 256 CPU, 512 memory
	// containerDefinitions[0].portMapping: ECS knows no such member; did you mean "portMappings"?
}

func ExampleDecodeError() {
	_, err := task.DecodeDefinition(strings.NewReader(`{
		"family": "web",
		"containerDefinitions": [{"name": "nginx", "portMappings": [{"containerPort": "80"}]}]
	}`))
	var bad *task.DecodeError
	if errors.As(err, &bad) {
		fmt.Println(bad.Path)
		fmt.Println(bad.Reason)
		fmt.Println("line", bad.Line)
	}
	// Output:
	// containerDefinitions[0].portMappings[0].containerPort
	// must be an integer, not "80"
	// line 3
}

func ExampleTaskDefinition_Validate() {
	def := &task.TaskDefinition{
		Family: "web", NetworkMode: task.NetworkModeAWSVPC, CPU: "512", Memory: "512",
		ContainerDefinitions: []task.ContainerDefinition{
			{Name: "app", Image: "nginx", DependsOn: []task.ContainerDependency{{ContainerName: "db", Condition: task.ConditionHealthy}}},
			{Name: "db", Image: "postgres", Privileged: true},
		},
	}
	var invalid *task.ValidationError
	if errors.As(def.Validate(task.LaunchTypeFargate), &invalid) {
		for _, p := range invalid.Problems {
			fmt.Println(p)
		}
	}
	// Output:
	// cpu: No Fargate configuration exists for given values: 512 CPU, 512 memory. See the Amazon ECS documentation for the valid values. (with 512 CPU the memory is 1024 to 4096 in steps of 1024)
	// containerDefinitions[0].dependsOn[0].condition: HEALTHY is not possible, since "db" has no healthCheck
	// containerDefinitions[1].privileged: is not supported on Fargate
}

func ExampleTaskDefinition_WithOverrides() {
	def := &task.TaskDefinition{
		Family: "job",
		ContainerDefinitions: []task.ContainerDefinition{
			{Name: "job", Image: "job:1", Command: []string{"run"}, Environment: []task.KeyValuePair{{Name: "MODE", Value: "all"}}},
		},
	}
	once, err := def.WithOverrides(task.TaskOverride{ContainerOverrides: []task.ContainerOverride{{
		Name:        "job",
		Command:     []string{"run", "--once"},
		Environment: []task.KeyValuePair{{Name: "MODE", Value: "new"}, {Name: "DEBUG", Value: "1"}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, _ := json.Marshal(once)
	fmt.Println(string(data))

	_, err = def.WithOverrides(task.TaskOverride{ContainerOverrides: []task.ContainerOverride{{Name: "jop"}}})
	fmt.Println(err)
	// Output:
	// {"family":"job","containerDefinitions":[{"name":"job","image":"job:1","command":["run","--once"],"environment":[{"name":"MODE","value":"new"},{"name":"DEBUG","value":"1"}]}]}
	// task: override of definition "job": containerOverrides[0].name: unknown container "jop", the definition has "job"
}

func ExampleNext() {
	last, desired := task.Provisioning, task.Running
	for {
		step, to := task.Next(last, desired)
		if step == task.None {
			break
		}
		fmt.Printf("%v: %v\n", step.During(), step)
		if last = to; last == task.Activating {
			desired = task.Stopped // somebody changed their mind
		}
	}
	fmt.Println(last)
	// Output:
	// PROVISIONING: provision
	// PENDING: accept
	// DEACTIVATING: deactivate
	// STOPPING: stop
	// DEPROVISIONING: deprovision
	// STOPPED
}

func ExampleScope() {
	scope := task.Scope{Region: "cn-north-1", Account: "111122223333"}
	arn := scope.Task("default", "0123456789abcdef0123456789abcdef").String()
	fmt.Println(arn)
	r, _ := task.ParseResource(arn)
	fmt.Println(r.Kind, "in", r.Cluster)
	// Output:
	// arn:aws-cn:ecs:cn-north-1:111122223333:task/default/0123456789abcdef0123456789abcdef
	// task in default
}

func ExampleAggregateHealth() {
	sidecar := false
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{
		{Name: "app"}, {Name: "db"}, {Name: "metrics", Essential: &sidecar},
	}}
	fmt.Println(task.AggregateHealth(def, []task.Container{
		{Name: "app", HealthStatus: task.HealthHealthy},
		{Name: "db", HealthStatus: task.HealthUnknown},
		{Name: "metrics", HealthStatus: task.HealthUnhealthy},
	}))
	// Output:
	// UNKNOWN
}
