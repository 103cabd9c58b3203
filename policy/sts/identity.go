package sts

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// Identity is somebody who asks: a session of a role, a user, or an AWS service. [Service.Authenticate] finds the one a
// request was signed by, [Service.Principal] and [ServicePrincipal] make one that the program vouches for. It is a value
// of one moment: ask for it anew with each request.
type Identity struct {
	Principal   policy.Principal
	UserID      string // unique ID of the user, or of the role with a colon and the session's name
	AccessKeyID string // "" if no key was used

	// SessionPolicy is what was handed over when the session was made; nil for nothing. Decide with it, or the session
	// may do more than it was meant to.
	SessionPolicy *policy.Set

	// Of a session only.
	SessionName    string
	SessionTags    []Tag
	SourceIdentity string
	IssuedAt       time.Time
	Expiration     time.Time

	// Tags are the principal's (aws:PrincipalTag): of the session, then of the role or user itself.
	Tags []Tag

	secret     Secret
	transitive []string
}

// SecretAccessKey is what a request of this identity is signed with. It is empty if no key was used.
func (id *Identity) SecretAccessKey() Secret { return id.secret }

// ServicePrincipal is an AWS service, such as ecs-tasks.amazonaws.com, acting for itself.
func ServicePrincipal(name string) (*Identity, error) {
	p, err := policy.ParsePrincipal(name)
	if err != nil || p.Type != policy.Service {
		return nil, fail(codeInvalidInput, "%q is not the name of a service, such as %s", name, TaskService)
	}
	return &Identity{Principal: p}, nil
}

// Principal returns the user, role session or root user of an ARN, without a key: for a program that knows by other means
// who asks. A session made this way has no session policy and no tags of its own. The role or user must exist if it is of
// this account.
func (s *Service) Principal(arn string) (*Identity, error) {
	p, err := policy.ParsePrincipal(arn)
	if err != nil {
		return nil, &Error{Code: codeInvalidInput, Message: err.Error(), Err: err}
	}
	id := &Identity{Principal: p}
	if p.Account != s.cfg.Account {
		return id, nil
	}
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch p.Type {
	case policy.RoleSession:
		parts := strings.Split(arn, "/")
		r, err := s.role(parts[1])
		if err != nil {
			return nil, err
		}
		id.Principal.IssuerARN = r.arn // the session's ARN has no path
		id.UserID, id.SessionName, id.Tags = r.id+":"+name, name, slices.Clone(r.tags)
	case policy.Role:
		r := s.roleByARN(arn)
		if r == nil {
			return nil, fail(codeNoSuchEntity, "The role with name %s cannot be found.", name)
		}
		id.UserID, id.Tags = r.id, slices.Clone(r.tags)
	case policy.User:
		u, err := s.user(name)
		if err != nil {
			return nil, err
		}
		if u.arn != arn {
			return nil, fail(codeNoSuchEntity, "The user with name %s cannot be found.", name)
		}
		id.UserID, id.Tags = u.id, slices.Clone(u.tags)
	case policy.Root:
		id.UserID = p.Account
	}
	return id, nil
}

// Caller is the identity as verbs are authorized with it, such as those of a cluster. It is good for the one request that
// the identity is.
func (id *Identity) Caller() policy.Caller {
	return policy.Caller{Principal: id.Principal, Session: id.SessionPolicy, Context: id.conditions(), AccessKeyID: id.AccessKeyID}
}

// conditions are the condition keys that come with the credentials.
func (id *Identity) conditions() map[string][]string {
	c := map[string][]string{}
	set := func(key, value string) {
		if value != "" {
			c[key] = []string{value}
		}
	}
	set("aws:userid", id.UserID)
	if !id.IssuedAt.IsZero() {
		set("aws:TokenIssueTime", id.IssuedAt.UTC().Format(time.RFC3339))
		set("aws:MultiFactorAuthPresent", "false") // a key of temporary credentials only, and nothing here asks for a second factor
	}
	set("aws:SourceIdentity", id.SourceIdentity)
	for _, t := range id.Tags {
		c["aws:PrincipalTag/"+t.Key] = []string{t.Value}
	}
	return c
}

// Decide decides whether an identity may take an action on a resource, by the policies in the directory and the
// session's. It also returns the request, for messages and explanations.
func (s *Service) Decide(id *Identity, action, resource string, conditions map[string][]string) (policy.Decision, *policy.Request) {
	caller, now := id.Caller(), s.cfg.Now()
	r := caller.Request(action, resource, conditions)
	r.Context.Set("aws:CurrentTime", now.UTC().Format(time.RFC3339))
	r.Context.Set("aws:EpochTime", strconv.FormatInt(now.Unix(), 10))
	return s.dir.Decide(r, id.SessionPolicy), r
}

// Authorize is nil if an identity may take an action on a resource, else a *policy.DeniedError in AWS's words.
func (s *Service) Authorize(id *Identity, action, resource string, conditions map[string][]string) error {
	d, r := s.Decide(id, action, resource, conditions)
	return d.Err(r)
}

// CallerIdentity is the answer of GetCallerIdentity.
type CallerIdentity struct {
	Account string
	ARN     string
	UserID  string
}

// GetCallerIdentity says who an identity is. Everybody may ask.
func (s *Service) GetCallerIdentity(id *Identity) CallerIdentity {
	return CallerIdentity{Account: id.Principal.Account, ARN: id.Principal.Name, UserID: id.UserID}
}
