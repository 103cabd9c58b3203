package sts

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// UserInput is a user to create. Name is required.
type UserInput struct {
	Name     string // 1 to 64 letters, digits and _+=,.@-
	Path     string // "" is "/"
	Inline   map[string]string
	Attached []string
	Boundary string
	Tags     []Tag
}

// User is a user as it is: an operator of the program, with long-lived keys.
type User struct {
	Name      string
	Path      string
	ARN       string
	ID        string // AIDA and 17 characters
	Inline    map[string]string
	Attached  []string
	Boundary  string
	Tags      []Tag
	CreatedAt time.Time
}

// AccessKey is a long-lived key of a user, without its secret.
type AccessKey struct {
	ID        string
	Active    bool
	CreatedAt time.Time
}

type user struct{ *holder }

func (u *user) public() *User {
	return &User{
		Name: u.name, Path: u.path, ARN: u.arn, ID: u.id, Inline: u.documents(), Attached: slices.Clone(u.attached),
		Boundary: u.boundary, Tags: slices.Clone(u.tags), CreatedAt: u.createdAt,
	}
}

// CreateUser adds a user with all its policies at once. Access keys that a user of that name had before a restart of the
// program are its own again.
func (s *Service) CreateUser(in UserInput) (*User, error) {
	if err := checkName(in.Name, "userName", maxEntityName); err != nil {
		return nil, err
	}
	in.Path = cmp.Or(in.Path, "/")
	if err := checkPath(in.Path); err != nil {
		return nil, err
	}
	arn := s.iamARN("user" + in.Path + in.Name)
	h := &holder{kind: "user", name: in.Name, path: in.Path, arn: arn, id: s.keys.uniqueID("AIDA", arn), createdAt: s.cfg.Now().UTC()}
	h = h.clone()
	if err := h.fill(in.Inline, in.Attached, in.Boundary, in.Tags); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[strings.ToLower(in.Name)] != nil {
		return nil, fail(codeExists, "User with name %s already exists.", in.Name)
	}
	u := &user{h}
	if err := s.putUser(u); err != nil {
		return nil, err
	}
	return u.public(), nil
}

func (s *Service) putUser(u *user) error {
	if err := s.publish(u.holder); err != nil {
		return err
	}
	s.users[strings.ToLower(u.name)] = u
	s.byID[u.id] = u.holder
	return nil
}

func (s *Service) user(name string) (*user, error) {
	if u := s.users[strings.ToLower(name)]; u != nil {
		return u, nil
	}
	return nil, fail(codeNoSuchEntity, "The user with name %s cannot be found.", name)
}

// User returns the user of a name.
func (s *Service) User(name string) (*User, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, err := s.user(name)
	if err != nil {
		return nil, err
	}
	return u.public(), nil
}

// Users returns all users, sorted by name.
func (s *Service) Users() []*User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	users := make([]*User, 0, len(s.users))
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		users = append(users, s.users[name].public())
	}
	return users
}

func (s *Service) changeUser(name string, f func(u *user) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.user(name)
	if err != nil {
		return err
	}
	next := &user{old.clone()}
	if err := f(next); err != nil {
		return err
	}
	return s.putUser(next)
}

// PutUserPolicy adds an inline policy to a user, in the place of one of the same name.
func (s *Service) PutUserPolicy(name, policyName, document string) error {
	return s.changeUser(name, func(u *user) error { return u.putInline(policyName, document) })
}

// DeleteUserPolicy removes an inline policy of a user.
func (s *Service) DeleteUserPolicy(name, policyName string) error {
	return s.changeUser(name, func(u *user) error { return u.deleteInline(policyName) })
}

// AttachUserPolicy attaches a managed policy to a user; attaching it again changes nothing.
func (s *Service) AttachUserPolicy(name, policyARN string) error {
	return s.changeUser(name, func(u *user) error { return u.attach(policyARN) })
}

// DetachUserPolicy is the opposite.
func (s *Service) DetachUserPolicy(name, policyARN string) error {
	return s.changeUser(name, func(u *user) error { return u.detach(policyARN) })
}

// SetUserBoundary sets the permissions boundary of a user, "" for none.
func (s *Service) SetUserBoundary(name, policyARN string) error {
	return s.changeUser(name, func(u *user) error {
		u.boundary = policyARN
		return nil
	})
}

// DeleteUser removes a user, whose policies and access keys must have been removed before, as in IAM.
func (s *Service) DeleteUser(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.user(name)
	if err != nil {
		return err
	}
	if err := u.empty(); err != nil {
		return err
	}
	if len(s.accessKeys(u.id)) > 0 {
		return fail(codeConflict, "Cannot delete entity, must delete access keys first.")
	}
	if err := s.dir.Attach(u.arn, policy.Attachments{}); err != nil {
		return err
	}
	delete(s.users, strings.ToLower(name))
	delete(s.byID, u.id)
	return nil
}

// CreateAccessKey makes a key for a user, who may have two. It is the only time that the secret is shown. The key is in
// the store when it is returned, and good until it is deleted.
func (s *Service) CreateAccessKey(userName string) (Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.user(userName)
	if err != nil {
		return Credentials{}, err
	}
	if len(s.accessKeys(u.id)) >= maxAccessKeys {
		return Credentials{}, fail(codeLimit, "Cannot exceed quota for AccessKeysPerUser: %d", maxAccessKeys)
	}
	id, now := newAccessKeyID("AKIA"), s.cfg.Now().UTC()
	err = s.update(func(next *state) { next.AccessKeys[id] = accessKey{User: u.id, CreatedAt: now} })
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{AccessKeyID: id, SecretAccessKey: s.keys.secretOf(id), IssuedAt: now}, nil
}

// accessKeys returns the IDs of a user's keys, by the user's unique ID, oldest first. The caller holds s.mu.
func (s *Service) accessKeys(userID string) []string {
	var ids []string
	for id, key := range s.state.AccessKeys {
		if key.User == userID {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(s.state.AccessKeys[a].CreatedAt.Compare(s.state.AccessKeys[b].CreatedAt), cmp.Compare(a, b))
	})
	return ids
}

// AccessKeys returns the keys of a user, oldest first.
func (s *Service) AccessKeys(userName string) ([]AccessKey, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, err := s.user(userName)
	if err != nil {
		return nil, err
	}
	var keys []AccessKey
	for _, id := range s.accessKeys(u.id) {
		key := s.state.AccessKeys[id]
		keys = append(keys, AccessKey{ID: id, Active: !key.Inactive, CreatedAt: key.CreatedAt})
	}
	return keys, nil
}

// changeAccessKey changes a key of a user in the store. It is deleted if f says so.
func (s *Service) changeAccessKey(userName, id string, f func(key *accessKey) (keep bool)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.user(userName)
	if err != nil {
		return err
	}
	key, ok := s.state.AccessKeys[id]
	if !ok || key.User != u.id {
		return fail(codeNoSuchEntity, "The Access Key with id %s cannot be found.", id)
	}
	keep := f(&key)
	return s.update(func(next *state) {
		if keep {
			next.AccessKeys[id] = key
		} else {
			delete(next.AccessKeys, id)
		}
	})
}

// SetAccessKeyActive turns a key of a user off, or on again (UpdateAccessKey).
func (s *Service) SetAccessKeyActive(userName, id string, active bool) error {
	return s.changeAccessKey(userName, id, func(key *accessKey) bool {
		key.Inactive = !active
		return true
	})
}

// DeleteAccessKey removes a key of a user for good.
func (s *Service) DeleteAccessKey(userName, id string) error {
	return s.changeAccessKey(userName, id, func(*accessKey) bool { return false })
}
