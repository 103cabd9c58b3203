package authz

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/audit"
)

// Request is one action that somebody wants to take.
type Request struct {
	Principal string // who, by name: an ARN, the name of a service, "*" for nobody; "" is the host program itself

	// Caller is who, with all that its credentials tell. It is set instead of Principal for whoever came with
	// credentials; with it a session's own policies and tags count.
	Caller *policy.Caller

	Action   string // in IAM's names: "ecs:RunTask", "iam:PassRole"
	Resource string // an ARN, or "*" for actions on no resource

	// Conditions are IAM's condition keys and their values, such as "ecs:cluster".
	Conditions map[string][]string
}

// Config says what an [Authorizer] decides by.
type Config struct {
	Directory *policy.Directory // required; may be changed at any time

	Audit  audit.Sink // gets a record of every decision; nil is nobody
	Region string     // in records of requests that name none

	Now func() time.Time // for aws:CurrentTime and aws:EpochTime; nil is time.Now
}

// Authorizer decides requests by the policies of a directory. It is safe for concurrent use and implements the
// Authorizer of a cluster.
type Authorizer struct {
	cfg Config
}

// New returns an authorizer. It checks cfg and touches nothing.
func New(cfg Config) (*Authorizer, error) {
	if cfg.Directory == nil {
		return nil, errors.New("authz: Config.Directory is required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Authorizer{cfg: cfg}, nil
}

// Authorize returns nil when the request is allowed, a [*policy.DeniedError] when it is not, and an error that matches
// [policy.ErrPrincipal] when Principal is no name of a principal. The host program itself may do everything, and no
// decision is made about it. It waits for nothing.
//
// A principal given by name only has no session policies: name a session that may have some by its Caller.
func (a *Authorizer) Authorize(_ context.Context, r Request) error {
	caller := r.Caller
	if caller == nil {
		if r.Principal == "" {
			return nil
		}
		p, err := policy.ParsePrincipal(r.Principal)
		if err != nil {
			return err
		}
		caller = &policy.Caller{Principal: p}
	}
	request := caller.Request(r.Action, r.Resource, r.Conditions)
	now := a.cfg.Now().UTC()
	request.Context.Set("aws:CurrentTime", now.Format(time.RFC3339))
	request.Context.Set("aws:EpochTime", strconv.FormatInt(now.Unix(), 10))
	decision := a.cfg.Directory.Decide(request, caller.Session)
	if a.cfg.Audit != nil {
		a.cfg.Audit.Record(audit.New(caller, request, decision, a.cfg.Region, now))
	}
	return decision.Err(request)
}
