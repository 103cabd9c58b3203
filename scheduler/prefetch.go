package scheduler

import (
	"context"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// Prefetch pulls the images of a definition, so that its tasks start without waiting for a registry, and returns them in
// the order of its containers. It registers nothing. It asks for the same permissions as [Cluster.Run], with "*" for a
// definition that is not registered, and its error is named as a task's StoppedReason would be.
func (c *Cluster) Prefetch(ctx context.Context, def *task.TaskDefinition) ([]runtime.Image, error) {
	if err := c.await(ctx); err != nil {
		return nil, err
	}
	arn := "*"
	if def != nil && def.TaskDefinitionARN != "" {
		arn = def.TaskDefinitionARN
	}
	def, err := input(def)
	if err != nil {
		return nil, err
	}
	if err := c.authorize(ctx, "ecs:RunTask", arn, nil); err != nil {
		return nil, err
	}
	if err := c.authorizeRoles(ctx, def.ExecutionRoleARN); err != nil {
		return nil, err
	}
	return c.engine.Prefetch(ctx, def, c.taskARN(strings.Repeat("0", 32)))
}
