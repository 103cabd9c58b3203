package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/authz"
	"github.com/fardel-io/fardel/task"
)

// Authorizer decides who may do what. Every verb of a cluster asks it before it changes or tells anything, once for each
// action that the verb implies. An [authz.Authorizer] is one that decides by IAM policies.
type Authorizer interface {
	// Authorize returns nil when the request is allowed and says in its error why it is not. It must not block for long.
	Authorize(ctx context.Context, r Request) error
}

// Request is one action that somebody wants to take. Its Principal is who, as given to [Cluster.As]; "" with a nil Caller
// is the host program itself.
type Request = authz.Request

// As returns the cluster as a principal may use it: every verb is authorized in its name. The cluster that [Open]
// returns is the host program's own; "" is not it but nobody, as "*" is. A session that may have been handed policies or
// tags is named with [Cluster.AsCaller].
func (c *Cluster) As(principal string) *Cluster {
	if principal == "" {
		principal = "*"
	}
	return &Cluster{core: c.core, principal: principal}
}

// AsCaller returns the cluster as somebody may use it who came with credentials: every verb is authorized in the
// caller's name, with all that the credentials tell.
func (c *Cluster) AsCaller(caller policy.Caller) *Cluster {
	return &Cluster{core: c.core, caller: &caller}
}

// conditions are IAM's condition keys of a request and their values.
type conditions map[string][]string

func (k conditions) set(name string, values ...string) { k[name] = values }

func (k conditions) setBool(name string, value bool) { k.set(name, strconv.FormatBool(value)) }

// requestTags adds the keys about the tags that a request gives what it makes.
func (k conditions) requestTags(tags []task.Tag) {
	for _, tag := range tags {
		k.set("aws:RequestTag/"+tag.Key, tag.Value)
		k["aws:TagKeys"] = append(k["aws:TagKeys"], tag.Key)
	}
}

// resourceTags adds the keys about the tags that the resource has. ECS has them under two names.
func (k conditions) resourceTags(tags []task.Tag) {
	for _, tag := range tags {
		k.set("aws:ResourceTag/"+tag.Key, tag.Value)
		k.set("ecs:ResourceTag/"+tag.Key, tag.Value)
	}
}

// onCluster are the condition keys of an action that ECS takes in a cluster.
func (c *core) onCluster() conditions { return conditions{"ecs:cluster": {c.cfg.clusterARN()}} }

// onTask are those of an action on a task, which may not exist.
func (c *core) onTask(t *task.Task) conditions {
	k := c.onCluster()
	if t != nil {
		k.resourceTags(t.Tags)
	}
	return k
}

// authorize asks the authorizer. Which action is asked for on which resource with which keys is ECS's: "Actions,
// resources, and condition keys for Amazon Elastic Container Service" in the Service Authorization Reference.
func (c *Cluster) authorize(ctx context.Context, action, resource string, keys conditions) error {
	if c.cfg.Authorizer == nil {
		return nil
	}
	if keys == nil {
		keys = conditions{}
	}
	keys.set("aws:RequestedRegion", c.cfg.Region)
	r := Request{Principal: c.principal, Caller: c.caller, Action: action, Resource: resource, Conditions: keys}
	err := c.cfg.Authorizer.Authorize(ctx, r)
	if err == nil || errors.Is(err, ErrAccessDenied) {
		return err
	}
	return denied(r, err)
}

// denied is the error of a request that the authorizer refused.
func denied(r Request, err error) error {
	var d *policy.DeniedError
	if errors.As(err, &d) {
		return &AccessDeniedError{Message: d.Message, Err: err}
	}
	who := r.Principal
	switch {
	case r.Caller != nil:
		who = r.Caller.Principal.String()
	case who == "":
		who = "the host program"
	}
	text := "User: " + who + " is not authorized to perform: " + r.Action + " on resource: " + r.Resource
	return &AccessDeniedError{Message: text + ": " + err.Error(), Err: err}
}

// roleAuthorizer asks whether a task's execution role may have what its containers are to be given.
func (c *core) roleAuthorizer() func(ctx context.Context, taskARN, role, action, resource string) error {
	if c.cfg.Authorizer == nil {
		return nil
	}
	return func(ctx context.Context, taskARN, role, action, resource string) error {
		session, err := c.inRole(role, taskARN)
		if err != nil {
			return err
		}
		return session.authorize(ctx, action, resource, nil)
	}
}

// inRole is the cluster as a task may use it in one of its roles. The role's session has the task's ID as its name.
func (c *core) inRole(role, taskARN string) (*Cluster, error) {
	role = c.roleARN(role)
	if c.cfg.TaskCaller != nil {
		caller, err := c.cfg.TaskCaller(role, taskARN)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRole, err)
		}
		return (&Cluster{core: c}).AsCaller(caller), nil
	}
	arn, name, _ := strings.Cut(role, ":role/")
	session := strings.Replace(arn, ":iam:", ":sts:", 1) + ":assumed-role/" + name[strings.LastIndexByte(name, '/')+1:] + taskARN[strings.LastIndexByte(taskARN, '/'):]
	principal, err := policy.ParsePrincipal(session)
	if err != nil {
		return nil, fmt.Errorf("scheduler: session of role %s: %w", role, err)
	}
	principal.IssuerARN = role // with its path, which a session's name lacks
	return (&Cluster{core: c}).AsCaller(policy.Caller{Principal: principal}), nil
}

// authorizeRoles asks whether the roles may be handed to tasks.
func (c *Cluster) authorizeRoles(ctx context.Context, roles ...string) error {
	var asked []string
	for _, role := range roles {
		role = c.roleARN(role)
		if role == "" || slices.Contains(asked, role) {
			continue
		}
		asked = append(asked, role)
		if err := c.authorize(ctx, "iam:PassRole", role, conditions{"iam:PassedToService": {"ecs-tasks.amazonaws.com"}}); err != nil {
			return err
		}
	}
	return nil
}

// roleARN is the ARN of a role, which a definition may give by its name too.
func (c *core) roleARN(role string) string { return c.cfg.scope().Role(role) }

// authorizeTags asks whether what an action makes may be given tags. Nothing is asked when there are none.
func (c *Cluster) authorizeTags(ctx context.Context, createAction, resource string, tags []task.Tag) error {
	if len(tags) == 0 {
		return nil
	}
	k := conditions{"ecs:CreateAction": {createAction}}
	k.requestTags(tags)
	return c.authorize(ctx, "ecs:TagResource", resource, k)
}

// authorizeTask asks for an action on a task and returns its record. Whoever may not take the action does not learn
// whether the task exists.
func (c *Cluster) authorizeTask(ctx context.Context, action, id string) (*task.Task, error) {
	t, err := c.describe(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if denied := c.authorize(ctx, action, c.taskARN(id), c.onTask(t)); denied != nil {
		return nil, denied
	}
	return t, err
}
