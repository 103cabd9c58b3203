// Package scheduler is a cluster as ECS knows it: task definitions are registered, tasks are run from them, described,
// listed and stopped.
//
// A [Cluster] writes what is wanted to its store and reacts to what changes there; a task engine does the work and
// writes what is. Nothing is kept in memory that is not in the store, so a host program may die at any moment: the next
// Cluster on the same store adopts the tasks that went on without it.
//
//	cluster, err := scheduler.Open(ctx, scheduler.Config{Store: store, Driver: driver, Fabric: fabric})
//	defer cluster.Close() // detaches; tasks keep running
//	run, err := cluster.Run(ctx, def, scheduler.RunOptions{})
//	stopped, err := run.Wait(ctx)
//
// Most programs call scheduler/local.Open, which brings a store, a driver and a fabric for one machine. Tests of a host
// program pass the fakes of runtime/fake and network/fake, and need no root.
//
// # Store
//
// Keys and what they hold, all values JSON:
//
//	format                      the version of this layout
//	network                     network.State without ENIs
//	families/<family>           the last revision given out, also to definitions deleted since
//	definitions/<family>/<rev>  a registered task definition; <rev> has 7 digits, so that keys sort by revision
//	tasks/<id>                  a task: its record, its interface, how its definition is found
//	tokens/<clientToken>        the task that a client token started, for 24 hours
package scheduler
