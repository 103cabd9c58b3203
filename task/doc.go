// Package task is the model of ECS tasks: task definitions as the ECS API
// spells them, the rules ECS and Fargate hold them to, the record of a running
// task, its states, and the names (ARNs) of all of these.
//
// It is data and pure functions. It starts no goroutine, does no I/O beyond the
// reader handed to [DecodeDefinition], reads no clock and imports nothing but
// the standard library. Running tasks is the work of package task/engine.
//
//	def, err := task.DecodeDefinition(file)      // JSON of `aws ecs register-task-definition`
//	if err != nil {
//		return err                               // *DecodeError: path, line and reason
//	}
//	for _, u := range def.Unknown() {            // members ECS does not know: kept, not fatal
//		log.Println(u)
//	}
//	err = def.Validate(task.LaunchTypeFargate)   // *ValidationError: every problem at once
//
// # Zero values
//
// Fields are plain Go values and the zero value means unset; a pointer is used
// only where ECS tells zero or false from absent (Essential, MaxSwap,
// Swappiness, ...). What a definition spelled out in its JSON without need
// ("cpu": 0, "environment": [], "user": null) and members this package does not
// know are remembered in the Extra field of each struct, so that encoding a
// decoded definition gives the same JSON back.
//
// # Errors
//
// Decoding returns a [*DecodeError], validation a [*ValidationError] that lists
// every problem with its JSON path. Both match with errors.As.
package task
