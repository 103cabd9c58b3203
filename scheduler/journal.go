package scheduler

import (
	"context"
	"errors"
	"fmt"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

// journal is the engine's way to the store.
type journal struct {
	store store.Store
	saved func(*taskRecord) // told of what was written; the engine waits for it
}

// Save implements engine.Journal.
func (j journal) Save(ctx context.Context, t *task.Task) (*task.Task, error) {
	for {
		var rec taskRecord
		at, err := load(ctx, j.store, prefixTasks+t.ID(), &rec)
		if err != nil {
			return nil, err
		}
		if at == 0 {
			return nil, fmt.Errorf("%w: task %s is not in the store", ErrNotFound, t.ID())
		}
		rec.Task = *merge(&rec.Task, t)
		change, err := put(prefixTasks+t.ID(), rec, at)
		if err != nil {
			return nil, err
		}
		_, err = j.store.Update(ctx, change)
		if errors.Is(err, store.ErrConflict) {
			continue // somebody wants it stopped: merge again
		}
		if err != nil {
			return nil, err
		}
		j.saved(&rec)
		return &rec.Task, nil
	}
}

// merge is the record after the engine has its say. What is observed is the engine's; who wanted the task stopped
// first, and the tags, are the store's.
func merge(stored, engines *task.Task) *task.Task {
	out := engines.Clone()
	if stored.DesiredStatus >= task.Stopped {
		out.DesiredStatus, out.StopCode, out.StoppedReason = stored.DesiredStatus, stored.StopCode, stored.StoppedReason
	}
	out.Tags = stored.Tags
	out.Version = stored.Version + 1
	return out
}
