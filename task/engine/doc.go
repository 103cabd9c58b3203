// Package engine runs tasks on one host: it carries each of them from PROVISIONING to STOPPED, step by step, with one
// goroutine per task.
//
// What to do next is decided by pure functions: [task.Next] for the task, the plan in this package for its containers.
// The engine does the step, has the outcome written down by its [Journal], and goes on. A step that was begun and not
// written down is simply done again: every method of [runtime.Driver] and [network.Fabric] may be repeated. That is the
// whole of recovery: after a restart of the host program, each task that was not STOPPED is submitted again and goes
// on where its record says.
//
// The engine is driven, it decides nothing about which tasks exist:
//
//	e, err := engine.New(engine.Config{Driver: driver, Fabric: fabric, Journal: journal, Dir: dir})
//	go e.Run(ctx)                 // until ctx ends; tasks go on without it
//	e.Submit(assignment)          // start it, or adopt it
//	e.Stop(id, task.StopCodeUserInitiated, "no longer needed")
//
// A task is told to stop in one way only: its desired status becomes STOPPED, with a stop code and a reason. An
// essential container that ends, a step that fails and a user's request all do that, and the release of what the task
// holds then goes in one order, whatever had been built.
package engine
