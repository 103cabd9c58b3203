package engine

import (
	"context"
	"errors"
	"maps"
	"net/netip"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

// source tells the metadata endpoint of one VPC about its tasks. Looking a task up costs the same however many there are.
type source struct{ ep *endpoint }

// Task implements [metadata.Source].
func (s source) Task(ctx context.Context, addr netip.Addr) (*metadata.Snapshot, error) {
	w := s.ep.worker(addr)
	if w == nil {
		return nil, metadata.ErrNotFound
	}
	shown := *w.shown.Load()
	if shown.Task.LaunchType == task.LaunchTypeFargate { // ECS tells it there alone
		shown.ClockDrift = clockDrift()
	}
	w.showStorage(ctx, &shown)
	return &shown, nil
}

// showStorage adds what the driver says of the task's files. A driver that does not, or a sandbox that is not there yet or
// any more, leaves it out: the rest of the answer is as good.
func (w *worker) showStorage(ctx context.Context, s *metadata.Snapshot) {
	reporter, ok := w.e.cfg.Driver.(runtime.StorageReporter)
	if !ok {
		return
	}
	now, err := reporter.Storage(ctx, w.id)
	if err != nil {
		if !errors.Is(err, runtime.ErrNotFound) {
			w.log.Warn("task is not told of its storage", "error", err)
		}
		return
	}
	s.Containers = maps.Clone(s.Containers) // what is shown to all is nobody's to change
	for _, c := range w.containers {
		facts := s.Containers[c.def.Name]
		facts.Snapshotter = now.Snapshotters[c.id]
		s.Containers[c.def.Name] = facts
	}
	if now.Size > 0 {
		s.EphemeralStorage = &metadata.EphemeralStorage{
			Utilized: task.MiB((now.Size - now.Free + 1<<20 - 1) >> 20), Reserved: task.MiB(now.Size >> 20),
		}
	}
}

// Stats implements [metadata.Source].
func (s source) Stats(ctx context.Context, taskARN, containerName string) (metadata.Stats, error) {
	stater, ok := s.ep.e.cfg.Driver.(runtime.Stater)
	w := s.ep.e.worker(taskID(taskARN))
	if !ok || w == nil {
		return metadata.Stats{}, metadata.ErrNotFound
	}
	c := w.container(containerName)
	if c == nil {
		return metadata.Stats{}, metadata.ErrNotFound
	}
	now, err := stater.Stats(ctx, c.id)
	if errors.Is(err, runtime.ErrNotFound) || errors.Is(err, runtime.ErrNotRunning) {
		return metadata.Stats{}, metadata.ErrNotFound
	}
	if err != nil {
		return metadata.Stats{}, err
	}
	if now.MemoryLimit == 0 { // what it has is the task's, then
		size, _ := w.def.Size()
		now.MemoryLimit = uint64(size.Memory.Bytes())
	}
	return c.samples.add(sample(now), w.shown.Load().Containers[containerName].StartedAt), nil
}

// taskID is the last part of a task's ARN.
func taskID(arn string) string {
	t := task.Task{TaskARN: arn}
	return t.ID()
}
