package scheduler

import (
	"context"
	"errors"
	"fmt"
)

// Authorizer decides who may do what. Every verb of a cluster asks it before it reads or changes anything, once for each
// action that the verb implies.
type Authorizer interface {
	// Authorize returns nil when the request is allowed and says in its error why it is not. It must not block for long.
	Authorize(ctx context.Context, r Request) error
}

// Request is one action that somebody wants to take.
type Request struct {
	Principal string // who, as given to [Cluster.As]; "" is the host program itself
	Action    string // in IAM's names: "ecs:RunTask", "iam:PassRole"
	Resource  string // an ARN, or "*" for actions on no resource

	// Conditions are IAM's condition keys and their values, such as "ecs:cluster".
	Conditions map[string][]string
}

// As returns the cluster as a principal may use it: every verb is authorized in its name. The cluster that [Open]
// returns is the host program's own.
func (c *Cluster) As(principal string) *Cluster { return &Cluster{core: c.core, principal: principal} }

// authorize asks the authorizer. The cluster is a condition of every request, as in ECS.
func (c *Cluster) authorize(ctx context.Context, action, resource string, conditions map[string][]string) error {
	if c.cfg.Authorizer == nil {
		return nil
	}
	if conditions == nil {
		conditions = map[string][]string{}
	}
	conditions["ecs:cluster"] = []string{c.ARN()}
	r := Request{Principal: c.principal, Action: action, Resource: resource, Conditions: conditions}
	err := c.cfg.Authorizer.Authorize(ctx, r)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrAccessDenied):
		return err
	}
	return fmt.Errorf("%w: %s on %s: %w", ErrAccessDenied, action, resource, err)
}

// authorizeRoles asks whether the roles may be handed to tasks.
func (c *Cluster) authorizeRoles(ctx context.Context, roles ...string) error {
	for _, role := range roles {
		if role == "" {
			continue
		}
		to := map[string][]string{"iam:PassedToService": {"ecs-tasks.amazonaws.com"}}
		if err := c.authorize(ctx, "iam:PassRole", role, to); err != nil {
			return err
		}
	}
	return nil
}
