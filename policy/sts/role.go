package sts

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// RoleInput is a role to create. Name and TrustPolicy are required.
type RoleInput struct {
	Name        string // 1 to 64 letters, digits and _+=,.@-
	Path        string // "" is "/"
	Description string
	TrustPolicy string // who may assume it (AssumeRolePolicyDocument)

	Inline   map[string]string // documents, by the policies' names
	Attached []string          // ARNs of managed policies
	Boundary string            // ARN of a managed policy; "" for none

	MaxSessionDuration time.Duration // one to twelve hours; 0 is one hour
	Tags               []Tag
}

// Role is a role as it is.
type Role struct {
	Name        string
	Path        string
	Description string
	ARN         string
	ID          string // AROA and 17 characters; the same for the same ARN and store
	TrustPolicy string

	Inline   map[string]string
	Attached []string
	Boundary string

	MaxSessionDuration time.Duration
	Tags               []Tag
	CreatedAt          time.Time
}

// Bounds of a role's MaxSessionDuration (IAM).
const (
	minRoleDuration = time.Hour
	maxDuration     = 12 * time.Hour
)

type role struct {
	*holder
	description string
	trust       *policy.Policy
	maxSession  time.Duration
}

func (r *role) public() *Role {
	return &Role{
		Name: r.name, Path: r.path, Description: r.description, ARN: r.arn, ID: r.id, TrustPolicy: r.trust.Source(),
		Inline: r.documents(), Attached: slices.Clone(r.attached), Boundary: r.boundary,
		MaxSessionDuration: r.maxSession, Tags: slices.Clone(r.tags), CreatedAt: r.createdAt,
	}
}

func parseTrust(arn, document string) (*policy.Policy, error) {
	p, err := policy.Parse([]byte(document), policy.Options{Kind: policy.Trust, Name: arn + " trust policy"})
	if err != nil {
		return nil, documentError(err)
	}
	return p, nil
}

func checkMaxSession(d time.Duration) error {
	value := strconv.FormatInt(int64(d/time.Second), 10)
	switch {
	case d%time.Second != 0:
		return violates(d.String(), "maxSessionDuration", "be whole seconds")
	case d < minRoleDuration:
		return violates(value, "maxSessionDuration", "have value greater than or equal to 3600")
	case d > maxDuration:
		return violates(value, "maxSessionDuration", "have value less than or equal to 43200")
	}
	return nil
}

// newRole checks an input and compiles its policies.
func (s *Service) newRole(in *RoleInput) (*role, error) {
	if err := checkName(in.Name, "roleName", maxEntityName); err != nil {
		return nil, err
	}
	in.Path = cmp.Or(in.Path, "/")
	if err := checkPath(in.Path); err != nil {
		return nil, err
	}
	if err := length(in.Description, "description", 0, maxDescription); err != nil {
		return nil, err
	}
	maxSession := cmp.Or(in.MaxSessionDuration, minRoleDuration)
	if err := checkMaxSession(maxSession); err != nil {
		return nil, err
	}
	arn := s.iamARN("role" + in.Path + in.Name)
	trust, err := parseTrust(arn, in.TrustPolicy)
	if err != nil {
		return nil, err
	}
	h := &holder{kind: "role", name: in.Name, path: in.Path, arn: arn, id: s.keys.uniqueID("AROA", arn), createdAt: s.cfg.Now().UTC()}
	h = h.clone()
	if err := h.fill(in.Inline, in.Attached, in.Boundary, in.Tags); err != nil {
		return nil, err
	}
	return &role{holder: h, description: in.Description, trust: trust, maxSession: maxSession}, nil
}

// fill gives a new holder what its input names.
func (h *holder) fill(inline map[string]string, attached []string, boundary string, tags []Tag) error {
	for _, name := range slices.Sorted(maps.Keys(inline)) {
		if err := h.putInline(name, inline[name]); err != nil {
			return err
		}
	}
	for _, arn := range attached {
		if err := h.attach(arn); err != nil {
			return err
		}
	}
	h.boundary = boundary
	return h.tag(tags)
}

// CreateRole adds a role with all its policies at once.
func (s *Service) CreateRole(in RoleInput) (*Role, error) {
	r, err := s.newRole(&in)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roles[strings.ToLower(in.Name)] != nil {
		return nil, fail(codeExists, "Role with name %s already exists.", in.Name)
	}
	if err := s.putRole(r); err != nil {
		return nil, err
	}
	return r.public(), nil
}

// putRole makes a role the one of its name. The caller holds s.mu.
func (s *Service) putRole(r *role) error {
	if err := s.publish(r.holder); err != nil {
		return err
	}
	if err := s.dir.SetResource(r.arn, r.trust); err != nil {
		return &Error{Code: codeInvalidInput, Message: err.Error(), Err: err}
	}
	s.roles[strings.ToLower(r.name)] = r
	s.byID[r.id] = r.holder
	return nil
}

func (s *Service) role(name string) (*role, error) {
	if r := s.roles[strings.ToLower(name)]; r != nil {
		return r, nil
	}
	return nil, fail(codeNoSuchEntity, "The role with name %s cannot be found.", name)
}

// roleByARN returns nil when there is none. The caller holds s.mu.
func (s *Service) roleByARN(arn string) *role {
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	if r := s.roles[strings.ToLower(name)]; r != nil && r.arn == arn {
		return r
	}
	return nil
}

// Role returns the role of a name.
func (s *Service) Role(name string) (*Role, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, err := s.role(name)
	if err != nil {
		return nil, err
	}
	return r.public(), nil
}

// Roles returns all roles, sorted by name.
func (s *Service) Roles() []*Role {
	s.mu.RLock()
	defer s.mu.RUnlock()
	roles := make([]*Role, 0, len(s.roles))
	for _, name := range slices.Sorted(maps.Keys(s.roles)) {
		roles = append(roles, s.roles[name].public())
	}
	return roles
}

// changeRole puts a changed copy in the place of a role.
func (s *Service) changeRole(name string, f func(r *role) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.role(name)
	if err != nil {
		return err
	}
	next := *old
	next.holder = old.clone()
	if err := f(&next); err != nil {
		return err
	}
	return s.putRole(&next)
}

// DeleteRole removes a role, and with it all its sessions: they stay ended when a role of the same name is created again.
// Its policies must have been removed before, as in IAM.
func (s *Service) DeleteRole(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.role(name)
	if err != nil {
		return err
	}
	if err := r.empty(); err != nil {
		return err
	}
	now, err := s.past(time.Time{})
	if err != nil {
		return err
	}
	if err := s.revoke(revokedRole(r.id), now); err != nil {
		return err
	}
	if err := s.dir.SetResource(r.arn, nil); err != nil {
		return err
	}
	if err := s.dir.Attach(r.arn, policy.Attachments{}); err != nil {
		return err
	}
	delete(s.roles, strings.ToLower(name))
	delete(s.byID, r.id)
	return nil
}

// UpdateTrustPolicy replaces the trust policy of a role (UpdateAssumeRolePolicy). Sessions that there are go on.
func (s *Service) UpdateTrustPolicy(name, document string) error {
	return s.changeRole(name, func(r *role) (err error) {
		r.trust, err = parseTrust(r.arn, document)
		return err
	})
}

// UpdateMaxSessionDuration sets how long a session of a role may be: one to twelve hours. Sessions that there are go on.
func (s *Service) UpdateMaxSessionDuration(name string, d time.Duration) error {
	return s.changeRole(name, func(r *role) error {
		r.maxSession = d
		return checkMaxSession(d)
	})
}

// PutRolePolicy adds an inline policy to a role, in the place of one of the same name.
func (s *Service) PutRolePolicy(name, policyName, document string) error {
	return s.changeRole(name, func(r *role) error { return r.putInline(policyName, document) })
}

// DeleteRolePolicy removes an inline policy of a role.
func (s *Service) DeleteRolePolicy(name, policyName string) error {
	return s.changeRole(name, func(r *role) error { return r.deleteInline(policyName) })
}

// AttachRolePolicy attaches a managed policy to a role; attaching it again changes nothing.
func (s *Service) AttachRolePolicy(name, policyARN string) error {
	return s.changeRole(name, func(r *role) error { return r.attach(policyARN) })
}

// DetachRolePolicy is the opposite.
func (s *Service) DetachRolePolicy(name, policyARN string) error {
	return s.changeRole(name, func(r *role) error { return r.detach(policyARN) })
}

// SetRoleBoundary sets the permissions boundary of a role, "" for none.
func (s *Service) SetRoleBoundary(name, policyARN string) error {
	return s.changeRole(name, func(r *role) error {
		r.boundary = policyARN
		return nil
	})
}

// TagRole adds tags to a role, in the place of those with the same keys.
func (s *Service) TagRole(name string, tags ...Tag) error {
	return s.changeRole(name, func(r *role) error { return r.tag(tags) })
}

// UntagRole removes tags by their keys. No error for keys that the role does not have.
func (s *Service) UntagRole(name string, keys ...string) error {
	return s.changeRole(name, func(r *role) error {
		for _, key := range keys {
			r.tags = slices.DeleteFunc(r.tags, Tag{Key: key}.sameKey)
		}
		return nil
	})
}

func (h *holder) deleteInline(name string) error {
	if h.inline[name] == nil {
		return fail(codeNoSuchEntity, "The %s policy with name %s cannot be found.", h.kind, name)
	}
	delete(h.inline, name)
	return nil
}

func (h *holder) detach(arn string) error {
	i := slices.Index(h.attached, arn)
	if i < 0 {
		return fail(codeNoSuchEntity, "Policy %s was not found.", arn)
	}
	h.attached = slices.Delete(h.attached, i, i+1)
	return nil
}
