package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
)

// The keys of the store; see the package comment.
const (
	keyFormat         = "format"
	keyNetwork        = "network"
	prefixFamilies    = "families/"
	prefixDefinitions = "definitions/"
	prefixTasks       = "tasks/"
	prefixTokens      = "tokens/"
)

// format is the version of the layout that this package writes.
const format = 1

func keyDefinition(family string, revision int) string {
	return fmt.Sprintf("%s%s/%07d", prefixDefinitions, family, revision)
}

// taskRecord is what tasks/<id> holds.
type taskRecord struct {
	Task task.Task   `json:"task"`
	ENI  network.ENI `json:"eni,omitzero"` // zero in the network mode none
	// Protection is nil for a task that is not protected from scale-in.
	Protection *protectionRecord `json:"protection,omitempty"`

	VolumeConfigurations []task.VolumeConfiguration `json:"volumeConfigurations,omitempty"`

	Registrations []registration `json:"serviceRegistries,omitempty"`

	// Confinement is the configuration's when the task was run. Records of a version without it have none.
	Confinement engine.Confinement `json:"confinement,omitzero"`
}

// definitionRecord is what definitions/<family>/<rev> holds.
type definitionRecord struct {
	Definition *task.TaskDefinition `json:"definition"`
	Digest     string               `json:"digest"` // of what was registered, to know it again
}

// familyRecord is what families/<family> holds.
type familyRecord struct {
	Last int `json:"last"`
}

// tokenRecord is what tokens/<clientToken> holds.
type tokenRecord struct {
	Task    string    `json:"task"`
	Request string    `json:"request"` // digest of the parameters
	At      time.Time `json:"at"`
}

// get reads and decodes one key. It returns revision 0 and no error when the key is not there.
func get[T any](ctx context.Context, r store.Reader, key string, into *T) (store.Revision, error) {
	e, err := r.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return e.Revision, decode(e, into)
}

// load reads and decodes one key at the store's present state, as get does.
func load[T any](ctx context.Context, s store.Viewer, key string, into *T) (at store.Revision, err error) {
	err = s.View(ctx, func(r store.Reader) error {
		at, err = get(ctx, r, key, into)
		return err
	})
	return at, err
}

// all reads and decodes the keys with a prefix.
func all[T any](ctx context.Context, s store.Viewer, prefix string) ([]T, error) {
	var list []T
	err := s.View(ctx, func(r store.Reader) error {
		entries, err := r.List(ctx, prefix, "", 0)
		if err != nil {
			return err
		}
		for _, e := range entries {
			var v T
			if err := decode(e, &v); err != nil {
				return err
			}
			list = append(list, v)
		}
		return nil
	})
	return list, err
}

func decode(e store.Entry, into any) error {
	if err := json.Unmarshal(e.Value, into); err != nil {
		return fmt.Errorf("scheduler: %s in the store is broken: %w", e.Key, err)
	}
	return nil
}

// encode is the form in which values are stored.
func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("scheduler: encode for the store: %w", err)
	}
	return data, nil
}

// put stores v at a key that must be at a revision; 0 is not there.
func put(key string, v any, at store.Revision) (store.Change, error) {
	data, err := encode(v)
	if at == 0 {
		return store.Create(key, data), err
	}
	return store.Replace(key, data, at), err
}
