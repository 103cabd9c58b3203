package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/fardel-io/fardel/policy/credentials"
	"github.com/fardel-io/fardel/policy/sts"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
)

// withRoles checks what c says of roles, and has their credentials served.
func (c Config) withRoles() (Config, error) {
	if c.Roles == nil {
		return c, nil
	}
	if c.TaskCredentials != nil {
		return c, errors.New("local: Config.Roles and Config.TaskCredentials both give tasks credentials: set one of them")
	}
	c.Account = cmp.Or(c.Account, c.Roles.Account())
	if c.Account != c.Roles.Account() {
		return c, fmt.Errorf("local: Config.Account is %s and the roles are of account %s: a task's role is of the cluster's account", c.Account, c.Roles.Account())
	}
	issuer, err := sts.NewTaskProvider(c.Roles, 0)
	if err != nil {
		return c, err
	}
	scope := task.Scope{Region: cmp.Or(c.Region, scheduler.DefaultRegion), Account: c.Account}
	c.TaskCredentials = credentials.NewHandler(credentials.Config{Source: callers{scope}, Issuer: issuer, Logger: c.Logger})
	return c, nil
}

// callers knows who asks for credentials: the engine has found that out by the address.
type callers struct{ scope task.Scope }

// Task implements [credentials.Source].
func (s callers) Task(ctx context.Context, _ netip.Addr) (credentials.Task, error) {
	c, ok := engine.CallerFrom(ctx)
	if !ok {
		return credentials.Task{}, credentials.ErrNotFound
	}
	return credentials.Task{ARN: c.TaskARN, RoleARN: s.scope.Role(c.TaskRoleARN), CredentialsID: c.CredentialsID}, nil
}
