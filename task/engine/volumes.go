package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/volumes"
)

// storage is where the volumes of a task are that live outside of it.
type storage struct {
	mu      sync.Mutex // held while volumes are mounted
	mounted bool
	at      map[string]volumes.Storage // by name; does not change once mounted is set
}

// mountVolumes makes the task's volumes ready, once per process: after a restart providers are asked again.
func (w *worker) mountVolumes(ctx context.Context) error {
	w.storage.mu.Lock()
	defer w.storage.mu.Unlock()
	if w.storage.mounted {
		return nil
	}
	at := map[string]volumes.Storage{}
	for _, v := range w.usedVolumes() {
		if provided(v) {
			s, err := w.mountVolume(ctx, v)
			if err != nil {
				return err
			}
			at[v.Name] = s
			continue
		}
		// As with Docker, which makes a directory of the host that is missing.
		if dir := sourcePath(v); dir != "" && w.e.cfg.Dir != "" {
			if err := makeSource(dir); err != nil {
				return &startError{task.ErrorCannotCreateVolume, "", fmt.Errorf("volume %s: %w", v.Name, err)}
			}
		}
	}
	w.storage.at, w.storage.mounted = at, true
	return nil
}

func makeSource(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

func (w *worker) mountVolume(ctx context.Context, v *task.Volume) (volumes.Storage, error) {
	if w.e.cfg.Volumes == nil { // accepted by a process that had one
		return volumes.Storage{}, &startError{task.ErrorResourceInitialization, "",
			fmt.Errorf("volume %s of kind %s: the cluster was opened without Config.Volumes", v.Name, v.Kind())}
	}
	s, err := w.e.cfg.Volumes.Mount(ctx, w.volumeRequest(v))
	if err != nil {
		return volumes.Storage{}, &startError{task.ErrorResourceInitialization, "", fmt.Errorf("failed to set up volume %s: %w", v.Name, err)}
	}
	return s, nil
}

func (w *worker) volumeRequest(v *task.Volume) volumes.Request {
	r := volumes.Request{
		TaskARN: w.rec.TaskARN, TaskRoleARN: w.def.TaskRoleARN, ExecutionRoleARN: w.def.ExecutionRoleARN, Volume: *v,
	}
	for i := range w.launchVolumes {
		if w.launchVolumes[i].Name == v.Name {
			r.Configuration = &w.launchVolumes[i]
		}
	}
	return r
}

// usedVolumes are those that a container mounts.
func (w *worker) usedVolumes() []*task.Volume {
	used := map[string]bool{}
	for _, c := range w.containers {
		for _, m := range planMounts(w.def, c.def) {
			used[m.volume.Name] = true
		}
	}
	var list []*task.Volume
	for i := range w.def.Volumes {
		if v := &w.def.Volumes[i]; used[v.Name] {
			list = append(list, v)
		}
	}
	return list
}

// unmountVolumes tells the provider that the task has ended. It may be repeated.
func (w *worker) unmountVolumes(ctx context.Context) error {
	if w.e.cfg.Volumes == nil {
		return nil
	}
	var errs []error
	for _, v := range w.usedVolumes() {
		if provided(v) {
			errs = append(errs, w.e.cfg.Volumes.Unmount(ctx, w.volumeRequest(v)))
		}
	}
	return errors.Join(errs...)
}

// volumeMounts are the mounts of a container's volumes, which mountVolumes has made ready.
func (w *worker) volumeMounts(c *container) []runtime.Mount {
	var mounts []runtime.Mount
	for _, m := range planMounts(w.def, c.def) {
		mounts = append(mounts, m.mount(w.storage.at))
	}
	return mounts
}

// Unsupported lists what a definition asks for and an engine with this configuration does not do: what no engine does,
// see the function of this name, and what this one lacks a provider for.
func (e *Engine) Unsupported(d *task.TaskDefinition) []task.Problem {
	u := unsupported(Unsupported(d))
	e.profiles(&u, d)
	for i := range d.Volumes {
		v, at := &d.Volumes[i], fmt.Sprintf("volumes[%d]", i)
		switch {
		case !provided(v):
		case e.cfg.Volumes == nil:
			u.when(true, at+"."+string(v.Kind()), "the cluster was opened without Config.Volumes")
		default:
			if err := e.cfg.Volumes.Supports(*v); err != nil {
				u.when(true, at+"."+string(v.Kind()), err.Error())
			}
		}
	}
	if e.limitsTracing() {
		u = append(u, untraceable(d)...)
	}
	for i := range d.ContainerDefinitions {
		e.unsupportedSecrets(&u, fmt.Sprintf("containerDefinitions[%d].", i), &d.ContainerDefinitions[i])
	}
	return u
}
