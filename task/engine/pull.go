package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// PullBehavior says when a registry is asked for an image: the values of the ECS agent's ECS_IMAGE_PULL_BEHAVIOR, and one
// more. An image that is named with its digest is never asked for twice.
type PullBehavior string

// The pull behaviours.
const (
	PullPreferCached PullBehavior = "prefer-cached" // only when the image is not on this machine; what "" means
	PullOnce         PullBehavior = "once"          // as prefer-cached: what is here was pulled or imported once
	PullDefault      PullBehavior = "default"       // always, and what is on this machine when that fails
	PullAlways       PullBehavior = "always"        // always, and no task when that fails
	PullNever        PullBehavior = "never"         // never: the image must have been pulled or imported before
)

// Check returns an error for a value that is none of the pull behaviours. "" is one.
func (b PullBehavior) Check() error {
	all := []PullBehavior{PullPreferCached, PullOnce, PullDefault, PullAlways, PullNever}
	if b == "" || slices.Contains(all, b) {
		return nil
	}
	return fmt.Errorf("image pull behavior %q: want one of %v", b, all)
}

// pullImage gets an image as the pull behaviour says.
func (e *Engine) pullImage(ctx context.Context, spec runtime.ImageSpec) (runtime.Image, error) {
	behavior := e.cfg.PullBehavior
	spec.Refresh = behavior == PullAlways || behavior == PullDefault
	spec.Offline = behavior == PullNever
	img, err := e.cfg.Driver.Pull(ctx, spec)
	if err == nil || behavior != PullDefault || ctx.Err() != nil || closed(err) {
		return img, err
	}
	cached := spec
	cached.Refresh, cached.Offline = false, true
	img, cerr := e.cfg.Driver.Pull(ctx, cached)
	if cerr != nil {
		return img, err
	}
	e.log.Warn("image cannot be pulled, the one on this machine is used", "image", spec.Ref, "error", err)
	return img, nil
}

// Prefetch pulls the images of a definition, so that tasks of it find them on this machine. arn is what registry
// credentials are had in the name of: that of any task of the cluster. The errors are named as those of a task.
func (e *Engine) Prefetch(ctx context.Context, d *task.TaskDefinition, arn string) ([]runtime.Image, error) {
	w := &worker{e: e, id: arn[strings.LastIndexByte(arn, '/')+1:], arn: arn, def: d, log: e.log, rec: &task.Task{TaskARN: arn},
		holder: "prefetch-" + rand.Text()}
	defer w.releaseImages()
	for i := range d.ContainerDefinitions {
		w.containers = append(w.containers, &container{def: &d.ContainerDefinitions[i]})
	}
	var images []runtime.Image
	err := w.pullAll(ctx)
	for _, c := range w.containers {
		if c.image.Ref != "" {
			images = append(images, c.image)
		}
	}
	if named, ok := errors.AsType[*startError](err); ok {
		return images, named
	}
	return images, err
}
