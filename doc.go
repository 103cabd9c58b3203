// Package fardel is documentation: it says where things are. fardel runs AWS Fargate tasks on the machine that a Go
// program already has: hand it an ECS task definition, and each task gets a network namespace with its own interface,
// address and security groups, a CPU and memory size that cgroups enforce, and ECS's life cycle.
//
//	func main() {
//		if local.Reexec() { // the embedded runtime starts this program again as its shim
//			return
//		}
//		ctx := context.Background()
//		cluster, err := local.Open(ctx, local.Config{Dir: "/var/lib/myapp/fardel"})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer cluster.Close() // detaches: tasks run on, and the next Open adopts them
//		def, err := task.DecodeDefinition(file) // the JSON that `aws ecs register-task-definition` takes
//		if err != nil {
//			log.Fatal(err)
//		}
//		run, err := cluster.Run(ctx, def, scheduler.RunOptions{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		io.Copy(os.Stdout, run.Logs(ctx, "app"))
//		stopped, err := run.Wait(ctx) // the task with its exit codes, stop code and reason
//	}
//
// Begin with:
//
//   - [github.com/fardel-io/fardel/scheduler/local]: a cluster on this machine.
//   - [github.com/fardel-io/fardel/scheduler]: the cluster's verbs, and the handle Run.
//   - [github.com/fardel-io/fardel/task]: task definitions and the Task record.
//   - [github.com/fardel-io/fardel/network]: VPCs, subnets, security groups; what happens to a packet and why.
//   - [github.com/fardel-io/fardel/policy]: IAM documents and decisions.
//   - [github.com/fardel-io/fardel/runtime]: what the engine needs of a container runtime; drivers below.
//   - [github.com/fardel-io/fardel/runtime/fake]: a runtime without root, for tests of host programs.
//
// ARCHITECTURE.md is the map of the code, and examples holds programs to run.
package fardel
