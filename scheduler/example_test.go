package scheduler_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	netfake "github.com/fardel-io/fardel/network/fake"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

// A cluster of fakes runs Go functions in the place of containers. It needs no root, and is how a host program tests what
// it does with tasks.
func Example() {
	ctx := context.Background()
	driver := fake.New(fake.Config{Images: map[string]fake.Image{
		"hello:1": {Main: func(_ context.Context, p *fake.Process) int {
			fmt.Fprintln(p.Stdout, "hello,", p.Getenv("NAME"))
			return 3
		}},
	}})
	defer driver.Machine().Close()
	cluster, err := scheduler.Open(ctx, scheduler.Config{
		Store: store.NewMemory(), Driver: driver, Fabric: netfake.New(netfake.Config{}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	def, err := task.DecodeDefinition(strings.NewReader(`{
		"family": "hello", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
		"requiresCompatibilities": ["FARGATE"],
		"containerDefinitions": [{
			"name": "app", "image": "hello:1", "environment": [{"name": "NAME", "value": "world"}]
		}]
	}`))
	if err != nil {
		log.Fatal(err)
	}
	run, err := cluster.Run(ctx, def, scheduler.RunOptions{})
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(os.Stdout, run.Logs(ctx, "app"))
	stopped, err := run.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stopped.LastStatus, stopped.StopCode, *stopped.Container("app").ExitCode)
	// Output:
	// hello, world
	// STOPPED EssentialContainerExited 3
}
