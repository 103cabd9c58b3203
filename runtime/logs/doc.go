// Package logs is the log drivers of ECS: what becomes of a container's output after the runtime has kept it.
//
// The runtime writes to a bounded spool that survives the host program (see runtime.LogOptions). A [Tail] takes from it,
// makes records of lines, and hands them to the [Writer] of a driver. It notes how far that has delivered, so that the next
// process goes on there:
//
//	set, err := logs.New(logs.Config{Dir: dir, Sink: sink})
//	tail := &logs.Tail{Log: driver, Path: spec.Log, Ended: ended, Open: func(ctx context.Context) (logs.Writer, error) {
//		return set.Open(ctx, task.LogDriverAWSLogs, options, info)
//	}}
//	err = tail.Run(ctx) // until the container has ended and everything is delivered
//
// # What is delivered
//
// Everything at least once in mode "blocking": a container whose driver is behind by the size of the spool waits in its next
// write, also while no host program runs. In mode "non-blocking", ECS's default since June 2025, the oldest output is
// dropped instead, and the tail tells how many lines. After the host program was killed, what was delivered since the last
// note comes again: at most 512 lines with json-file, one request of awslogs (10,000 events or 1 MiB), and one message of
// awsfirelens (256 lines).
//
// # Drivers
//
//   - json-file writes Docker's JSON lines below Config.Dir, rotated. Bytes that are not UTF-8 become U+FFFD, as in Docker.
//   - awslogs sends batches as PutLogEvents takes them to a [Sink]; [FileSink] keeps them in files. Empty lines are left
//     out, as in Docker, because CloudWatch refuses them.
//   - awsfirelens speaks the forward protocol with the fluentd or Fluent Bit container of the task, and asks it to
//     acknowledge. [RouterConfig] is what that container is configured with.
//   - none keeps nothing.
//
// Lines longer than 16 KiB come in parts, as in Docker: json-file writes one object for each, awsfirelens marks them with
// partial_message, partial_id, partial_ordinal and partial_last, awslogs puts them together up to the 256 KiB of an event.
package logs
